//! Hooks: when they run, what they hand down, and what becomes of what they start.

use crate::support::Project;

/// A group with two tests on one worker, whose hooks each write a line to `log`.
fn logged(more: &str) -> Project {
    let mut manifest = format!(
        "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nworkers = 1\nresources = {{ database = \"db_<pid>\" }}\n{more}\n"
    );
    for hook in [
        "before-all",
        "before-worker",
        "before-job",
        "after-job",
        "after-worker",
        "after-all",
    ] {
        if !more.contains(&format!("{hook} =")) {
            let who = if hook.ends_with("all") {
                ""
            } else {
                " <database>"
            };
            manifest += &format!("{hook} = [\"echo {hook}{who} >> log\"]\n");
        }
    }
    Project::with(&manifest)
        .script("t/a", "echo a db_$ORCHESTRATE_PID >> log")
        .script("t/b", "echo b db_$ORCHESTRATE_PID >> log; exit 1")
}

/// The log with the worker's number taken out, which must be the same everywhere.
fn log(project: &Project) -> Vec<String> {
    let text = project.read("log");
    let mut pids: Vec<&str> = text
        .split("db_")
        .skip(1)
        .map(|rest| rest.split_whitespace().next().unwrap())
        .collect();
    pids.dedup();
    assert!(pids.len() <= 1, "{text}");
    let pid = pids.first().copied().unwrap_or("none");
    text.replace(&format!(" db_{pid}"), "")
        .lines()
        .map(str::to_owned)
        .collect()
}

#[test]
fn hooks_run_around_a_group_its_workers_and_its_jobs() {
    let project = logged("");
    let ran = project.run(&[]).exits(1);
    assert_eq!(ran.outcomes(), ["g::t/a passed", "g::t/b failed"]);
    assert_eq!(
        log(&project),
        [
            "before-all",
            "before-worker",
            "before-job",
            "a",
            "after-job",
            "before-job",
            "b",
            "after-job",
            "after-worker",
            "after-all"
        ]
    );
    assert_eq!(ran.events_of("hook-started").len(), 8);
    assert_eq!(ran.events_of("hook-finished").len(), 8);
}

#[test]
fn what_a_hook_writes_to_its_file_are_variables_for_everything_below_it() {
    let manifest = "[groups.g]\ncommand = 'echo \"$ALL $WORKER $JOB\" >> log'\nitems = [\"1\", \"2\"]\nworkers = 1\n\
        before-all = ['echo ALL=all >> \"$ORCHESTRATE_ENV\"', 'echo \"ALL=$ALL again\" >> \"$ORCHESTRATE_ENV\"']\n\
        before-worker = ['echo \"WORKER=$ALL worker\" >> $ORCHESTRATE_ENV']\n\
        before-job = ['echo JOB=job >> $ORCHESTRATE_ENV']\n\
        after-all = ['echo \"after $ALL $WORKER\" >> log']\n";
    let project = Project::with(&manifest.replace("command = 'echo", "command = ': <items>; echo"));
    project.run(&[]).exits(0);
    let line = "all again all again worker job\n";
    assert_eq!(
        project.read("log"),
        format!("{line}{line}after all again \n")
    );
}

#[test]
fn a_line_that_is_no_variable_fails_the_hook() {
    // What is behind the name may be secret.
    for (line, shown) in [
        ("no variable", "11 bytes without `=`"),
        ("=x", "\"=\u{2026}\""),
        ("ORCHESTRATE_PID=1", "\"ORCHESTRATE_PID=\u{2026}\""),
        ("export A=1", "\"export A=\u{2026}\""),
        ("A B=1", "\"A B=\u{2026}\""),
        ("'A'=1", "\"'A'=\u{2026}\""),
        ("A[END", "5 bytes without `=`"),
    ] {
        let more = format!(
            "before-all = [[\"sh\", \"-c\", 'printf \"B=1\\n\\n%s\\n\" \"$1\" >> $ORCHESTRATE_ENV', \"sh\", {line:?}]]"
        );
        logged(&more)
            .run(&[])
            .exits(3)
            .says("before-all wrote to ORCHESTRATE_ENV what ")
            .says(&format!("line 3: {shown}"));
    }
}

#[test]
fn a_carriage_return_at_the_end_of_a_line_is_no_part_of_a_variable() {
    let manifest = "[groups.g]\ncommand = 'test \"$A\" = two && test \"$B\" = last'\n\
        before-all = ['printf \"A=two\\r\\n\\r\\nB=last\\r\" >> $ORCHESTRATE_ENV']\n";
    let ran = Project::with(manifest).run(&[]).exits(0);
    assert_eq!(ran.outcomes(), ["g passed"]);
}

/// 40 tests, and a hook that prints 50 kB and fails.
#[test]
fn the_output_of_a_failed_hook_is_reported_once_and_each_test_refers_to_it() {
    for hook in ["before-all", "before-worker"] {
        let manifest = format!(
            "[groups.g]\ncommand = ': <items>'\nitems = {:?}\nworkers = 1\nchunk-size = 1\n\
            {hook} = [\"echo begin; head -c 50000 /dev/zero | tr '\\\\0' x; echo; exit 1\"]\n",
            (0..40).map(|number| number.to_string()).collect::<Vec<_>>()
        );
        let project = Project::with(&manifest);
        let ran = project.run(&["--report", "junit=j.xml"]).exits(3);
        let told = if hook == "before-all" { 1 } else { 40 };
        let long = "x".repeat(50_000);
        for text in [
            &ran.stdout,
            &project.read("j.xml"),
            &project.read("events.jsonl"),
        ] {
            assert_eq!(text.matches(&long).count(), told, "{hook}");
        }
        for event in ran.events_of("test-finished") {
            assert_eq!(
                event["message"],
                format!("{hook} exited with code 1; its output is reported with the hook")
            );
            assert_eq!(event["output"], serde_json::Value::Null);
        }
    }
}

#[test]
fn every_command_of_an_after_hook_runs_and_each_that_failed_is_told() {
    let project = logged(
        "after-all = [\"echo first >> log; echo one; exit 4\", \"echo second >> log\", \"echo third >> log; echo three; kill -9 $$\"]",
    );
    let ran = project
        .run(&["t/a"])
        .exits(3)
        .says("after-all exited with code 4 (command 1 of 3); after-all was killed by signal 9 (command 3 of 3)");
    assert!(log(&project).ends_with(&["first", "second", "third"].map(str::to_owned)));
    let finished = ran.events_of("hook-finished");
    assert_eq!(finished.last().unwrap()["output"], "one\nthree\n");
    // Of what comes before the first that fails is the last.
    let project = logged("before-all = [\"exit 4\", \"echo second >> log\"]");
    project
        .run(&["t/a"])
        .exits(3)
        .says("before-all exited with code 4 (command 1 of 2)");
    assert_eq!(log(&project), ["after-all"]);
}

/// What a group takes down may be what another one sets up.
#[test]
fn who_needs_a_group_waits_for_what_that_takes_down_and_does_not_run_if_it_fails() {
    let manifest = |hook: &str, line: &str| {
        format!(
            "[groups.one]\ncommand = [\"true\"]\n{hook} = ['{line}']\n\
            [groups.two]\ncommand = 'echo two >> log'\nneeds = [\"one\"]\n"
        )
    };
    for hook in ["after-all", "after-worker", "after-job"] {
        let project = Project::with(&manifest(hook, "sleep 0.3; echo down >> log"));
        let ran = project.run(&["-n", "2"]).exits(0);
        assert_eq!(ran.outcomes(), ["one passed", "two passed"]);
        assert_eq!(project.read("log"), "down\ntwo\n", "{hook}");
        let project = Project::with(&manifest(hook, "exit 1"));
        let ran = project
            .run(&["-n", "2"])
            .exits(3)
            .says("group one did not pass");
        assert_eq!(ran.outcomes(), ["one passed", "two not-run"], "{hook}");
        assert_eq!(project.read("log"), "");
    }
}

#[test]
fn a_before_all_that_fails_is_not_told_as_another_hook() {
    let manifest = "[groups.g]\ncommand = ': <items>'\nitems = [\"1\", \"2\", \"3\"]\nworkers = 3\nchunk-size = 1\nbefore-all = [\"exit 1\"]\n";
    let ran = Project::with(manifest).run(&["-n", "3"]).exits(3);
    assert_eq!(
        ran.outcomes(),
        ["g::1 errored", "g::2 errored", "g::3 errored"]
    );
    assert_eq!(ran.events_of("hook-finished").len(), 1);
    let all = format!("{}{}", ran.stdout, ran.stderr);
    assert!(
        !all.contains("before-worker") && !all.contains("warning"),
        "{all}"
    );
}

#[test]
fn tests_whose_group_could_not_be_prepared_are_errored_with_the_hooks_words() {
    let project = logged(
        "before-all = [\"echo begun >> log\", \"echo no disk; exit 7\", \"echo never >> log\"]",
    );
    let ran = project
        .run(&[])
        .exits(3)
        .says("no disk")
        .says("before-all exited with code 7 (command 2 of 3)");
    assert_eq!(ran.outcomes(), ["g::t/a errored", "g::t/b errored"]);
    assert_eq!(log(&project), ["begun", "after-all"]);
}

#[test]
fn tests_whose_worker_could_not_be_prepared_are_errored() {
    let project = logged("before-worker = [\"echo bad; exit 1\"]");
    let ran = project.run(&[]).exits(3).says("bad");
    assert_eq!(ran.outcomes(), ["g::t/a errored", "g::t/b errored"]);
    // It is tried for each of them, in a worker of its own: one may well succeed where another did not.
    let text = project.read("log");
    let words: Vec<&str> = text
        .lines()
        .map(|line| line.split(' ').next().unwrap())
        .collect();
    assert_eq!(
        words,
        ["before-all", "after-worker", "after-worker", "after-all"]
    );
}

#[test]
fn a_hook_that_hangs_is_ended() {
    let project =
        logged("before-job = [\"sleep 60\"]\nhook-timeout = \"200ms\"\ngrace = \"100ms\"");
    let ran = project
        .run(&[])
        .exits(3)
        .says("before-job timed out: it took longer than `hook-timeout` (200ms)");
    assert_eq!(ran.outcomes(), ["g::t/a errored", "g::t/b errored"]);
    assert_eq!(
        log(&project),
        [
            "before-all",
            "before-worker",
            "after-job",
            "after-job",
            "after-worker",
            "after-all"
        ]
    );
}

#[test]
fn an_after_hook_that_fails_spoils_the_run_and_not_the_tests() {
    let project = logged("after-worker = [\"echo stuck; exit 1\"]");
    let ran = project.run(&["t/a"]).exits(3).says("stuck");
    assert_eq!(ran.outcomes(), ["g::t/a passed"]);
}

#[test]
fn what_a_hook_starts_lives_as_long_as_what_it_is_for() {
    // Each daemon writes to its file until it is ended; each test and hook below looks whether its number still exists.
    let daemon = |name: &str| format!("sh -c 'sleep 600 & echo $! > {name}.pid'");
    let alive = |name: &str| format!("kill -0 $(cat {name}.pid) && echo {name} >> log");
    let manifest = format!(
        "[groups.g]\ncommand = '''{}; {}; {}; : <items>'''\nitems = [\"1\", \"2\"]\nworkers = 1\n\
        before-all = [\"{}\"]\nbefore-worker = [\"{}\"]\nbefore-job = [\"{}\"]\n\
        after-job = [\"{}\"]\nafter-worker = [\"kill -0 $(cat job.pid) || {}\"]\nafter-all = [\"kill -0 $(cat worker.pid) || {}\"]\n",
        alive("all"),
        alive("worker"),
        alive("job"),
        daemon("all"),
        daemon("worker"),
        daemon("job"),
        alive("job"),
        alive("worker"),
        alive("all"),
    );
    let project = Project::with(&manifest);
    let ran = project.run(&[]).exits(0);
    // None of them counts as left behind by a test.
    assert_eq!(ran.outcomes(), ["g::1 passed", "g::2 passed"]);
    let each = "all\nworker\njob\njob\n";
    assert_eq!(project.read("log"), format!("{each}{each}worker\nall\n"));
    for name in ["all", "worker", "job"] {
        let pid = project.read(&format!("{name}.pid"));
        assert!(
            !std::path::Path::new(&format!("/proc/{}", pid.trim())).exists(),
            "{name} is still there"
        );
    }
}

#[test]
fn a_worker_that_is_killed_is_replaced_and_its_after_hook_is_made_up_for() {
    let manifest = "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nworkers = 1\n\
        before-worker = [\"echo before <pid> >> log\"]\nafter-worker = [\"echo after <pid> >> log\"]\n";
    let project = Project::with(manifest)
        .script(
            "t/a",
            "(sleep 600 & echo $! > left); kill -9 $ORCHESTRATE_PID; sleep 600",
        )
        .script("t/b", "exit 0");
    let ran = project.run(&[]).exits(1);
    assert_eq!(ran.outcomes(), ["g::t/a errored", "g::t/b passed"]);
    let text = project.read("log");
    let lines: Vec<&str> = text.lines().collect();
    let [first, second] = [lines[0], lines[2]].map(|line| line.strip_prefix("before ").unwrap());
    assert_ne!(first, second);
    assert_eq!(
        lines,
        [
            &format!("before {first}"),
            &format!("after {first}"),
            &format!("before {second}"),
            &format!("after {second}")
        ]
    );
    let left = project.read("left");
    assert!(!std::path::Path::new(&format!("/proc/{}", left.trim())).exists());
}

/// A run whose test has begun, killed; its hooks are still owed.
fn killed(project: &Project, arguments: &[&str]) {
    use std::io::{BufRead, BufReader};
    let mut all = vec!["run", "--no-capture"];
    all.extend(arguments);
    let mut child = project
        .command(&all)
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    lines
        .find(|line| line.as_ref().unwrap().contains("has-begun"))
        .unwrap()
        .unwrap();
    child.kill().unwrap();
    child.wait().unwrap();
}

#[test]
fn what_a_killed_run_owes_the_next_one_makes_up_for() {
    let manifest = "[groups.g]\ncommand = [\"./t\"]\nresources = { database = \"db_<pid>\" }\n\
        before-all = ['echo A=all >> $ORCHESTRATE_ENV']\n\
        before-worker = ['mkdir <database>; echo W=worker >> $ORCHESTRATE_ENV']\n\
        after-worker = ['rmdir <database>; echo worker $A $W $ORCHESTRATE_RUN_ID >> log']\n\
        after-all = ['echo all $A >> log']\n[groups.other]\ncommand = [\"true\"]\n";
    let project = Project::with(manifest).script("t", "echo has-begun; sleep 600");
    killed(&project, &[]);
    let databases = || {
        let entries = std::fs::read_dir(project.path()).unwrap().flatten();
        entries
            .filter(|entry| entry.file_name().to_string_lossy().starts_with("db_"))
            .count()
    };
    assert_eq!((project.read("log").as_str(), databases()), ("", 1));
    let first = std::fs::read_link(project.path().join(".fastest/last")).unwrap();
    let first = first.file_name().unwrap().to_string_lossy().into_owned();
    // Whatever is run next.
    let ran = project
        .run(&["-g", "other"])
        .exits(0)
        .says("was interrupted")
        .says("g: after-worker is made up for");
    assert_eq!(ran.outcomes(), ["other passed"]);
    assert_eq!(
        project.read("log"),
        format!("worker all worker {first}\nall all\n")
    );
    assert_eq!(databases(), 0);
    // And only once; nothing waits for it any more.
    project.run(&["-g", "other"]).exits(0);
    assert_eq!(project.read("log").lines().count(), 2);
    let pending = std::fs::read_dir(project.state().join("orchestrate/pending")).unwrap();
    assert_eq!(pending.count(), 0);
}

#[test]
fn hooks_that_take_back_run_when_the_run_is_stopped() {
    let manifest = "[defaults]\ngrace = \"200ms\"\n[groups.g]\ncommand = [\"./t\"]\nafter-job = ['echo job >> log']\n\
        after-worker = ['sleep 0.3; echo worker >> log']\nafter-all = ['echo all >> log']\n";
    for signal in ["INT", "TERM", "HUP"] {
        let project = Project::with(manifest).script(
            "t",
            &format!("kill -{signal} $(ps -o ppid= -p $ORCHESTRATE_PID); sleep 600"),
        );
        let ran = project.run(&[]);
        assert!(ran.code > 128, "{signal}: {}", ran.code);
        assert_eq!(ran.outcomes(), ["g cancelled"]);
        assert_eq!(project.read("log"), "job\nworker\nall\n", "{signal}");
    }
}

/// What a run with one group did, and what the next one that is about another group does.
fn then_the_next(manifest: &str) -> (Project, Vec<String>) {
    let project = Project::with(&format!(
        "{manifest}\n[groups.other]\ncommand = [\"true\"]\n"
    ));
    let ran = project.run(&["-g", "g"]);
    let outcomes = ran.outcomes();
    assert_ne!(ran.code, 0, "{}{}", ran.stdout, ran.stderr);
    project.run(&["-g", "other"]).exits(0);
    (project, outcomes)
}

fn has(project: &Project, prefix: &str) -> bool {
    let mut entries = std::fs::read_dir(project.path()).unwrap().flatten();
    entries.any(|entry| entry.file_name().to_string_lossy().starts_with(prefix))
}

#[test]
fn an_after_all_whose_worker_is_killed_runs_in_another() {
    let (project, _) = then_the_next(
        "[groups.g]\ncommand = 'kill -9 $(cat hookworker); sleep 0.3'\nbefore-all = ['echo $PPID > hookworker; mkdir -p made']\n\
        after-all = ['rmdir made']\n",
    );
    assert!(!has(&project, "made"));
}

#[test]
fn an_after_worker_whose_worker_is_killed_runs_in_another() {
    let (project, outcomes) = then_the_next(
        "[groups.g]\ncommand = [\"true\"]\nbefore-worker = ['mkdir db_<pid>; (sleep 0.2; kill -9 <pid>) &']\nafter-job = ['sleep 1']\n\
        after-worker = ['rmdir db_<pid>']\n",
    );
    assert_eq!(outcomes, ["g passed"]);
    assert!(!has(&project, "db_"));
}

#[test]
fn a_worker_that_is_killed_after_a_job_costs_the_next_nothing() {
    let (project, outcomes) = then_the_next(
        "[groups.g]\ncommand = ': <items>'\nitems = [\"1\", \"2\", \"3\"]\nworkers = 1\n\
        after-job = ['[ -e once ] || { touch once; kill -9 $ORCHESTRATE_PID; sleep 1; }']\nafter-worker = ['echo <pid> >> log']\n",
    );
    assert_eq!(outcomes, ["g::1 passed", "g::2 passed", "g::3 passed"]);
    assert_eq!(project.read("log").lines().count(), 2);
}

#[test]
fn what_is_made_up_for_begins_when_nothing_of_the_killed_run_is_left() {
    for _ in 0..3 {
        let manifest = "[groups.g]\ncommand = 'for i in $(seq 100); do sleep 600 & done; echo $! > pid; echo has-begun; wait'\n\
            after-worker = ['kill -0 $(cat pid) 2> /dev/null && echo there >> log || echo gone >> log']\n[groups.other]\ncommand = [\"true\"]\n";
        let project = Project::with(manifest);
        killed(&project, &["-g", "g"]);
        project.run(&["-g", "other"]).exits(0);
        assert_eq!(project.read("log"), "gone\n");
    }
}

/// A hook is a list of commands; the words of one are easily taken for it.
#[test]
fn words_of_one_command_that_are_read_as_several_are_warned_of() {
    let manifest =
        |hook: &str| format!("[groups.g]\ncommand = [\"true\"]\nafter-worker = {hook}\n");
    let told = "group g: after-worker = [\"true\", \"-f\", \"x\"] is 3 commands of a shell; one command is after-worker = [[\"true\", \"-f\", \"x\"]]";
    let project = Project::with(&manifest("[\"true\", \"-f\", \"x\"]"));
    project.orchestrate(&["check"]).exits(0).says(told);
    project.run(&[]).says(told);
    for meant in ["[[\"true\", \"-f\", \"x\"]]", "[\"true\", \"true -f\"]"] {
        let project = Project::with(&manifest(meant));
        for arguments in [&["check"][..], &["run"]] {
            let ran = project.orchestrate(arguments).exits(0);
            assert!(!ran.stderr.contains("warning") && !ran.stdout.contains("warning"));
        }
    }
}
