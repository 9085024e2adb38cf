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
    empty.orchestrate(&["check"]).exits(0);
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
