//! Reports: what is written, and what happens where it can't be.

use crate::support::Project;

fn project() -> Project {
    Project::with("[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nretries = 1\n")
        .script("t/pass", "exit 0")
        .script("t/fail", "printf 'red \\033[31m <&> \\001'; exit 1")
        .script("t/flaky", "[ $ORCHESTRATE_ATTEMPT = 2 ]")
        .script("t/skip", "exit 77")
}

#[test]
fn events_follow_their_schema_and_account_for_every_test() {
    let ran = project().run(&[]).exits(1);
    let schema = serde_json::from_str(include_str!("../../schema/events.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let events = ran.events();
    for event in &events {
        let errors: Vec<_> = validator
            .iter_errors(event)
            .map(|error| error.to_string())
            .collect();
        assert!(errors.is_empty(), "{event}: {errors:?}");
        assert_eq!(event["v"], 2);
    }
    assert_eq!(events[0]["event"], "run-started");
    let last = events.last().unwrap();
    assert_eq!(last["event"], "run-finished");
    assert_eq!(last["exit"], 1);
    assert_eq!(
        last["counts"],
        serde_json::json!({ "passed": 1, "failed": 1, "flaky": 1, "skipped": 1 })
    );
    assert_eq!(ran.events_of("test-finished").len(), 4);
    assert_eq!(
        ran.events_of("job-started").len(),
        ran.events_of("job-finished").len()
    );
}

#[test]
fn junit_has_a_test_case_for_every_test() {
    let project = project();
    project
        .run(&["--report", "junit=t/pass/junit.xml"])
        .exits(3)
        .says("can't write the junit report");
    project.run(&["--report", "junit=junit.xml"]).exits(1);
    let xml = project.read("junit.xml");
    assert!(xml.contains("tests=\"4\""), "{xml}");
    for case in ["t/pass", "t/fail", "t/flaky", "t/skip"] {
        assert!(
            xml.contains(&format!("name=\"{case}\" classname=\"g\"")),
            "{xml}"
        );
        assert!(xml.contains(&format!("file=\"{case}\"")), "{xml}");
    }
    // Importers show what is within a failure, and often nothing else.
    assert!(
        xml.contains(
            "<failure message=\"exited with code 1\" type=\"failed\">exited with code 1\n\nred  &lt;&amp;&gt; </failure>"
        ),
        "{xml}"
    );
    assert!(
        xml.contains("&lt;&amp;&gt;") && !xml.contains('\u{1}') && !xml.contains('\u{1b}'),
        "{xml}"
    );
    let left: Vec<_> = std::fs::read_dir(project.path())
        .unwrap()
        .flatten()
        .collect();
    assert!(
        left.iter()
            .all(|entry| !entry.file_name().to_string_lossy().ends_with(".tmp"))
    );
}

#[test]
fn a_report_that_can_not_be_written_is_said_before_anything_runs() {
    let project = Project::with("[groups.g]\ncommand = [\"touch\", \"ran\"]\n");
    for target in [
        "junit=/proc/nowhere/out.xml",
        "junit=.",
        "jsonl=/proc/nowhere/out.jsonl",
    ] {
        project
            .orchestrate(&["run", "--report", target])
            .exits(3)
            .says("can't write")
            .says("nothing ran\n  hint: ");
        assert!(!project.path().join("ran").exists());
    }
}

#[test]
fn a_report_on_standard_output_has_it_for_itself() {
    let ran = project()
        .orchestrate(&["run", "--report", "jsonl=-"])
        .exits(1);
    for line in ran.stdout.lines() {
        serde_json::from_str::<serde_json::Value>(line).unwrap();
    }
    assert!(ran.stderr.contains("1 failed"));
    project()
        .orchestrate(&["run", "--report", "jsonl", "--report", "junit"])
        .exits(2)
        .says("can't share standard output");
    project()
        .orchestrate(&["run", "--report", "jsonl=a", "--report", "junit=a"])
        .exits(2)
        .says("can't share a");
}

#[test]
fn the_manifest_can_ask_for_reports() {
    let project = Project::with("[run]\nreports = { junit = \"a.xml\", jsonl = \"b.jsonl\" }\n[groups.g]\ncommand = [\"true\"]\n").at("below");
    project.orchestrate(&["run"]).exits(0);
    assert!(project.read("a.xml").contains("tests=\"1\""));
    assert!(project.read("b.jsonl").contains("run-finished"));
}

#[test]
fn reports_of_the_manifest_the_profile_and_the_command_line_add_up() {
    let manifest = "[run]\nreports = { junit = \"plain.xml\" }\n[groups.g]\ncommand = [\"true\"]\n\
        [profiles.ci.run]\nreports = { jsonl = \"out/of/ci.jsonl\" }\n[profiles.other.run]\nreports = { junit = \"other.xml\" }\n";
    let project = Project::with(manifest);
    project
        .orchestrate(&["run", "--profile", "ci", "--report", "junit=more/mine.xml"])
        .exits(0);
    for name in ["plain.xml", "more/mine.xml"] {
        assert!(project.read(name).contains("tests=\"1\""), "{name}");
    }
    assert!(project.read("out/of/ci.jsonl").contains("run-finished"));
    // Of one format the profile's path counts.
    let project = Project::with(manifest);
    project.orchestrate(&["run", "--profile", "other"]).exits(0);
    assert_eq!(project.read("plain.xml"), "");
    assert!(project.read("other.xml").contains("tests=\"1\""));
    // What both ask for is written once; two reports can't be one file.
    project
        .orchestrate(&["run", "--report", "junit=plain.xml"])
        .exits(0);
    project
        .orchestrate(&["run", "--report", "jsonl=./plain.xml"])
        .exits(2)
        .says("the manifest writes its junit report there");
}

#[test]
fn the_terminal_shows_no_control_characters_of_a_test() {
    let ran = project()
        .run(&[])
        .exits(1)
        .says("red \\u{1b}[31m <&> \\u{1}");
    assert!(!ran.stdout.contains('\u{1b}'));
}

#[test]
fn a_name_can_not_steer_the_terminal_or_forge_a_line() {
    let name = "t/a\u{1b}[31m\u{9b}2J\nok: 9 passed\u{202e}\u{7f}";
    let project = Project::with(
        "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nretries = 1\n[groups.h]\ncommand = [\"true\"]\nneeds = [\"g\"]\n",
    )
    .script(name, "exit 1");
    // No text at all, and a name that can't be told from it.
    let path = {
        use std::os::unix::ffi::OsStrExt;
        project.path().join(std::ffi::OsStr::from_bytes(b"t/\xff"))
    };
    std::fs::copy(project.path().join(name), path).unwrap();
    let project = project.script("t/\u{fffd}", "exit 1");
    let ran = project.run(&["-v", "--report", "junit=j.xml"]).exits(1);
    assert_eq!(ran.events_of("test-finished").len(), 4);
    let told = project.orchestrate(&["report", "-v"]).exits(1);
    assert_eq!(told.stdout, ran.stdout);
    let steers = |c: char| (c.is_control() && c != '\n') || c == '\u{202e}';
    for text in [&ran.stdout, &ran.stderr] {
        assert!(!text.contains(steers), "{text}");
        assert!(!text.lines().any(|line| line.starts_with("ok")), "{text}");
    }
    let shown = "g::t/a\\u{1b}[31m\\u{9b}2J\\nok: 9 passed\\u{202e}\\u{7f}";
    assert!(ran.stdout.contains(shown), "{}", ran.stdout);
    let xml = project.read("j.xml");
    assert!(
        xml.contains("tests=\"4\"") && !xml.contains(['\u{1b}', '\u{9b}']),
        "{xml}"
    );
    let unknown = project.orchestrate(&["run", name, "and\u{1b}c"]).exits(2);
    assert!(!unknown.stderr.contains(steers), "{}", unknown.stderr);
    project
        .orchestrate(&["run", "-g", "\u{1b}c"])
        .exits(2)
        .says("\\u{1b}c");
}

#[test]
fn verbose_quiet_and_the_summary() {
    let project = project();
    let ran = project.run(&["-v"]).exits(1);
    assert_eq!(
        ran.stdout.matches("  g::t/").count(),
        6 + 4,
        "six tries, and the four slowest:\n{}",
        ran.stdout
    );
    let ran = project.run(&["-q"]).exits(1);
    assert!(!ran.stdout.contains("slowest"));
    ran.says("FAILED: 1 passed, 1 flaky, 1 failed, 1 skipped in ");
    project.run(&["-q", "-v"]).exits(2);
    project.run(&["t/pass"]).exits(0).says("ok: 1 passed in ");
}

#[test]
fn colours_are_asked_for_by_the_environment() {
    let is_coloured = |project: Project| project.run(&[]).stdout.contains("\u{1b}[1;31m");
    assert!(!is_coloured(project()));
    assert!(is_coloured(project().env("FORCE_COLOR", "1")));
    assert!(!is_coloured(
        project().env("FORCE_COLOR", "1").env("NO_COLOR", "1")
    ));
    assert!(is_coloured(project().env("CLICOLOR_FORCE", "1")));
    assert!(!is_coloured(project().env("CLICOLOR_FORCE", "0")));
    assert!(!is_coloured(project().env("CLICOLOR", "1")));
    assert!(!is_coloured(
        project().env("FORCE_COLOR", "0").env("CLICOLOR_FORCE", "1")
    ));
    assert!(!is_coloured(
        project().env("CLICOLOR_FORCE", "1").env("NO_COLOR", "1")
    ));
}

#[test]
fn a_reader_that_goes_away_changes_nothing() {
    let project = project();
    let mut child = project
        .command(&["run", "-v"])
        .stdout(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    assert_eq!(child.wait().unwrap().code(), Some(1));
}

#[test]
fn an_output_that_is_lost_or_closed_changes_nothing() {
    use std::process::{Command, Stdio};
    let project = project();
    let binary = env!("CARGO_BIN_EXE_orchestrate");
    for (arguments, code) in [
        ("run", 1),
        ("run -v --report junit=j.xml", 1),
        ("run -k nothing", 4),
        ("run --dry-run", 0),
        ("run -g unknown", 2),
        ("run --report jsonl=/proc/nowhere/out", 3),
        ("report", 1),
        ("list", 0),
        ("list -k nothing", 4),
    ] {
        for lost in ["> /dev/full 2>&1", ">&- 2>&-", "< /dev/null 2>&1 | true"] {
            // What the pipe's other side says does not count.
            let line = format!("{{ \"$0\" {arguments}; echo $? > code; }} {lost}");
            let done = Command::new("sh")
                .args(["-c", &line, binary])
                .current_dir(project.path())
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            assert!(done.is_ok());
            assert_eq!(
                project.read("code").trim(),
                code.to_string(),
                "{arguments} {lost}"
            );
        }
    }
    assert!(project.read("j.xml").contains("tests=\"4\""));
    // A report that was to go there is one that is missing.
    let line = "\"$0\" run --report jsonl=- > /dev/full; test $? = 3";
    let mut shell = Command::new("sh");
    shell.args(["-c", line, binary]).current_dir(project.path());
    assert!(shell.stderr(Stdio::null()).status().unwrap().success());
}

#[test]
fn without_capture_tests_write_to_the_terminal_themselves() {
    let project = Project::with("[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\n")
        .script("t/a", "echo from-a; echo err-a >&2")
        .script("t/b", "echo from-b");
    let ran = project.orchestrate(&["run", "--no-capture"]).exits(0);
    assert!(
        ran.stdout.contains("from-a\n") && ran.stdout.contains("from-b\n"),
        "{}",
        ran.stdout
    );
    assert!(ran.stderr.contains("err-a"), "{}", ran.stderr);
}

#[test]
fn long_output_is_cut_and_says_so() {
    let ran = Project::with("[groups.g]\ncommand = \"head -c 3000000 /dev/zero | tr '\\\\0' x; echo; echo the-end; exit 1\"\n").run(&[]).exits(1);
    let output = ran.events_of("test-finished")[0]["output"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(output.len() < 1_100_000);
    assert!(output.contains("of 3000009 bytes left out]") && output.ends_with("the-end\n"));
}

#[test]
fn the_journal_is_kept_and_last_names_it() {
    let project = Project::with("[groups.g]\ncommand = [\"true\"]\n");
    project.run(&[]).exits(0);
    let journal = project.read(".fastest/last/journal.jsonl");
    assert!(journal.lines().last().unwrap().contains("run-finished"));
    assert_eq!(project.read(".fastest/.gitignore"), "*\n");
}

/// Each event's time, in seconds since 1970.
#[test]
fn events_have_times_that_go_with_those_of_their_run() {
    let now = || {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        since.unwrap().as_secs_f64()
    };
    let before = now();
    let ran = project().run(&[]).exits(1);
    let after = now();
    let events = ran.events();
    let number = |event: &serde_json::Value, key: &str| event[key].as_f64().unwrap();
    let begun = number(&events[0], "time") - number(&events[0], "at");
    for event in &events {
        let time = number(event, "time");
        assert!((before - 0.1..=after + 0.1).contains(&time), "{event}");
        assert!(
            (time - number(event, "at") - begun).abs() < 0.001,
            "{event}"
        );
    }
}

/// What an older version has written is read.
#[test]
fn a_journal_without_times_is_read() {
    let project = Project::with("[groups.g]\ncommand = [\"true\"]\n");
    project.run(&[]).exits(0);
    let without_time = |line: &str| {
        let mut event: serde_json::Value = serde_json::from_str(line).unwrap();
        event["v"] = 1.into();
        event.as_object_mut().unwrap().remove("time");
        event.to_string()
    };
    let text = project.read("events.jsonl");
    let old: Vec<String> = text.lines().map(without_time).collect();
    let project = project.file("old.jsonl", &old.join("\n"));
    project
        .orchestrate(&["merge", "old.jsonl", "--report", "junit=j.xml"])
        .exits(0)
        .says("ok: 1 passed");
    let xml = project.read("j.xml");
    assert!(
        xml.contains("tests=\"1\"") && !xml.contains("timestamp"),
        "{xml}"
    );
}

#[test]
fn suites_say_when_they_began() {
    let project = Project::with(
        "[groups.a]\ncommand = [\"true\"]\n[groups.b]\ncommand = [\"sleep\", \"1.1\"]\nneeds = [\"a\"]\n",
    );
    project.run(&["--report", "junit=j.xml"]).exits(0);
    let stamps = |xml: &str| -> Vec<String> {
        let stamps = xml.split("timestamp=\"").skip(1);
        stamps
            .map(|rest| rest.split('"').next().unwrap().to_owned())
            .collect()
    };
    let xml = project.read("j.xml");
    let [run, a, b] = stamps(&xml).try_into().unwrap();
    assert!(run <= a && a <= b, "{xml}");
    assert!(run.len() == "2026-11-29T07:35:12.345+00:00".len(), "{xml}");
    // Also in a report of a run that is over.
    project
        .orchestrate(&["report", "--report", "junit=again.xml"])
        .exits(0);
    assert_eq!(stamps(&project.read("again.xml")), [run, a, b]);
}

/// A report without an error reads as success.
#[test]
fn a_hook_that_failed_is_an_error_of_its_suite() {
    for hook in ["after-all", "after-worker", "after-job"] {
        let manifest = format!(
            "[groups.g]\ncommand = [\"true\"]\n{hook} = [\"echo can not drop it; exit 7\"]\n"
        );
        let project = Project::with(&manifest);
        project.run(&["--report", "junit=j.xml"]).exits(3);
        let xml = project.read("j.xml");
        let case = format!(
            "<error message=\"{hook} exited with code 7\" type=\"hook\">{hook} exited with code 7\n\ncan not drop it\n</error>"
        );
        assert!(xml.contains(&case), "{xml}");
        assert!(
            xml.contains("tests=\"2\"") && xml.contains("errors=\"1\""),
            "{xml}"
        );
        assert!(
            xml.contains(&format!("name=\"{hook}\" classname=\"g\"")),
            "{xml}"
        );
    }
}

/// Importers look for files from the top of the repository.
#[test]
fn files_are_named_from_the_top_of_the_repository() {
    let file = |project: &Project, report: &[&str]| {
        project.orchestrate(report).exits(0);
        let xml = project.read("j.xml");
        let (_, rest) = xml.split_once("file=\"").unwrap();
        rest.split('"').next().unwrap().to_owned()
    };
    let project = Project::new()
        .file(
            "svc/fastest.toml",
            "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\n",
        )
        .script("svc/t/a", "exit 0")
        .at("svc/t");
    let run = ["run", "--report", "junit=../../j.xml"];
    assert_eq!(file(&project, &run), "t/a");
    // A work tree has a file there.
    let project = project.file(".git", "gitdir: elsewhere\n");
    assert_eq!(file(&project, &run), "svc/t/a");
    let report = ["report", "--report", "junit=../../j.xml"];
    assert_eq!(file(&project, &report), "svc/t/a");
}

#[test]
fn a_flaky_test_says_why_it_failed_first() {
    let project = Project::with("[groups.g]\ncommand = [\"./t\"]\nretries = 2\n").script(
        "t",
        "echo no route to host $ORCHESTRATE_ATTEMPT; [ $ORCHESTRATE_ATTEMPT = 3 ] || exit 5",
    );
    let ran = project.run(&["--report", "junit=j.xml"]).exits(0);
    let told = "flaky: g: passed at try 3\n  try 1: exited with code 5\n    no route to host 1\n";
    assert!(ran.stdout.contains(told), "{}", ran.stdout);
    let xml = project.read("j.xml");
    assert!(
        xml.contains("<flakyFailure") && xml.contains("no route to host 2"),
        "{xml}"
    );
}

#[test]
fn what_ran_out_of_time_is_told_with_its_limit() {
    let project = Project::with(
        "[run]\ntimeout = \"700ms\"\n[defaults]\ngrace = \"100ms\"\n[groups.g]\ncommand = 'sleep 600; : <items>'\nitems = [\"1\", \"2\"]\nworkers = 1\nchunk-size = 1\n",
    );
    let why = "the run timed out: `timeout` of `[run]` is 700ms";
    let ran = project.run(&["--report", "junit=j.xml"]).exits(1);
    assert_eq!(ran.outcomes(), ["g::1 cancelled", "g::2 not-run"]);
    for event in ran.events_of("test-finished") {
        assert_eq!(event["message"], why);
    }
    assert_eq!(ran.events_of("run-finished")[0]["stopped"], why);
    let summary = ran.stdout.lines().last().unwrap();
    assert!(summary.contains(why), "{summary}");
    assert!(project.read("j.xml").contains(why));
}

#[test]
fn a_run_that_stops_early_says_after_what() {
    let project = Project::with(
        "[groups.g]\ncommand = 'exit 1; : <items>'\nitems = [\"1\", \"2\", \"3\"]\nworkers = 1\nchunk-size = 1\n",
    );
    let summary = |arguments: &[&str]| {
        let ran = project.run(arguments).exits(1);
        ran.stdout.lines().last().unwrap().to_owned()
    };
    let text = summary(&["-x"]);
    assert!(
        text.contains("1 failed, 2 not-run, the run stopped after the first failed test"),
        "{text}"
    );
    let text = summary(&["--max-fail", "2"]);
    assert!(
        text.contains("the run stopped after 2 failed tests (`max-fail`)"),
        "{text}"
    );
}

/// CI services end a job that is silent for long.
#[test]
fn a_long_run_says_how_far_it_is_where_there_is_no_terminal() {
    let project = Project::with(
        "[groups.g]\ncommand = 'sleep 2; : <items>'\nitems = [\"1\", \"2\", \"3\"]\nworkers = 1\nchunk-size = 1\nslow-after = 0\n",
    );
    let ran = project.run(&[]).exits(0);
    let progress: Vec<_> = ran
        .stdout
        .lines()
        .filter(|line| line.contains("progress "))
        .collect();
    assert!(!progress.is_empty(), "{}", ran.stdout);
    assert!(
        progress[0].contains(" of 3 tests; running: g::"),
        "{}",
        ran.stdout
    );
    for arguments in [&["-q"][..], &["--no-capture"]] {
        let ran = project.run(arguments).exits(0);
        assert!(!ran.stdout.contains("progress "), "{}", ran.stdout);
    }
}

#[test]
fn a_failure_message_is_bounded_like_output() {
    let project = Project::with(
        "[runners.r]\nlist = [\"echo\", \"a\"]\nrun = [\"./mine\", \"<report>\"]\nresults = \"events\"\n\
        [groups.g]\nrunner = \"r\"\noutput-limit = 1000\n",
    )
    .script(
        "mine",
        "long=$(head -c 50000 /dev/zero | tr '\\0' x); echo '{\"event\":\"finished\",\"id\":\"a\",\"outcome\":\"failed\",\"message\":\"begin'$long'end\",\"output\":\"'$long'\"}' > $1; exit 1",
    );
    let ran = project.run(&[]).exits(1);
    let event = &ran.events_of("test-finished")[0];
    for key in ["message", "output"] {
        let text = event[key].as_str().unwrap();
        assert!(text.len() < 1200, "{key}: {}", text.len());
        assert!(text.contains("bytes left out]"), "{key}: {text}");
    }
    let message = event["message"].as_str().unwrap();
    assert!(
        message.starts_with("beginx") && message.ends_with("xend"),
        "{message}"
    );
}
