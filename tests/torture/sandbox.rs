//! `isolation-level = "sandbox"` and `network`: what a hostile test sees and reaches of all that is not its own. Each as whoever
//! runs the tests, and where that is root, as another user too.

use std::fs;
use std::net::TcpListener;
use std::time::Duration;

use rustix::process::Signal;

use crate::arena::{Arena, is_root};
use crate::support::python;

/// What every job here may use. It says what it could do, and fails if there was anything.
const TRY: &str = "# Runs a command that must fail; what it did is a word.\n\
    try() { word=$1; shift; if \"$@\" >/dev/null 2>&1; then echo \"could: $word\"; failed=1; fi; }\n\
    # Waits for a file, but not for ever.\n\
    await() { n=0; while [ ! -e \"$1\" ]; do n=$((n + 1)); [ $n -gt 1000 ] && exit 9; sleep 0.02; done; }\n\
    has() { grep -q . \"$1\"; }\n\
    failed=0\n";

/// Runs what `look` says in an arena that `make` makes, as everyone who can be somebody here.
fn as_each(needs: &[&str], make: impl Fn() -> Arena, look: impl Fn(&Arena)) {
    let own = make();
    if works(&own, needs) {
        look(&own);
    }
    if is_root()
        && let Some(other) = make().of_another_user()
        && works(&other, needs)
    {
        look(&other);
    }
}

/// Whether all of these work here, by the doctor's word.
fn works(arena: &Arena, needs: &[&str]) -> bool {
    let started = arena.start(&mut arena.command(&["doctor"]));
    while crate::arena::try_wait(started.pid).is_none() {
        std::thread::sleep(Duration::from_millis(2));
    }
    let told = arena.read("log/stdout.txt");
    needs.iter().all(|name| {
        let mut lines = told.lines().map(str::trim);
        let line = lines.find(|line| line.starts_with(name)).unwrap();
        let works = !line.contains("does not work here");
        if !works {
            eprintln!("skipped: {line}");
        }
        works
    })
}

fn script(body: &str) -> String {
    format!("{TRY}{body}\nexit $failed")
}

/// A group that is not confined says where its files are; one that is, and another worker of that, looks for them.
fn neighbours() -> Arena {
    let manifest = "[run]\nworkers = 3\n[defaults]\nrunner = \"exec\"\ntimeout = \"25s\"\n\
        [groups.open]\nfiles = [\"open/*\"]\n\
        [groups.shut]\nfiles = [\"shut/*\"]\nisolation-level = \"sandbox\"\nworkers = 2\nchunk-size = 1\n";
    let tells = |name: &str| {
        format!(
            "echo secret >\"$TMPDIR/secret\"; echo \"$TMPDIR/secret\" >{name}.new; mv {name}.new {name}; "
        )
    };
    let looks = |own: &str, others: &[&str]| {
        let mut body = tells(own);
        for other in others {
            body.push_str(&format!(
                "await {other}; path=$(cat {other}); try read-{other} cat \"$path\"; \
                 try write-{other} sh -c \"echo forged >'$path'\"; try list-{other} ls \"${{path%/*}}\"; "
            ));
        }
        body.push_str(&format!(
            "[ \"$(cat \"$TMPDIR/secret\")\" = secret ] || failed=1; touch {own}-looked"
        ));
        script(&body)
    };
    Arena::new(manifest)
        .script(
            "open/a",
            &script(&format!(
                "{}await b-looked; await c-looked; [ \"$(cat \"$TMPDIR/secret\")\" = secret ] || failed=1",
                tells("a")
            )),
        )
        .script("shut/b", &looks("b", &["a", "c"]))
        .script("shut/c", &looks("c", &["a", "b"]))
}

#[test]
fn a_sandbox_sees_no_folder_of_another_group_or_worker() {
    as_each(&["sandbox"], neighbours, |arena| {
        let end = arena.run(&[]);
        end.ends(&[
            "open::open/a passed",
            "shut::shut/b passed",
            "shut::shut/c passed",
        ]);
        arena.is_clean();
    });
}

/// A job of another group, its worker and the run itself are the victims.
fn victims() -> Arena {
    let manifest = "[run]\nworkers = 2\n[defaults]\nrunner = \"exec\"\ntimeout = \"25s\"\n\
        [groups.open]\nfiles = [\"open/*\"]\n\
        [groups.shut]\nfiles = [\"shut/*\"]\nisolation-level = \"sandbox\"\n";
    let victim = "parent() { sed 's/.*) . \\([0-9]*\\).*/\\1/' /proc/$1/stat; }; run=$(parent $PPID); \
        echo $$ $PPID $run >pids.new; mv pids.new pids; await looked; kill -0 $PPID $run || failed=1";
    let attack = "await pids; for pid in $(cat pids); do \
        try kill-$pid kill -9 $pid; try stop-$pid kill -STOP $pid; try group-$pid kill -9 -$pid; \
        try look-$pid cat /proc/$pid/cmdline; try memory-$pid cat /proc/$pid/environ; \
        try descriptors-$pid ls /proc/$pid/fd; try root-$pid ls /proc/$pid/root/; done; \
        try own-descriptors readlink /proc/1/fd/0; try own-memory cat /proc/1/environ; try own-root ls /proc/1/root/; \
        kill -9 1 2>/dev/null; kill -STOP 1 2>/dev/null; kill -9 -1; touch looked";
    Arena::new(manifest)
        .script("open/victim", &script(victim))
        .script("shut/attack", &script(attack))
}

#[test]
fn a_sandbox_reaches_no_process_outside() {
    as_each(&["sandbox"], victims, |arena| {
        let end = arena.run(&[]);
        end.ends(&["open::open/victim passed", "shut::shut/attack passed"]);
        arena.is_clean();
    });
}

/// The attack is on `.fastest/`, on a report and on what hides them.
fn keepsakes() -> Arena {
    let attack = "for name in .fastest log/events.jsonl; do \
        try read-$name sh -c \"cat $name/* $name | grep .\"; try find-$name sh -c \"find $name -mindepth 1 | grep .\"; \
        try write-$name sh -c \"echo forged >>$name\"; try fill-$name sh -c \"echo forged >$name/forged\"; \
        try remove-$name rm -rf $name; try move-$name mv $name elsewhere; try replace-$name ln -sfn /nowhere $name; \
        try link-$name ln $name linked; \
        try unmount-$name umount $name; try unmount-lazily-$name umount -l $name; \
        try nested-$name unshare -Urm umount -l $name; try remount-$name mount -o remount,rw $name; done; \
        try move-folder mv log logs; try move-project mv \"$PWD\" \"$PWD.moved\"; \
        try unmount-tmp umount -l /tmp; try nested-tmp unshare -Urm umount -l /tmp; \
        try groups sh -c 'echo 1 >/sys/fs/cgroup/cgroup.kill'; try sysctl sh -c 'echo x >/proc/sys/kernel/core_pattern';";
    let manifest = "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nisolation-level = \"sandbox\"\nchunk-size = 1\nworkers = 1\n";
    Arena::new(manifest)
        .script("t/attack", &script(attack))
        .script("t/other", "exit 0")
}

#[test]
fn a_sandbox_neither_reads_nor_writes_what_the_run_keeps() {
    as_each(&["sandbox"], keepsakes, |arena| {
        for _ in 0..2 {
            let end = arena.run(&[]);
            end.ends(&["g::t/attack passed", "g::t/other passed"]);
        }
        assert!(arena.path().join(".fastest/history.db").is_file());
        assert!(!arena.path().join(".fastest/forged").exists());
        // A copy of what it sees there is nothing.
        assert_eq!(arena.read("elsewhere"), "");
        arena.is_clean();
    });
}

#[test]
fn temporary_folders_of_a_sandbox_are_its_own_and_go_with_it() {
    let name = format!("orchestrate-sandboxed-{}", std::process::id());
    let make = || {
        let body = format!(
            "for folder in /tmp /var/tmp /dev/shm \"$TMPDIR\"; do echo own >$folder/{name} || failed=1; done; \
             ls /tmp /var/tmp /dev/shm | grep orchestrate-run && failed=1; \
             printf 'exit 0' >/tmp/program; chmod +x /tmp/program; sh -c /tmp/program || failed=1; \
             [ -r . ] && touch made-in-the-project || failed=1"
        );
        let manifest =
            "[groups.g]\nrunner = \"exec\"\nfiles = [\"t\"]\nisolation-level = \"sandbox\"\n";
        Arena::new(manifest).script("t", &script(&body))
    };
    as_each(&["sandbox"], make, |arena| {
        arena.run(&[]).ends(&["g::t passed"]);
        for folder in ["/tmp", "/var/tmp", "/dev/shm"] {
            let left = std::path::Path::new(folder).join(&name);
            assert!(!left.exists(), "{}", left.display());
        }
        assert!(arena.path().join("made-in-the-project").exists());
        arena.is_clean();
    });
}

#[test]
fn a_killed_run_leaves_nothing_of_its_sandboxes() {
    let make = || {
        let manifest = "[run]\nworkers = 2\n[defaults]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nchunk-size = 1\nnetwork = \"private\"\n\
            [groups.g]\nisolation-level = \"sandbox\"\n[groups.h]\nisolation-level = \"pid-namespace\"\n";
        let body = "trap '' TERM HUP; setsid sleep 60 & setsid sh -c 'setsid sleep 60 & sleep 60' & \
            touch /tmp/x running-$ORCHESTRATE_GROUP; sleep 60";
        Arena::new(manifest).script("t/a", body)
    };
    as_each(&["sandbox", "private"], make, |arena| {
        let started = arena.start(&mut arena.run_command(&[]));
        arena.until_file("running-g");
        arena.until_file("running-h");
        arena.kill(started);
        let is_empty = || fs::read_dir(arena.tmp()).unwrap().next().is_none();
        assert!(
            crate::arena::until(Duration::from_secs(5), is_empty),
            "{:?}",
            fs::read_dir(arena.tmp()).unwrap().collect::<Vec<_>>()
        );
    });
}

#[test]
fn a_stopped_run_leaves_nothing_of_its_sandboxes() {
    let make = || {
        let manifest = "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nisolation-level = \"sandbox\"\ngrace = \"200ms\"\n";
        let body = "trap '' TERM; setsid sh -c 'trap \"\" TERM; sleep 60' & touch running; while :; do sleep 1; done";
        Arena::new(manifest).script("t/a", body)
    };
    as_each(&["sandbox"], make, |arena| {
        let started = arena.start(&mut arena.run_command(&[]));
        arena.until_file("running");
        started.signal(Signal::INT);
        arena.finish(started).exits(130);
        arena.is_clean();
    });
}

#[test]
fn a_daemon_in_a_sandbox_is_ended_with_its_job() {
    let make = || {
        let manifest = "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nisolation-level = \"sandbox\"\nworkers = 1\nchunk-size = 1\ngrace = \"200ms\"\n";
        let daemon = "setsid sh -c 'trap \"\" TERM; setsid sleep 60 & sleep 60' & exit 0";
        Arena::new(manifest)
            .script("t/a", daemon)
            // Only the first process of the namespace, this shell and what it starts.
            .script("t/b", "set -- /proc/[0-9]*; [ $# -eq 2 ]")
    };
    as_each(&["sandbox"], make, |arena| {
        arena.run(&[]).ends(&["g::t/a leaked", "g::t/b passed"]);
        arena.is_clean();
    });
}

/// Whoever listens outside can't be reached, by neither of the addresses nor by a name that is no file.
fn hermit(network: &str, port: u16, abstract_name: &str, python: &str) -> Arena {
    let manifest = format!(
        "[groups.g]\ncommand = [{python:?}, \"reach.py\"]\nnetwork = {network:?}\ntimeout = \"20s\"\n"
    );
    let reach = format!(
        "import socket, sys\n\
         reached = []\n\
         def reach(family, address):\n\
         \x20   with socket.socket(family) as s:\n\
         \x20       s.settimeout(5)\n\
         \x20       try:\n\
         \x20           s.connect(address)\n\
         \x20           reached.append(address)\n\
         \x20       except OSError as error: print(error)\n\
         reach(socket.AF_INET, ('127.0.0.1', {port}))\n\
         reach(socket.AF_INET, ('192.0.2.1', 80))\n\
         reach(socket.AF_UNIX, b'\\0{abstract_name}')\n\
         own = 0\n\
         try:\n\
         \x20   with socket.socket() as s:\n\
         \x20       s.bind(('127.0.0.1', {port})); s.listen()\n\
         \x20       with socket.create_connection(('127.0.0.1', {port}), 5): own = 1\n\
         except OSError as error: print(error)\n\
         assert not reached, reached\n\
         assert own == {own}, own\n",
        own = i32::from(network == "private"),
    );
    Arena::new(&manifest).file("reach.py", &reach)
}

#[test]
fn a_network_of_its_own_reaches_nobody_outside() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixListener};
    let host = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = host.local_addr().unwrap().port();
    let name = format!("orchestrate-torture-{}", std::process::id());
    let address = SocketAddr::from_abstract_name(&name).unwrap();
    let _listener = UnixListener::bind_addr(&address).unwrap();
    let python = "/usr/bin/python3";
    if !std::path::Path::new(python).exists() {
        eprintln!("skipped: no {python}");
        return;
    }
    for network in ["private", "none"] {
        let make = || hermit(network, port, &name, python);
        as_each(&[network], make, |arena| {
            let end = arena.run(&[]);
            assert_eq!(end.code, 0, "{network}: {}", end.shown());
            arena.is_clean();
        });
    }
}

/// A session whose tests do their worst, and those that must not suffer.
#[test]
fn a_session_in_a_sandbox_holds_its_tests() {
    let Some(python) = python() else { return };
    let manifest = format!(
        "[groups.g]\nrunner = \"pytest\"\nwith = {{ python = {python:?} }}\nworkers = 2\nchunk-size = 1\ngrace = \"300ms\"\n\
         timeout = \"2s\"\nisolation-level = \"sandbox\"\nnetwork = \"private\"\n\
         on-timeout = \"tr '\\\\0' ' ' </proc/<job-pid>/cmdline; ls /tmp\"\n"
    );
    let tests = "import os, signal, subprocess, sys, time\n\
        def test_a_passes(tmp_path):\n\
        \x20   (tmp_path / 'x').write_text('x')\n\
        \x20   assert not os.listdir('.fastest')\n\
        def test_b_kills_everything():\n\
        \x20   os.kill(-1, signal.SIGKILL)\n\
        \x20   os.kill(os.getpid(), signal.SIGKILL)\n\
        def test_c_hangs():\n\
        \x20   open('/tmp/seen', 'w').close()\n\
        \x20   time.sleep(60)\n\
        def test_d_leaves_a_daemon():\n\
        \x20   subprocess.Popen(['sleep', '60'], start_new_session=True)\n\
        def test_e_passes(): pass\n";
    let make = || Arena::new(&manifest).file("test_t.py", tests);
    let arena = make();
    if !works(&arena, &["sandbox", "private"]) {
        return;
    }
    let end = arena.run(&["-v"]);
    let late = end.message("g::test_t.py::test_c_hangs");
    assert!(late.contains("2s"), "{late}");
    let finished = end.finished();
    let hung = finished.iter().find(|test| test["outcome"] == "timed-out");
    let printed = hung.unwrap()["output"].as_str().unwrap().to_owned();
    assert!(printed.contains("seen"), "{printed}");
    assert!(printed.contains("python"), "{printed}");
    let outcomes = end.outcomes();
    let of = |name: &str| {
        let mut lines = outcomes.iter();
        lines.find(|line| line.contains(name)).unwrap().clone()
    };
    assert!(of("test_a").ends_with(" passed"), "{outcomes:?}");
    // What would tell how it ended was killed with it.
    assert!(!of("test_b").ends_with(" passed"), "{outcomes:?}");
    assert!(of("test_d").ends_with(" leaked"), "{outcomes:?}");
    assert!(of("test_e").ends_with(" passed"), "{outcomes:?}");
    arena.is_clean();
}
