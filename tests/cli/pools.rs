//! Pools of names, `[resources]` and `uses`: by logs that the jobs write.

use std::collections::HashMap;

use crate::support::{Project, python};

/// A job that logs when it has a name and when it gives it back.
const LOGGED: &str = "echo + $1 $ORCHESTRATE_RESOURCE_GPU >>log; sleep 0.05; echo - $1 $ORCHESTRATE_RESOURCE_GPU >>log";

/// A group of so many jobs that log what they have.
fn group(name: &str, jobs: usize, keys: &str) -> String {
    let items: Vec<String> = (0..jobs).map(|job| format!("\"{name}{job}\"")).collect();
    let items = items.join(", ");
    format!(
        "[groups.{name}]\ncommand = [\"./job\", \"<items>\"]\nitems = [{items}]\nworkers = 4\n{keys}\n"
    )
}

/// The log, checked: no name is with two at once. Returns what each job had, and the most jobs at once.
fn held(log: &str) -> (HashMap<String, String>, usize) {
    let mut all = HashMap::new();
    let mut now: HashMap<&str, Vec<&str>> = HashMap::new();
    let mut most = 0;
    for line in log.lines() {
        let mut words = line.split(' ');
        let (Some(sign), Some(job)) = (words.next(), words.next()) else {
            panic!("{line:?} in:\n{log}");
        };
        let names = words.next().unwrap_or_default();
        let names: Vec<&str> = names.split(',').filter(|name| !name.is_empty()).collect();
        if sign == "-" {
            assert_eq!(now.remove(job), Some(names), "{log}");
            continue;
        }
        let taken = now.values().flatten();
        for name in taken {
            assert!(!names.contains(name), "{name} is with two:\n{log}");
        }
        all.insert(job.to_owned(), names.join(","));
        now.insert(job, names);
        most = most.max(now.len());
    }
    (all, most)
}

#[test]
fn a_job_has_the_names_it_uses_for_itself_in_the_whole_run() {
    let manifest = format!(
        "[run]\nworkers = 8\n[resources]\ngpu = [\"a\", \"b\"]\n{}{}",
        group("one", 6, "uses = { gpu = 1 }"),
        group(
            "two",
            4,
            "uses = { gpu = 1 }\n[[groups.two.overrides]]\nmatch = [\"two3\"]\nuses = { gpu = 2 }"
        )
    );
    let project = Project::with(&manifest).script("job", LOGGED);
    let ran = project.run(&[]).exits(0);
    let log = project.read("log");
    let (held, most) = held(&log);
    assert_eq!(held.len(), 10, "{log}");
    assert!(most <= 2, "{log}");
    assert_eq!(held["two3"], "a,b");
    assert!(held.values().all(|names| !names.is_empty()), "{log}");
    // Reports tell who had what.
    for event in ran.events_of("job-started") {
        let test = event["tests"][0].as_str().unwrap();
        let (_, job) = test.split_once("::").unwrap();
        let told = &event["placement"]["granted"]["gpu"];
        assert_eq!(told, held[job].as_str(), "{event}");
    }
}

#[test]
fn more_workers_than_names_wait_for_them() {
    let manifest = format!(
        "[resources]\ngpu = [\"only\"]\n{}",
        group("g", 5, "uses = { gpu = 1 }")
    );
    let project = Project::with(&manifest).script("job", LOGGED);
    project.run(&["-n", "8"]).exits(0);
    let log = project.read("log");
    let (held, most) = held(&log);
    assert_eq!((held.len(), most), (5, 1), "{log}");
    assert!(held.values().all(|names| names == "only"), "{log}");
}

#[test]
fn names_stand_in_commands_variables_and_job_hooks_and_are_empty_where_a_test_uses_none() {
    let manifest = "[resources]\ngpu = [\"0\", \"1\"]\nlicence-key = [\"k\"]\n\
        [groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nworkers = 1\norder = \"listed\"\n\
        env = { DEVICES = \"cuda:<gpu>\" }\n\
        before-worker = [[\"sh\", \"-c\", \"echo worker ${DEVICES-none} ${ORCHESTRATE_RESOURCE_GPU-none} >>log\"]]\n\
        before-job = [[\"sh\", \"-c\", \"echo before $1 $DEVICES >>log\", \"sh\", \"[<gpu>]\"]]\n\
        after-job = [\"echo after <gpu> >>log\"]\n\
        [[groups.g.overrides]]\nmatch = [\"t/a\"]\nuses = { gpu = 2, licence-key = 1 }\n\
        [groups.c]\nneeds = [\"g\"]\nuses = { gpu = 1 }\ncommand = [\"sh\", \"-c\", \"echo $0 >>log\", \"dev=<gpu>\"]\n";
    let body =
        "echo job [$ORCHESTRATE_RESOURCE_GPU] [$ORCHESTRATE_RESOURCE_LICENCE_KEY] $DEVICES >>log";
    let project = Project::with(manifest)
        .script("t/a", body)
        .script("t/b", body);
    project.run(&[]).exits(0);
    assert_eq!(
        project.read("log").lines().collect::<Vec<_>>(),
        [
            "worker none none",
            "before [0,1] cuda:0,1",
            "job [0,1] [k] cuda:0,1",
            "after 0,1",
            "before [] cuda:",
            "job [] [] cuda:",
            "after",
            "dev=0"
        ]
    );
}

#[test]
fn names_are_given_back_whatever_becomes_of_the_job() {
    let manifest = "[resources]\ngpu = [\"only\"]\n\
        [groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nworkers = 4\nuses = { gpu = 1 }\norder = \"listed\"\nretries = 1\ngrace = \"100ms\"\n\
        [[groups.g.overrides]]\nmatch = [\"t/b\"]\ntimeout = \"300ms\"\n";
    let log = "echo $0 $ORCHESTRATE_RESOURCE_GPU $ORCHESTRATE_ATTEMPT >>log";
    let project = Project::with(manifest)
        .script("t/a", &format!("{log}; kill -9 $$"))
        .script(
            "t/b",
            &format!("{log}; trap '' TERM; while :; do sleep 1; done"),
        )
        .script("t/c", &format!("{log}; exit 1"))
        .script("t/d", &format!("{log}; kill -9 $PPID; sleep 60"))
        .script("t/e", log);
    let ran = project.run(&[]).exits(1);
    assert_eq!(
        ran.outcomes(),
        [
            "g::t/a crashed",
            "g::t/b timed-out",
            "g::t/c failed",
            "g::t/d errored",
            "g::t/e passed"
        ]
    );
    let log = project.read("log");
    let mut lines: Vec<&str> = log.lines().collect();
    assert!(lines.iter().all(|line| line.contains(" only ")), "{log}");
    lines.sort_unstable();
    assert_eq!(lines.len(), 9, "each that failed ran twice:\n{log}");
}

#[test]
fn names_and_solitude_go_together() {
    let manifest = format!(
        "[run]\nworkers = 8\n[resources]\ngpu = [\"a\", \"b\", \"c\"]\n{}{}",
        group(
            "one",
            6,
            "uses = { gpu = 1 }\nserial = [\"one0\", \"one3\"]\n[[groups.one.overrides]]\nmatch = [\"one5\"]\nexclusive = true\nuses = { gpu = 3 }"
        ),
        group("two", 6, "uses = { gpu = 2 }\nserial = true"),
    );
    let project = Project::with(&manifest).script("job", LOGGED);
    project.run(&[]).exits(0);
    let log = project.read("log");
    let (held, _) = held(&log);
    assert_eq!(held.len(), 12, "{log}");
    let lines: Vec<&str> = log.lines().collect();
    let begun = lines.iter().position(|line| line.starts_with("+ one5"));
    let begun = begun.unwrap();
    assert!(lines[begun + 1].starts_with("- one5"), "{log}");
    assert_eq!(held["one5"], "a,b,c");
}

/// More workers than there are names would only wait: the plan knows it.
#[test]
fn a_plan_counts_names() {
    let manifest = "[resources]\ngpu = [\"only\"]\n[groups.g]\ncommand = [\"./job\", \"<items>\"]\n\
        items = [\"a\", \"b\", \"c\", \"d\"]\nuses = { gpu = 1 }\n";
    let project = Project::with(manifest).script("job", LOGGED);
    project.run(&[]).exits(0);
    let ran = project.run(&[]).exits(0);
    assert_eq!(ran.events_of("run-started")[0]["workers"], 1);
}

/// Code may keep what it read of the environment, so a process is not handed jobs with other names.
#[test]
fn a_session_is_cold_where_jobs_have_names() {
    let Some(python) = python() else { return };
    let manifest = format!(
        "[resources]\ngpu = [\"0\", \"1\"]\n[groups.g]\nrunner = \"pytest\"\nuses = {{ gpu = 1 }}\nworkers = 2\n\
        chunk-size = 1\nenv = {{ DEVICE = \"<gpu>\" }}\nwith = {{ python = \"{python}\" }}\n"
    );
    let tests = "import os\nAT_IMPORT = os.environ.get('DEVICE')\ndef check():\n    assert AT_IMPORT in ('0', '1')\n    \
        assert AT_IMPORT == os.environ['ORCHESTRATE_RESOURCE_GPU']\n\
        def test_a(): check()\ndef test_b(): check()\ndef test_c(): check()\n";
    let project = Project::with(&manifest).file("test_it.py", tests);
    let ran = project.run(&["-v"]).exits(0);
    ran.says("session cold, since `uses` gives each job names of its own");
}
