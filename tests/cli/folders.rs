//! `dir`: groups whose tests are listed and run in a folder below the root.

use std::fs;

use crate::support::{Project, Ran, python};

/// Two packages with a script each, which says where it runs.
fn monorepo(more: &str) -> Project {
    let manifest = format!(
        "[groups.api]\nrunner = \"exec\"\ndir = \"packages/api\"\nfiles = [\"tests/*.sh\"]\n{more}\n\
         [groups.web]\nrunner = \"exec\"\ndir = \"./packages/web/\"\nfiles = [\"tests/*.sh\"]\n"
    );
    Project::with(&manifest)
        .script("packages/api/tests/a.sh", "test -e of-api")
        .script("packages/web/tests/a.sh", "test -e of-web")
        .script("packages/web/tests/b.sh", "test -e of-web")
        .script("tests/a.sh", "exit 1")
        .file("packages/api/of-api", "")
        .file("packages/web/of-web", "")
}

/// `id file` of each test.
fn files(ran: &Ran) -> Vec<String> {
    let finished = ran.events_of("test-finished");
    let mut list: Vec<String> = finished
        .iter()
        .map(|event| format!("{} {}", event["id"], event["file"]).replace('"', ""))
        .collect();
    list.sort();
    list
}

#[test]
fn a_group_lists_and_runs_in_its_folder() {
    let ran = monorepo("").run(&[]).exits(0);
    assert_eq!(
        files(&ran),
        [
            "api::tests/a.sh packages/api/tests/a.sh",
            "web::tests/a.sh packages/web/tests/a.sh",
            "web::tests/b.sh packages/web/tests/b.sh"
        ]
    );
}

#[test]
fn paths_are_the_roots_or_the_current_folders_and_ids_are_the_tools() {
    let project = monorepo("");
    let list = |project: &Project, arguments: &[&str]| {
        let arguments = [&["list"], arguments].concat();
        let ids = project.orchestrate(&arguments).exits(0).stdout;
        ids.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    let web = ["web::tests/a.sh", "web::tests/b.sh"];
    assert_eq!(list(&project, &["packages/web"]), web);
    assert_eq!(list(&project, &["packages/web/tests/a.sh"]), web[..1]);
    assert_eq!(list(&project, &["web::tests/a.sh"]), web[..1]);
    assert_eq!(list(&project, &["tests/b.sh"]), web[1..]);
    // The root has a file of this name, which is no group's.
    project.orchestrate(&["list", "tests/a.sh"]).exits(4);
    assert_eq!(
        list(&project, &["packages", "--exclude", "packages/web/**"]),
        ["api::tests/a.sh"]
    );
    let project = project.at("packages/web");
    assert_eq!(list(&project, &["tests/a.sh"]), web[..1]);
    assert_eq!(list(&project, &["."]), web);
}

#[test]
fn patterns_of_tests_are_relative_to_the_folder_or_to_the_root() {
    for pattern in ["tests/a.sh", "packages/api/tests/*.sh"] {
        let more = format!(
            "exclude = [\"tests/b.sh\"]\n[[groups.api.overrides]]\nmatch = [{pattern:?}]\nexpect = \"fail\"\n"
        );
        let ran = monorepo(&more)
            .script("packages/api/tests/b.sh", "exit 1")
            .run(&["-g", "api"])
            .exits(0);
        assert_eq!(ran.outcomes(), ["api::tests/a.sh xpassed"]);
    }
}

#[test]
fn items_commands_and_hooks_are_the_folders() {
    let project = Project::with(
        "[groups.file]\ndir = \"sub\"\ncommand = [\"./check\", \"<items>\"]\nitems = { file = \"items.txt\" }\n\
         before-all = [\"echo all >>log; pwd >>log\"]\nbefore-job = [[\"./hook\"]]\nafter-all = [\"echo end >>log\"]\n\
         [groups.command]\ndir = \"sub\"\ncommand = [\"scripts/check\", \"<items>\"]\nitems = { command = [\"cat\", \"items.txt\"] }\n\
         [groups.once]\ndir = \"sub\"\ncommand = \"test -e items.txt && test <root> != <dir> && test <dir> = $(pwd)\"\n",
    )
    .file("sub/items.txt", "one\n")
    .script("sub/check", "test -e items.txt && test $1 = one")
    .script("sub/hook", "echo job >>log")
    // A program is looked for in the folder first, and then in the root.
    .script("scripts/check", "test -e items.txt && test $1 = one");
    let ran = project.run(&[]).exits(0);
    assert_eq!(
        ran.outcomes(),
        ["command::one passed", "file::one passed", "once passed"]
    );
    let folder = project.path().canonicalize().unwrap().join("sub");
    let log = project.read("sub/log");
    assert_eq!(log, format!("all\n{}\njob\nend\n", folder.display()));
}

#[test]
fn a_runner_lists_and_reads_results_in_the_folder() {
    let project = Project::with(
        "[runners.mine]\nlist = [\"<tool>\", \"list\", \"<files>\"]\nrun = [\"<tool>\", \"run\", \"<report>\", \"<items>\"]\n\
         results = \"junit\"\nfiles = [\"*.t\"]\nsettings = { tool = { first-of = [\"bin/none\", \"bin/tool\"] } }\n\
         [groups.a]\nrunner = \"mine\"\ndir = \"a\"\n\
         [groups.b]\nrunner = \"mine\"\ndir = \"b\"\n",
    )
    .file("a/x.t", "")
    .file("b/y.t", "")
    .script("bin/tool", "exit 9")
    .script(
        "a/bin/tool",
        "if [ $1 = list ]; then for f; do [ $f = list ] || { test -e $f && echo $f::one; }; done; exit; fi\n\
         echo \"<testsuite><testcase file='x.t' classname='x.t' name='one'/></testsuite>\" >$2",
    );
    let ran = project.run(&[]).exits(1);
    // The folder `b` has no tool of its own, and the root's fails.
    assert_eq!(files(&ran), ["a::x.t::one a/x.t", "b null"]);
    assert_eq!(ran.outcomes(), ["a::x.t::one passed", "b errored"]);
    let ran = project.run(&["a/x.t::one"]).exits(1);
    assert_eq!(ran.outcomes(), ["a::x.t::one passed", "b errored"]);
}

#[test]
fn inputs_may_lie_beside_the_folder_and_not_outside_of_the_root() {
    let project = monorepo("inputs = [\"../shared/**\", \"src/**\"]\n")
        .file("packages/shared/x", "")
        .file(".gitignore", ".fastest\nevents.jsonl\n");
    project
        .shell("git init -q && git add -A && git -c user.name=x -c user.email=x@x commit -qm x")
        .exits(0);
    project.orchestrate(&["list", "--changed"]).exits(4);
    let project = project.file("packages/shared/x", "other");
    let list = project.orchestrate(&["list", "--changed"]).exits(0).stdout;
    assert_eq!(list, "api::tests/a.sh\n");
    let project = monorepo("inputs = [\"../../../x\"]\n");
    project
        .orchestrate(&["check"])
        .exits(2)
        .says("can't leave it");
}

#[test]
fn a_listing_that_is_kept_is_the_folders() {
    let project = Project::with(
        "[runners.mine]\nlist = [\"./list\"]\nrun = [\"true\", \"<items>\"]\nfiles = [\"*.t\"]\n\
         [groups.a]\nrunner = \"mine\"\ndir = \"a\"\ncache-listing = true\n",
    )
    .file("a/x.t", "")
    .script("a/list", "echo listed >>log; cat x.t; echo x.t::x");
    for _ in 0..2 {
        assert_eq!(
            project.orchestrate(&["list"]).exits(0).stdout,
            "a::x.t::x\n"
        );
    }
    assert_eq!(project.read("a/log"), "listed\n");
    let project = project.file("a/x.t", "x.t::y\n");
    assert_eq!(
        project.orchestrate(&["list"]).exits(0).stdout,
        "a::x.t::x\na::x.t::y\n"
    );
}

#[test]
fn each_service_has_its_own_configuration_and_data() {
    let Some(python) = python() else { return };
    let mut manifest = format!("[defaults]\nwith = {{ python = {python:?} }}\n");
    let mut project = Project::new();
    for name in ["a", "b"] {
        manifest += &format!("[groups.{name}]\nrunner = \"pytest\"\ndir = \"svc/{name}\"\n");
        let test = format!(
            "import conftest\ndef test_data():\n    assert open('data.txt').read() == '{name}'\n    assert conftest.NAME == '{name}'\n"
        );
        project = project
            .file(&format!("svc/{name}/data.txt"), name)
            .file(
                &format!("svc/{name}/pytest.ini"),
                "[pytest]\npythonpath = .\n",
            )
            .file(
                &format!("svc/{name}/conftest.py"),
                &format!("NAME = '{name}'\n"),
            )
            .file(&format!("svc/{name}/tests/test_x.py"), &test);
    }
    let project = project.file("fastest.toml", &manifest);
    for session in ["shared", "worker", "cold"] {
        let manifest = format!("{manifest}[profiles.p]\ndefaults.session = {session:?}\n");
        fs::write(project.path().join("fastest.toml"), manifest).unwrap();
        let ran = project.run(&["--profile", "p"]).exits(0);
        assert_eq!(
            files(&ran),
            [
                "a::tests/test_x.py::test_data svc/a/tests/test_x.py",
                "b::tests/test_x.py::test_data svc/b/tests/test_x.py"
            ]
        );
    }
    let ran = project.run(&["svc/b/tests/test_x.py::test_data"]).exits(0);
    assert_eq!(ran.outcomes(), ["b::tests/test_x.py::test_data passed"]);
}
