//! What a killed run leaves to the next one: which hooks, and nothing that a file in the repository says besides.

use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use serde_json::json;

use crate::arena::{Arena, is_root};
use crate::kept::passes;
use crate::support::Project;

const ID: &str = "20200101-000000.000-1";

/// A journal that a stranger has written.
fn journal(project: &Project, events: &[serde_json::Value]) {
    let folder = project.path().join(".fastest/runs").join(ID);
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("lock"), "").unwrap();
    let mut text = String::new();
    for event in events {
        let mut line = event.clone();
        line["v"] = json!(2);
        text.push_str(&format!("{line}\n"));
    }
    fs::write(folder.join("journal.jsonl"), text).unwrap();
}

fn begun() -> serde_json::Value {
    json!({"event": "run-started", "run": ID, "groups": [{"name": "g", "tests": 1, "workers": 1, "ids": ["g"]}],
        "tests": 1, "workers": 1, "seed": 0})
}

const LOGS: &str = "[groups.g]\ncommand = [\"true\"]\nafter-worker = ['env > worker.txt; echo <run> > run.txt']\n\
    after-all = ['env > all.txt']\n[groups.other]\ncommand = [\"true\"]\n";

#[test]
fn a_crafted_journal_gives_a_hook_no_variable() {
    let project = Project::with(LOGS);
    let env = json!({"LD_PRELOAD": "/nonexistent.so", "PATH": "/nonexistent", "ORCHESTRATE_RUN_ID": "forged", "FORGED": "1"});
    let names = ["LD_PRELOAD", "PATH", "ORCHESTRATE_RUN_ID", "FORGED"];
    journal(
        &project,
        &[
            begun(),
            json!({"event": "hook-started", "hook": "before-all", "group": "g"}),
            json!({"event": "hook-finished", "hook": "before-all", "group": "g", "outcome": "passed", "seconds": 0.0,
                "env": env, "variables": names}),
            json!({"event": "hook-owed", "hook": "after-worker", "run": ID, "group": "g", "pid": 77, "worker": 0,
                "env": env, "variables": names}),
        ],
    );
    let text = passes(&project, "run -g other");
    assert!(text.contains("g: after-all is made up for"), "{text}");
    assert!(
        text.contains("without variables that its hooks had set: FORGED, LD_PRELOAD"),
        "{text}"
    );
    for name in ["worker.txt", "all.txt"] {
        let env = project.read(name);
        assert!(env.contains(&format!("ORCHESTRATE_RUN_ID={ID}\n")), "{env}");
        assert!(
            !env.contains("FORGED") && !env.contains("nonexistent") && !env.contains("forged"),
            "{env}"
        );
    }
    assert_eq!(project.read("run.txt"), format!("{ID}\n"));
}

#[test]
fn a_crafted_journal_names_no_run_that_is_none_and_no_hook_of_its_own() {
    let project = Project::with(LOGS);
    let owed = |run: &str, hook: &str, group: &str| json!({"event": "hook-owed", "hook": hook, "run": run, "group": group, "command": "touch forged"});
    journal(
        &project,
        &[
            begun(),
            owed("$(touch forged)", "after-all", "g"),
            owed("../../x", "after-all", "g"),
            owed(ID, "before-all", "g"),
            owed(ID, "after-all", "nowhere"),
        ],
    );
    let text = passes(&project, "run -g other");
    assert!(!text.contains("is made up for"), "{text}");
    for name in ["forged", "all.txt", "worker.txt"] {
        assert!(!project.path().join(name).exists(), "{name}");
    }
}

/// A manifest whose hooks set variables of all kinds.
const SETS: &str = "[groups.g]\ncommand = 'echo has-begun; sleep 600'\n\
    before-all = ['printf \"ALL=all\\nLD_X=1\\nPYTHONPATH=/x\\nBASH_ENV=/x\\nGOPATH=/x\\n\" >> $ORCHESTRATE_ENV']\n\
    before-worker = ['echo WORKER=worker >> $ORCHESTRATE_ENV']\n\
    after-worker = ['env > worker.txt']\nafter-all = ['env > all.txt']\n[groups.other]\ncommand = [\"true\"]\n";

/// Has a run killed whose test has begun.
fn killed(mut run: Command) {
    let mut child = run
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut begun = lines.by_ref().map_while(Result::ok);
    assert!(begun.any(|line| line.contains("has-begun")));
    child.kill().unwrap();
    child.wait().unwrap();
}

/// The file in which the variables of the killed run wait.
fn pending(state: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(state.join("orchestrate/pending")).into_iter();
    entries
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect()
}

fn lines(text: &str, names: &[&str]) -> Vec<String> {
    let is_named = |line: &&str| {
        names
            .iter()
            .any(|name| line.starts_with(&format!("{name}=")))
    };
    let mut lines: Vec<_> = text.lines().filter(is_named).map(str::to_owned).collect();
    lines.sort();
    lines
}

const NAMES: [&str; 6] = ["ALL", "WORKER", "LD_X", "PYTHONPATH", "BASH_ENV", "GOPATH"];

#[test]
fn a_cleanup_gets_back_what_the_hooks_of_its_run_had_set_but_nothing_that_steers_programs() {
    let project = Project::with(SETS);
    killed(project.command(&["run", "--no-capture", "-g", "g"]));
    assert_eq!(pending(project.state()).len(), 1);
    let text = passes(&project, "run -g other");
    assert!(text.contains("g: after-worker is made up for"), "{text}");
    assert!(
        text.contains(
            "without variables that its hooks had set: BASH_ENV, GOPATH, LD_X, PYTHONPATH"
        ),
        "{text}"
    );
    assert_eq!(
        lines(&project.read("worker.txt"), &NAMES),
        ["ALL=all", "WORKER=worker"]
    );
    assert_eq!(lines(&project.read("all.txt"), &NAMES), ["ALL=all"]);
    assert_eq!(
        pending(project.state()),
        Vec::<PathBuf>::new(),
        "it is over"
    );
}

#[test]
fn variables_are_dropped_where_somebody_else_could_have_written_them() {
    let ways: [fn(&Path, &Path); 4] = [
        |folder, _| fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap(),
        |_, file| {
            let moved = file.with_extension("moved");
            fs::rename(file, &moved).unwrap();
            symlink(moved, file).unwrap();
        },
        |_, file| fs::write(file, "garbage").unwrap(),
        |_, file| {
            if is_root() {
                chown(file, Some(1), Some(1)).unwrap();
            } else {
                fs::remove_file(file).unwrap();
            }
        },
    ];
    for (number, way) in ways.into_iter().enumerate() {
        let project = Project::with(SETS);
        killed(project.command(&["run", "--no-capture", "-g", "g"]));
        let file = pending(project.state()).remove(0);
        way(file.parent().unwrap(), &file);
        let text = passes(&project, "run -g other");
        assert!(
            text.contains("without variables that its hooks had set: ALL"),
            "{number}: {text}"
        );
        assert_eq!(lines(&project.read("all.txt"), &NAMES), [""; 0], "{number}");
    }
}

#[test]
fn a_plain_user_s_cleanup_has_its_variables_and_root_does_not_take_them_from_him() {
    let Some(arena) = Arena::new(SETS).of_another_user() else {
        return;
    };
    let state = arena.path().join("log/state");
    // `log` is the user's.
    let set = |mut command: Command| {
        command.env("XDG_STATE_HOME", &state);
        command
    };
    let mut run = set(arena.command(&["run", "--no-capture", "-g", "g"]));
    killed(std::mem::replace(&mut run, Command::new("true")));
    assert_eq!(pending(&state).len(), 1);
    let mut next = set(arena.command(&["run", "-g", "other"]));
    arena.finish(arena.start(&mut next)).exits(0);
    assert_eq!(lines(&arena.read("all.txt"), &NAMES), ["ALL=all"]);
    if !is_root() {
        return;
    }
    killed(set(arena.command(&["run", "--no-capture", "-g", "g"])));
    let program = env!("CARGO_BIN_EXE_orchestrate");
    let mut next = set(Command::new(program));
    next.args(["run", "-g", "other"]).current_dir(arena.path());
    let said = next.output().unwrap();
    assert_eq!(said.status.code(), Some(0));
    let text = String::from_utf8_lossy(&said.stdout);
    assert!(text.contains("is not this user's alone"), "{text}");
    assert_eq!(lines(&arena.read("all.txt"), &NAMES), [""; 0]);
}

/// Where there is no state folder, nothing is kept, and the cleanup says so.
#[test]
fn without_a_state_folder_a_cleanup_runs_without_variables() {
    let project = Project::with(SETS)
        .env("XDG_STATE_HOME", "relative")
        .env("HOME", "");
    killed(project.command(&["run", "--no-capture", "-g", "g"]));
    let ran = project.orchestrate(&["run", "-g", "other"]).exits(0);
    assert!(ran.stdout.contains("without variables"), "{}", ran.stdout);
    assert!(
        ran.stdout.contains("set XDG_STATE_HOME or HOME"),
        "{}",
        ran.stdout
    );
    assert!(!project.path().join("relative").exists());
}

/// A machine that loses its power keeps what was synced.
#[test]
fn a_pending_cleanup_is_brought_to_disk_and_nothing_else_is() {
    let is_there = Command::new("strace").args(["-qq", "-f", "true"]).output();
    if !is_there.is_ok_and(|traced| traced.status.success()) {
        eprintln!("skipped: there is no strace, or it may trace nothing");
        return;
    }
    let synced = |hooks: &str| {
        let project = Project::with(&format!("[groups.g]\ncommand = [\"true\"]\n{hooks}"));
        let orchestrate = project.command(&["run"]);
        let mut strace = Command::new("strace");
        strace.args([
            "-qq",
            "-f",
            "-y",
            "-e",
            "trace=fdatasync,fsync",
            "-o",
            "trace",
        ]);
        strace
            .arg(orchestrate.get_program())
            .args(orchestrate.get_args());
        strace.envs(
            orchestrate
                .get_envs()
                .filter_map(|(name, value)| Some((name, value?))),
        );
        strace.current_dir(project.path());
        assert!(strace.output().unwrap().status.success());
        let trace = project.read("trace");
        trace
            .lines()
            .filter(|line| line.contains("journal.jsonl"))
            .count()
    };
    assert_eq!(synced(""), 0, "nothing is pending");
    assert_eq!(synced("before-all = [\"true\"]\n"), 0);
    // Those that come together are one.
    let hooks = "before-all = [\"sleep 0.5\"]\nafter-all = [\"true\"]\n";
    assert!((1..=2).contains(&synced(hooks)));
    assert_eq!(synced("after-worker = [\"sleep 0.5\"]\n"), 1);
}

/// A repository whose `.fastest/` was committed.
fn committed(project: &Project) {
    let setup =
        "git init -q . && git add -Af . && git -c user.name=a -c user.email=a@b commit -qm x";
    let done = Command::new("sh")
        .args(["-c", setup])
        .current_dir(project.path())
        .status();
    assert!(done.unwrap().success());
}

#[test]
fn what_git_tracks_of_what_is_kept_is_ignored_with_one_warning() {
    let project = Project::with(LOGS);
    journal(
        &project,
        &[
            begun(),
            json!({"event": "hook-started", "hook": "before-all", "group": "g"}),
        ],
    );
    fs::write(project.path().join(".fastest/history.db"), "no history").unwrap();
    fs::write(project.path().join(".gitignore"), "out.txt\n").unwrap();
    committed(&project);
    for _ in 0..2 {
        let text = passes(&project, "run");
        assert_eq!(text.matches("warning").count(), 1, "{text}");
        assert!(
            text.contains("git tracks 3 files in .fastest (.fastest/history.db, …)"),
            "{text}"
        );
        assert!(
            !text.contains("made up for") && !text.contains("interrupted"),
            "{text}"
        );
    }
    assert_eq!(project.read(".fastest/history.db"), "no history");
    let ran = project.orchestrate(&["report", ID]);
    assert!(
        ran.code != 0 && ran.stderr.contains("no run is called"),
        "{}",
        ran.stderr
    );
    let ran = project.orchestrate(&["history", "show"]).exits(3);
    assert!(ran.stderr.contains("git tracks"), "{}", ran.stderr);
    // Nothing of it has changed, and without it all is as ever.
    let clean = Command::new("git")
        .args(["diff", "--quiet"])
        .current_dir(project.path())
        .status();
    assert!(clean.unwrap().success());
    let done = Command::new("git")
        .args(["rm", "-rq", "--cached", ".fastest"])
        .current_dir(project.path())
        .status();
    assert!(done.unwrap().success());
    let text = passes(&project, "run");
    assert!(
        !text.contains("git tracks") && text.contains("interrupted"),
        "{text}"
    );
}

#[test]
fn a_link_that_was_committed_leads_no_run_out_of_the_repository() {
    let victim = tempfile::tempdir().unwrap();
    for name in [".fastest", ".fastest/runs"] {
        let project = Project::with(LOGS);
        let link = project.path().join(name);
        fs::create_dir_all(link.parent().unwrap()).unwrap();
        symlink(victim.path(), link).unwrap();
        committed(&project);
        let text = passes(&project, "run");
        assert!(text.contains("nothing is kept of this run"), "{text}");
        assert_eq!(fs::read_dir(victim.path()).unwrap().count(), 0, "{name}");
    }
}

#[test]
fn run_folders_of_the_future_push_out_no_new_one() {
    let project = Project::with(LOGS);
    let runs = project.path().join(".fastest/runs");
    for number in 0..30 {
        let folder = runs.join(format!("20990101-000000.000-{number}"));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("journal.jsonl"), "").unwrap();
    }
    let own = || {
        fs::read_dir(&runs)
            .unwrap()
            .flatten()
            .filter(|entry| !entry.file_name().to_string_lossy().starts_with("2099"))
            .count()
    };
    for number in 1..=3 {
        passes(&project, "run");
        assert_eq!(own(), number);
    }
    let last = fs::canonicalize(project.path().join(".fastest/last")).unwrap();
    let events = project
        .orchestrate(&["report", "--report=jsonl"])
        .exits(0)
        .stdout;
    let id = last.file_name().unwrap().to_string_lossy().into_owned();
    assert!(events.contains(&id), "the last run is the last of ours");
    assert_eq!(fs::read_dir(&runs).unwrap().count(), 20);
}
