//! Files in `.fastest/` that a pull request, a restored cache or another user has put there: none holds up a run, none takes
//! much memory, and none changes a result.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use rustix::fs::{CWD, FileType, Mode, mknodat};
use wait_timeout::ChildExt;

use crate::support::Project;

/// When a command is taken for one that will never end.
const HANG: Duration = Duration::from_secs(60);
/// The memory that a command may map, in KiB: far less than what an endless file would fill.
const MOST_MEMORY: u64 = 1_500_000;

const MANIFEST: &str = "[groups.g]\ncommand = [\"true\"]\n";
const OLD_RUN: &str = ".fastest/runs/20200101-000000.000-1";

/// Runs `orchestrate` with little memory, and fails if it does not end.
#[track_caller]
pub fn bounded(project: &Project, arguments: &str) -> Output {
    let program = env!("CARGO_BIN_EXE_orchestrate");
    let line = format!("ulimit -v {MOST_MEMORY}; exec {program} {arguments}");
    let mut command = Command::new("sh");
    command.args(["-c", &line]).current_dir(project.path());
    command.env("XDG_STATE_HOME", project.state());
    command.stdin(Stdio::null());
    let out = project.path().join("out.txt");
    let file = fs::File::create(&out).unwrap();
    command.stdout(file.try_clone().unwrap()).stderr(file);
    let mut child = command.spawn().unwrap();
    let begun = Instant::now();
    let Some(status) = child.wait_timeout(HANG).unwrap() else {
        child.kill().unwrap();
        child.wait().unwrap();
        panic!("`{arguments}` hangs after {:?}", begun.elapsed());
    };
    Output {
        status,
        stdout: fs::read(out).unwrap(),
        stderr: Vec::new(),
    }
}

#[track_caller]
pub fn passes(project: &Project, arguments: &str) -> String {
    let output = bounded(project, arguments);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(0), "{text}");
    text
}

fn old_run(project: &Project) -> PathBuf {
    let folder = project.path().join(OLD_RUN);
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::RWXU, 0).unwrap();
}

#[test]
fn a_fifo_as_the_lock_of_a_kept_run_holds_nothing_up() {
    let project = Project::with(MANIFEST);
    fifo(&old_run(&project).join("lock"));
    passes(&project, "run");
    passes(&project, "report");
}

#[test]
fn a_fifo_or_an_endless_device_as_a_journal_is_not_read() {
    for kind in ["fifo", "link", "folder"] {
        let project = Project::with(MANIFEST);
        let folder = old_run(&project);
        let journal = folder.join("journal.jsonl");
        fs::write(folder.join("lock"), "").unwrap();
        match kind {
            "fifo" => fifo(&journal),
            "link" => symlink("/dev/zero", &journal).unwrap(),
            _ => fs::create_dir(&journal).unwrap(),
        }
        passes(&project, "run");
        let id = Path::new(OLD_RUN).file_name().unwrap().to_str().unwrap();
        let output = bounded(&project, &format!("report {id}"));
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert_eq!(output.status.code(), Some(3), "{kind}: {text}");
        assert!(text.contains("can't read the journal"), "{kind}: {text}");
    }
}

#[test]
fn a_journal_of_one_line_without_an_end_takes_little_memory() {
    let project = Project::with(MANIFEST);
    let folder = old_run(&project);
    fs::write(folder.join("lock"), "").unwrap();
    let journal = fs::File::create(folder.join("journal.jsonl")).unwrap();
    // Sparse: it takes no room on disk.
    journal.set_len(1 << 40).unwrap();
    passes(&project, "run");
}

/// Changes a history that a run has made.
fn with_history(change: &str) -> Project {
    let project = Project::with(MANIFEST);
    passes(&project, "run");
    let path = project.path().join(".fastest/history.db");
    let history = rusqlite::Connection::open(path).unwrap();
    history.execute_batch(change).unwrap();
    drop(history);
    project
}

#[test]
fn a_history_with_a_view_or_a_trigger_is_quarantined() {
    let endless =
        "WITH RECURSIVE n(x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n) SELECT x, 'a' FROM n";
    for change in [
        format!("DROP TABLE tests; CREATE VIEW tests(key, id) AS {endless}"),
        format!("CREATE VIEW more(key, id) AS {endless}"),
        "CREATE TRIGGER t AFTER INSERT ON results BEGIN DELETE FROM results; END".to_owned(),
    ] {
        let project = with_history(&change);
        let text = passes(&project, "run");
        assert!(text.contains("it has a view, a trigger"), "{text}");
        let text = passes(&project, "run");
        assert!(!text.contains("warning"), "{text}");
    }
}

#[test]
fn a_history_that_is_a_link_or_a_fifo_is_quarantined() {
    let project = Project::with(MANIFEST);
    fs::create_dir(project.path().join(".fastest")).unwrap();
    let history = project.path().join(".fastest/history.db");
    let victim = project.path().join("victim.db");
    rusqlite::Connection::open(&victim)
        .unwrap()
        .execute_batch("CREATE TABLE mine(x)")
        .unwrap();
    let before = fs::read(&victim).unwrap();
    symlink(&victim, &history).unwrap();
    let text = passes(&project, "run");
    assert!(text.contains("history.db: it is a symbolic link"), "{text}");
    assert_eq!(fs::read(&victim).unwrap(), before);
    fs::remove_file(&history).unwrap();
    fifo(&history);
    let text = passes(&project, "run");
    assert!(text.contains("it is no regular file"), "{text}");
}

#[test]
fn what_is_kept_can_be_read_by_its_owner_alone() {
    let project = Project::with(MANIFEST);
    passes(&project, "run");
    let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode(&project.path().join(".fastest")), 0o700);
    let run = fs::canonicalize(project.path().join(".fastest/last")).unwrap();
    assert_eq!(mode(&run), 0o700);
    assert_eq!(mode(&run.join("journal.jsonl")), 0o600);
}

#[test]
fn text_of_an_imported_history_steers_no_terminal_and_makes_nothing_panic() {
    let project = Project::with(MANIFEST);
    let line = "{\"v\":1,\"run\":\"r\\u001b[2J\",\"commit\":\"aéééééééééééé\",\"test\":{\"id\":\"g::\\u001b]0;x\",\
        \"attempt\":1,\"outcome\":\"passed\",\"seconds\":1.0,\"alone\":1.0,\"cpu\":0.0,\"memory\":0,\"workers\":1.0}}\n";
    fs::write(project.path().join("history.jsonl"), line).unwrap();
    passes(&project, "history import history.jsonl");
    for command in ["history show", "history slowest", "history flaky"] {
        let text = passes(&project, command);
        assert!(!text.contains('\u{1b}'), "{command}: {text:?}");
    }
    assert!(passes(&project, "history show").contains("aééééééé"));
}

/// `git` would start the program that a repository's own configuration names, also that of a bare one inside the work tree.
#[test]
fn a_repository_that_was_committed_starts_no_program() {
    let project = Project::with(MANIFEST)
        .script("spy.sh", "touch ../spied spied \"$(dirname \"$0\")/spied\"")
        .file("sub/fastest.toml", MANIFEST);
    let setup = "git init -q --bare bare 2>/dev/null; mv bare/* sub/; rmdir bare 2>/dev/null; rm -rf bare
        git -C sub config --file config core.bare false; git -C sub config --file config core.worktree .
        git -C sub config --file config core.fsmonitor \"$PWD/spy.sh\"";
    let done = Command::new("sh")
        .args(["-c", setup])
        .current_dir(project.path())
        .status()
        .unwrap();
    assert!(done.success());
    let mut run = project.command(&["run", "--changed"]);
    run.current_dir(project.path().join("sub"));
    let output = run.output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(2),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for place in ["spied", "sub/spied"] {
        assert!(
            !project.path().join(place).exists(),
            "the repository's program was started"
        );
    }
}

#[test]
fn the_gitignore_of_what_is_kept_is_not_written_through_a_link() {
    let project = Project::with(MANIFEST);
    fs::create_dir(project.path().join(".fastest")).unwrap();
    let target = project.path().join("profile");
    symlink(&target, project.path().join(".fastest/.gitignore")).unwrap();
    passes(&project, "run");
    assert!(!target.exists());
}

/// Git can commit a link, and so a link to a file that never ends.
#[test]
fn files_without_an_end_are_neither_items_nor_signs_of_a_project() {
    let endless = |project: &Project, name: &str| {
        symlink("/dev/zero", project.path().join(name)).unwrap();
    };
    let project = Project::with(
        "[groups.g]\ncommand = [\"true\", \"<items>\"]\nitems = { file = \"list\" }\n",
    );
    endless(&project, "list");
    let output = bounded(&project, "run");
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(
        text.contains("can't read the items of list: it is not a regular file"),
        "{text}"
    );
    let project = Project::new().script("tests/a.sh", "exit 0");
    for name in [
        "package.json",
        "Cargo.toml",
        "CMakeLists.txt",
        "pytest.ini",
        "Makefile",
    ] {
        endless(&project, name);
    }
    passes(&project, "init --print --no-list");
}
