//! The commands beside `run`.

use crate::support::Project;

#[test]
fn list_prints_ids_or_json() {
    let project = Project::with("[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*.sh\"]\n[groups.lint]\ncommand = [\"true\"]\n")
        .script("t/b.sh", "")
        .script("t/a.sh", "");
    let ran = project.orchestrate(&["list"]).exits(0);
    assert_eq!(ran.stdout, "g::t/a.sh\ng::t/b.sh\nlint\n");
    let ran = project
        .orchestrate(&["list", "--format", "json", "-k", "b.sh"])
        .exits(0);
    let list: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
    assert_eq!(
        list,
        serde_json::json!([{ "id": "g::t/b.sh", "group": "g", "runner": "exec", "file": "t/b.sh", "tags": [] }])
    );
    project.orchestrate(&["list", "-k", "nothing"]).exits(4);
}

#[test]
fn init_writes_what_run_would_detect() {
    let project = Project::new().script("tests/a.sh", "exit 0");
    project
        .run(&[])
        .exits(0)
        .says("no fastest.toml: running what `orchestrate init` would write (runners: exec)");
    let printed = project.orchestrate(&["init", "--print"]).exits(0).stdout;
    project.orchestrate(&["init"]).exits(0);
    assert_eq!(project.read("fastest.toml"), printed);
    assert_eq!(
        project.read("fastest.schema.json"),
        orchestrate::manifest::schema::COMMITTED
    );
    project.orchestrate(&["check"]).exits(0);
    let ran = project.run(&[]).exits(0);
    assert!(!ran.stderr.contains("no fastest.toml"));
    project
        .orchestrate(&["init"])
        .exits(2)
        .says("there is a fastest.toml already");
    Project::new().run(&[]).exits(2).says("nothing was found");
    let empty = Project::new();
    empty.orchestrate(&["init"]).exits(0);
    // Its sample is a comment.
    empty
        .orchestrate(&["check"])
        .exits(2)
        .says("has no group, so nothing can run");
}

#[test]
fn show_prints_values_and_where_they_come_from() {
    let project = Project::with(
        "[defaults]\ntimeout = \"10s\"\n\n[groups.g]\ncommand = [\"true\"]\nretries = 1\n",
    );
    let ran = project.orchestrate(&["show", "g"]).exits(0);
    let line = |key: &str| {
        let line = ran
            .stdout
            .lines()
            .find(|line| line.starts_with(key))
            .unwrap();
        line.split_whitespace().collect::<Vec<_>>().join(" ")
    };
    assert_eq!(line("timeout"), "timeout = \"10s\" # [defaults], line 2");
    assert_eq!(line("retries"), "retries = 1 # [groups.g], line 6");
    assert_eq!(line("grace"), "grace = \"5s\" # built in");
    let project = project.env("FASTEST_WORKERS", "3");
    project
        .orchestrate(&["show", "g"])
        .exits(0)
        .says("# environment, FASTEST_WORKERS");
    project
        .orchestrate(&["show", "h"])
        .exits(2)
        .says("there is no group `h`");
}

#[test]
fn a_runner_that_is_printed_is_one_that_a_manifest_can_use() {
    let list = Project::new().orchestrate(&["runners"]).exits(0).stdout;
    let names: Vec<&str> = list
        .lines()
        .map(|line| line.split_whitespace().next().unwrap())
        .collect();
    for name in ["exec", "pytest", "libtest"] {
        assert!(names.contains(&name), "{list}");
    }
    Project::new()
        .orchestrate(&["runners", "pytets"])
        .exits(2)
        .says("there is no built-in runner `pytets`")
        .says("did you mean `pytest`?");
    for name in names {
        let shown = Project::new()
            .orchestrate(&["runners", name])
            .exits(0)
            .stdout;
        let manifest = shown.replace(&format!("runners.{name}"), "runners.mine")
            + "\n[groups.g]\nrunner = \"mine\"\nfiles = [\"a\"]\n";
        Project::with(&manifest)
            .orchestrate(&["check", "--no-list"])
            .exits(0);
    }
}

#[test]
fn schema_prints_the_committed_ones() {
    let project = Project::new();
    assert_eq!(
        project.orchestrate(&["schema"]).exits(0).stdout,
        orchestrate::manifest::schema::COMMITTED
    );
    assert_eq!(
        project.orchestrate(&["schema", "--events"]).exits(0).stdout,
        orchestrate::event::SCHEMA
    );
}

#[test]
fn help_names_every_exit_code() {
    Project::new()
        .orchestrate(&["--help"])
        .exits(0)
        .says("3 infrastructure");
    Project::new()
        .orchestrate(&["--version"])
        .exits(0)
        .says(env!("CARGO_PKG_VERSION"));
    Project::new().orchestrate(&[]).exits(2);
}

/// What a run tells its jobs of themselves is not told to the jobs of a run within one.
#[test]
fn an_inner_run_sees_nothing_of_the_outer_job_but_what_a_user_set() {
    let inner = "[groups.inner]\ncommand = 'env | cut -d= -f1 | sort > seen; exit 0'\n";
    let outer = "[groups.outer]\ncommand = 'cd inner && orchestrate run'\ncompat = [\"jest\"]\n\
        resources = { database = \"db_<pid>\" }\nenv = { OF_THE_USER = \"1\" }\nbefore-all = ['echo OF_A_HOOK=1 >> $ORCHESTRATE_ENV']\n";
    let project = Project::with(outer).file("inner/fastest.toml", inner);
    let ran = project.shell("orchestrate run --shard 1/1");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    let seen = project.read("inner/seen");
    let seen: Vec<_> = seen.lines().collect();
    for name in [
        "ORCHESTRATE_RESOURCE_DATABASE",
        "ORCHESTRATE_SET_BY_RUN",
        "ORCHESTRATE_ENV",
        "JEST_WORKER_ID",
        "TEST_SHARD_INDEX",
        "TEST_TOTAL_SHARDS",
    ] {
        assert!(!seen.contains(&name), "{name}: {seen:?}");
    }
    for name in ["OF_THE_USER", "OF_A_HOOK", "ORCHESTRATE_SLOT", "PATH"] {
        assert!(seen.contains(&name), "{name}: {seen:?}");
    }
}

/// `make` warns of a jobserver that it can't reach.
#[test]
fn a_jobserver_that_jobs_can_not_reach_is_not_named_to_them() {
    let has_make = std::process::Command::new("make").arg("--version").output();
    if has_make.is_err() {
        eprintln!("skipped: no make");
        return;
    }
    let project =
        Project::with("[groups.g]\ncommand = 'make -s -f in.mk 2> err; cat err; test ! -s err'\n")
            .file("in.mk", "all: a b\na b: ; @:\n")
            .file("Makefile", "test:\n\t+@orchestrate run\n");
    let ran = project.shell("make -j2 test");
    assert_eq!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
}

#[test]
fn options_and_subcommands_of_other_tools_point_to_ours() {
    let project = Project::with("[groups.g]\ncommand = [\"true\"]\n");
    for (arguments, hint) in [
        (&["run", "-j", "4"][..], "the number of workers is `-n N`"),
        (&["run", "-j4"], "the number of workers is `-n N`"),
        (
            &["run", "--pdb"],
            "`--no-capture` lets tests use the terminal",
        ),
        (&["run", "-s"], "`--no-capture`"),
        (&["run", "--timeout", "5"], "`timeout` is a key of a group"),
        (&["run", "--timeout=5"], "`timeout` is a key of a group"),
        (&["run", "--lf"], "write `--failed`"),
        (
            &["run", "--junitxml=out.xml"],
            "write `--report junit=PATH`",
        ),
        (&["rnu"], "did you mean `orchestrate run`?"),
        (&["test"], "did you mean `orchestrate run`?"),
        (&["ls"], "did you mean `orchestrate list`?"),
        (&["chekc"], "did you mean `orchestrate check`?"),
    ] {
        let ran = project.orchestrate(arguments).exits(2).says(hint);
        assert_eq!(ran.stdout, "", "{arguments:?}");
    }
}

#[test]
fn init_writes_a_group_for_each_language_and_says_what_it_leaves_out() {
    let project = Project::new()
        .script("tests/a.sh", "exit 0")
        .script("tools/deploy/tests/b.sh", "exit 0")
        .file(
            "web/package.json",
            "{\"devDependencies\": {\"jest\": \"30\"}}",
        )
        .file("web/a.test.js", "test('x', () => {})\n")
        .env("PATH", "/usr/bin:/bin");
    let ran = project.orchestrate(&["init"]).exits(0);
    let ran = ran
        .says("left out: jest in web: ")
        .says("left out: 1 test file belongs to no group: web/a.test.js");
    assert!(ran.stdout.contains("exec"), "{}", ran.stdout);
    let manifest = project.read("fastest.toml");
    assert!(
        manifest.contains("runner = \"exec\"") && !manifest.contains("jest"),
        "{manifest}"
    );
    project.run(&[]).exits(0);
    // All that is found is written where nothing is to be listed.
    let printed = project
        .orchestrate(&["init", "--print", "--no-list"])
        .exits(0);
    assert!(
        printed.stdout.contains("dir = \"web\""),
        "{}",
        printed.stdout
    );
    assert_eq!(project.read("fastest.toml"), manifest);
}

#[test]
fn init_offers_a_projects_own_command_and_says_what_it_shadows() {
    let project = Project::new().file("Makefile", "test:\n\ttrue\n");
    project.orchestrate(&["init"]).exits(0).says("(make test)");
    project.run(&[]).exits(0).says("1 passed");
    let below = project.at("sub");
    below
        .orchestrate(&["init"])
        .exits(0)
        .says("warning: ../fastest.toml will not be used here any more")
        .says("(nothing found); add a group to it");
    assert!(below.read("sub/fastest.toml").contains("# [groups.unit]"));
}

#[test]
fn projects_below_the_root_run_without_a_manifest() {
    let project = Project::new()
        .script("a/tests/x.sh", "test -e here")
        .file("a/here", "")
        .script("b/tests/x.sh", "test -e there")
        .file("b/there", "");
    let ran = project.run(&[]).exits(0);
    assert_eq!(
        ran.outcomes(),
        ["a::tests/x.sh passed", "b::tests/x.sh passed"]
    );
}
