//! Shards: several machines share the tests of one run, and their results are joined again.

use std::collections::BTreeMap;
use std::fs;

use crate::support::{Project, Ran, python};

/// Nine tests in three folders, and a group that is one test.
fn project() -> Project {
    let project = Project::with(
        "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*/*\"]\n[groups.lint]\ncommand = [\"true\"]\n",
    );
    (0..9).fold(project, |project, number| {
        project.script(&format!("t/{}/{number}", number / 3), "exit 0")
    })
}

/// Runs a shard on a machine of its own; its events are kept here as `NAME.jsonl`.
fn shard(home: &Project, name: &str, machine: &Project, arguments: &[&str]) -> Ran {
    let ran = machine.run(arguments);
    fs::copy(
        machine.path().join("events.jsonl"),
        home.path().join(format!("{name}.jsonl")),
    )
    .unwrap();
    ran
}

fn ids(ran: &Ran) -> Vec<String> {
    let finished = ran.events_of("test-finished");
    finished
        .iter()
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect()
}

fn lines(text: &str) -> Vec<String> {
    let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

#[test]
fn shards_together_are_the_whole_run() {
    let home = project();
    let whole = lines(&home.orchestrate(&["list"]).exits(0).stdout);
    assert_eq!(whole.len(), 10);
    let mut together = Vec::new();
    for number in 1..=3 {
        let name = format!("{number}/3");
        let option = format!("--shard={name}");
        let ran = shard(&home, &number.to_string(), &project(), &[&option]).exits(0);
        ran.says(&format!("shard {name}: "))
            .says(" of 10 tests, divided by hash");
        let listed = lines(&home.orchestrate(&["list", &option]).exits(0).stdout);
        let count = format!("{} test", listed.len());
        home.orchestrate(&["plan", &option]).exits(0).says(&count);
        together.extend(listed);
    }
    together.sort();
    assert_eq!(together, whole);
    let merge = |order: [&str; 3]| {
        let names = order.map(|number| format!("{number}.jsonl"));
        let [a, b, c] = &names;
        let ran = home.orchestrate(&[
            "merge",
            a,
            b,
            c,
            "--report",
            "junit=junit.xml",
            "--report",
            "jsonl=all.jsonl",
        ]);
        ran.exits(0).says("ok: 10 passed in ")
    };
    let merged = merge(["1", "2", "3"]);
    let (junit, events) = (home.read("junit.xml"), home.read("all.jsonl"));
    assert!(
        junit.contains("tests=\"10\" skipped=\"0\" failures=\"0\" errors=\"0\""),
        "{junit}"
    );
    // In whatever order they are named.
    assert_eq!(merge(["3", "1", "2"]).stdout, merged.stdout);
    assert_eq!(
        (home.read("junit.xml"), home.read("all.jsonl")),
        (junit, events.clone())
    );
    let finished: Vec<String> = events
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
        .filter(|event| event["event"] == "test-finished")
        .map(|event| event["id"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(lines(&finished.join("\n")), whole);
    // What was merged is a run like any other.
    home.orchestrate(&["merge", "all.jsonl"]).exits(0);
    let schema = serde_json::from_str(include_str!("../../schema/events.schema.json")).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    for line in events.lines() {
        assert!(
            validator.is_valid(&serde_json::from_str(line).unwrap()),
            "{line}"
        );
    }
}

#[test]
fn a_missing_shard_is_found_by_the_tests_that_it_had() {
    let home = project();
    let two = shard(&home, "2", &project(), &["--shard", "2/3"]).exits(0);
    shard(&home, "1", &project(), &["--shard", "1/3"]).exits(0);
    let third = home
        .orchestrate(&["list", "--shard", "3/3"])
        .exits(0)
        .stdout;
    let ran = home
        .orchestrate(&["merge", "1.jsonl", "2.jsonl", "--report", "junit=junit.xml"])
        .exits(3)
        .says("hint: no run is shard 3/3: merge that too");
    for id in third.lines() {
        assert!(
            ran.stderr.contains(id),
            "{id} is not named in {}",
            ran.stderr
        );
    }
    let count = third.lines().count();
    let ran = ran.says(&format!("{count} not-run in "));
    assert!(
        ran.stdout
            .contains("not run, as it ran in none of the runs that are merged")
    );
    assert!(
        home.read("junit.xml").contains("tests=\"10\""),
        "each test is in the report"
    );
    // The same one twice: each of its tests ran in two.
    let ran = home
        .orchestrate(&["merge", "1.jsonl", "2.jsonl", "./2.jsonl"])
        .exits(3)
        .says("hint: ./2.jsonl and 2.jsonl are each shard 2/3: leave out all but one");
    for id in ids(&two) {
        assert!(
            ran.stderr
                .contains(&format!("{id} in ./2.jsonl and 2.jsonl")),
            "{}",
            ran.stderr
        );
    }
}

/// What the nine tests took, as a history that can be imported; the first of each folder took longer by so much.
fn history(more: u32) -> String {
    let line = |number: u32| {
        let seconds = if number.is_multiple_of(3) {
            1 + more
        } else {
            1
        };
        let id = format!("g::t/{}/{number}", number / 3);
        format!(
            "{{\"v\":1,\"run\":\"20260101-000000.000-1\",\"test\":{{\"id\":\"{id}\",\"attempt\":1,\"outcome\":\"passed\",\
             \"seconds\":{seconds},\"alone\":{seconds},\"cpu\":0,\"memory\":0,\"workers\":1}}}}\n"
        )
    };
    (0..9).map(line).collect()
}

fn with_history(more: u32) -> Project {
    let project = project().file("history.jsonl", &history(more));
    project
        .orchestrate(&["history", "import", "history.jsonl"])
        .exits(0);
    project
}

#[test]
fn a_shard_whose_history_differs_is_found_out() {
    let home = project();
    for number in 1..=3 {
        let option = format!("--shard={number}/3");
        let ran = shard(&home, &number.to_string(), &with_history(9), &[&option]).exits(0);
        let ran = ran.says("divided by time");
        // Long tests are shared out, one each.
        let long = ids(&ran)
            .iter()
            .filter(|id| ["0/0", "1/3", "2/6"].iter().any(|long| id.ends_with(long)))
            .count();
        assert_eq!(long, 1);
    }
    home.orchestrate(&["merge", "1.jsonl", "2.jsonl", "3.jsonl"])
        .exits(0)
        .says("ok: 10 passed");
    // One that knows nothing divides by hash.
    let other = shard(&home, "other", &project(), &["--shard=2/3"]).exits(0);
    let one = ids(&shard(&home, "1", &with_history(9), &["--shard=1/3"]));
    let three = ids(&shard(&home, "3", &with_history(9), &["--shard=3/3"]));
    let mut times: BTreeMap<String, usize> = BTreeMap::new();
    for id in [one, ids(&other), three].concat() {
        *times.entry(id).or_default() += 1;
    }
    let all = lines(&home.orchestrate(&["list"]).stdout);
    let ran = home
        .orchestrate(&["merge", "1.jsonl", "other.jsonl", "3.jsonl"])
        .exits(3)
        .says(
            "hint: 1.jsonl and other.jsonl were divided by different histories: begin all shards with the same one, \
             `orchestrate history import FILE` where there is no .fastest/history.db yet",
        );
    for id in all {
        let is_named = ran.stderr.contains(&id);
        assert_eq!(is_named, times.get(&id) != Some(&1), "{id}: {}", ran.stderr);
    }
    // Nothing but what is known of the tests counts: a run of something else in between changes nothing.
    let busy = with_history(9).script("u/x", "exit 0");
    let manifest = busy.read("fastest.toml") + "[groups.u]\nrunner = \"exec\"\nfiles = [\"u/*\"]\n";
    let busy = busy.file("fastest.toml", &manifest);
    busy.run(&["-g", "u"]).exits(0);
    let of = |project: &Project| {
        let list = ["list", "--shard=2/3", "-g", "g", "-g", "lint"];
        project.orchestrate(&list).exits(0).stdout
    };
    assert_eq!(of(&busy), of(&with_history(9)));
}

#[test]
fn results_that_are_bad_or_missing_count_in_the_whole() {
    let home = project().script("t/1/4", "echo what-it-said; exit 1");
    let mut failed = 0;
    for number in 1..=3 {
        let machine = project().script("t/1/4", "echo what-it-said; exit 1");
        let option = format!("--shard={number}/3");
        failed += shard(&home, &number.to_string(), &machine, &[&option]).code;
    }
    assert_eq!(failed, 1);
    let files = ["merge", "1.jsonl", "2.jsonl", "3.jsonl"];
    home.orchestrate(&files)
        .exits(1)
        .says("what-it-said")
        .says("FAILED: 9 passed, 1 failed in ");
    // One that was cut off after its first result.
    let text = home.read("2.jsonl");
    let first = text.find("test-finished").unwrap();
    let cut = first + text[first..].find('\n').unwrap() + 1;
    fs::write(home.path().join("2.jsonl"), &text[..cut]).unwrap();
    let lost = text.matches("\"event\":\"test-finished\"").count() - 1;
    assert!(lost > 0);
    home.orchestrate(&files)
        .exits(3)
        .says("no result: 2.jsonl: its result is not in there")
        .says("FAILED: ");
    home.orchestrate(&["merge", "1.jsonl", "gone.jsonl"])
        .exits(2)
        .says("there is no file or folder gone.jsonl");
    home.orchestrate(&["merge", "t", "1.jsonl"])
        .exits(2)
        .says("t is no run's folder: there is no journal.jsonl in it");
    home.orchestrate(&["merge", "fastest.toml"])
        .exits(3)
        .says("can't read the events of fastest.toml");
    home.orchestrate(&["merge"]).exits(2);
}

/// The events of merged runs, which can be merged again.
fn merged_events(home: &Project, code: i32) -> Ran {
    let names = ["1.jsonl", "2.jsonl", "3.jsonl"];
    let reports = ["--report", "junit=junit.xml", "--report", "jsonl=all.jsonl"];
    let arguments = [&["merge"][..], &names, &reports].concat();
    let merged = home.orchestrate(&arguments).exits(code);
    let last = |ran: &Ran| ran.stdout.lines().last().unwrap_or_default().to_owned();
    let again = home.orchestrate(&["merge", "all.jsonl"]).exits(code);
    assert_eq!(last(&merged), last(&again));
    merged
}

#[test]
fn repetitions_of_shards_are_those_of_the_whole() {
    let home = project();
    for number in 1..=3 {
        let option = format!("--shard={number}/3");
        let arguments = [option.as_str(), "--repeat", "3"];
        shard(&home, &number.to_string(), &project(), &arguments).exits(0);
    }
    merged_events(&home, 0).says("ok: 30 passed in ");
    let junit = home.read("junit.xml");
    for suite in [
        "g\" tests=\"9\"",
        "g (repetition 3)\" tests=\"9\"",
        "lint (repetition 2)\" tests=\"1\"",
    ] {
        assert!(junit.contains(suite), "{suite} is not in {junit}");
    }
}

/// Each shard goes on until something of its own fails.
#[test]
fn shards_that_repeat_differently_often_are_a_whole() {
    let home = project();
    for number in 1..=3 {
        // A shard's own tests fail in the repetition of its number.
        let fails = format!("echo + >>$0.log; [ $(grep -c + $0.log) -lt {number} ]");
        let mut machine = project();
        for test in 0..9 {
            machine = machine.script(&format!("t/{}/{test}", test / 3), &fails);
        }
        let machine = machine.file(
            "fastest.toml",
            "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*/[0-9]\"]\n",
        );
        let option = format!("--shard={number}/3");
        shard(
            &home,
            &number.to_string(),
            &machine,
            &[&option, "--until-fail"],
        )
        .exits(1);
    }
    let merged = merged_events(&home, 1).says("FAILED: ");
    assert!(
        !merged.stdout.contains("not-run") && !merged.stdout.contains("cancelled"),
        "{}",
        merged.stdout
    );
    // As many results as the shards had themselves.
    let lines = |name: &str| {
        home.read(name)
            .matches("\"event\":\"test-finished\"")
            .count()
    };
    let own: usize = (1..=3)
        .map(|number| lines(&format!("{number}.jsonl")))
        .sum();
    assert_eq!(lines("all.jsonl"), own);
    assert!(merged.stdout.contains(" 9 failed"), "{}", merged.stdout);
}

/// What is in a file is known only once it has run, and what is in none may be reported by each shard.
#[test]
fn tests_that_are_only_reported_are_merged_with_the_files_that_they_are_in() {
    let machine = || {
        let manifest = "[runners.mine]\nrun = [\"./mine\", \"<report>\", \"<items>\"]\nresults = \"junit\"\ntests = \"reported\"\n\
            [groups.g]\nrunner = \"mine\"\nfiles = [\"t/*\"]\nchunk-size = 9\nchunk-by = \"any\"\n";
        let script = "report=$1; shift\n{ echo '<testsuites><testsuite><testcase name=\"setup\"/></testsuite>'\nfor file; do \
             echo \"<testsuite><testcase file='$file' name='x'/><testcase file='$file' name='y'><failure message='no'/></testcase></testsuite>\"; \
             done; echo '</testsuites>'; } >$report; exit 1";
        let project = Project::with(manifest).script("mine", script);
        (0..9).fold(project, |project, number| {
            project.file(&format!("t/{number}"), "")
        })
    };
    let home = machine();
    let mut setups = 0;
    for number in 1..=3 {
        let option = format!("--shard={number}/3");
        let ran = shard(
            &home,
            &number.to_string(),
            &machine(),
            &[&option, "--repeat", "2"],
        )
        .exits(1);
        let found = ran.events_of("tests-found");
        setups += found.iter().filter(|found| found["of"].is_null()).count();
    }
    assert!(setups >= 2, "no shard reported what is in no file");
    merged_events(&home, 1).says(&format!("FAILED: {} passed, 18 failed", 18 + setups));
    let (junit, events) = (home.read("junit.xml"), home.read("all.jsonl"));
    assert_eq!(junit.matches("name=\"t/0::").count(), 4, "{junit}");
    assert!(
        !events.contains("\"id\":\"g::t/0\""),
        "a file has no result of its own"
    );
    // The files of a shard that is missing are what is known of its tests.
    let files = home
        .orchestrate(&["list", "--shard", "3/3"])
        .exits(0)
        .stdout;
    let ran = home.orchestrate(&["merge", "1.jsonl", "2.jsonl"]).exits(3);
    for file in files.lines() {
        assert!(
            ran.stderr.contains(file),
            "{file} is not named in {}",
            ran.stderr
        );
    }
    ran.says(&format!("{} not-run", files.lines().count()));
}

#[test]
fn runs_that_are_kept_here_are_merged_by_their_ids() {
    let project = project();
    project.run(&["--shard=1/2"]).exits(0);
    project.run(&["--shard=2/2", "--order=listed"]).exits(0);
    let entries = fs::read_dir(project.path().join(".fastest/runs")).unwrap();
    let mut kept: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    kept.sort();
    let folder = format!(".fastest/runs/{}", kept[0]);
    // The second has what the first measured to divide by, so they need not be a whole; each is one of the two.
    let ran = project.orchestrate(&["merge", &folder, &kept[1]]);
    assert!([0, 3].contains(&ran.code), "{}", ran.stderr);
    if ran.code == 3 {
        ran.says("were divided by different histories");
    }
    project
        .orchestrate(&["merge", &kept[1], "nonsense"])
        .exits(2)
        .says("no run is called \"nonsense\"");
}

#[test]
fn a_shard_without_tests_is_no_error() {
    let project = Project::with("[groups.one]\ncommand = [\"true\"]\n");
    let empty = if lines(
        &project
            .orchestrate(&["list", "--shard=1/2"])
            .exits(0)
            .stdout,
    )
    .is_empty()
    {
        "1/2"
    } else {
        "2/2"
    };
    let option = format!("--shard={empty}");
    let message = format!("shard {empty} has no test: other shards have all 1");
    project
        .orchestrate(&["list", &option])
        .exits(0)
        .says(&message);
    project
        .orchestrate(&["plan", &option])
        .exits(0)
        .says(&message);
    project
        .orchestrate(&["run", "--dry-run", &option])
        .exits(0)
        .says(&message);
    // The reports that were asked for are there, and the run is kept: a merge can tell that this shard was there.
    let ran = project.run(&[&option, "--report=junit=junit.xml"]).exits(0);
    let ran = ran
        .says(&format!("shard {empty}: 0 of 1 test"))
        .says("ok: no tests in ");
    assert_eq!(ran.events_of("run-finished")[0]["exit"], 0);
    assert!(project.read("junit.xml").contains("tests=\"0\""));
    project
        .orchestrate(&["report"])
        .exits(0)
        .says("ok: no tests");
    // What is exported of it is nothing, and not what ran before it.
    project.run(&[]).exits(0);
    project.run(&[&option]).exits(0);
    project
        .orchestrate(&["history", "export", "--run=last", "last.jsonl"])
        .exits(0)
        .says("0 lines are written to last.jsonl");
    // Nothing at all is still nothing.
    project
        .orchestrate(&["run", "-k", "nothing", &option])
        .exits(4);
    project
        .orchestrate(&["list", "-k", "nothing", &option])
        .exits(4);
}

#[test]
fn jobs_and_hooks_are_told_their_shard_and_listings_are_not() {
    let project = Project::with(
        "[groups.a]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nbefore-all = [\"echo before $TEST_SHARD_INDEX $TEST_TOTAL_SHARDS >>log\"]\n\
         before-worker = [\"echo worker $TEST_SHARD_INDEX >>log\"]\nafter-job = [\"echo after $TEST_SHARD_INDEX >>log\"]\n\
         [groups.own]\ncommand = \"echo own $TEST_SHARD_INDEX $TEST_TOTAL_SHARDS >>log\"\nenv = { TEST_TOTAL_SHARDS = \"1\", TEST_SHARD_INDEX = \"0\" }\n\
         [groups.listed]\ncommand = [\"true\", \"<items>\"]\nitems = { command = [\"sh\", \"-c\", \"echo item${TEST_TOTAL_SHARDS-}\"] }\n",
    )
    .script("t/a", "echo job $TEST_SHARD_INDEX $TEST_TOTAL_SHARDS >>log");
    // A shard of one has it all.
    project.run(&["--shard", "1/1", "-n", "1"]).exits(0);
    let log = lines(&project.read("log"));
    assert_eq!(
        log,
        ["after 0", "before 0 1", "job 0 1", "own 0 1", "worker 0"]
    );
    // One of four has each; what is measured by one is not for the others.
    let mut logs = BTreeMap::new();
    for number in 1..=4 {
        let _ = fs::remove_file(project.path().join("log"));
        let _ = fs::remove_file(project.path().join(".fastest/history.db"));
        let ran = project
            .run(&[&format!("--shard={number}/4"), "-n", "1"])
            .exits(0);
        let log = project.read("log");
        for id in ids(&ran) {
            logs.insert(id, (number - 1, lines(&log)));
        }
    }
    // Nobody has listed an `item4`.
    let listed: Vec<&str> = logs.keys().map(String::as_str).collect();
    assert_eq!(listed, ["a::t/a", "listed::item", "own"]);
    let (index, log) = &logs["a::t/a"];
    for line in [
        "job INDEX 4",
        "before INDEX 4",
        "worker INDEX",
        "after INDEX",
    ] {
        let line = line.replace("INDEX", &index.to_string());
        assert!(log.contains(&line), "{line:?} is not in {log:?}");
    }
    assert!(logs["own"].1.contains(&"own 0 1".to_owned()), "{logs:?}");
    fs::remove_file(project.path().join("log")).unwrap_or_default();
    // Who is no shard is told nothing.
    project.run(&["-g", "a", "-n", "1"]).exits(0);
    assert_eq!(
        lines(&project.read("log")),
        ["after", "before", "job", "worker"]
    );
}

#[test]
fn what_belongs_together_is_in_one_shard_and_warm_tests_are_told_which() {
    let Some(python) = python() else { return };
    let mut text = "import os, pytest\n".to_owned();
    for number in 0..24 {
        let mark = match number % 4 {
            0 => "@pytest.mark.xdist_group(\"a\")\n",
            1 => "@pytest.mark.group(\"b\")\n",
            _ => "",
        };
        text += &format!(
            "{mark}def test_{number}():\n    assert os.environ[\"TEST_TOTAL_SHARDS\"] == \"3\"\n    \
             open(\"log\", \"a\").write(os.environ[\"TEST_SHARD_INDEX\"] + \" {number}\\n\")\n"
        );
    }
    let manifest = format!(
        "[groups.py]\nrunner = \"pytest\"\nfiles = [\"test_*.py\"]\nwith = {{ python = \"{python}\" }}\n"
    );
    let project = Project::with(&manifest)
        .file(
            "pytest.ini",
            "[pytest]\nmarkers =\n  xdist_group\n  group\n",
        )
        .file("test_a.py", &text);
    for number in 1..=3 {
        let option = format!("--shard={number}/3");
        // What the first has measured is not for the others.
        project.run(&[&option]).exits(0);
        fs::remove_file(project.path().join(".fastest/history.db")).unwrap();
    }
    let mut where_: BTreeMap<usize, String> = BTreeMap::new();
    for line in project.read("log").lines() {
        let (shard, number) = line.split_once(' ').unwrap();
        let before = where_.insert(number.parse().unwrap(), shard.to_owned());
        assert_eq!(before, None, "{line} ran twice");
    }
    assert_eq!(where_.len(), 24);
    for kind in 0..2 {
        let mut shards: Vec<_> = (0..24)
            .filter(|n| n % 4 == kind)
            .map(|n| &where_[&n])
            .collect();
        shards.dedup();
        assert_eq!(shards.len(), 1, "{where_:?}");
    }
    let mut used: Vec<_> = where_.values().collect();
    used.sort();
    used.dedup();
    assert!(used.len() > 1, "{where_:?}");
}

#[test]
fn a_shard_that_is_none_is_refused() {
    for (text, why) in [
        ("0/3", "shards are counted from 1/3 to 3/3"),
        ("4/3", "shards are counted from 1/3 to 3/3"),
        ("2", "as in 2/5"),
        ("1/0", "there must be one shard at least"),
    ] {
        project()
            .orchestrate(&["run", "--shard", text])
            .exits(2)
            .says(why);
    }
}

#[test]
fn a_shard_goes_by_what_is_selected() {
    let project = project();
    let mut together = Vec::new();
    for number in 1..=2 {
        let option = format!("--shard={number}/2");
        let list = ["list", "t/0", "--exclude", "t/0/1", option.as_str()];
        let listed = project.orchestrate(&list).exits(0).stdout;
        together.extend(lines(&listed));
    }
    together.sort();
    assert_eq!(together, ["g::t/0/0", "g::t/0/2"]);
}

#[test]
fn what_is_needed_counts_within_a_shard() {
    // Where they are is the hash's business; each of two shards has the second group's test without the first, or both.
    let project = Project::with(
        "[groups.first]\ncommand = \"exit 1\"\n[groups.second]\nneeds = [\"first\"]\ncommand = [\"true\"]\n",
    );
    let mut outcomes = Vec::new();
    for number in 1..=9 {
        let ran = project.run(&[&format!("--shard={number}/9")]);
        outcomes.extend(ran.outcomes());
        let _ = fs::remove_file(project.path().join(".fastest/history.db"));
    }
    outcomes.sort();
    assert_eq!(outcomes, ["first failed", "second passed"]);
}
