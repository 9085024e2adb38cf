//! What a run records of where each job ran, and why only then.

use serde_json::Value;

use crate::support::Project;

/// The placement of the job that a test was in.
fn placement(events: &[Value], test: &str) -> Value {
    let started = events
        .iter()
        .filter(|event| event["event"] == "job-started");
    let mut of_test = started.filter(|event| event["tests"][0] == test);
    of_test.next().unwrap()["placement"].clone()
}

#[test]
fn a_run_records_its_placements() {
    let manifest = "[run]\nworkers = 2\n[defaults]\nrunner = \"exec\"\norder = \"listed\"\n\
        [groups.a]\nfiles = [\"a/*\"]\nworkers = 2\nlocks = [\"db\"]\nbefore-worker = [[\"true\"]]\n\
        [groups.b]\nfiles = [\"b/*\"]\nneeds = [\"a\"]\nretries = 1\n";
    let project = Project::with(manifest)
        .script("a/1", "sleep 0.1")
        .script("a/2", "exit 0")
        .script("b/1", "[ $ORCHESTRATE_ATTEMPT = 2 ]");
    let ran = project.run(&[]).exits(0);
    let run = &ran.events_of("run-started")[0];
    assert_eq!(run["groups"][0]["order"], "listed");
    assert_eq!(run["groups"][0].get("needs"), None);
    assert_eq!(run["groups"][1]["needs"][0], "a");
    assert!(run["cores"].as_u64().unwrap() > 0);
    let events = ran.events();
    let first = placement(&events, "a::a/1");
    assert_eq!(first["chunk"], 0);
    assert_eq!(first["slot"], 0);
    assert!(first["predicted"].as_f64().unwrap() > 0.0);
    assert_eq!(first["claims"]["locks"][0], "db");
    let hook = ran.events_of("hook-finished");
    assert!(first["ready"].as_f64().unwrap() >= hook[0]["seconds"].as_f64().unwrap());
    let second = placement(&events, "a::a/2");
    assert_eq!(second["chunk"], 1);
    let of_group = placement(&events, "b::b/1");
    assert_eq!(of_group.get("claims"), None, "it holds nothing");
    // Whoever waited, did so for the lock or for the group.
    let waits = events
        .iter()
        .filter_map(|event| event["placement"]["waited"].as_array());
    for wait in waits.flatten() {
        let what = (wait["for"].as_str().unwrap(), wait["name"].as_str());
        assert!(
            [("lock", Some("db")), ("needs", Some("a")), ("rest", None)].contains(&what),
            "{what:?}"
        );
        assert!(wait["seconds"].as_f64().unwrap() > 0.0);
    }
    let tries = ran.events_of("job-started");
    let tries: Vec<&Value> = tries.iter().filter(|event| event["group"] == "b").collect();
    assert_eq!(tries.len(), 2);
    assert_eq!(tries[1]["placement"]["of"], tries[0]["job"]);
    assert_eq!(tries[1]["placement"]["chunk"], 3);
}
