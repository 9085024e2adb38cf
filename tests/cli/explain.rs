//! What a run's time went to: a bottleneck is planted, named, and taken away, and the run then takes less by what was said.
//!
//! All jobs sleep, so that a busy machine changes little, and what is compared is what two runs took, never a time of its own. A
//! busy machine only ever makes a run longer: where the two don't fit, both are run again, and the shortest count.

use serde_json::Value;

use crate::docs::{blocks, page, run_all};
use crate::support::{Project, Ran};

/// How far what is said may be from what is measured, as a part of it.
const OFF: f64 = 0.15;

/// What a run took.
fn wall(ran: &Ran) -> f64 {
    ran.events_of("run-finished")[0]["seconds"]
        .as_f64()
        .unwrap()
}

/// Sleeps `seconds` each.
fn sleepers(project: Project, names: &[&str], seconds: f64) -> Project {
    names.iter().fold(project, |project, name| {
        project.script(&format!("t/{name}"), &format!("sleep {seconds}"))
    })
}

/// A group of programs on four workers, as they are listed.
fn group(lines: &str) -> Project {
    Project::with(&format!(
        "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nworkers = 4\norder = \"listed\"\n{lines}\n"
    ))
}

/// How often two runs are made.
const TRIES: usize = 4;

/// A suite with something planted in it, and what is explained of its shortest run.
struct Planted<'a> {
    suite: &'a dyn Fn() -> Project,
    arguments: &'a [&'a str],
    wall: f64,
    told: Value,
    text: String,
}

impl<'a> Planted<'a> {
    fn run(suite: &'a dyn Fn() -> Project) -> Self {
        Self::run_with(&["-n", "4"], suite)
    }

    fn run_with(arguments: &'a [&'a str], suite: &'a dyn Fn() -> Project) -> Self {
        let project = suite();
        let ran = project.run(arguments).exits(0);
        let told = project
            .orchestrate(&["explain", "--format", "json"])
            .exits(0);
        Self {
            suite,
            arguments,
            wall: wall(&ran),
            told: serde_json::from_str(&told.stdout).unwrap(),
            text: project.orchestrate(&["explain"]).exits(0).stdout,
        }
    }

    /// The finding of a kind, which is among the changes that are named.
    fn finding(&self, kind: &str) -> &Value {
        let changes = usize::try_from(self.told["changes"].as_u64().unwrap()).unwrap();
        let findings = self.told["findings"].as_array().unwrap().iter();
        let mut named = findings
            .take(changes)
            .filter(|finding| finding["kind"] == kind);
        named.next().unwrap_or_else(|| panic!("{}", self.text))
    }

    /// Checks that a run without what was planted takes less by what was said: that number of that finding.
    fn saves(&mut self, kind: &str, number: &str, without: &dyn Fn() -> Project) {
        let mut shortest = f64::INFINITY;
        let mut why = String::new();
        for _ in 0..TRIES {
            shortest = shortest.min(wall(&without().run(self.arguments).exits(0)));
            let said = self.finding(kind)[number].as_f64().unwrap();
            let saved = self.wall - shortest;
            if (said - saved).abs() <= OFF * saved {
                return;
            }
            why += &format!("{said:.3} s were said to be saved, {saved:.3} s were\n");
            let again = Self::run_with(self.arguments, self.suite);
            if again.wall < self.wall {
                *self = again;
            }
        }
        panic!("{why}{}", self.text);
    }

    fn says(&self, text: &str) {
        assert!(
            self.text.contains(text),
            "{text:?} is not in:\n{}",
            self.text
        );
    }
}

const EIGHT: [&str; 8] = ["a", "b", "c", "d", "e", "f", "g", "h"];

#[test]
fn a_lock_costs_what_is_saved_without_it() {
    let suite = |lines: &str| {
        let project = sleepers(group(lines), &EIGHT, 0.5);
        sleepers(project, &["i", "j", "k", "l", "m", "n", "o", "p"], 0.5)
    };
    let lines = "[[groups.g.overrides]]\nmatch = [\"t/[a-h]\"]\nlocks = [\"db\"]";
    let locked = || suite(lines);
    let mut planted = Planted::run(&locked);
    let lock = planted.finding("lock");
    assert_eq!(lock["name"], "db");
    assert_eq!(lock["jobs"], 8);
    planted.says("lock db, held by 8 jobs");
    planted.says("without lock db: g::t/a, g::t/b and 6 more");
    planted.saves("lock", "saves", &|| suite(""));
}

#[test]
fn serial_tests_cost_what_is_saved_where_they_are_not() {
    let suite = |lines: &str| sleepers(group(lines), &EIGHT, 0.6);
    let serial = || suite("serial = [\"t/[a-d]\"]");
    let mut planted = Planted::run(&serial);
    assert_eq!(planted.finding("serial")["jobs"], 4);
    planted.says("serial tests of g");
    planted.saves("serial", "saves", &|| suite(""));
}

#[test]
fn a_straggler_costs_what_is_saved_without_it_or_with_its_parts() {
    let even = || sleepers(group(""), &EIGHT, 0.5);
    let suite = || even().script("t/z", "sleep 4");
    let mut planted = Planted::run(&suite);
    let straggler = planted.finding("straggler");
    assert_eq!(straggler["tests"][0], "g::t/z");
    assert_eq!(straggler["parts"], 4);
    planted.says("straggler, 4.");
    planted.says("with g::t/z cut into 4 (without it at all, ");
    planted.saves("straggler", "without", &even);
    let parts = || sleepers(even(), &["w", "x", "y", "z"], 1.0);
    planted.saves("straggler", "saves", &parts);
    // It is the longest of all, and listed last.
    planted.saves("order", "saves", &|| even().script("t/0", "sleep 4"));
}

/// A runner that takes its time before the first test of a chunk, and tells what each test takes.
fn slow_start(seconds: f64) -> Project {
    let manifest = "[runners.slow]\nrun = [\"./slow\", \"<report>\", \"<items>\"]\nresults = \"events\"\n\
        [groups.g]\nrunner = \"slow\"\nfiles = [\"t/*\"]\nworkers = 4\nchunk-size = 2\nchunk-by = \"any\"\n";
    let body = format!(
        "report=$1; shift; sleep {seconds}\nfor item; do item=${{item#./}}\n\
         echo \"{{\\\"event\\\":\\\"started\\\",\\\"id\\\":\\\"$item\\\"}}\" >>\"$report\"; sleep 0.2\n\
         echo \"{{\\\"event\\\":\\\"finished\\\",\\\"id\\\":\\\"$item\\\",\\\"outcome\\\":\\\"passed\\\",\\\"seconds\\\":0.2}}\" >>\"$report\"\ndone"
    );
    let names = (10..34).map(|number| format!("t/{number}"));
    let project = Project::with(manifest).script("slow", &body);
    names.fold(project, |project, name| project.file(&name, ""))
}

#[test]
fn start_up_costs_what_is_saved_without_it() {
    let slow = || slow_start(0.7);
    let mut planted = Planted::run(&slow);
    let start = planted.finding("chunk-start");
    assert_eq!(start["group"], "g");
    assert_eq!(start["jobs"], 12);
    planted.says("start-up of 12 jobs of g");
    planted.saves("chunk-start", "saves", &|| slow_start(0.0));
}

/// Less is free than is to stay so, all the time: nothing starts beside what runs.
#[test]
fn a_shortage_of_memory_costs_what_is_saved_without_it() {
    let suite = |lines: &str| sleepers(group(lines), &EIGHT, 0.5);
    let short = || suite("[run]\nmin-free-memory = \"9000TiB\"");
    let mut planted = Planted::run(&short);
    planted.says("waits for memory: ");
    planted.says("with memory for all that could run");
    planted.saves("memory", "saves", &|| suite(""));
}

/// Jobs that took more together than there is are not started side by side.
#[test]
fn memory_that_is_reserved_costs_what_is_saved_without_it() {
    let suite = || sleepers(group(""), &EIGHT, 0.5);
    let line = |name: &&str| {
        format!(
            "{{\"v\":1,\"run\":\"20260101-000000.000-1\",\"test\":{{\"id\":\"g::t/{name}\",\"attempt\":1,\
             \"outcome\":\"passed\",\"seconds\":0.5,\"alone\":0.5,\"cpu\":0,\"memory\":{},\"workers\":1}}}}\n",
            1_u64 << 50
        )
    };
    let large = || {
        let lines: String = EIGHT.iter().map(line).collect();
        let project = suite().file("history.jsonl", &lines);
        project
            .orchestrate(&["history", "import", "history.jsonl"])
            .exits(0);
        project
    };
    let mut planted = Planted::run(&large);
    planted.says("waits for memory: ");
    planted.saves("memory", "saves", &suite);
}

/// What holds up each repetition is one thing.
#[test]
fn repetitions_are_explained_as_they_follow_one_another() {
    let suite = |seconds: &str| {
        let project = sleepers(group(""), &EIGHT[..4], 0.5);
        project.script("t/z", &format!("sleep {seconds}"))
    };
    let arguments = ["-n", "4", "--repeat", "3"];
    let straggling = || suite("1.5");
    let mut planted = Planted::run_with(&arguments, &straggling);
    let straggler = planted.finding("straggler");
    assert_eq!(straggler["jobs"], 3);
    assert_eq!(straggler["tests"], serde_json::json!(["g::t/z"]));
    let [replayed, bound] =
        ["replayed", "bound"].map(|number| planted.told[number].as_f64().unwrap());
    // Each begins when the one before is over.
    assert!(replayed >= 6.0 && bound < replayed, "{}", planted.text);
    let parts = || sleepers(suite("0.375"), &["w", "x", "y"], 0.375);
    planted.saves("straggler", "saves", &parts);
}

#[test]
fn what_can_not_be_explained_is_said() {
    let project = Project::with("[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\n")
        .script("t/a", "[ -e pass ] || kill -KILL $PPID; exit 0");
    let explain = || project.orchestrate(&["explain"]);
    explain().exits(2).says("no run is kept here");
    project.run(&[]).exits(1);
    let ran = project.orchestrate(&["explain", "2099"]);
    ran.exits(2).says("no run is called");
    std::fs::write(project.path().join("pass"), "").unwrap();
    project.run(&[]).exits(0);
    explain().exits(0).says("where ");
    // A run that was cut off is explained as far as it came.
    let runs = project.path().join(".fastest/last/journal.jsonl");
    let journal = std::fs::read_to_string(&runs).unwrap();
    let lines: Vec<&str> = journal.lines().collect();
    let cut = lines[..lines.len() - 1].join("\n") + "\n{";
    std::fs::write(&runs, cut).unwrap();
    explain()
        .exits(0)
        .says("it was interrupted: only what was over by then is explained");
    let cut = lines[..2].join("\n") + "\nthis is no event\n";
    std::fs::write(&runs, cut).unwrap();
    explain()
        .exits(3)
        .says("there is nothing to explain")
        .says("warning: a line of the journal can't be read");
}

/// A line without its numbers, and without the tests that it names: which of those comes first is chance.
fn shape(line: &str) -> String {
    let line = line.split(": unit::").next().unwrap_or_default();
    let word = |word: &str| {
        let is_number = word.contains(|c: char| c.is_ascii_digit()) && !word.contains('/');
        if is_number {
            "N".to_owned()
        } else {
            word.to_owned()
        }
    };
    let words: Vec<String> = line.split_whitespace().map(word).collect();
    words.join(" ")
}

/// Whether a line is of something that takes so little that it may as well be left out.
fn is_small(line: &str) -> bool {
    let first = line.split_whitespace().next();
    first
        .and_then(|word| word.parse().ok())
        .is_some_and(|seconds: f64| seconds < 0.2)
}

#[test]
fn the_schedule_page_is_true() {
    let page = page("docs/schedule.md");
    let mut project = Project::with(&blocks(&page, "toml").concat());
    let names = (1..=8).map(|number| format!("db_{number}"));
    for name in names.chain(["login", "logout", "search", "upload"].map(str::to_owned)) {
        project = project.script(&format!("tests/unit/{name}.sh"), "sleep 0.4");
    }
    let project = project.script("tests/unit/import.sh", "sleep 1.2");
    project.run(&[]).exits(0);
    project.run(&[]).exits(0);
    assert_eq!(run_all(&project, &page).len(), 4);
    let shown = blocks(&page, "text");
    let check = |shown: &str, printed: &str| {
        let printed: Vec<String> = printed.lines().map(shape).collect();
        for line in shown.lines().filter(|line| !is_small(line)) {
            let line = shape(line);
            let processors = line.starts_with("Here are");
            assert!(
                processors || printed.contains(&line),
                "{line} is not in {printed:#?}"
            );
        }
    };
    let json = ["plan", "explain"].map(|command| {
        let json = project.orchestrate(&[command, "--format", "json"]);
        serde_json::from_str::<Value>(&json.exits(0).stdout).unwrap()
    });
    assert_eq!(json[0]["tests"], 13);
    check(&shown[0], &project.orchestrate(&["plan"]).exits(0).stdout);
    let explained = project.orchestrate(&["explain"]).exits(0).stdout;
    check(&shown[1], &explained);
    let kinds: Vec<&str> = json[1]["findings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|finding| finding["kind"].as_str().unwrap())
        .collect();
    assert_eq!(kinds[..2], ["lock", "hook"], "{explained}");
}
