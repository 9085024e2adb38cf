//! What a job may use, what is kept of it, and what holds its processes.

use crate::support::Project;

fn group(more: &str) -> String {
    format!("[defaults]\ngrace = \"200ms\"\n[groups.g]\ncommand = [\"./t\"]\n{more}\n")
}

#[test]
fn a_job_that_takes_too_much_memory_is_ended() {
    // A string that doubles: 64 MiB at the end, and it stays there.
    let body = "x=0123456789abcdef; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20 21 22; do x=$x$x; done; sleep 60";
    let ran = Project::with(&group("memory = \"32MiB\""))
        .script("t", body)
        .run(&[])
        .exits(1)
        .says("of memory, more than `memory` allows");
    assert_eq!(ran.outcomes(), ["g oom"]);
    let finished = ran.events_of("job-finished");
    assert!(
        finished[0]["memory"].as_u64().unwrap() > 32 << 20,
        "{finished:?}"
    );
}

#[test]
fn a_job_that_writes_too_much_is_ended() {
    let ran = Project::with(&group("output-max = \"1MiB\"\noutput-limit = \"1kB\""))
        .script("t", "yes")
        .run(&[])
        .exits(1)
        .says("more than `output-max` allows");
    assert_eq!(ran.outcomes(), ["g errored"]);
    let output = ran.events_of("test-finished")[0]["output"]
        .as_str()
        .unwrap()
        .to_owned();
    assert!(
        output.len() < 2000 && output.contains("bytes left out]"),
        "{output}"
    );
}

#[test]
fn the_kernel_limits_time_files_and_sizes() {
    let ran = Project::with(&group("cpu-time = \"1s\""))
        .script("t", "while :; do :; done")
        .run(&[])
        .exits(1)
        .says("SIGXCPU");
    assert_eq!(ran.outcomes(), ["g crashed"]);
    Project::with(&group("file-size = \"64kB\""))
        .script(
            "t",
            "head -c 100000 /dev/zero > big; echo $(wc -c < big) > size; exit 1",
        )
        .run(&[])
        .exits(1);
    let project = Project::with(&group("open-files = 17")).script("t", "ulimit -n > limit");
    project.run(&[]).exits(0);
    assert_eq!(project.read("limit"), "17\n");
}

#[test]
fn an_environment_can_be_cleared() {
    let project = Project::with(&group(
        "env-clear = true\nenv-allow = [\"PATH\", \"SEEN\"]\nenv = { OWN = \"own\" }",
    ))
    .env("SEEN", "seen")
    .env("HIDDEN", "hidden")
    .script("t", "env > env");
    project.run(&[]).exits(0);
    let text = project.read("env");
    let has = |name: &str| {
        text.lines()
            .any(|line| line.starts_with(&format!("{name}=")))
    };
    assert!(
        has("SEEN") && has("OWN") && has("PATH") && has("ORCHESTRATE_PID") && has("TMPDIR"),
        "{text}"
    );
    assert!(!has("HIDDEN"), "{text}");
}

#[test]
fn a_variable_stands_once_in_the_environment() {
    let project = Project::with(&group("env = { TWICE = \"ours\", NEW = \"new\" }"))
        .env("TWICE", "theirs")
        .script("t", "tr '\\0' '\\n' < /proc/$$/environ > env");
    project.run(&[]).exits(0);
    let text = project.read("env");
    let mut names: Vec<&str> = text
        .lines()
        .filter_map(|line| line.split('=').next())
        .collect();
    let all = names.len();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), all, "{text}");
    assert!(
        text.contains("TWICE=ours\n") && text.contains("NEW=new\n"),
        "{text}"
    );
}

#[test]
fn a_failed_jobs_folder_can_be_kept() {
    let ran = Project::with(&group("keep-tmp = \"failed\""))
        .script("t", "echo trace > $TMPDIR/trace; exit 1")
        .run(&[])
        .exits(1);
    let message = ran.events_of("test-finished")[0]["message"]
        .as_str()
        .unwrap()
        .to_owned();
    let path = message.split("is kept: ").nth(1).unwrap().to_owned();
    assert_eq!(
        std::fs::read_to_string(format!("{path}/trace")).unwrap(),
        "trace\n"
    );
    std::fs::remove_dir_all(path).unwrap();
    let ran = Project::with(&group("keep-tmp = \"failed\""))
        .script("t", "exit 0")
        .run(&[])
        .exits(0);
    assert!(ran.events_of("test-finished")[0]["message"].is_null());
}

/// Whether a level works here, by the doctor's word.
pub fn works(level: &str) -> bool {
    let told = Project::new().orchestrate(&["doctor"]).exits(0).stdout;
    let line = told
        .lines()
        .find(|line| line.trim().starts_with(level))
        .unwrap()
        .to_owned();
    if line.contains("does not work here") {
        eprintln!("skipped: {line}");
        return false;
    }
    true
}

#[test]
fn every_level_of_isolation_judges_alike() {
    for level in ["supervisor", "pid-namespace", "sandbox", "cgroup"] {
        if !works(level) {
            let ran = Project::with(&group(&format!("isolation-level = {level:?}")))
                .script("t", "exit 0")
                .run(&[])
                .exits(3);
            assert!(ran.stderr.contains("does not work here"), "{}", ran.stderr);
            continue;
        }
        let manifest = format!(
            "[defaults]\ngrace = \"200ms\"\n[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\ntimeout = \"1s\"\nisolation-level = {level:?}\n"
        );
        let ran = Project::with(&manifest)
            .script("t/pass", "exit 0")
            .script("t/fail", "exit 3")
            .script("t/skip", "exit 77")
            .script("t/segv", "kill -SEGV $$")
            .script("t/hang", "trap '' TERM; while :; do sleep 0.05; done")
            .script("t/leak", "setsid sleep 600 & exit 0")
            .file("t/no-exec", "")
            .run(&[])
            .exits(1)
            .says("exited with code 3")
            .says("run `chmod +x");
        assert_eq!(
            ran.outcomes(),
            [
                "g::t/fail failed",
                "g::t/hang timed-out",
                "g::t/leak leaked",
                "g::t/no-exec errored",
                "g::t/pass passed",
                "g::t/segv crashed",
                "g::t/skip skipped"
            ],
            "{level}"
        );
    }
}
