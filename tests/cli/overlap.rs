//! Parallel means that jobs overlap: proved by what the jobs see of each other, not by a clock.

use crate::support::{Project, python};

/// A job that passes only if another one runs at the same time: each leaves a file and waits until there are two.
const MEET: &str = "touch \"met/$ORCHESTRATE_SLOT\"; i=0; \
    while [ $(ls met | wc -l) -lt 2 ]; do i=$((i+1)); [ $i -gt 400 ] && exit 1; sleep 0.05; done";

#[test]
fn jobs_of_a_group_overlap() {
    Project::with("[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nworkers = 2\n")
        .file("met/.keep", "")
        .script("t/a", MEET)
        .script("t/b", MEET)
        .run(&["-n", "2"])
        .exits(0);
}

#[test]
fn groups_overlap() {
    let meet = MEET.replace("$ORCHESTRATE_SLOT", "$ORCHESTRATE_GROUP");
    Project::with("[groups.a]\ncommand = [\"./meet\"]\n[groups.b]\ncommand = [\"./meet\"]\n")
        .file("met/.keep", "")
        .script("meet", &meet)
        .run(&["-n", "2"])
        .exits(0);
}

#[test]
fn tests_of_one_python_file_overlap() {
    let Some(python) = python() else { return };
    let manifest = format!(
        "[groups.py]\nrunner = \"pytest\"\nworkers = 2\nwith = {{ python = {python:?} }}\n"
    );
    let tests = "import os, pathlib, time\n\
        def meet():\n    met = pathlib.Path('met'); (met / os.environ['ORCHESTRATE_SLOT']).touch()\n    \
        for _ in range(400):\n        if len(list(met.iterdir())) >= 2: return\n        time.sleep(0.05)\n    assert False, 'alone'\n\
        def test_a(): meet()\ndef test_b(): meet()\n";
    let project = Project::with(&manifest).file("test_one.py", tests);
    std::fs::create_dir(project.path().join("met")).unwrap();
    project.run(&["-n", "2"]).exits(0);
}

/// A job that fails if another one is seen beside it.
const ALONE: &str = "mkdir alone || exit 1; sleep 0.05; rmdir alone";

#[test]
fn serial_tests_run_alone_in_their_group() {
    for serial in ["true", "[\"t/*\"]"] {
        let manifest = format!(
            "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nworkers = 4\nserial = {serial}\n"
        );
        let mut project = Project::with(&manifest);
        for name in ["a", "b", "c", "d"] {
            project = project.script(&format!("t/{name}"), ALONE);
        }
        project.run(&["-n", "4"]).exits(0);
    }
}

#[test]
fn locks_and_exclusive_keep_jobs_of_all_groups_apart() {
    for setting in ["locks = [\"db\"]", "exclusive = true"] {
        let manifest = format!(
            "[defaults]\n{setting}\nrunner = \"exec\"\nworkers = 2\n[groups.a]\nfiles = [\"a/*\"]\n[groups.b]\nfiles = [\"b/*\"]\n"
        );
        Project::with(&manifest)
            .script("a/1", ALONE)
            .script("a/2", ALONE)
            .script("b/1", ALONE)
            .script("b/2", ALONE)
            .run(&["-n", "4"])
            .exits(0);
    }
}

#[test]
fn no_more_jobs_run_than_there_are_workers() {
    let project = Project::with("[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\n");
    let count = "echo x >> \"$ORCHESTRATE_GLOBAL_SLOT.slot\"; [ $ORCHESTRATE_GLOBAL_SLOT -lt 2 ]";
    let project = (0..12).fold(project, |project, index| {
        project.script(&format!("t/{index}"), count)
    });
    project.run(&["-n", "2"]).exits(0);
    assert!(!project.path().join("2.slot").exists());
}
