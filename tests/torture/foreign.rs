//! Events, histories and names that strangers have written: reading them takes as much memory as there is of them, and what is
//! shown of them is text and nothing else.

use std::fmt::Write as _;
use std::fs;

use serde_json::json;

use crate::kept::{bounded, passes};
use crate::support::Project;

const MANIFEST: &str = "[groups.g]\ncommand = [\"true\"]\n";

/// The beginning of a run with so many tests.
fn begun(tests: usize, name: &str) -> String {
    let ids: Vec<String> = (0..tests).map(|test| format!("g::{name}{test}")).collect();
    let line = json!({"v": 2, "at": 0.0, "event": "run-started", "run": name, "tests": tests, "workers": 1, "seed": 0,
        "groups": [{"name": "g", "tests": tests, "workers": 1, "ids": ids}]});
    format!("{line}\n")
}

fn repetition(number: usize) -> String {
    format!(
        "{}\n",
        json!({"v": 2, "at": 0.0, "event": "repetition-started", "repetition": number})
    )
}

fn passed(id: &str, repetition: usize) -> String {
    let line = json!({"v": 2, "at": 0.0, "event": "test-finished", "id": id, "group": "g", "outcome": "passed",
        "seconds": 0.0, "attempt": 1, "repetition": repetition});
    format!("{line}\n")
}

#[test]
fn repetitions_that_nothing_happens_in_take_no_memory() {
    let project = Project::with(MANIFEST);
    let mut text = begun(2000, "a");
    for number in 2..4000 {
        text.push_str(&repetition(number));
    }
    fs::write(project.path().join("a.jsonl"), &text).unwrap();
    fs::write(project.path().join("b.jsonl"), text.replace("g::a", "g::b")).unwrap();
    for arguments in [
        "merge a.jsonl",
        "merge a.jsonl b.jsonl --report=jsonl=m.jsonl --report=junit=j.xml",
    ] {
        let output = bounded(&project, arguments);
        assert_eq!(
            output.status.code(),
            Some(3),
            "{}",
            String::from_utf8_lossy(&output.stdout)
        );
    }
    let written = fs::metadata(project.path().join("m.jsonl")).unwrap().len();
    assert!(
        written < 20 * text.len() as u64,
        "{written} bytes of {}",
        text.len()
    );
}

/// One result a repetition makes all other tests lack one, again and again.
#[test]
fn what_is_written_of_merged_repetitions_is_no_more_than_was_read() {
    let project = Project::with(MANIFEST);
    for name in ["a", "b"] {
        let mut text = begun(500, name);
        for number in 2..1000 {
            text.push_str(&passed(&format!("g::{name}0"), number - 1));
            text.push_str(&repetition(number));
        }
        fs::write(project.path().join(format!("{name}.jsonl")), text).unwrap();
    }
    let output = bounded(&project, "merge a.jsonl b.jsonl --report=jsonl=m.jsonl");
    assert_eq!(output.status.code(), Some(3));
    let length = |name: &str| fs::metadata(project.path().join(name)).unwrap().len();
    let read = length("a.jsonl") + length("b.jsonl");
    assert!(
        length("m.jsonl") < 3 * read,
        "{} bytes of {read}",
        length("m.jsonl")
    );
    // And it says the same when it is read again.
    let again = bounded(&project, "merge m.jsonl --report=jsonl=again.jsonl");
    assert_eq!(again.status.code(), Some(3));
    let results = |name: &str| project.read(name).matches("\"test-finished\"").count();
    assert_eq!(results("m.jsonl"), results("again.jsonl"));
}

#[test]
fn a_line_without_an_end_takes_little_memory_whoever_reads_it() {
    let project = Project::with(MANIFEST);
    let file = fs::File::create(project.path().join("endless")).unwrap();
    // Sparse: it takes no room on disk.
    file.set_len(1 << 40).unwrap();
    for (arguments, why) in [
        ("merge endless", "can't read the events"),
        ("merge /dev/zero", "can't read the events"),
        ("history import endless", "longer than"),
        ("history import /dev/zero", "no regular file"),
    ] {
        let output = bounded(&project, arguments);
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        assert!(
            matches!(output.status.code(), Some(2 | 3)),
            "{arguments}: {text}"
        );
        assert!(text.contains(why), "{arguments}: {text}");
    }
    passes(&project, "run");
}

#[test]
fn a_history_is_imported_line_by_line_all_of_it_or_none() {
    let project = Project::with(MANIFEST);
    let mut text = String::new();
    for run in [2, 1] {
        for test in 0..500 {
            let line = json!({"v": 1, "run": format!("r{run}"), "test": {"id": format!("g::{test}"), "attempt": 1,
                "outcome": "passed", "seconds": run, "alone": run, "cpu": 0.0, "memory": 0, "workers": 1.0}});
            writeln!(text, "{line}").unwrap();
        }
    }
    fs::write(project.path().join("history.jsonl"), &text).unwrap();
    fs::write(project.path().join("broken.jsonl"), format!("{text}{{\n")).unwrap();
    let output = bounded(&project, "history import broken.jsonl");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert_eq!(output.status.code(), Some(3), "{said}");
    assert!(said.contains("line 1001 is no result"), "{said}");
    assert_eq!(passes(&project, "history export"), "");
    let said = passes(&project, "history import history.jsonl");
    assert!(said.contains("1000 lines were new"), "{said}");
    // A pipe can be read once only.
    let ran = project.shell("cat history.jsonl | orchestrate history import /dev/stdin");
    assert!(ran.stderr.contains("0 lines were new"), "{}", ran.stderr);
    // The run that is the last by its id is the last in the history.
    let shown = passes(&project, "history export --run last");
    assert!(shown.lines().count() == 500 && !shown.contains("\"r1\""));
}

/// XML 1.0 has no U+FFFE and no U+FFFF, whoever says them: tests, their names, hooks, groups of merged events.
#[test]
fn junit_has_no_character_that_xml_has_not() {
    let bad = "\u{fffe}\u{ffff}\u{1}\u{b}";
    let manifest = "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nafter-all = ['printf \"\\357\\277\\276\\357\\277\\277\\013\"; exit 1']\n";
    let project = Project::with(manifest).script(
        "t/a\u{fffe}\u{ffff}",
        "printf '\\357\\277\\276 \\357\\277\\277 \\013 \\001'; exit 1",
    );
    let ran = project.orchestrate(&["run", "--report=junit=own.xml", "--report=jsonl=own.jsonl"]);
    assert_eq!(ran.code, 3);
    let line = passed("g::x", 1).replace("\"g\"", &format!("{:?}", "GROUP"));
    let started = begun(1, "x")
        .replace("g::x0", "g::x")
        .replace("\"g\"", "\"GROUP\"");
    let merged = format!("{started}{line}").replace("GROUP", "g\u{fffe}\u{ffff}");
    fs::write(project.path().join("e.jsonl"), merged).unwrap();
    project.orchestrate(&["merge", "e.jsonl", "--report=junit=merged.xml"]);
    project.orchestrate(&["report", "--report=junit=again.xml"]);
    for name in ["own.xml", "merged.xml", "again.xml"] {
        let xml = project.read(name);
        assert!(xml.contains("<testcase"), "{name}: {xml}");
        assert!(!xml.contains(|c| bad.contains(c)), "{name}: {xml:?}");
    }
}

/// Names of files and texts of merged events.
#[test]
fn nothing_of_merged_or_kept_events_steers_the_terminal() {
    let escape = "\u{1b}]0;x\u{7}\u{9b}2J\u{202e}";
    let project = Project::with(MANIFEST);
    let name = format!("e{escape}.jsonl");
    let warning = json!({"v": 2, "at": 0.0, "event": "warning", "message": escape});
    let retried = passed(&format!("g::{escape}"), 1).replace("passed", "failed");
    let text = format!(
        "{}{warning}\n{}{retried}not json\n",
        begun(1, escape),
        retried.replace("finished", "retried")
    );
    fs::write(project.path().join(&name), &text).unwrap();
    fs::write(project.path().join(format!("again{name}")), &text).unwrap();
    let files = [name.as_str(), &format!("again{name}")];
    let folder = project.path().join(".fastest/runs/20200101-000000.000-1");
    fs::create_dir_all(&folder).unwrap();
    fs::write(folder.join("journal.jsonl"), &text).unwrap();
    let commands: [&[&str]; 9] = [
        &["merge", files[0], files[1]],
        &["merge", "-v", files[0]],
        &["merge", &format!("missing{escape}")],
        &["report", "-v"],
        &["report", escape],
        &["explain"],
        &["history", "import", files[0]],
        &["history", "show", escape],
        &["run", &format!("missing{escape}")],
    ];
    for arguments in commands {
        let ran = project.orchestrate(arguments);
        let said = format!("{}{}", ran.stdout, ran.stderr);
        assert!(!said.is_empty(), "{arguments:?}");
        let bad = said
            .chars()
            .find(|c| (c.is_control() && !"\n\t".contains(*c)) || *c == '\u{202e}');
        assert_eq!(bad, None, "{arguments:?}: {said:?}");
    }
}

/// What is wrong with a manifest is shown with the words of the manifest.
#[test]
fn no_manifest_steers_the_terminal() {
    for (text, arguments) in [
        ("[groups.\"a\\u001b[2J\\u009b\"]\nbogus = 1\n", "check"),
        ("[groups.g]\nrunner = \"exec\\u009b31m\"\n", "check"),
        ("[groups.g]\nrunner = \"exec\\u009b31m\"\n", "run"),
    ] {
        let project = Project::with(text);
        let output = bounded(&project, arguments);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stdout);
        let steers = |character: char| character.is_control() && character != '\n';
        assert!(!said.contains(steers), "{said:?}");
    }
}
