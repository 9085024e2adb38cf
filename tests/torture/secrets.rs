//! Values that hooks, the caller and the manifest give to jobs: none is where somebody reads it who should not.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use crate::arena::{Arena, contains, is_root};
use crate::support::Project;

/// The files below a folder that have this text in them.
fn holding(folder: &Path, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let meta = path.symlink_metadata().unwrap();
        if meta.is_dir() {
            found.extend(holding(&path, text));
        } else if meta.is_file() && contains(&fs::read(&path).unwrap(), text.as_bytes()) {
            found.push(path.display().to_string());
        }
    }
    found
}

const EVERY_REPORT: [&str; 3] = [
    "run",
    "--report=jsonl=out/e.jsonl",
    "--report=junit=out/j.xml",
];

/// Runs and keeps what the console says beside the reports.
fn told(project: &Project, arguments: &[&str]) -> i32 {
    let all: Vec<&str> = EVERY_REPORT.iter().chain(arguments).copied().collect();
    let ran = project.orchestrate(&all);
    let said = project.path().join("out/said.txt");
    fs::write(said, format!("{}{}", ran.stdout, ran.stderr)).unwrap();
    ran.code
}

#[test]
fn values_that_hooks_set_are_in_no_report_and_their_names_are() {
    let project = Project::with(
        "[groups.g]\ncommand = \"exit 1\"\nbefore-all = ['echo DB_PASSWORD=hunter2 >> $ORCHESTRATE_ENV']\n\
        before-worker = ['echo TOKEN=hunter2 >> $ORCHESTRATE_ENV']\nafter-all = [\"true\"]\n",
    );
    assert_eq!(told(&project, &[]), 1);
    assert_eq!(holding(&project.path().join("out"), "hunter2"), [""; 0]);
    assert_eq!(
        holding(&project.path().join(".fastest"), "hunter2"),
        [""; 0]
    );
    let events = project.read("out/e.jsonl");
    assert!(
        events.contains("\"variables\":[\"DB_PASSWORD\"]"),
        "{events}"
    );
    // Nor is anything pending once the run is over.
    assert_eq!(holding(project.state(), "hunter2"), [""; 0]);
}

#[test]
fn secrets_are_masked_in_every_report_whoever_has_set_them() {
    let manifest = "[defaults]\nsecrets = [\"DB_*\", \"API_TOKEN\"]\n[groups.g]\nenv = { DB_OWN = \"of-the-manifest\" }\n\
        before-all = ['echo DB_HOOK=of-a-hook >> $ORCHESTRATE_ENV; echo before: of-a-hook, of-the-caller']\n\
        after-all = ['echo after $DB_HOOK; exit 1']\n\
        command = 'echo $DB_OWN; echo $DB_HOOK >&2; printf %s of-the; sleep 0.1; echo -caller; echo $OTHER; exit 1'\n\
        [groups.h]\nsecrets = []\ncommand = \"echo h $API_TOKEN; exit 1\"\n";
    let project = Project::with(manifest)
        .env("API_TOKEN", "of-the-caller")
        .env("OTHER", "of-nobody");
    assert_eq!(told(&project, &[]), 3);
    for secret in ["of-the-manifest", "of-a-hook", "of-the-caller"] {
        assert_eq!(holding(&project.path().join("out"), secret), [""; 0]);
        assert_eq!(holding(&project.path().join(".fastest"), secret), [""; 0]);
    }
    for report in ["e.jsonl", "j.xml", "said.txt"] {
        let text = project.read(&format!("out/{report}"));
        assert!(text.contains("of-nobody"), "{report}: {text}");
        assert!(text.contains("h ***"), "{report}: {text}");
        assert!(text.contains("after ***"), "{report}: {text}");
    }
    // What is kept of the run was masked before.
    let again = project.orchestrate(&["report", "--report=jsonl"]);
    assert!(again.stdout.contains("***") && !again.stdout.contains("of-a-hook"));
}

#[test]
fn a_value_of_which_a_part_was_left_out_is_masked_too() {
    // The head ends, and the tail begins, somewhere within the value.
    for before in 0..9 {
        let filler = "x".repeat(64 - before);
        let manifest = format!(
            "[groups.g]\nsecrets = [\"KEY\"]\noutput-limit = 128\n\
            command = 'printf %s {filler}$KEY; head -c 999 /dev/zero | tr \"\\0\" y; printf %s $KEY{filler}; exit 1'\n"
        );
        let project = Project::with(&manifest).env("KEY", "q9w8e7r6");
        assert_eq!(told(&project, &[]), 1);
        let said = project.read("out/said.txt");
        assert!(said.contains("bytes left out"), "{said}");
        for part in ["q9", "w8", "e7", "r6"] {
            assert_eq!(
                holding(&project.path().join("out"), part),
                [""; 0],
                "{said}"
            );
        }
    }
}

#[test]
fn a_value_that_is_too_short_to_be_masked_is_warned_of_and_a_bad_pattern_is_a_problem() {
    let manifest = "[groups.g]\nsecrets = [\"DB_*\"]\ncommand = \"exit 1\"\n";
    let project = Project::with(manifest).env("DB_ID", "7").env("DB_NO", "");
    let ran = project.orchestrate(&["run"]).exits(1);
    let told = "the values of DB_ID are shorter than 4 bytes, and are not masked";
    assert!(ran.stdout.contains(told), "{}", ran.stdout);
    for bad in ["", "A=B", "[x"] {
        let manifest = format!("[groups.g]\nsecrets = [{bad:?}]\ncommand = [\"true\"]\n");
        let ran = Project::with(&manifest).orchestrate(&["run"]).exits(2);
        assert!(
            ran.stderr.contains("no pattern of a variable's name"),
            "{}",
            ran.stderr
        );
    }
}

/// Whether another user can read it.
fn another_reads(path: &Path) -> bool {
    let mut cat = Command::new("cat");
    cat.arg(path).uid(65_534).gid(65_534);
    cat.output().unwrap().status.success()
}

#[test]
fn another_user_reads_neither_what_is_kept_nor_a_report_that_was_closed_to_him() {
    let manifest = "[groups.g]\ncommand = 'touch begun; sleep 600'\n\
        before-all = ['echo DB_PASSWORD=hunter2 >> $ORCHESTRATE_ENV']\n";
    let arena = Arena::new(manifest).file("j.xml", "").file("e.jsonl", "");
    let state = arena.path().join("state");
    fs::create_dir(&state).unwrap();
    for folder in [arena.path(), state.as_path()] {
        fs::set_permissions(folder, fs::Permissions::from_mode(0o777)).unwrap();
    }
    let reports = ["j.xml", "e.jsonl"].map(|name| arena.path().join(name));
    for report in &reports {
        fs::set_permissions(report, fs::Permissions::from_mode(0o600)).unwrap();
    }
    let mut run = arena.command(&["run", "--report=junit=j.xml", "--report=jsonl=e.jsonl"]);
    let started = arena.start(run.env("XDG_STATE_HOME", &state));
    arena.until_file("begun");
    let mut secret = holding(&state, "hunter2");
    assert_eq!(secret.len(), 1, "it waits for a cleanup");
    started.signal(rustix::process::Signal::INT);
    arena.finish(started).exits(130);
    let journal = fs::canonicalize(arena.path().join(".fastest/last")).unwrap();
    let journal = journal.join("journal.jsonl").display().to_string();
    secret.push(journal);
    secret.extend(reports.iter().map(|path| path.display().to_string()));
    for report in &reports {
        let mode = fs::metadata(report).unwrap().permissions().mode() & 0o777;
        assert_eq!(mode, 0o600, "{}", report.display());
        assert!(fs::metadata(report).unwrap().len() > 0);
    }
    if !is_root() {
        eprintln!("skipped: only root can try it as another user");
        return;
    }
    for path in secret {
        assert!(!another_reads(Path::new(&path)), "{path}");
    }
}

#[test]
fn a_plain_user_keeps_secrets_as_root_does() {
    let manifest = "[groups.g]\nsecrets = [\"DB_*\"]\ncommand = 'echo $DB_PASSWORD; exit 1'\n\
        before-all = ['echo DB_PASSWORD=hunter2 >> $ORCHESTRATE_ENV']\n";
    let arena = Arena::new(manifest).file("j.xml", "");
    let report = arena.path().join("j.xml");
    fs::set_permissions(&report, fs::Permissions::from_mode(0o640)).unwrap();
    let Some(arena) = arena.of_another_user() else {
        return;
    };
    let end = arena.run(&["--report=junit=j.xml"]).exits(1);
    assert!(!end.said.contains("hunter2") && !arena.read("j.xml").contains("hunter2"));
    assert_eq!(holding(&arena.path().join(".fastest"), "hunter2"), [""; 0]);
    let mode = fs::metadata(&report).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o640);
    // Nor does a report of somebody else stand in its way: that is replaced as any file is.
    if is_root() {
        chown(&report, Some(1), Some(1)).unwrap();
        fs::set_permissions(&report, fs::Permissions::from_mode(0o600)).unwrap();
        arena.run(&["--report=junit=j.xml"]).exits(1);
        assert!(arena.read("j.xml").contains("***"));
    }
}
