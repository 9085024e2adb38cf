//! In which order tests start, in which chunks, on how many workers.

use crate::support::{Project, Ran};

/// The ids of the jobs' tests, in the order in which they started.
fn starts(ran: &Ran) -> Vec<String> {
    let started = ran.events_of("job-started");
    let tests = started.iter().flat_map(|event| {
        let tests = event["tests"].as_array().unwrap().iter();
        tests.map(|id| id.as_str().unwrap().trim_start_matches("g::t/").to_owned())
    });
    tests.collect()
}

fn workers(ran: &Ran) -> u64 {
    ran.events_of("run-started")[0]["workers"].as_u64().unwrap()
}

fn scripts(project: Project) -> Project {
    project
        .script("t/a", "exit 0")
        .script("t/b", "sleep 0.2")
        .script("t/c", "[ -e mended ]")
        .script("t/d", "exit 0")
}

fn project(lines: &str) -> Project {
    scripts(Project::with(&format!(
        "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\n{lines}\n"
    )))
}

#[test]
fn what_failed_starts_first_then_what_takes_longest_and_what_never_ran_in_between() {
    let project = project("");
    assert_eq!(
        starts(&project.run(&["-n", "1"]).exits(1)),
        ["a", "b", "c", "d"]
    );
    let project = project.script("t/renamed", "exit 0");
    let ran = project.run(&["-n", "1"]).exits(1);
    // One that never ran is thought to take as long as the others on average.
    assert_eq!(starts(&ran)[..3], ["c", "b", "renamed"]);
    let ran = project.file("mended", "").run(&["-n", "1"]).exits(0);
    assert_eq!(starts(&ran)[..2], ["c", "b"], "it failed last time");
}

#[test]
fn an_order_can_be_asked_for() {
    let listed = project("order = \"listed\"");
    for _ in 0..2 {
        let ran = listed.run(&["-n", "1"]).exits(1);
        assert_eq!(starts(&ran), ["a", "b", "c", "d"]);
    }
    let project = project("");
    project.run(&["-n", "1"]).exits(1);
    let ran = project.run(&["-n", "1", "--order", "listed"]).exits(1);
    assert_eq!(starts(&ran), ["a", "b", "c", "d"]);
    let seeded = |seed: &str| {
        let ran = project.run(&["-n", "1", "--seed", seed, "-v"]).exits(1);
        assert_eq!(ran.events_of("run-started")[0]["seed"].to_string(), seed);
        let ran = ran.says(&format!("random order: --seed {seed} repeats it"));
        starts(&ran)
    };
    let one = seeded("1");
    assert_eq!(one, seeded("1"));
    let seeds: Vec<_> = (2..9).map(|seed: u32| seeded(&seed.to_string())).collect();
    assert!(seeds.iter().any(|order| *order != one));
    let drawn = project.run(&["-n", "1", "--order", "random"]).exits(1);
    let seed = drawn.events_of("run-started")[0]["seed"].as_u64().unwrap();
    assert!(seed > 0);
    assert_eq!(starts(&drawn), seeded(&seed.to_string()));
    project
        .run(&["--order", "smart", "--seed", "1"])
        .exits(2)
        .says("--seed goes with a random order");
}

#[test]
fn workers_are_a_number_a_share_or_automatic() {
    let project = project("");
    let cores = std::thread::available_parallelism().unwrap().get() as u64;
    let asked = |number: &str| workers(&project.run(&["-n", number]).exits(1));
    assert_eq!(asked("3"), 3);
    assert_eq!(asked("50%"), cores.div_ceil(2));
    assert_eq!(asked("200%"), cores * 2);
    assert!(asked("auto") <= cores);
    assert!(asked("0") <= cores);
    for wrong in ["0%", "many", "-1", "1.5"] {
        project
            .run(&[&format!("-n={wrong}")])
            .exits(2)
            .says("a share of the processors such as 50%");
    }
    let project = project.env("FASTEST_WORKERS", "100%");
    assert_eq!(workers(&project.run(&[]).exits(1)), cores);
    let project = project.env("FASTEST_WORKERS", "some");
    project.run(&[]).exits(2).says("FASTEST_WORKERS is some");
}

#[test]
fn a_suite_that_is_too_small_to_gain_runs_on_one_worker_and_says_why() {
    let project = Project::with("[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\n")
        .script("t/a", "exit 0")
        .script("t/b", "exit 0");
    let first = project.run(&["-v"]).exits(0);
    let cores = std::thread::available_parallelism().unwrap().get() as u64;
    assert_eq!(workers(&first), cores);
    let first = first.says("2 of 2 tests never ran, so nothing is predicted");
    drop(first);
    // What is known is as if it took a microsecond.
    rusqlite::Connection::open(project.path().join(".fastest/history.db"))
        .unwrap()
        .execute_batch("UPDATE results SET alone = 0.000001")
        .unwrap();
    let ran = project.run(&["-v"]).exits(0);
    assert_eq!(workers(&ran), 1);
    if cores > 1 {
        let _ = ran.says("but more would help by less than 5%");
    }
}

/// What is known is as if each test took so many seconds alone.
fn measured(project: &Project, seconds: f64) {
    let set = format!("UPDATE results SET alone = {seconds}; DELETE FROM starts");
    rusqlite::Connection::open(project.path().join(".fastest/history.db"))
        .unwrap()
        .execute_batch(&set)
        .unwrap();
}

#[test]
fn a_plan_says_how_a_run_would_go_and_runs_nothing() {
    let manifest = "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\norder = \"listed\"\n\
        [[groups.g.overrides]]\nmatch = [\"t/b\", \"t/c\"]\nlocks = [\"db\"]\n\
        [groups.late]\ncommand = [\"./late\"]\nneeds = [\"g\"]\n";
    let project = Project::with(manifest)
        .script("t/a", "echo a >>log")
        .script("t/b", "echo b >>log")
        .script("t/c", "echo c >>log")
        .script("late", "echo late >>log");
    project
        .orchestrate(&["plan", "-n", "2"])
        .exits(0)
        .says("4 of 4 tests never ran: what they take is a guess");
    assert_eq!(project.read("log"), "");
    project.run(&[]).exits(0);
    let log = project.read("log");
    measured(&project, 10.0);
    let ran = project
        .orchestrate(&["plan", "-n", "2", "--format", "json"])
        .exits(0);
    assert_eq!(project.read("log"), log, "nothing has run");
    let plan: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    // In whole seconds.
    let number = |value: &serde_json::Value| format!("{:.0}", value.as_f64().unwrap());
    // b beside a, c after b since both hold the lock, then late.
    assert_eq!(number(&plan["predicted"]), "30");
    assert_eq!(number(&plan["bound"]["seconds"]), "20");
    assert_eq!(plan["measured"], 4);
    let jobs = plan["groups"][0]["jobs"].as_array().unwrap();
    let places: Vec<_> = jobs
        .iter()
        .map(|job| {
            (
                job["tests"][0].as_str().unwrap(),
                number(&job["at"]),
                job["slot"].as_u64().unwrap(),
            )
        })
        .collect();
    assert_eq!(places[0], ("g::t/a", "0".to_owned(), 0));
    assert_eq!(places[1], ("g::t/b", "0".to_owned(), 1));
    assert_eq!((places[2].0, places[2].1.as_str()), ("g::t/c", "10"));
    assert_eq!(jobs[1]["claims"]["locks"][0], "db");
    assert_eq!(number(&plan["groups"][1]["starts"]), "20");
    assert_eq!(plan["groups"][1]["needs"][0], "g");
    let outlook = plan["outlook"].as_array().unwrap();
    let outlook: Vec<_> = outlook
        .iter()
        .map(|row| {
            (
                row["workers"].as_u64().unwrap(),
                number(&row["predicted"]).parse().unwrap(),
            )
        })
        .collect();
    assert_eq!(outlook, [(2, 30), (4, 30), (8, 30), (16, 30)]);
    project
        .orchestrate(&["plan", "-n", "2"])
        .exits(0)
        .says("4 tests in 4 jobs on 2 workers: 30.0")
        .says("group late: 1 test in 1 job on 1 worker, after g: 20.00 to 30.00 s")
        .says("g::t/b  [lock db]");
    project
        .orchestrate(&["plan", "-k", "nothing"])
        .exits(4)
        .says("nothing matched");
}

#[test]
fn a_run_goes_as_it_was_planned() {
    let project = project("");
    project.run(&["-n", "1"]).exits(1);
    let ran = project.orchestrate(&["plan", "-n", "1", "--format", "json"]);
    let plan: serde_json::Value = serde_json::from_str(&ran.exits(0).stdout).unwrap();
    let jobs = plan["groups"][0]["jobs"].as_array().unwrap();
    let planned: Vec<_> = jobs
        .iter()
        .map(|job| {
            job["tests"][0]
                .as_str()
                .unwrap()
                .trim_start_matches("g::t/")
        })
        .collect();
    assert_eq!(planned, starts(&project.run(&["-n", "1"]).exits(1)));
}
