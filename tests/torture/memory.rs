//! Runs whose jobs want more memory than there is: in a control group with a limit, where one can be made.

use std::collections::HashSet;
use std::fs;
use std::io;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use serde_json::Value;

use crate::arena::{Arena, End};
use crate::support::python;

/// A memory control group with a limit, or nothing where none can be made.
struct Memory {
    folder: PathBuf,
}

impl Memory {
    fn new(most: u64) -> Option<Self> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let folders = ["/sys/fs/cgroup/memory", "/sys/fs/cgroup"];
        let limits = ["memory.limit_in_bytes", "memory.max"];
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        for (folder, limit) in folders.into_iter().zip(limits) {
            let name = format!("torture-{}-{number}", std::process::id());
            let folder = Path::new(folder).join(name);
            if fs::create_dir(&folder).is_err() {
                continue;
            }
            let group = Self { folder };
            if fs::write(group.folder.join(limit), most.to_string()).is_ok() {
                // Without swap, where that is counted.
                for limit in ["memory.memsw.limit_in_bytes", "memory.swap.max"] {
                    let none = if limit.ends_with("max") { 0 } else { most };
                    let _ = fs::write(group.folder.join(limit), none.to_string());
                }
                return Some(group);
            }
        }
        eprintln!("skipped: no memory control group can be made here");
        None
    }

    /// Lets a command begin in it.
    fn holds(&self, command: &mut Command) {
        let door = fs::OpenOptions::new()
            .write(true)
            .open(self.folder.join("cgroup.procs"));
        let door = door.unwrap();
        // SAFETY: write(2) is async-signal-safe, and the descriptor is open until the command begins.
        unsafe {
            command.pre_exec(move || {
                use std::os::fd::AsRawFd;
                match libc::write(door.as_raw_fd(), c"0".as_ptr().cast(), 1) {
                    1 => Ok(()),
                    _ => Err(io::Error::last_os_error()),
                }
            });
        }
    }
}

impl Drop for Memory {
    fn drop(&mut self) {
        let _ = fs::remove_dir(&self.folder);
    }
}

/// Runs in a control group with so much memory.
fn run(arena: &Arena, group: &Memory, arguments: &[&str]) -> End {
    let mut command = arena.run_command(arguments);
    group.holds(&mut command);
    arena.finish(arena.start(&mut command))
}

/// The events of a kind.
fn events(arena: &Arena, kind: &str) -> Vec<Value> {
    let text = arena.read("log/events.jsonl");
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    lines
        .filter(|event: &Value| event["event"] == kind)
        .collect()
}

/// Each test has one result, of its first try.
fn counts_once(end: &End) {
    let finished = end.finished();
    let ids: HashSet<_> = finished.iter().map(|event| event["id"].as_str()).collect();
    assert_eq!(ids.len(), finished.len(), "{}", end.shown());
    assert!(
        finished.iter().all(|event| event["attempt"] == 1),
        "{}",
        end.shown()
    );
}

/// A program that takes so many megabytes, and holds them for a moment.
fn takes(megabytes: u32) -> String {
    format!("dd if=/dev/zero of=/dev/null bs={megabytes}M count=8 2>/dev/null")
}

/// Nothing in the manifest is about memory.
#[test]
fn jobs_that_do_not_fit_together_pass_unaided() {
    let Some(group) = Memory::new(300 << 20) else {
        return;
    };
    // All are there before one takes anything. The kernel may kill the shell's child, which the shell tells by 137.
    let job = format!(
        "touch ready.$1; n=0; until [ $(ls ready.* | wc -l) = 4 ] || [ $n = 200 ]; do sleep 0.02; n=$((n + 1)); done; {}; exit $?",
        takes(96)
    );
    let arena = Arena::new(
        "[groups.g]\ncommand = [\"./job\", \"<items>\"]\nitems = [\"1\", \"2\", \"3\", \"4\"]\nworkers = 4\n",
    )
    .script("job", &job);
    let end = run(&arena, &group, &["-n", "4"])
        .exits(0)
        .says("it is run again later, alone")
        .ends(&["g::1 passed", "g::2 passed", "g::3 passed", "g::4 passed"]);
    counts_once(&end);
    let started = events(&arena, "job-started");
    assert!(started.len() > 4, "{}", end.shown());
    // What runs again runs alone.
    for job in &started[4..] {
        assert_eq!(job["placement"]["claims"]["last"], true, "{job}");
        assert_eq!(job["attempt"], 1, "{job}");
    }
    // The next run knows what they take.
    run(&arena, &group, &["-n", "4"]).exits(0);
    assert_eq!(events(&arena, "job-started").len(), 4);
    arena.is_clean();
}

/// Alone it still takes more than there is: then it has failed by itself, however its end looks.
#[test]
fn out_of_memory_in_a_control_group() {
    let Some(group) = Memory::new(160 << 20) else {
        return;
    };
    let manifest = "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nworkers = 2\n";
    let arena = Arena::new(manifest)
        .script("t/hog", &format!("exec {}", takes(300)))
        .script("t/child", &format!("{}; exit $?", takes(300)))
        .script("t/small", "exit 0")
        .script("t/other", "exit 0");
    let end = run(&arena, &group, &[]).exits(1).ends(&[
        "g::t/child oom",
        "g::t/hog oom",
        "g::t/other passed",
        "g::t/small passed",
    ]);
    counts_once(&end);
    assert!(
        end.message("g::t/hog").contains("no memory left"),
        "{}",
        end.shown()
    );
    assert!(
        end.message("g::t/child").contains("code 137"),
        "{}",
        end.shown()
    );
    arena.is_clean();
}

/// A job that takes more and more until it has been stopped for the other's sake; then it has no need of it.
const GROWS: &str = r"if [ -e begun ]; then echo again >>order; exit 0; fi
touch begun
trap 'touch stopped; exit 1' TERM
for step in $(seq 50); do
    (x=$(head -c 10000000 /dev/zero | tr '\0' x); sleep 60; :) &
    sleep 0.03
done
wait";

#[test]
fn the_youngest_job_is_stopped_and_run_again_as_if_it_had_not_begun() {
    let Some(group) = Memory::new(400 << 20) else {
        return;
    };
    let manifest = "[run]\nmin-free-memory = \"250MiB\"\n[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nworkers = 2\norder = \"listed\"\n\
        before-job = [\"echo before >>hooks\"]\nafter-job = [\"echo after >>hooks\"]\n";
    let wait = "until [ -e stopped ]; do sleep 0.02; done; echo first >>order";
    let arena = Arena::new(manifest)
        .script("t/a", wait)
        .script("t/b", GROWS);
    let end = run(&arena, &group, &["-n", "2"])
        .exits(0)
        .says("g::t/b is stopped, since")
        .ends(&["g::t/a passed", "g::t/b passed"]);
    counts_once(&end);
    // It ran again when the other was over.
    assert_eq!(arena.read("order"), "first\nagain\n");
    let hooks = arena.read("hooks");
    for hook in ["before", "after"] {
        let ran = hooks.lines().filter(|line| *line == hook).count();
        assert_eq!(ran, 3, "{hooks}");
    }
    let mut outcomes: Vec<_> = events(&arena, "job-finished")
        .iter()
        .map(|event| event["outcome"].as_str().unwrap().to_owned())
        .collect();
    outcomes.sort();
    assert_eq!(outcomes, ["cancelled", "passed", "passed"]);
    arena.is_clean();
}

/// What stopping costs is what the run takes less where nothing has to be stopped.
#[test]
fn a_stop_costs_what_is_saved_without_it() {
    let Some(group) = Memory::new(400 << 20) else {
        return;
    };
    let manifest = "[run]\nmin-free-memory = \"250MiB\"\n[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nworkers = 2\norder = \"listed\"\n";
    let suite = || {
        Arena::new(manifest)
            .script("t/a", "sleep 3; until [ -e stopped ]; do sleep 0.02; done")
            .script("t/b", &GROWS.replacen("exit 0", "sleep 2; exit 0", 1))
    };
    let wall = |arena: &Arena| {
        events(arena, "run-finished")[0]["seconds"]
            .as_f64()
            .unwrap()
    };
    let mut why = String::new();
    // A busy machine makes a run longer: where the two do not fit, both are run again.
    for _ in 0..4 {
        let short = suite();
        run(&short, &group, &["-n", "2"])
            .exits(0)
            .says("g::t/b is stopped, since");
        let taken = wall(&short);
        let mut explain = short.command(&["explain", "--format", "json"]);
        short.finish(short.start(&mut explain)).exits(0);
        let told: Value = serde_json::from_str(&short.read("log/stdout.txt")).unwrap();
        let stops = &told["findings"][0];
        assert_eq!(stops["kind"], "memory-stops", "{told}");
        assert_eq!(stops["tests"], serde_json::json!(["g::t/b"]), "{told}");
        assert_ne!(told["changes"], 0, "{told}");
        let said = stops["saves"].as_f64().unwrap();
        // As it is when it has been stopped.
        let calm = suite().file("begun", "").file("stopped", "");
        run(&calm, &group, &["-n", "2"]).exits(0);
        let saved = taken - wall(&calm);
        if (said - saved).abs() <= 0.15 * saved {
            return;
        }
        why += &format!("{said:.3} s were said to be saved, {saved:.3} s were\n");
    }
    panic!("{why}");
}

/// What of its chunk has its result keeps it.
#[test]
fn the_youngest_of_a_session_is_stopped_and_run_again() {
    let Some(python) = python() else { return };
    let Some(group) = Memory::new(500 << 20) else {
        return;
    };
    let manifest = format!(
        "[run]\nmin-free-memory = \"250MiB\"\n[groups.g]\nrunner = \"pytest\"\nwith = {{ python = {python:?} }}\nworkers = 2\n\
        chunk-size = 2\norder = \"listed\"\n"
    );
    let first = "import os, time\nfrom pathlib import Path\ndef test_first():\n    while not os.path.exists('hog'): time.sleep(0.02)\n\
        def test_second():\n    while os.path.exists('/proc/' + Path('hog').read_text()): time.sleep(0.02)\n    open('order', 'a').write('first ')\n";
    let second = "import os, time\nfrom pathlib import Path\ndef test_before():\n    open('order', 'a').write('before ')\n\
        def test_hog():\n    if os.path.exists('hog'):\n        open('order', 'a').write('again')\n        return\n    \
        Path('new').write_text(str(os.getpid()))\n    os.rename('new', 'hog')\n    taken = []\n    for _ in range(100):\n        \
        taken.append(bytearray(b'x') * (5 << 20))\n        time.sleep(0.02)\n    time.sleep(60)\n";
    let arena = Arena::new(&manifest)
        .file("test_a.py", first)
        .file("test_b.py", second);
    let end = run(&arena, &group, &["-n", "2"])
        .exits(0)
        .says("is stopped, since")
        .ends(&[
            "g::test_a.py::test_first passed",
            "g::test_a.py::test_second passed",
            "g::test_b.py::test_before passed",
            "g::test_b.py::test_hog passed",
        ]);
    counts_once(&end);
    assert_eq!(arena.read("order"), "before first again");
    arena.is_clean();
}

/// A test that takes memory while it is looked at, since its time is over, is not waited for.
#[test]
fn the_youngest_of_a_session_is_stopped_while_it_is_looked_at() {
    let Some(python) = python() else { return };
    let Some(group) = Memory::new(500 << 20) else {
        return;
    };
    let manifest = format!(
        "[run]\nmin-free-memory = \"250MiB\"\n[groups.g]\nrunner = \"pytest\"\nwith = {{ python = {python:?} }}\nworkers = 2\n\
        order = \"listed\"\ntimeout = \"30s\"\ngrace = \"300ms\"\nhook-timeout = \"10m\"\non-timeout = \"touch looks; exec sleep 60\"\n\
        [[groups.g.overrides]]\nmatch = [\"test_b.py\"]\ntimeout = \"1s\"\n"
    );
    let first = "import os, time\nfrom pathlib import Path\ndef test_first():\n    while not os.path.exists('hog'): time.sleep(0.02)\n\
        \x20   while os.path.exists('/proc/' + Path('hog').read_text()): time.sleep(0.02)\n";
    let second = "import os, time\nfrom pathlib import Path\ndef test_hog():\n    Path('new').write_text(str(os.getpid()))\n    os.rename('new', 'hog')\n\
        \x20   while not os.path.exists('looks'): time.sleep(0.02)\n    taken = []\n    for _ in range(100):\n        \
        taken.append(bytearray(b'x') * (5 << 20))\n        time.sleep(0.02)\n    time.sleep(60)\n";
    let arena = Arena::new(&manifest)
        .file("test_a.py", first)
        .file("test_b.py", second);
    let end = run(&arena, &group, &["-n", "2"])
        .exits(1)
        .says("is stopped, since")
        .ends(&[
            "g::test_a.py::test_first passed",
            "g::test_b.py::test_hog timed-out",
        ]);
    counts_once(&end);
    arena.is_clean();
}

/// With nothing running something starts, however little is free: the run goes on, one by one.
#[test]
fn a_run_that_may_take_no_memory_goes_on_one_by_one() {
    let manifest = "[run]\nmin-free-memory = \"9000TiB\"\n[resources]\ngpu = [\"0\", \"1\"]\n\
        [groups.g]\ncommand = \"echo + >>order; sleep 0.05; echo - >>order\"\nuses = { gpu = 1 }\nworkers = 4\n\
        [groups.h]\ncommand = \"for item in <items>; do echo + >>order; sleep 0.05; echo - >>order; done\"\n\
        items = [\"1\", \"2\", \"3\", \"4\", \"5\", \"6\"]\nworkers = 4\nlocks = [\"l\"]\n";
    let arena = Arena::new(manifest);
    let end = arena
        .run(&["-n", "4"])
        .exits(0)
        .says("jobs run one at a time");
    assert_eq!(end.finished().len(), 7);
    counts_once(&end);
    assert_eq!(arena.read("order"), "+\n-\n".repeat(7));
    arena.is_clean();
}
