//! The example against a real PostgreSQL: whatever becomes of a run, no database and no process of it stays.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use serde_json::Value;

#[path = "cli/support.rs"]
#[allow(dead_code)] // The builder serves tests/cli; not all of it is needed here.
mod support;

#[path = "postgres/server.rs"]
mod server;

use server::{LEADING, Server};
use support::{Project, Ran};

/// How many tests the example has.
const TESTS: usize = 10;

/// Events in the middle of a run, by kind and hook, and which of them.
type Moment = (&'static str, &'static str, usize);
const SERVER_COMES_UP: Moment = ("hook-started", "before-all", 1);
const DATABASES_ARE_MADE: Moment = ("hook-started", "before-worker", 2);
const ALL_WORKERS_RUN: Moment = ("job-started", "", 4);
const A_TEST_IS_OVER: Moment = ("test-finished", "", 1);

#[test]
fn with_a_server_of_its_own() {
    if !server::is_installed() {
        return;
    }
    let project = example(None);
    passes_on_four_workers(&project.run(&["-n", "4"]));
    left_nothing(&project, &run_of(&project));
}

#[test]
fn with_a_server_that_is_there() {
    if !server::is_installed() {
        return;
    }
    let server = Server::start("given");
    let project = example(Some(&server));
    passes_on_four_workers(&project.run(&["-n", "4"]));
    left_nothing(&project, &run_of(&project));
    assert_eq!(server.databases(), [""; 0]);
}

#[test]
fn a_run_that_is_killed_with_its_server() {
    if !server::is_installed() {
        return;
    }
    for moment in [SERVER_COMES_UP, ALL_WORKERS_RUN] {
        let project = example(None);
        let killed = interrupt(&project, "-KILL", moment);
        assert_eq!(killed.code, None, "{moment:?}");
        let ran = project.run(&["-n", "4"]);
        passes_on_four_workers(&ran.says("was interrupted").says("after-all is made up for"));
        left_nothing(&project, &killed.run);
        left_nothing(&project, &run_of(&project));
    }
}

#[test]
fn a_run_that_is_killed_and_its_server_is_not() {
    if !server::is_installed() {
        return;
    }
    let server = Server::start("killed");
    for moment in [DATABASES_ARE_MADE, ALL_WORKERS_RUN, A_TEST_IS_OVER] {
        let project = example(Some(&server));
        let killed = interrupt(&project, "-KILL", moment);
        assert_eq!(killed.code, None, "{moment:?}");
        if moment != DATABASES_ARE_MADE {
            assert!(!server.databases().is_empty(), "{moment:?}");
        }
        let ran = project.run(&["-n", "4"]);
        passes_on_four_workers(&ran.says("after-worker is made up for"));
        left_nothing(&project, &killed.run);
        assert_eq!(server.databases(), [""; 0], "{moment:?}");
    }
}

#[test]
fn what_is_owed_goes_to_the_server_of_the_run_that_was_killed() {
    if !server::is_installed() {
        return;
    }
    let server = Server::start("owed");
    let project = example(Some(&server));
    interrupt(&project, "-KILL", ALL_WORKERS_RUN);
    assert!(!server.databases().is_empty());
    // This one has a server of its own.
    let project = LEADING
        .iter()
        .fold(project, |project, name| project.env(name, ""));
    passes_on_four_workers(&project.run(&["-n", "4"]));
    assert_eq!(server.databases(), [""; 0]);
}

#[test]
fn a_run_that_is_stopped_with_its_server() {
    if !server::is_installed() {
        return;
    }
    for moment in [SERVER_COMES_UP, A_TEST_IS_OVER] {
        let project = example(None);
        let stopped = interrupt(&project, "-INT", moment);
        assert_eq!(stopped.code, Some(130), "{moment:?}");
        left_nothing(&project, &stopped.run);
    }
}

#[test]
fn a_run_that_is_stopped_and_its_server_is_not() {
    if !server::is_installed() {
        return;
    }
    let server = Server::start("stopped");
    for moment in [DATABASES_ARE_MADE, ALL_WORKERS_RUN] {
        let project = example(Some(&server));
        let stopped = interrupt(&project, "-INT", moment);
        assert_eq!(stopped.code, Some(130), "{moment:?}");
        left_nothing(&project, &stopped.run);
        assert_eq!(server.databases(), [""; 0], "{moment:?}");
    }
}

/// The example in a folder of its own, with this server or with one that it starts.
fn example(server: Option<&Server>) -> Project {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/postgres");
    let project = Project::new();
    let copied = Command::new("cp")
        .arg("-R")
        .args(["bin", "tests", "fastest.toml"].map(|name| from.join(name)))
        .arg(project.path())
        .status();
    assert!(copied.unwrap().success());
    let project = LEADING
        .iter()
        .fold(project, |project, name| project.env(name, ""));
    let given = server.into_iter().flat_map(Server::env);
    given.fold(project, |project, (name, value)| project.env(name, value))
}

/// Each test has passed, on four workers at once, each with its own database, which is gone.
#[track_caller]
fn passes_on_four_workers(ran: &Ran) {
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let outcomes = ran.outcomes();
    assert_eq!(outcomes.len(), TESTS, "{outcomes:?}");
    assert!(outcomes.iter().all(|line| line.ends_with(" passed")));
    let pids = pids(&ran.events_of("job-started"));
    assert_eq!(pids.len(), 4, "{pids:?}");
    let mut hooks = ran.events_of("hook-finished");
    // What is made up for is another run's.
    hooks.retain(|event| event["hook"] == "after-worker" && event["of"].is_null());
    assert!(hooks.iter().all(|event| event["outcome"] == "passed"));
    assert_eq!(self::pids(&hooks), pids);
}

/// A run that was not let come to its end.
struct Interrupted {
    /// Its id.
    run: String,
    /// Its exit code, if it has one.
    code: Option<i32>,
}

/// Starts a run and signals it at a moment.
#[track_caller]
fn interrupt(project: &Project, signal: &str, (kind, hook, count): Moment) -> Interrupted {
    let mut child = project
        .command(&["run", "-n", "4", "--report", "jsonl=events.jsonl"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let is_now = || {
        let found = events(project).into_iter().filter(|event| {
            event["event"] == kind && (hook.is_empty() || event["hook"].as_str() == Some(hook))
        });
        found.count() >= count
    };
    while !is_now() {
        assert!(child.try_wait().unwrap().is_none(), "it came to its end");
        thread::sleep(Duration::from_millis(5));
    }
    let pid = child.id().to_string();
    assert!(
        Command::new("kill")
            .args([signal, &pid])
            .status()
            .unwrap()
            .success()
    );
    let code = child.wait().unwrap().code();
    let run = run_of(project);
    Interrupted { run, code }
}

/// What a run that is still there has told so far; a line may be half written.
fn events(project: &Project) -> Vec<Value> {
    let text = project.read("events.jsonl");
    let lines = text.lines().map(serde_json::from_str);
    lines.map_while(Result::ok).collect()
}

/// The workers of events.
fn pids(events: &[Value]) -> BTreeSet<u64> {
    events
        .iter()
        .filter_map(|event| event["pid"].as_u64())
        .collect()
}

/// The id of the last run.
fn run_of(project: &Project) -> String {
    let last = fs::read_link(project.path().join(".fastest/last")).unwrap();
    last.file_name().unwrap().to_str().unwrap().to_owned()
}

/// Neither the folder of a run's own server is there, nor any process that works in it or in the project.
#[track_caller]
fn left_nothing(project: &Project, run: &str) {
    let folder = PathBuf::from(format!("/tmp/postgres-{run}"));
    assert!(!folder.exists(), "{} is left", folder.display());
    let places = [folder.as_path(), project.path()];
    let processes = fs::read_dir("/proc").into_iter().flatten().flatten();
    for process in processes {
        // The folder of a process; that of another user's can't be read, unless we are root.
        let Ok(place) = fs::read_link(process.path().join("cwd")) else {
            continue;
        };
        let line = fs::read(process.path().join("cmdline")).unwrap_or_default();
        assert!(
            !places.iter().any(|left| place.starts_with(left)),
            "{} is left in {}: {}",
            process.file_name().display(),
            place.display(),
            String::from_utf8_lossy(&line).replace('\0', " ")
        );
    }
}
