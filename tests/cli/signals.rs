//! Signals: a run that is stopped says so, and leaves nothing behind.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use crate::support::Project;

/// A run whose one test has begun and will not end by itself.
fn started(project: &Project, arguments: &[&str]) -> Child {
    let mut all = vec!["run", "--report", "jsonl=events.jsonl", "--no-capture"];
    all.extend(arguments);
    let mut child = project
        .command(&all)
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines
        .find(|line| line.as_ref().unwrap().contains("has-begun"))
        .unwrap()
        .unwrap();
    // The rest is read by nobody, which must not matter.
    child
}

/// Sends a signal, which is written `-INT`.
pub fn kill(signal: &str, pid: u32) {
    let status = Command::new("kill")
        .args([signal, &pid.to_string()])
        .status()
        .unwrap();
    assert!(status.success());
}

/// Whether a process with this in its command line is there.
fn is_running(mark: &str) -> bool {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    entries.into_iter().any(|entry| {
        let line = std::fs::read(entry.path().join("cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&line).contains(mark)
    })
}

fn project(mark: &str, body: &str) -> Project {
    Project::with("[run]\nworkers = 1\n[defaults]\ngrace = \"200ms\"\n[groups.a]\ncommand = [\"./t\"]\n[groups.b]\ncommand = [\"true\"]\nneeds = [\"a\"]\n")
        .script("t", &body.replace("MARK", mark))
}

#[test]
fn the_first_signal_ends_jobs_with_grace_and_writes_reports() {
    for (name, number) in [("-INT", 2), ("-TERM", 15), ("-HUP", 1)] {
        let mark = format!("98{number}.{}", std::process::id());
        let project = project(
            &mark,
            "trap 'echo ended > ended; exit 0' TERM; echo has-begun; sleep MARK & wait",
        );
        let mut child = started(&project, &[]);
        kill(name, child.id());
        assert_eq!(child.wait().unwrap().code(), Some(128 + number));
        assert_eq!(
            project.read("ended"),
            "ended\n",
            "{name} gives a job its grace"
        );
        let events = project.read("events.jsonl");
        assert!(
            events.contains("\"id\":\"a\",\"group\":\"a\",\"outcome\":\"cancelled\""),
            "{events}"
        );
        assert!(
            events.contains("\"id\":\"b\",\"group\":\"b\",\"outcome\":\"not-run\""),
            "{events}"
        );
        assert!(events.lines().last().unwrap().contains("run-finished"));
        assert!(!is_running(&mark), "the job's child is left");
    }
}

/// As `nohup` starts it: the run outlives its terminal.
#[test]
fn a_hangup_that_is_ignored_stays_so() {
    let project = project(
        "95",
        "trap 'echo got >> hups' HUP; echo has-begun; until [ -e go ]; do sleep 0.01; done",
    );
    let mut child = project
        .shell_command("trap '' HUP; exec orchestrate run --report jsonl=events.jsonl --no-capture")
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let begun = lines.find(|line| line.as_ref().unwrap().contains("has-begun"));
    begun.unwrap().unwrap();
    kill("-HUP", child.id());
    std::fs::write(project.path().join("go"), "").unwrap();
    let rest: Vec<_> = lines.map(Result::unwrap).collect();
    assert_eq!(child.wait().unwrap().code(), Some(0), "{rest:#?}");
    let events = project.read("events.jsonl");
    assert!(events.contains("\"counts\":{\"passed\":2}"), "{events}");
}

#[test]
fn a_killed_run_leaves_no_process() {
    let mark = format!("97.{}", std::process::id());
    // In a session of its own, and with an empty environment: nothing but its parent tells where it came from.
    let body = "env -i setsid sh -c 'sleep MARK & echo > up; wait' & trap '' TERM; \
        until [ -s up ]; do sleep 0.01; done; echo has-begun; wait; sleep MARK";
    let project = project(&mark, body);
    let mut child = started(&project, &[]);
    assert!(is_running(&mark));
    kill("-KILL", child.id());
    child.wait().unwrap();
    // The supervisor sees its lifeline close; nothing tells us when it is done but its end.
    let gone = (0..500).any(|_| {
        std::thread::sleep(std::time::Duration::from_millis(10));
        !is_running(&mark)
    });
    assert!(gone);
}

#[test]
fn what_a_passed_job_leaves_behind_is_ended_and_told() {
    let mark = format!("96.{}", std::process::id());
    let project = project(&mark, "setsid sleep MARK > /dev/null 2>&1 &");
    project
        .run(&[])
        .exits(0)
        .says("leaked: a: left 1 process running, ended now");
    assert!(!is_running(&mark));
}
