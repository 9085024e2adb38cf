//! What is kept in `.fastest/`: it outlives a crash, serves several runs at once, and harms nothing when it is broken.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{BufRead, BufReader};
use std::os::unix::fs::symlink;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc;

use orchestrate::event::{Event, Moment};
use orchestrate::history::Journal;
use orchestrate::report::{ReportError, Reporter, replay};
use rustix::fs::{FlockOperation, flock};

use crate::support::Project;

/// Three tests, one after the other; the second does not end by itself.
fn hanging() -> Project {
    Project::with(
        "[run]\nworkers = 1\n[groups.a]\ncommand = [\"true\"]\n\
         [groups.b]\ncommand = [\"sleep\", \"600\"]\nneeds = [\"a\"]\n\
         [groups.c]\ncommand = [\"true\"]\nneeds = [\"b\"]\n",
    )
}

/// Starts a run of it, which has come to the second test.
fn started(project: &Project) -> Child {
    let mut child = project
        .command(&["run", "--report", "jsonl=-"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let begun = "\"event\":\"job-started\",\"job\":2";
    lines
        .find(|line| line.as_ref().unwrap().contains(begun))
        .unwrap()
        .unwrap();
    child
}

/// The runs that are kept, the last one first.
fn runs(project: &Project) -> Vec<String> {
    let entries = fs::read_dir(project.path().join(".fastest/runs")).unwrap();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names.reverse();
    names
}

fn count(text: &str, part: &str) -> usize {
    text.matches(part).count()
}

#[test]
fn a_killed_run_is_accounted_for_in_full() {
    let project = hanging();
    let mut child = started(&project);
    child.kill().unwrap();
    child.wait().unwrap();
    let ran = project
        .orchestrate(&[
            "report",
            "--report",
            "junit=out.xml",
            "--report",
            "jsonl=out.jsonl",
        ])
        .exits(3)
        .says("warning: 2 tests have no result: the run was interrupted")
        .says("cancelled: b\n  the run was interrupted")
        .says("not run, as the run was interrupted: c")
        .says("FAILED: 1 passed, 1 cancelled, 1 not-run in ");
    assert!(!ran.stdout.contains("can't be read"), "{}", ran.stdout);
    let xml = project.read("out.xml");
    assert!(
        xml.contains("tests=\"3\" skipped=\"1\" failures=\"0\" errors=\"1\""),
        "{xml}"
    );
    let schema = serde_json::from_str(include_str!("../../schema/events.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let events = project.read("out.jsonl");
    for line in events.lines() {
        assert!(
            validator.is_valid(&serde_json::from_str(line).unwrap()),
            "{line}"
        );
    }
    assert_eq!(count(&events, "\"event\":\"test-finished\""), 3);
    assert_eq!(count(&events, "\"event\":\"run-finished\""), 1);
    // The next run says so, and the one after it has nothing to say.
    let id = &runs(&project)[0];
    project
        .orchestrate(&["run", "-g", "a"])
        .exits(0)
        .says(&format!(
            "warning: the last run ({id}) was interrupted; `orchestrate report {id}` shows what is known of it"
        ));
    let ran = project.orchestrate(&["run", "-g", "a"]).exits(0);
    assert!(!ran.stdout.contains("warning"), "{}", ran.stdout);
    project.orchestrate(&["report", id, "-q"]).exits(3);
    project
        .orchestrate(&["report", "-q"])
        .exits(0)
        .says("ok: 1 passed");
}

#[test]
fn a_run_that_is_there_is_not_taken_for_interrupted() {
    let project = hanging();
    let mut child = started(&project);
    let ran = project.orchestrate(&["run", "-g", "a"]).exits(0);
    assert!(!ran.stdout.contains("warning"), "{}", ran.stdout);
    let id = runs(&project).pop().unwrap();
    project
        .orchestrate(&["report", &id])
        .exits(3)
        .says("the run is not over yet");
    child.kill().unwrap();
    child.wait().unwrap();
    project
        .orchestrate(&["run", "-g", "a"])
        .exits(0)
        .says(&format!("an earlier run ({id}) was interrupted"));
}

#[test]
fn a_kept_run_is_told_of_as_it_was() {
    let project = Project::with("[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nretries = 1\n")
        .script("t/fail", "echo what-it-said; exit 1")
        .script("t/flaky", "[ $ORCHESTRATE_ATTEMPT = 2 ]")
        .script("t/skip", "exit 77");
    let run = project.run(&["--report", "junit=first.xml"]).exits(1);
    let told = project
        .orchestrate(&[
            "report",
            "--report",
            "junit=second.xml",
            "--report",
            "jsonl=second.jsonl",
        ])
        .exits(1)
        .says("what-it-said");
    assert_eq!(told.stdout, run.stdout);
    assert_eq!(project.read("first.xml"), project.read("second.xml"));
    let counts = |events: &str| {
        let last: serde_json::Value = serde_json::from_str(events.lines().last().unwrap()).unwrap();
        (last["counts"].clone(), last["exit"].clone())
    };
    let (first, second) = (project.read("events.jsonl"), project.read("second.jsonl"));
    assert_eq!(first.lines().count(), second.lines().count());
    assert_eq!(counts(&first), counts(&second));
    let ran = project
        .orchestrate(&["report", "--report", "jsonl"])
        .exits(1);
    assert_eq!(ran.stdout, second);
    // Also below the root, and with a manifest that is wrong by now.
    let project = project.file("fastest.toml", "nonsense").at("below");
    project
        .orchestrate(&["report", "-v"])
        .exits(1)
        .says("flaky");
}

#[test]
fn a_run_that_is_not_kept_is_an_error_with_a_suggestion() {
    let project = Project::with("[groups.g]\ncommand = [\"true\"]\n");
    project
        .orchestrate(&["report"])
        .exits(2)
        .says("no run is kept here");
    Project::new()
        .orchestrate(&["report"])
        .exits(2)
        .says("hint:");
    project.run(&[]).exits(0);
    let id = runs(&project).pop().unwrap();
    project.orchestrate(&["report", &id[..8]]).exits(0);
    project
        .orchestrate(&["report", "nonsense"])
        .exits(2)
        .says("no run is called \"nonsense\"")
        .says(&format!("hint: there are: {id}"));
    project
        .orchestrate(&["report", "../.."])
        .exits(2)
        .says("no run is called");
    project
        .orchestrate(&["report", "--report", "html"])
        .exits(2)
        .says("there is no format `html`");
    project
        .orchestrate(&["report", "--report", "junit=/proc/nowhere/out.xml"])
        .exits(3)
        .says("can't write the junit report");
}

/// Gathers what reports are told.
struct Told(mpsc::Sender<Event>);

impl Reporter for Told {
    fn event(&mut self, _: Moment, event: &Event) -> Result<(), ReportError> {
        self.0.send(event.clone()).unwrap();
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ReportError> {
        Ok(())
    }
}

#[test]
fn a_journal_that_is_cut_anywhere_accounts_for_each_test_once() {
    let project = Project::with("[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nretries = 1\n")
        .script("t/fail", "echo ä; exit 1")
        .script("t/flaky", "[ $ORCHESTRATE_ATTEMPT = 2 ]")
        .script("t/pass", "exit 0")
        .script("t/skip", "exit 77");
    project.run(&[]).exits(1);
    let path = project.path().join(".fastest/last/journal.jsonl");
    let whole = fs::read(&path).unwrap();
    let beginning = whole.iter().position(|byte| *byte == b'\n').unwrap();
    for cut in 0..=whole.len() {
        fs::write(&path, &whole[..cut]).unwrap();
        let Ok(mut journal) = Journal::open(&path) else {
            assert!(cut < beginning, "cut at {cut}");
            continue;
        };
        let (sender, receiver) = mpsc::channel();
        let reported = replay(&mut journal, vec![Box::new(Told(sender))], "cut");
        assert_eq!(journal.unreadable, 0);
        let mut results = BTreeMap::new();
        for event in receiver {
            if let Event::TestFinished(test) = event {
                *results.entry(test.id).or_insert(0) += 1;
            }
        }
        let expected = ["g::t/fail", "g::t/flaky", "g::t/pass", "g::t/skip"];
        assert_eq!(
            results,
            expected.map(|id| (id.to_owned(), 1)).into(),
            "cut at {cut}"
        );
        // The end of the last line may be missing: it is whole without.
        let is_whole = cut >= whole.len() - 1;
        assert_eq!(reported.exit, if is_whole { 1 } else { 3 }, "cut at {cut}");
    }
    // The same through the command line, at fewer places.
    for cut in (beginning..whole.len() - 1).step_by(whole.len() / 24) {
        fs::write(&path, &whole[..cut]).unwrap();
        let ran = project
            .orchestrate(&["report", "--report", "jsonl"])
            .exits(3);
        assert_eq!(count(&ran.stdout, "\"event\":\"test-finished\""), 4);
    }
    fs::write(&path, &whole[..beginning / 2]).unwrap();
    project
        .orchestrate(&["report"])
        .exits(3)
        .says("the run's beginning, which names its tests, is not in it");
}

#[test]
fn garbage_in_a_journal_is_passed_over_and_told() {
    let project = Project::with("[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\n")
        .script("t/a", "exit 0")
        .script("t/b", "exit 0");
    project.run(&["-n", "1"]).exits(0);
    let path = project.path().join(".fastest/last/journal.jsonl");
    let whole = fs::read(&path).unwrap();
    let lines: Vec<&[u8]> = whole.split_inclusive(|byte| *byte == b'\n').collect();
    let first = lines[0];
    for (number, line) in lines.iter().enumerate() {
        // Each line is in turn broken, missing, and there twice; all without the end that would call it a success.
        let is_result = String::from_utf8_lossy(line).contains("test-finished");
        let is_end = number + 1 == lines.len();
        let garbage: &[u8] = b"\0\xff{\"v\":1,\"event\":\"test-finished\"}\n[]\n";
        let mut broken = lines.clone();
        broken[number] = garbage;
        fs::write(&path, broken.concat()).unwrap();
        let ran = project.orchestrate(&["report"]);
        assert_eq!(
            ran.code,
            if number == 0 || is_result || is_end {
                3
            } else {
                0
            }
        );
        if number > 0 {
            let ran = ran.says("2 lines of the journal can't be read");
            if is_result {
                ran.says("FAILED: 1 passed, 1 cancelled in ")
                    .says("its result is not in the journal");
            }
        }
        let mut twice = lines.clone();
        twice.insert(number, line);
        fs::write(&path, twice.concat()).unwrap();
        project
            .orchestrate(&["report"])
            .exits(0)
            .says("ok: 2 passed in ");
    }
    // A test that nobody has selected gets no result, and no exit code makes a success of tests that are not there.
    let forged =
        String::from_utf8_lossy(lines.last().unwrap()).replace("\"passed\":2", "\"passed\":3");
    let stranger = String::from_utf8_lossy(&lines.concat()).replace("g::t/b", "g::t/c");
    let text = [first, stranger.as_bytes(), forged.as_bytes()].concat();
    fs::write(&path, text).unwrap();
    project
        .orchestrate(&["report"])
        .exits(3)
        .says("FAILED: 1 passed, 1 not-run in ");
}

#[test]
fn many_runs_at_once_do_each_other_no_harm() {
    let project = Project::with("[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nworkers = 1\n")
        .script("t/a", "exit 0")
        .script("t/b", "exit 0");
    let kept = project.path().join(".fastest");
    for round in 0..6 {
        // In turn: nothing there, a history that is whole, one that is broken.
        match round % 3 {
            0 => drop(fs::remove_dir_all(&kept)),
            2 => fs::write(kept.join("history.db"), "not a database ".repeat(1000)).unwrap(),
            _ => {}
        }
        let children: Vec<Child> = (0..8)
            .map(|_| {
                project
                    .command(&["run"])
                    .stdout(Stdio::piped())
                    .stderr(Stdio::piped())
                    .spawn()
                    .unwrap()
            })
            .collect();
        for child in children {
            let output = child.wait_with_output().unwrap();
            let said = [output.stdout, output.stderr].concat();
            let said = String::from_utf8_lossy(&said);
            assert_eq!(output.status.code(), Some(0), "{said}");
            let warned = said.contains("warning: ") || said.contains("interrupted");
            assert!(!warned || round % 3 == 2, "{said}");
        }
        let history = rusqlite::Connection::open(kept.join("history.db")).unwrap();
        let tests: i64 = history
            .query_row("SELECT count(*) FROM tests", [], |row| row.get(0))
            .unwrap();
        assert_eq!(tests, 2);
    }
    // Eight that prune at once may leave some more than they should, never fewer.
    assert!(runs(&project).len() >= 20);
    project.run(&[]).exits(0);
    let runs = runs(&project);
    assert_eq!(runs.len(), 20);
    for id in runs {
        project.orchestrate(&["report", &id]).exits(0);
    }
    project.orchestrate(&["report"]).exits(0);
}

#[test]
fn old_runs_are_pruned_and_those_that_are_there_are_not() {
    let project = Project::with("[groups.g]\ncommand = [\"true\"]\n");
    let runs = project.path().join(".fastest/runs");
    // No process has such an id.
    let id = |number: usize| format!("202001{number:02}-000000.000-99999999");
    for number in 1..=30 {
        fs::create_dir_all(runs.join(id(number))).unwrap();
    }
    fs::create_dir(runs.join(format!(".new-{}", id(1)))).unwrap();
    fs::create_dir(runs.join("of-somebody-else")).unwrap();
    let lock = File::create(runs.join(id(1)).join("lock")).unwrap();
    flock(&lock, FlockOperation::LockExclusive).unwrap();
    File::create(runs.join(id(2)).join("lock")).unwrap();
    project
        .run(&[])
        .exits(0)
        .says(&format!("an earlier run ({}) was interrupted", id(2)));
    let left = |number| runs.join(id(number)).exists();
    assert!(left(1), "it is locked");
    assert!((2..=11).all(|number| !left(number)));
    assert!((12..=30).all(left));
    assert!(runs.join("of-somebody-else").exists());
    assert!(!runs.join(format!(".new-{}", id(1))).exists());
}

#[test]
fn what_is_broken_is_set_aside_with_a_warning_and_changes_no_result() {
    let aside = |project: &Project, folder: &str, name: &str| {
        let entries = fs::read_dir(project.path().join(folder)).unwrap();
        let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
        names
            .filter(|entry| entry.starts_with(&format!("{name}.corrupt-")))
            .count()
    };
    for (folder, name) in [
        (".", ".fastest"),
        (".fastest", "runs"),
        (".fastest", "history.db"),
    ] {
        for code in [0, 1] {
            let project = Project::with(&format!("[groups.g]\ncommand = \"exit {code}\"\n"))
                .file(&format!("{folder}/{name}"), &"garbage ".repeat(100));
            project
                .run(&[])
                .exits(code)
                .says("warning: ")
                .says("set aside as ");
            assert_eq!(aside(&project, folder, name), 1);
            let ran = project.run(&[]).exits(code);
            assert!(!ran.stdout.contains("warning: "), "{}", ran.stdout);
            project.orchestrate(&["report"]).exits(code);
        }
    }
}

#[test]
fn a_folder_that_can_not_be_made_is_a_warning_only() {
    let project = Project::with("[groups.g]\ncommand = [\"true\"]\n");
    symlink("no/such/folder", project.path().join(".fastest")).unwrap();
    project
        .run(&[])
        .exits(0)
        .says("warning: nothing is kept of this run: can't write .fastest: ")
        .says("ok: 1 passed");
}

/// Runs a shell's line in a project where file systems can be mounted, with `$0` as `orchestrate`; none where that is not
/// allowed.
fn with_mounts(project: &Project, line: &str) -> Option<(i32, String)> {
    let output = Command::new("unshare")
        .args(["--mount", "sh", "-c"])
        .arg(format!(
            "mount -t tmpfs -o size=64k tmpfs /mnt 2>&1 || exit 99; umount /mnt; {{ {line}; }} 2>&1"
        ))
        .arg(env!("CARGO_BIN_EXE_orchestrate"))
        .current_dir(project.path())
        .output();
    let output = output.ok().filter(|output| {
        let code = output.status.code();
        code != Some(99) && !(code == Some(1) && output.stdout.is_empty())
    });
    let Some(output) = output else {
        eprintln!("skipped: mounting needs rights that are not had here");
        return None;
    };
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    Some((output.status.code().unwrap_or(-1), text))
}

#[test]
fn a_repository_that_can_not_be_written_is_tested_all_the_same() {
    let project = Project::with("[groups.g]\ncommand = [\"true\"]\n");
    let read_only = "mount --bind . . && mount -o remount,ro,bind . && cd \"$PWD\" && \"$0\" run";
    // Without a history, and with one.
    for _ in 0..2 {
        let Some((code, said)) = with_mounts(&project, read_only) else {
            return;
        };
        assert_eq!(code, 0, "{said}");
        assert!(
            said.contains("warning: nothing is kept of this run"),
            "{said}"
        );
        assert!(said.contains("ok: 1 passed"), "{said}");
        assert!(!said.contains("history"), "{said}");
        project.run(&[]).exits(0);
    }
}

#[test]
fn a_full_disk_is_told_and_the_results_are_on_the_terminal() {
    let project = Project::with("[groups.g]\ncommand = \"seq 3000; exit 1\"\n")
        .file("out/.keep", "")
        .file(".fastest/.keep", "");
    let full = |folder: &str| format!("mount -t tmpfs -o size=4k tmpfs {folder}");
    let cases = [
        (".fastest", "run", "can't write the journal to"),
        (
            "out",
            "run --report junit=out/j.xml",
            "can't write the junit report to",
        ),
        (
            "out",
            "run --report jsonl=out/j",
            "can't write the jsonl report to",
        ),
        (
            "out",
            "report --report junit=out/j.xml",
            "can't write the junit report to",
        ),
    ];
    for (folder, arguments, told) in cases {
        project.orchestrate(&["run"]).exits(1);
        let line = format!(
            "{} && \"$0\" {arguments}; code=$?; echo left: out/*.xml out/.o*; exit $code",
            full(folder)
        );
        let Some((code, said)) = with_mounts(&project, &line) else {
            return;
        };
        assert_eq!(code, 3, "{arguments}: {said}");
        assert!(said.contains(told), "{arguments}: {said}");
        assert!(said.contains("FAILED: 1 failed in "), "{arguments}: {said}");
        assert!(
            said.contains("left: out/*.xml out/.o*\n"),
            "{arguments}: {said}"
        );
    }
    // A history that can't be written harms the next run's order only.
    let line = "mount -t tmpfs -o size=12k tmpfs .fastest && \"$0\" run -q";
    if let Some((code, said)) = with_mounts(&project, line) {
        assert!(code == 1 || said.contains("the journal"), "{said}");
    }
    assert!(Path::new("/dev/full").exists());
    for report in ["junit=/dev/full", "jsonl=/dev/full"] {
        for command in ["run", "report"] {
            project
                .orchestrate(&[command, "--report", report])
                .exits(3)
                .says("FAILED: 1 failed in ")
                .says("can't write the ")
                .says("to /dev/full: ");
        }
    }
}
