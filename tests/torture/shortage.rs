//! Runs that lack what every run takes for granted: room, descriptors, processes, a place to write to.

use std::fs;
use std::io::{self, BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use crate::arena::{Arena, Started, array, is_root};

/// Lowers a limit of what a command starts; `resource` is one of getrlimit(2).
pub fn limit(command: &mut Command, resource: libc::__rlimit_resource_t, most: u64) {
    // SAFETY: setrlimit(2) is async-signal-safe.
    unsafe {
        command.pre_exec(move || {
            let limit = libc::rlimit {
                rlim_cur: most,
                rlim_max: most,
            };
            match libc::setrlimit(resource, &raw const limit) {
                0 => Ok(()),
                _ => Err(io::Error::last_os_error()),
            }
        });
    }
}

/// Many small tests; every one of them passes where there is enough of everything.
fn many(number: usize, workers: usize) -> Arena {
    let items: Vec<_> = (0..number).map(|number| number.to_string()).collect();
    let manifest = format!(
        "[run]\nworkers = {workers}\n[defaults]\ntimeout = \"20s\"\n[groups.g]\ncommand = [\"./job\", \"<items>\"]\nitems = {}\nchunk-size = 1\nworkers = {workers}\n",
        array(&items)
    );
    Arena::new(&manifest).script("job", "echo $1; exec sleep 0.01")
}

fn all_passed(number: usize) -> Vec<String> {
    let mut all: Vec<_> = (0..number)
        .map(|number| format!("g::{number} passed"))
        .collect();
    all.sort();
    all
}

/// A file system of 64 KiB in `full`, seen by the run alone. False where that is not allowed.
fn start_with_tmpfs(arena: &Arena, command: &mut Command) -> Option<Started> {
    if !is_root() {
        eprintln!("skipped: only root can mount");
        return None;
    }
    let full = arena.path().join("full");
    fs::create_dir(&full).unwrap();
    let full = std::ffi::CString::new(full.to_str().unwrap()).unwrap();
    // SAFETY: unshare(2) and mount(2) are plain system calls, and their arguments are texts that live as long as the closure.
    unsafe {
        command.pre_exec(move || {
            let none = std::ptr::null();
            let private = libc::MS_REC | libc::MS_PRIVATE;
            if libc::unshare(libc::CLONE_NEWNS) != 0
                || libc::mount(c"none".as_ptr(), c"/".as_ptr(), none, private, none.cast()) != 0
                || libc::mount(
                    c"tmpfs".as_ptr(),
                    full.as_ptr(),
                    c"tmpfs".as_ptr(),
                    0,
                    c"size=64k".as_ptr().cast(),
                ) != 0
            {
                return Err(io::Error::last_os_error());
            }
            Ok(())
        });
    }
    match command.spawn() {
        Ok(child) => Some(Started::from(&child)),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
            eprintln!("skipped: mounting is not allowed here");
            None
        }
        Err(error) => panic!("{error}"),
    }
}

#[test]
fn a_report_on_a_full_file_system() {
    for format in ["junit", "jsonl"] {
        let manifest = "[groups.g]\ncommand = \"head -c 300000 /dev/zero | tr '\\\\0' x; exit 3\"\nexpect = \"fail\"\n[groups.ok]\ncommand = [\"true\"]\n";
        let arena = Arena::new(manifest);
        let report = format!("{format}=full/report");
        let mut command = arena.run_command(&["--report", &report]);
        let Some(started) = start_with_tmpfs(&arena, &mut command) else {
            return;
        };
        let end = arena
            .finish(started)
            .exits(3)
            .says("can't write the")
            .says("No space left");
        end.ends(&["g xfailed", "ok passed"]);
        arena.is_clean();
    }
}

/// What a job can't write is its own failure; what the run needs is still there.
#[test]
fn a_full_temporary_file_system() {
    let manifest = "[defaults]\ntimeout = \"10s\"\n[groups.big]\ncommand = \"head -c 1000000 /dev/zero > $TMPDIR/big\"\n\
        [groups.ok]\ncommand = \"head -c 1000000 /dev/zero\"\nneeds = []\n";
    let arena = Arena::new(manifest);
    let mut command = arena.run_command(&[]);
    command.env("TMPDIR", arena.path().join("full"));
    let Some(started) = start_with_tmpfs(&arena, &mut command) else {
        return;
    };
    let end = arena.finish(started).exits(1);
    assert_eq!(
        end.outcomes(),
        ["big failed", "ok passed"],
        "{}",
        end.shown()
    );
    arena.is_clean();
}

/// No room for the journal: all results are told, and the exit code says that it is not whole.
#[test]
fn a_repository_on_a_full_file_system() {
    let arena = Arena::new("[groups.outer]\ncommand = [\"false\"]\n").script(
        "job",
        "cd full && printf '[groups.g]\\ncommand = [\"true\"]\\n' > fastest.toml && { cat /dev/zero > filler; exec \"$ORCHESTRATE\" \"$@\"; }",
    );
    let run = arena.run_command(&[]);
    let mut command = Command::new(arena.path().join("job"));
    command.args(run.get_args()).current_dir(arena.path());
    command
        .env("ORCHESTRATE", run.get_program())
        .env("TMPDIR", arena.tmp());
    let file = |name: &str| fs::File::create(arena.path().join("log").join(name)).unwrap();
    command
        .stdout(file("stdout.txt"))
        .stderr(file("stderr.txt"));
    let Some(started) = start_with_tmpfs(&arena, &mut command) else {
        return;
    };
    arena
        .finish(started)
        .exits(3)
        .says("can't write the journal")
        .says("ok: 1 passed")
        .ends(&["g passed"]);
    arena.is_clean();
}

#[test]
fn a_repository_that_is_read_only() {
    let arena = Arena::new("[groups.g]\ncommand = [\"true\"]\n");
    let Some(arena) = arena.of_another_user() else {
        return;
    };
    let arena = arena.read_only();
    arena.run(&[]).exits(0).ends(&["g passed"]);
    arena.is_clean();
}

#[test]
#[expect(clippy::zombie_processes, reason = "the arena waits for it, by its id")]
fn a_reader_that_takes_one_line() {
    let arena = many(100, 4);
    let mut command = arena.run_command(&["-v"]);
    let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(line.starts_with("run "), "{line}");
    arena
        .finish(Started::from(&child))
        .exits(0)
        .ends(&all_passed(100));
    arena.is_clean();
}

#[test]
fn standard_output_that_is_full() {
    let arena = many(20, 4);
    let full = || fs::File::options().write(true).open("/dev/full").unwrap();
    let mut command = arena.run_command(&["-v"]);
    command.stdout(full()).stderr(full());
    arena
        .finish(arena.start(&mut command))
        .exits(0)
        .ends(&all_passed(20));
    let mut command = arena.command(&["run", "--report", "jsonl=-"]);
    command.stdout(full());
    arena.finish(arena.start(&mut command)).exits(3);
    let mut command = arena.command(&["run", "--report", "junit=-"]);
    command.stdout(full());
    arena.finish(arena.start(&mut command)).exits(3);
    arena.is_clean();
}

#[test]
fn standard_streams_that_are_closed() {
    for closed in [">&-", "2>&-", "<&-", "<&- >&- 2>&-"] {
        let arena = many(10, 2);
        let run = arena.run_command(&["-v"]);
        let mut command = arena.command(&[]);
        let mut shell = Command::new("sh");
        shell
            .arg("-c")
            .arg(format!("exec \"$0\" \"$@\" {closed}"))
            .arg(run.get_program())
            .args(run.get_args());
        for (name, value) in command.get_envs() {
            match value {
                Some(value) => shell.env(name, value),
                None => shell.env_remove(name),
            };
        }
        shell.current_dir(arena.path());
        command.current_dir(arena.path());
        arena
            .finish(arena.start(&mut shell))
            .exits(0)
            .ends(&all_passed(10));
        let manifest = arena.read("fastest.toml");
        assert!(manifest.starts_with("[run]"), "something was written over");
        arena.is_clean();
    }
}

#[test]
fn sixty_four_descriptors() {
    let arena = many(60, 4);
    let mut command = arena.run_command(&[]);
    limit(&mut command, libc::RLIMIT_NOFILE, 64);
    arena
        .finish(arena.start(&mut command))
        .exits(0)
        .ends(&all_passed(60));
    arena.is_clean();
}

/// More workers than there are descriptors for: fewer workers, and every test has its result.
#[test]
fn sixty_four_workers_and_sixty_four_descriptors() {
    let arena = many(200, 64);
    let mut command = arena.run_command(&[]);
    limit(&mut command, libc::RLIMIT_NOFILE, 64);
    let end = arena.finish(arena.start(&mut command));
    assert_eq!(end.finished().len(), 200, "{}", end.shown());
    end.exits(0).ends(&all_passed(200));
    arena.is_clean();
}

/// At most so many processes and threads. Whatever could not be run is said, and is no pass; nothing is counted twice or lost.
fn few_processes(most: u64) {
    let Some(arena) = many(40, 8).of_another_user() else {
        return;
    };
    if !is_root() {
        eprintln!("skipped: what else the user runs would be counted");
        return;
    }
    let mut command = arena.run_command(&[]);
    limit(&mut command, libc::RLIMIT_NPROC, most);
    let end = arena.finish(arena.start(&mut command));
    assert!(!end.said.contains("panicked"), "{}", end.shown());
    if end.code == 0 {
        assert_eq!(end.outcomes(), all_passed(40));
    } else {
        assert!(matches!(end.code, 1 | 3), "{}: {}", end.code, end.shown());
        let ran = end.finished().len();
        assert!(ran == 40 || ran == 0, "{ran} results\n{}", end.shown());
        assert!(
            end.said.contains("Resource temporarily unavailable"),
            "{}",
            end.shown()
        );
    }
    arena.is_clean();
}

#[test]
fn twelve_processes() {
    few_processes(12);
}

#[test]
fn six_processes() {
    few_processes(6);
}

/// With room for a few processes at a time, everything runs, on fewer workers.
#[test]
fn few_processes_are_enough() {
    let Some(arena) = many(40, 8).of_another_user() else {
        return;
    };
    if !is_root() {
        eprintln!("skipped: what else the user runs would be counted");
        return;
    }
    let mut command = arena.run_command(&[]);
    limit(&mut command, libc::RLIMIT_NPROC, 24);
    arena
        .finish(arena.start(&mut command))
        .exits(0)
        .ends(&all_passed(40));
    arena.is_clean();
}

#[test]
fn arguments_and_variables_that_are_too_long() {
    let long = "x".repeat(200 << 10);
    let manifest = format!(
        "[groups.env]\ncommand = [\"true\"]\nenv = {{ BIG = \"{long}\" }}\n[groups.ok]\ncommand = [\"true\"]\n\
        [groups.items]\ncommand = [\"true\", \"<items>\"]\nitems = [\"{long}\", \"short\"]\nchunk-size = 1\n\
        [groups.shell]\ncommand = \"true <items>\"\nitems = [\"{long}\"]\n"
    );
    let arena = Arena::new(&manifest);
    let end = arena.run(&[]).exits(1).says("too long");
    assert_eq!(
        end.outcomes(),
        [
            "env errored".to_owned(),
            "items::short passed".to_owned(),
            format!("items::{long} errored"),
            "ok passed".to_owned(),
            format!("shell::{long} errored")
        ],
        "{}",
        end.shown()
    );
    arena.is_clean();
}

/// Six megabytes of arguments: more than a process may have, so they go to more processes.
#[test]
fn a_chunk_of_more_than_the_kernel_takes() {
    let items: Vec<_> = (0..6000)
        .map(|number| format!("{number:04}{}", "x".repeat(1000)))
        .collect();
    let arena = Arena::new(
        "[groups.g]\ncommand = \"set -- <items>; echo $# >> count\"\nitems = { file = \"list\" }\nchunk-size = 6000\n",
    )
    .file("list", &items.join("\n"));
    let end = arena.run(&[]).exits(0);
    assert_eq!(end.finished().len(), 6000);
    let counted: usize = arena
        .read("count")
        .lines()
        .map(|line| line.parse::<usize>().unwrap())
        .sum();
    assert_eq!(counted, 6000);
    arena.is_clean();
}

#[test]
fn two_runs_at_once() {
    let arena = many(60, 4);
    let other_log = arena.path().join("log/other.jsonl");
    let report = format!("--report=jsonl={}", other_log.display());
    let one = arena.start(&mut arena.run_command(&[]));
    let other = arena.start(&mut arena.command(&["run", &report, "--report", "junit=junit.xml"]));
    let other = arena.finish(other);
    let one = arena.finish(one).exits(0);
    one.ends(&all_passed(60));
    other.exits(0);
    let other = arena.read("log/other.jsonl");
    assert_eq!(
        other.matches("\"outcome\":\"passed\"").count(),
        60 * 2,
        "of tests and jobs"
    );
    let runs = fs::read_dir(arena.path().join(".fastest/runs"))
        .unwrap()
        .count();
    assert_eq!(runs, 2);
    assert!(arena.read("junit.xml").contains("tests=\"60\""));
    arena.run(&[]).exits(0);
    arena.is_clean();
}

#[test]
fn a_temporary_folder_that_can_not_be_written() {
    for folder in ["/nowhere/at/all", "/proc", "/dev/null"] {
        let arena = Arena::new("[groups.g]\ncommand = [\"touch\", \"ran\"]\n");
        let mut command = arena.run_command(&[]);
        command.env("TMPDIR", folder);
        arena
            .finish(arena.start(&mut command))
            .exits(3)
            .says("TMPDIR");
        assert!(!arena.path().join("ran").exists());
    }
}

/// What `nohup`, a careless service manager or a build tool leaves set is not the jobs' business.
#[test]
fn signals_that_were_ignored_before() {
    let line = "grep -E '^Sig(Ign|Blk|Pnd)' /proc/self/status > signals; trap 'exit 7' TERM; kill -TERM $$; sleep 5";
    let arena = Arena::new("[groups.g]\ncommand = [\"./job\"]\nexpect = { exit = 7 }\n")
        .script("job", line);
    let mut command = arena.run_command(&[]);
    // SAFETY: signal(2) and sigprocmask(2) are async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            for number in [
                libc::SIGINT,
                libc::SIGQUIT,
                libc::SIGPIPE,
                libc::SIGUSR1,
                libc::SIGTERM,
                libc::SIGTSTP,
            ] {
                libc::signal(number, libc::SIG_IGN);
            }
            let mut set: libc::sigset_t = std::mem::zeroed();
            libc::sigaddset(&raw mut set, libc::SIGUSR2);
            libc::sigaddset(&raw mut set, libc::SIGTERM);
            libc::sigprocmask(libc::SIG_BLOCK, &raw const set, std::ptr::null_mut());
            Ok(())
        });
    }
    let end = arena.finish(arena.start(&mut command));
    let signals = arena.read("signals");
    // 32 and 33 are the C library's own; its posix_spawn(3) ignores them in whatever it starts.
    let none =
        |line: &str| line.ends_with("\t0000000000000000") || line == "SigIgn:\t0000000180000000";
    assert!(
        signals.lines().count() == 3 && signals.lines().all(none),
        "{signals}"
    );
    end.exits(0).ends(&["g xfailed"]);
    arena.is_clean();
}

/// Then nobody would ever learn how a child has ended: wait(2) says that there is none.
#[test]
fn children_that_were_ignored_before() {
    let arena = many(10, 2);
    let mut command = arena.run_command(&[]);
    // SAFETY: signal(2) is async-signal-safe.
    unsafe {
        command.pre_exec(|| {
            libc::signal(libc::SIGCHLD, libc::SIG_IGN);
            Ok(())
        });
    }
    arena
        .finish(arena.start(&mut command))
        .exits(0)
        .ends(&all_passed(10));
    arena.is_clean();
}
