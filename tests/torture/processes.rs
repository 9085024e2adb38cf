//! Processes that hide, multiply, ignore, stop themselves, or kill what runs them.

use std::time::Duration;

use crate::arena::{Arena, contains};

const TIMEOUT: Duration = Duration::from_millis(500);
const GRACE: Duration = Duration::from_millis(300);

/// A group with one command, and after it a group with another, which must not suffer for it.
fn manifest(command: &str) -> String {
    format!(
        "[run]\nworkers = 2\n[defaults]\ntimeout = \"500ms\"\ngrace = \"300ms\"\n\
        [groups.bad]\ncommand = {command}\n[groups.good]\ncommand = [\"true\"]\n"
    )
}

/// A program as the job.
fn arena(program: &str, arguments: &str) -> Option<Arena> {
    Arena::new(&manifest(&format!("\"exec ./{program} {arguments}\""))).program(program)
}

/// A shell line as the job.
fn shell(line: &str) -> Arena {
    Arena::new(&manifest("[\"./job\"]")).script("job", line)
}

/// A job that ends well and leaves something behind.
#[track_caller]
fn leaks(arena: Option<Arena>, left: usize) {
    let Some(arena) = arena else { return };
    let noun = if left == 1 { "process" } else { "processes" };
    arena
        .run(&[])
        .exits(0)
        .within(GRACE)
        .says(&format!("left {left} {noun} running"))
        .ends(&["bad leaked", "good passed"]);
    arena.is_clean();
}

#[test]
fn a_daemon() {
    leaks(arena("daemon", ""), 1);
}

#[test]
fn a_daemon_with_an_empty_environment() {
    leaks(arena("daemon", "bare"), 1);
}

#[test]
fn a_daemon_that_ignores_every_signal() {
    leaks(arena("daemon", "bare deaf"), 1);
}

#[test]
fn a_daemon_that_has_stopped_itself() {
    leaks(arena("daemon", "stopped"), 1);
}

#[test]
fn a_daemon_that_is_a_subreaper_of_its_own() {
    leaks(arena("daemon", "nested deaf"), 6);
}

#[test]
fn a_leaked_output_that_nobody_writes_to() {
    leaks(arena("daemon", "holding deaf"), 1);
}

#[test]
fn a_leaked_output_that_is_written_to() {
    leaks(arena("daemon", "writing deaf"), 1);
}

#[test]
fn two_hundred_processes_of_a_job_that_ends() {
    leaks(arena("bomb", "200"), 200);
}

#[test]
fn two_hundred_processes_of_a_job_that_hangs() {
    let Some(arena) = arena("bomb", "200 stay") else {
        return;
    };
    arena
        .run(&[])
        .exits(1)
        .within(TIMEOUT + GRACE)
        .ends(&["bad timed-out", "good passed"]);
    arena.is_clean();
}

/// Each has gone by the time that its id is known: what is killed is not what is there.
#[test]
fn processes_that_fork_faster_than_they_are_killed() {
    for hearing in ["", "deaf"] {
        let Some(arena) = arena("chain", &format!("20000 links {hearing}")) else {
            return;
        };
        arena
            .run(&[])
            .exits(0)
            .within(GRACE)
            .ends(&["bad leaked", "good passed"]);
        arena.is_clean();
        let links = std::fs::read(arena.path().join("links")).unwrap();
        let links = i32::from_ne_bytes(links.try_into().unwrap());
        assert!(links > 0, "the chain came to its own end");
    }
}

/// Shell lines that can only be ended from outside.
fn times_out(line: &str) -> Arena {
    let arena = shell(line);
    arena
        .run(&[])
        .exits(1)
        .within(TIMEOUT + GRACE)
        .ends(&["bad timed-out", "good passed"]);
    arena.is_clean();
    arena
}

#[test]
fn a_job_that_ignores_term() {
    times_out("trap '' TERM INT HUP; while :; do sleep 0.05; done");
}

#[test]
fn a_job_that_stops_itself() {
    times_out("kill -STOP $$; sleep 60");
    times_out("kill -STOP 0; sleep 60");
}

#[test]
fn a_job_that_stopped_itself_hears_term_before_it_is_killed() {
    let arena = times_out("trap 'echo heard > heard; exit 0' TERM; kill -STOP $$; sleep 60 & wait");
    assert_eq!(arena.read("heard"), "heard\n");
}

#[test]
fn a_job_that_kills_its_group() {
    let arena = shell("sleep 60 & kill -KILL 0; sleep 60");
    let end = arena.run(&[]).exits(1).within(Duration::ZERO);
    assert_eq!(
        end.message("bad"),
        "its process was killed by SIGKILL",
        "{}",
        end.shown()
    );
    end.ends(&["bad crashed", "good passed"]);
    arena.is_clean();
}

/// Seven tests of one group: what kills a supervisor costs its own test and no other.
fn with_siblings(line: &str) -> Arena {
    let mut arena = Arena::new(
        "[run]\nworkers = 2\n[defaults]\ntimeout = \"500ms\"\ngrace = \"300ms\"\n\
        [groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\n",
    )
    .script("t/bad", line);
    for name in ["a", "b", "c", "d", "e", "f"] {
        arena = arena.script(&format!("t/{name}"), "exit 0");
    }
    arena
}

const SIBLINGS: [&str; 6] = [
    "g::t/a passed",
    "g::t/b passed",
    "g::t/c passed",
    "g::t/d passed",
    "g::t/e passed",
    "g::t/f passed",
];

#[test]
fn a_job_that_kills_its_supervisor() {
    let arena = with_siblings("setsid sleep 60 & kill -KILL $PPID; sleep 60");
    let end = arena.run(&[]).exits(1).within(GRACE);
    let mut outcomes = end.outcomes();
    outcomes.retain(|line| line != "g::t/bad errored");
    assert_eq!(outcomes, SIBLINGS, "{}", end.shown());
    arena.has_no_process();
}

#[test]
fn a_job_that_kills_its_supervisor_leaves_no_files() {
    let arena = with_siblings("kill -KILL $PPID; sleep 60");
    arena.run(&[]).exits(1);
    arena.is_clean();
}

/// Stopped, a supervisor neither keeps time nor hears that its lifeline closes: `orchestrate` has to notice.
#[test]
fn a_job_that_stops_its_supervisor() {
    let arena = with_siblings("kill -STOP $PPID; sleep 60");
    let end = arena.run(&[]).exits(1).within(TIMEOUT + GRACE * 2);
    assert!(
        end.outcomes()
            .iter()
            .filter(|line| line.ends_with("passed"))
            .count()
            == 6,
        "{}",
        end.shown()
    );
    arena.is_clean();
}

const ITS_RUN: &str = "run=$(sed 's/.*) . \\([0-9]*\\).*/\\1/' /proc/$PPID/stat)";

#[test]
fn a_job_that_kills_its_run() {
    let arena = shell(&format!(
        "{ITS_RUN}; setsid sleep 60 & kill -KILL $run; sleep 60"
    ));
    arena.run(&[]).exits(-9);
    arena.is_soon_without_processes(Duration::ZERO);
    arena.has_its_victim();
}

/// Nobody who knows of the job is left then, but what it started has to go all the same.
#[test]
#[ignore = "not held: nobody is left who knows of the job"]
fn a_job_that_kills_its_run_and_its_supervisor() {
    let arena = shell(&format!("{ITS_RUN}; kill -KILL $run $PPID; sleep 60"));
    arena.run(&[]).exits(-9);
    arena.is_soon_without_processes(Duration::ZERO);
}

/// A supervisor that asks for the time again and again, or spins, would take the cores that jobs are to have.
#[test]
fn a_job_that_only_waits_costs_no_time() {
    let arena = Arena::new("[groups.g]\ncommand = \"sleep 1; cat /proc/$PPID/stat > stat\"\n");
    arena.run(&[]).exits(0).ends(&["g passed"]);
    let stat = arena.read("stat");
    let fields: Vec<_> = stat
        .rsplit(')')
        .next()
        .unwrap()
        .split_whitespace()
        .collect();
    let ticks: u64 = fields[11].parse::<u64>().unwrap() + fields[12].parse::<u64>().unwrap();
    assert!(ticks <= 10, "{ticks} ticks of the clock in a second");
    assert!(!contains(stat.as_bytes(), b"\0"));
}
