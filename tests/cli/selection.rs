//! Paths, ids, expressions, groups.

use crate::support::Project;

fn project() -> Project {
    Project::with("[groups.unit]\nrunner = \"exec\"\nfiles = [\"unit/**/*.sh\"]\nexclude = [\"**/fixtures/**\"]\n[groups.slow]\nrunner = \"exec\"\nfiles = [\"slow/*.sh\"]\n")
        .script("unit/a.sh", "exit 0")
        .script("unit/sub/b.sh", "exit 0")
        .script("unit/fixtures/no.sh", "exit 1")
        .script("slow/a.sh", "exit 0")
}

fn selected(project: &Project, arguments: &[&str]) -> Vec<String> {
    let mut ids: Vec<_> = project
        .run(arguments)
        .exits(0)
        .outcomes()
        .iter()
        .map(|line| line.trim_end_matches(" passed").to_owned())
        .collect();
    ids.sort();
    ids
}

#[test]
fn what_is_selected_runs_and_nothing_else() {
    let all = ["slow::slow/a.sh", "unit::unit/a.sh", "unit::unit/sub/b.sh"];
    let project = project();
    assert_eq!(selected(&project, &[]), all);
    assert_eq!(selected(&project, &["--group", "unit"]), all[1..]);
    assert_eq!(selected(&project, &["-g", "unit", "-g", "slow"]), all);
    assert_eq!(selected(&project, &["unit"]), all[1..]);
    assert_eq!(selected(&project, &["unit/sub"]), all[2..]);
    assert_eq!(selected(&project, &["unit/a.sh"]), all[1..2]);
    assert_eq!(
        selected(&project, &["slow::slow/a.sh", "unit/sub/b.sh"]),
        [all[0], all[2]]
    );
    assert_eq!(selected(&project, &["-k", "A.sh and not slow"]), all[1..2]);
}

#[test]
fn a_path_is_the_current_folders_and_the_manifest_is_found_above() {
    let project = project().at("unit/sub");
    assert_eq!(selected(&project, &["--group", "unit"]).len(), 2);
    assert_eq!(selected(&project, &["b.sh"]), ["unit::unit/sub/b.sh"]);
    assert_eq!(selected(&project, &["../a.sh"]), ["unit::unit/a.sh"]);
    assert_eq!(selected(&project, &["."]), ["unit::unit/sub/b.sh"]);
}

#[test]
fn what_does_not_exist_is_an_error_with_a_suggestion() {
    let project = project();
    project
        .run(&["--group", "unti"])
        .exits(2)
        .says("there is no group `unti`")
        .says("did you mean `unit`?");
    project
        .run(&["unit/aa.sh"])
        .exits(2)
        .says("did you mean \"unit/a.sh\"?");
    project
        .run(&["--profile", "ci"])
        .exits(2)
        .says("there is no profile `ci`");
    project.run(&["--wrokers", "2"]).exits(2).says("--workers");
    project
        .run(&["-k", "a and"])
        .exits(2)
        .says("at character 6");
    project
        .run(&["--report", "junt=x"])
        .exits(2)
        .says("did you mean `junit`?");
    project
        .run(&["-n", "99999"])
        .exits(2)
        .says("more than 4096");
    project.orchestrate(&["lst"]).exits(2).says("list");
}

#[test]
fn nothing_matched_is_an_exit_code_of_its_own() {
    let project = project().file("docs/readme", "");
    project
        .run(&["-k", "nothing_is_called_so"])
        .exits(4)
        .says("nothing matched");
    project.run(&["docs"]).exits(4);
    project.run(&["--dry-run", "docs"]).exits(4);
    Project::with("").run(&[]).exits(4);
}

#[test]
fn a_group_without_tests_is_no_success() {
    let manifest = "[groups.a]\nrunner = \"exec\"\nfiles = [\"t/*\"]\n\
        [groups.moved]\nrunner = \"exec\"\nfiles = [\"old/*\"]\n";
    let project = Project::with(manifest).script("t/a", "exit 0");
    let ran = project
        .run(&[])
        .exits(4)
        .says("group moved: no file matches old/*");
    assert_eq!(ran.outcomes(), Vec::<String>::new());
    // Whoever names what is to run has said that it is not all.
    let ran = project.run(&["t/a"]).exits(0).says("warning: group moved");
    assert_eq!(ran.outcomes(), ["a::t/a passed"]);
}

#[test]
fn a_dry_run_runs_nothing() {
    let project = Project::with("[groups.g]\ncommand = [\"touch\", \"ran\"]\n");
    project
        .run(&["--dry-run"])
        .exits(0)
        .says("group g: 1 tests, 1 jobs, 1 workers");
    assert!(!project.path().join("ran").exists());
    assert!(!project.path().join(".fastest").exists());
}

#[test]
fn workers_come_from_the_flag_then_the_environment_then_the_manifest() {
    let workers = |project: &Project, arguments: &[&str]| {
        let ran = project.run(arguments);
        ran.events_of("run-started")[0]["workers"].as_u64().unwrap()
    };
    let project = Project::with("[run]\nworkers = 3\n[groups.g]\ncommand = [\"true\"]\n");
    assert_eq!(workers(&project, &[]), 3);
    let project = project.env("FASTEST_WORKERS", "5");
    assert_eq!(workers(&project, &[]), 5);
    assert_eq!(workers(&project, &["-n", "7"]), 7);
    assert!(workers(&project, &["-n", "0"]) >= 1);
    project
        .env("FASTEST_WORKERS", "many")
        .run(&[])
        .exits(2)
        .says("FASTEST_WORKERS");
}

#[test]
fn a_profile_is_an_overlay() {
    let manifest = "[groups.g]\ncommand = \"[ \\\"$A$B\\\" = base ]\"\nenv = { A = \"base\" }\n\
        [profiles.ci]\nrun.workers = 6\ndefaults.env = { B = \"x\" }\n[profiles.ci.groups.g]\nenv = { A = \"over\" }\n";
    let project = Project::with(manifest);
    project.run(&[]).exits(0);
    let ran = project.run(&["--profile", "ci"]).exits(1);
    assert_eq!(ran.events_of("run-started")[0]["workers"], 6);
}
