//! Listings that are kept, where the manifest says that they follow from files.

use crate::support::{Project, python};

/// Each listing leaves a line in `log`; the tests are the lines of `cases/a`, which the runner reads by itself.
fn project(keys: &str) -> Project {
    Project::with(&format!(
        "[runners.r]\nlist = [\"./list.sh\", \"<files>\"]\nrun = [\"true\", \"<items>\"]\n\
        [groups.g]\nrunner = \"r\"\nfiles = [\"t/*\"]\n{keys}\n"
    ))
    .script(
        "list.sh",
        "echo listed >> log; cat cases/a; exit ${FAIL:-0}",
    )
    .file("t/one", "1")
    .file("cases/a", "x\ny\n")
}

const KEPT: &str = "cache-listing = true\ninputs = [\"cases/*\"]";

/// What is listed, and how often the command has run until now.
#[track_caller]
fn listed(project: &Project, arguments: &[&str]) -> (String, usize) {
    let ran = project
        .orchestrate(&[&["list"], arguments].concat())
        .exits(0);
    (
        ran.stdout.replace('\n', " "),
        project.read("log").lines().count(),
    )
}

#[test]
fn nothing_is_kept_unless_it_is_asked_for() {
    let project = project("inputs = [\"cases/*\"]");
    assert_eq!(listed(&project, &[]), ("g::x g::y ".into(), 1));
    assert_eq!(listed(&project, &[]), ("g::x g::y ".into(), 2));
    assert!(!project.path().join(".fastest").exists());
}

#[test]
fn a_listing_is_kept_as_long_as_all_that_it_follows_from_is_the_same() {
    let project = project(KEPT);
    assert_eq!(listed(&project, &[]), ("g::x g::y ".into(), 1));
    assert_eq!(listed(&project, &[]), ("g::x g::y ".into(), 1));
    // A run lists as a list does.
    let ran = project.run(&[]).exits(0);
    assert_eq!(ran.outcomes(), ["g::x passed", "g::y passed"]);
    assert_eq!(listed(&project, &["-k", "y"]), ("g::y ".into(), 1));
    // An input, one that is new, a file of the group, one that is new, and the command's own script.
    let project = project.file("cases/a", "x\nz\n");
    assert_eq!(listed(&project, &[]), ("g::x g::z ".into(), 2));
    let project = project.file("cases/new", "");
    assert_eq!(listed(&project, &[]).1, 3);
    let project = project.file("t/one", "2");
    assert_eq!(listed(&project, &[]).1, 4);
    let project = project.file("t/two", "2");
    assert_eq!(listed(&project, &[]).1, 5);
    let project = project.script("list.sh", "echo listed >> log; echo other");
    assert_eq!(listed(&project, &[]), ("g::other ".into(), 6));
    assert_eq!(listed(&project, &[]).1, 6);
    assert_eq!(listed(&project, &["--no-cache"]).1, 7);
    // The environment, and the manifest's words for it.
    let project = project.env("ANY", "1");
    assert_eq!(listed(&project, &[]).1, 8);
    let manifest = project.read("fastest.toml");
    let project = project.file("fastest.toml", &(manifest + "env = { A = \"1\" }\n"));
    assert_eq!(listed(&project, &[]).1, 9);
    assert_eq!(listed(&project, &[]).1, 9);
    assert_eq!(project.read(".fastest/.gitignore"), "*\n");
}

#[test]
fn what_is_broken_or_failed_is_listed_anew() {
    let project = project(KEPT).env("FAIL", "1");
    for times in 1..3 {
        project
            .orchestrate(&["list"])
            .exits(1)
            .says("the listing failed");
        assert_eq!(project.read("log").lines().count(), times);
    }
    let project = project.env("FAIL", "0");
    assert_eq!(listed(&project, &[]).1, 3);
    let kept = ".fastest/listings/g";
    let whole = project.read(kept);
    assert!(whole.ends_with("\nx\ny\n"), "{whole}");
    for (times, broken) in ["", "x\ny\n", &whole.replace("y\n", "no\n")]
        .into_iter()
        .enumerate()
    {
        let project = &project;
        std::fs::write(project.path().join(kept), broken).unwrap();
        assert_eq!(listed(project, &[]), ("g::x g::y ".into(), 4 + times));
    }
    assert_eq!(listed(&project, &[]).1, 6);
    // Where nothing can be kept, it is only slower.
    std::fs::remove_dir_all(project.path().join(".fastest")).unwrap();
    let project = project.file(".fastest", "");
    assert_eq!(listed(&project, &[]).1, 7);
    assert_eq!(listed(&project, &[]).1, 8);
}

#[test]
fn many_lists_at_once_all_have_the_same() {
    let project = project(KEPT);
    let lists: Vec<_> = (0..8)
        .map(|_| {
            let mut command = project.command(&["list"]);
            command
                .stdout(std::process::Stdio::piped())
                .spawn()
                .unwrap()
        })
        .collect();
    for list in lists {
        let output = list.wait_with_output().unwrap();
        assert_eq!(String::from_utf8_lossy(&output.stdout), "g::x\ng::y\n");
    }
    let kept = std::fs::read_dir(project.path().join(".fastest/listings")).unwrap();
    assert_eq!(kept.count(), 1);
}

#[test]
fn where_it_would_do_nothing_it_is_refused() {
    let own = "[runners.go]\nlist = [\"go\"]\nlist-format = \"go\"\nrun = [\"true\", \"<items>\"]\n\
        [runners.asks]\nlist = [\"<program>\", \"--list\"]\nrun = [\"true\", \"<items>\"]\n";
    for (runner, why) in [
        ("exec", "lists no tests"),
        ("libtest", "builds the tests as it lists them"),
        ("go", "builds the tests as it lists them"),
        ("asks", "asks each program for its tests"),
        ("pytest", "lists them in the process that then runs them"),
    ] {
        let group = format!("{own}[groups.g]\nrunner = \"{runner}\"\nfiles = [\"x\"]\n");
        Project::with(&format!("{group}cache-listing = true\n"))
            .orchestrate(&["check"])
            .exits(2)
            .says(&format!("the runner `{runner}` {why}"));
        // A default may be meant for others.
        Project::with(&format!("[defaults]\ncache-listing = true\n{group}"))
            .orchestrate(&["check", "--no-list"])
            .exits(0);
    }
}

#[test]
fn a_module_that_could_not_be_imported_is_tried_again() {
    let Some(python) = python() else { return };
    let project = Project::with(&format!(
        "[groups.g]\nrunner = \"pytest\"\nfiles = [\"test_*.py\"]\nsession = \"cold\"\ncache-listing = true\nwith = {{ python = {python:?} }}\n"
    ))
    .file("test_a.py", "import not_there_yet\ndef test_x(): pass\n");
    project
        .orchestrate(&["list"])
        .exits(1)
        .says("not_there_yet");
    let project = project.file("not_there_yet.py", "");
    let ran = project.orchestrate(&["list"]).exits(0);
    assert_eq!(ran.stdout, "g::test_a.py::test_x\n");
    let kept = project.read(".fastest/listings/g");
    assert!(kept.contains("test_a.py::test_x"), "{kept}");
    // `-k` needs names that are in what is kept.
    let ran = project.orchestrate(&["list", "-k", "TEST_X"]).exits(0);
    assert_eq!(ran.stdout, "g::test_a.py::test_x\n");
}
