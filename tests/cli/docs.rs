//! What the pages show is run, and what they name exists.

use std::collections::BTreeSet;
use std::path::Path;

use crate::support::Project;

pub fn page(name: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The fenced blocks of a language.
pub fn blocks(page: &str, language: &str) -> Vec<String> {
    let mut blocks = Vec::new();
    let mut lines = page.lines();
    while let Some(line) = lines.next() {
        let Some(name) = line.strip_prefix("```") else {
            continue;
        };
        let block: Vec<&str> = lines.by_ref().take_while(|line| *line != "```").collect();
        if name == language {
            blocks.push(block.join("\n") + "\n");
        }
    }
    blocks
}

/// Every command that a page shows, without its comment.
fn commands(page: &str) -> Vec<String> {
    let blocks = blocks(page, "sh").concat();
    let lines = blocks
        .lines()
        .map(|line| line.split("  #").next().unwrap_or_default().trim());
    lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// Runs the page's own commands in a project, through a shell, with `orchestrate` on the path. Returns what they were.
pub fn run_all(project: &Project, page: &str) -> Vec<String> {
    let ours: Vec<String> = commands(page)
        .into_iter()
        .filter(|line| line.starts_with("orchestrate "))
        .collect();
    for line in &ours {
        project.shell(line).exits(0);
    }
    ours
}

#[test]
fn the_readme_is_true() {
    let readme = page("README.md");
    let manifest = blocks(&readme, "toml").concat();
    let project = Project::with(&manifest)
        .script("format", "[ \"$1\" = --check ]")
        .script("tests/unit/one.sh", "exit 0")
        .script(
            "tests/db/migrate.sh",
            "case $DATABASE_URL in */db_$ORCHESTRATE_PID) ;; *) exit 1 ;; esac",
        )
        .script(
            "tests/db/write.sh",
            "[ \"$ORCHESTRATE_RESOURCE_DATABASE\" = db_$ORCHESTRATE_PID ]",
        );
    assert_eq!(run_all(&project, &readme).len(), 14);
    assert!(project.read("junit.xml").contains("migrate.sh"));
    assert!(project.read("events.jsonl").contains("run-finished"));
}

#[test]
fn the_readme_shows_what_a_run_prints() {
    let readme = page("README.md");
    let project = Project::with(&blocks(&readme, "toml").concat())
        .script("format", "[ \"$1\" = --check ]")
        .script("tests/unit/one.sh", "exit 0")
        .script("tests/db/migrate.sh", "exit 0")
        .script(
            "tests/db/write.sh",
            "echo \"expected 3 rows, found 2\"; exit 1",
        );
    let ran = project.orchestrate(&["run"]).exits(1);
    assert_eq!(
        without_numbers(&ran.stdout),
        without_numbers(&blocks(&readme, "text").concat())
    );
}

/// What is printed, without times and ids, and without the slowest tests, whose order depends on the machine.
fn without_numbers(text: &str) -> String {
    let lines = text
        .lines()
        .filter(|line| !line.contains("s  ") || line.contains("failed"));
    let words = lines.map(|line| {
        let words = line
            .split(' ')
            .filter(|word| !word.contains(|c: char| c.is_ascii_digit()));
        words.collect::<Vec<_>>().join(" ")
    });
    // Only a listing that takes its time is named.
    words
        .collect::<Vec<_>>()
        .join("\n")
        .replace(" after s of listing", "")
}

#[test]
fn the_page_of_reports_is_true() {
    let page = page("docs/reports.md");
    let manifest = blocks(&page, "toml").concat() + "[groups.g]\ncommand = [\"true\"]\n";
    let project = Project::with(&manifest);
    assert_eq!(run_all(&project, &page).len(), 2);
    for name in ["out/junit.xml", "mine.xml"] {
        assert!(project.read(name).contains("tests=\"1\""), "{name}");
    }
    for name in ["out/events.jsonl", "events.jsonl"] {
        assert!(project.read(name).contains("run-finished"), "{name}");
    }
}

#[test]
fn the_commands_that_build_and_test_are_those_of_ci() {
    let ci = page(".ci/run");
    let readme = commands(&page("README.md"));
    for (shown, run) in [
        ("cargo run -- run", "cargo run --locked -- run"),
        ("tests/run", "tests/run --locked"),
    ] {
        assert!(
            readme.iter().any(|line| line == shown),
            "the README does not show {shown}"
        );
        assert!(
            ci.lines().any(|line| line == run),
            ".ci/run does not run {run}"
        );
    }
}

#[test]
fn getting_started_is_true() {
    let project = Project::new()
        .script("tests/a.sh", "exit 0")
        .script("tests/slow.sh", "exit 0");
    let page = page("docs/getting-started.md");
    assert_eq!(run_all(&project, &page).len(), 11);
    assert!(project.path().join("fastest.schema.json").exists());
    let manifest = blocks(&page, "toml").concat();
    let project = Project::with(&manifest).script(
        "tests/a.sh",
        "[ -n \"$STARTED\" ] && [ -d var/db_$ORCHESTRATE_PID ]",
    );
    let gpu = "case $3,$ORCHESTRATE_RESOURCE_GPU in large,0,1) ;; large,* | *,*,*) exit 1 ;; *,[01]) ;; *) exit 1 ;; esac; [ $2 = cuda:$ORCHESTRATE_RESOURCE_GPU ]";
    let project = project.script("train", gpu);
    project.run(&[]).exits(0);
    assert!(!project.path().join("var").read_dir().unwrap().any(|_| true));
}

#[test]
fn the_selection_page_is_true() {
    let project = Project::with("[groups.g]\nrunner = \"exec\"\nfiles = [\"tests/*.sh\"]\n")
        .script("tests/login.sh", "exit 0");
    let page = page("docs/selection.md");
    assert_eq!(run_all(&project, &page).len(), 4);
    let manifest = blocks(&page, "toml").concat();
    Project::with(&manifest)
        .orchestrate(&["check", "--no-list"])
        .exits(0);
}

#[test]
fn the_page_of_retries_is_true() {
    let page = page("docs/retries.md");
    let manifest = blocks(&page, "toml").concat();
    let project = Project::with(&manifest)
        .script("tests/browser/login.sh", "exit 0")
        .script("tests/browser/known-flaky-menu.sh", "exit 0")
        .script("api-tests", "exit 0");
    assert_eq!(run_all(&project, &page).len(), 5);
}

#[test]
fn the_shards_page_is_true() {
    let page = page("docs/shards.md");
    let manifest = "[groups.g]\nrunner = \"exec\"\nfiles = [\"tests/*.sh\"]\n";
    let project = (0..8).fold(Project::with(manifest), |project, number| {
        project.script(&format!("tests/{number}.sh"), "exit 0")
    });
    let ours = commands(&page);
    assert_eq!(ours.len(), 6);
    for line in &ours {
        // Each shard has a machine of its own, which knows nothing of what the other has measured.
        if line.contains("--shard") {
            let _ = std::fs::remove_file(project.path().join(".fastest/history.db"));
        }
        project.shell(line).exits(0);
    }
    assert!(project.read("junit.xml").contains("tests=\"8\""));
    let lines = |name: &str| project.read(name).lines().count();
    assert!(lines("1-history.jsonl") > 0 && lines("history.jsonl") >= lines("1-history.jsonl"));
    let manifest = blocks(&page, "toml").concat();
    Project::with(&manifest)
        .orchestrate(&["check", "--no-list"])
        .exits(0);
}

#[test]
fn the_runners_page_shows_manifests_that_are_right() {
    let manifest = blocks(&page("docs/runners.md"), "toml").concat();
    Project::with(&manifest)
        .orchestrate(&["check", "--no-list"])
        .exits(0);
}

#[test]
fn the_runner_that_the_page_shows_works() {
    let page = page("docs/runners.md");
    let manifest = blocks(&page, "toml")
        .into_iter()
        .find(|block| block.contains("[runners.cases]"))
        .unwrap();
    let program = blocks(&page, "bash").concat();
    let body = program.strip_prefix("#!/bin/sh\n").unwrap();
    let project = Project::with(&manifest).script("run-cases", body).file(
        "cases/a.sh",
        "case_good() { true; }\ncase_bad() { echo why; false; }\ncase_worse() { kill -KILL $$; }\nhelper() { true; }\n",
    );
    assert_eq!(
        project.run(&[]).exits(1).says("why").outcomes(),
        [
            "cases::cases/a.sh::case_bad failed",
            "cases::cases/a.sh::case_good passed",
            "cases::cases/a.sh::case_worse crashed",
        ]
    );
}

#[test]
fn the_runners_page_names_every_preset_and_what_finds_it() {
    let page = page("docs/runners.md");
    let list = Project::new().orchestrate(&["runners"]).exits(0).stdout;
    for name in list
        .lines()
        .filter_map(|line| line.split_whitespace().next())
    {
        let row = format!("| `{name}` | ");
        assert!(page.contains(&row), "{name} is not in the table");
        assert!(
            page.matches(&format!("`{name}`")).count() > 1,
            "{name} has no exit codes"
        );
    }
}

#[test]
fn every_guarantee_names_tests_that_exist() {
    let mut code = String::new();
    for folder in ["tests", "tests/cli", "tests/runners", "tests/torture"] {
        for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(folder)).unwrap()
        {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|extension| extension == "rs") {
                code += &std::fs::read_to_string(path).unwrap();
            }
        }
    }
    let page = page("docs/guarantees.md");
    let held = page.split("## Not held").next().unwrap();
    let named: Vec<&str> = held
        .split('`')
        .skip(1)
        .step_by(2)
        .filter(|word| word.matches('_').count() > 2)
        .collect();
    assert!(named.len() > 10, "{named:?}");
    for name in named {
        assert!(
            code.contains(&format!("fn {name}(")),
            "there is no test {name}"
        );
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest: toml::Table = page("Cargo.toml").parse().unwrap();
    let used: BTreeSet<String> = ["dependencies", "dev-dependencies"]
        .iter()
        .flat_map(|table| manifest[*table].as_table().unwrap().keys().cloned())
        .collect();
    let told: BTreeSet<String> = page("docs/dependencies.md")
        .lines()
        .filter_map(|line| Some(line.strip_prefix("| `")?.split('`').next()?.to_owned()))
        .collect();
    assert_eq!(used, told);
}

#[test]
fn the_session_host_that_the_page_shows_works() {
    if !std::path::Path::new("/usr/bin/perl").exists() {
        assert!(
            std::env::var_os("CI").is_none_or(|ci| ci != "true"),
            "no perl"
        );
        return;
    }
    let text = page("docs/session-protocol.md");
    let host = blocks(&text, "perl").concat();
    let run = |settings: &str| {
        let project = Project::with(&(blocks(&text, "toml")[0].clone() + settings)).file(
            "tests.pl",
            "sub test_a { }\nsub test_b { die \"b is broken\\n\" }\nsub test_c { kill 'KILL', $$ }\n\
             sub test_d { open my $log, '>>', 'log'; print $log \"$ENV{ORCHESTRATE_GROUP}\\n\" }\n1;\n",
        );
        let project = project.script("subs.pl", "");
        std::fs::write(project.path().join("subs.pl"), &host).unwrap();
        let ran = project.run(&["-v", "-n", "2"]).exits(1).says("b is broken");
        assert_eq!(
            ran.outcomes(),
            [
                "subs::test_a passed",
                "subs::test_b failed",
                "subs::test_c crashed",
                "subs::test_d passed"
            ]
        );
        assert_eq!(project.read("log"), "subs\n");
        ran
    };
    run("").says("group subs: session shared");
    run("session = \"worker\"\n").says("group subs: session worker");
    run("session = \"cold\"\n").says("group subs: session cold");
}

#[test]
fn the_host_without_fork_that_the_page_shows_works() {
    let text = page("docs/session-protocol.md");
    let host = blocks(&text, "bash").concat();
    let cases = "loads=0\ncase_a() { :; }\ncase_b() { echo broken >&2; return 1; }\ncase_c() { kill -KILL $$; }\n\
        case_d() { loads=$((loads + 1)); }\ncase_e() { echo $((loads + 1)) >>log; }\necho load >>log\n";
    for session in ["auto", "cold"] {
        let settings = format!("session = \"{session}\"\nworkers = 1\norder = \"listed\"\n");
        let project = Project::with(&(blocks(&text, "toml")[1].clone() + &settings))
            .file("cases.sh", cases)
            .program("cases", &host);
        let ran = project.run(&["-v"]).exits(1);
        assert_eq!(
            ran.outcomes(),
            [
                "cases::case_a passed",
                "cases::case_b failed",
                "cases::case_c crashed",
                "cases::case_d passed",
                "cases::case_e passed"
            ]
        );
        if session == "auto" {
            // For the listing, and before and after what was killed: in the one process, a case sees what another has left.
            assert_eq!(project.read("log"), "load\nload\nload\n2\n");
        }
    }
}
