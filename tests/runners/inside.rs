//! The tests inside a file, whose names only its report has: they are selected by the id that is printed.

use crate::has;
use crate::javascript::with_modules;
use crate::support::Project;

const TWO_LEVELS: &str = "test('adds', () => {});\n\
    test('adds more', () => {});\n\
    describe('suite', () => { test('adds', () => {}); test('is (a) *wrong* one', () => { throw new Error('x'); }); });\n";

/// A project with one file for this runner.
fn project(runner: &str) -> Option<(Project, &'static str)> {
    let manifest = format!("[groups.g]\nrunner = {runner:?}\n");
    let (project, file, head) = match runner {
        "node" => (
            has("node").then(Project::new)?,
            "a.test.mjs",
            "import test, { describe } from 'node:test';\n",
        ),
        "vitest" => (
            with_modules(runner)?,
            "a.test.mjs",
            "import { describe, test } from 'vitest';\n",
        ),
        "mocha" => (with_modules(runner)?, "test/a.js", "const test = it;\n"),
        _ => (with_modules(runner)?, "a.test.js", ""),
    };
    let text = format!("{head}{TWO_LEVELS}");
    Some((
        project.file("fastest.toml", &manifest).file(file, &text),
        file,
    ))
}

fn tests_are_selected(runner: &str) {
    let Some((project, file)) = project(runner) else {
        return;
    };
    let ids = |names: &[&str]| -> Vec<String> {
        let ids = names.iter().map(|name| format!("g::{file}::{name}"));
        ids.collect()
    };
    let adds = format!("{file}::adds");
    // Before the file has run, a name is believed.
    let ran = project.run(&[&adds]).exits(0);
    assert_eq!(ran.outcomes(), ids(&["adds passed"]));
    // What stands beside it in its suite does not run: it would fail.
    let inner = project.run(&[&format!("{file}::suite > adds")]).exits(0);
    assert_eq!(inner.outcomes(), ids(&["suite > adds passed"]));
    let all = ids(&[
        "adds more passed",
        "adds passed",
        "suite > adds passed",
        "suite > is (a) *wrong* one failed",
    ]);
    assert_eq!(project.run(&[]).exits(1).outcomes(), all);
    let failed = project.run(&["--failed"]).exits(1);
    assert_eq!(failed.outcomes(), all[3..]);
    let suite = format!("g::{file}::suite");
    assert_eq!(project.run(&[&suite]).exits(1).outcomes(), all[2..]);
    assert_eq!(project.run(&["-k", "more"]).exits(0).outcomes(), all[..1]);
    let but = project
        .run(&["--exclude", &format!("{file}::suite")])
        .exits(0);
    assert_eq!(but.outcomes(), all[..2]);
    // Of the last run that had it, the test still fails.
    let failed = project.run(&["--failed"]).exits(1);
    assert_eq!(failed.outcomes(), all[3..]);
    let unknown = project.run(&[&format!("{file}::subtracts")]).exits(1);
    assert_eq!(unknown.outcomes(), ids(&["subtracts errored"]));
    unknown.says("has no test of this name");
}

#[test]
fn of_node() {
    tests_are_selected("node");
}

#[test]
fn of_jest() {
    tests_are_selected("jest");
}

#[test]
fn of_vitest() {
    tests_are_selected("vitest");
}

#[test]
fn of_mocha() {
    tests_are_selected("mocha");
}

/// A test that runs others itself has to run for them, and so does what else it runs; a suite has not.
#[test]
fn of_node_with_subtests() {
    if !has("node") {
        return;
    }
    let log = "import { appendFileSync } from 'node:fs';\nconst log = (word) => appendFileSync('log', `${word}\\n`);\n";
    let tests = "import test, { describe } from 'node:test';\n\
        describe('suite', () => { test('adds', () => log('adds')); test('fails', () => { log('fails'); throw new Error('x'); }); });\n\
        test('outer', async (t) => { await t.test('inner', () => log('inner')); await t.test('other', () => log('other')); });\n";
    let project = Project::with("[groups.g]\nrunner = \"node\"\n")
        .file("a.test.mjs", &format!("{log}{tests}"));
    let ran = project
        .run(&["a.test.mjs::suite > adds", "a.test.mjs::outer > inner"])
        .exits(0);
    let expected = [
        "g::a.test.mjs::outer > inner passed",
        "g::a.test.mjs::suite > adds passed",
    ];
    assert_eq!(ran.outcomes(), expected);
    assert_eq!(project.read("log"), "adds\ninner\nother\n");
}

#[test]
fn nothing_has_failed_where_all_tests_inside_have_passed() {
    if !has("node") {
        return;
    }
    let project = Project::with("[groups.g]\nrunner = \"node\"\n").file(
        "a.test.mjs",
        "import test from 'node:test';\ntest('a', () => {});\ntest('b', () => {});\n",
    );
    project.run(&[]).exits(0);
    project.orchestrate(&["run", "--failed"]).exits(4);
}

/// A runner of one's own says with `select` how tests in a file are chosen; without it the file runs as a whole.
#[test]
fn of_a_runner_of_ones_own() {
    let runner = "[runners.mine]\nrun = [\"./mine\", \"<select>\", \"<items>\"]\nresults = \"tap\"\nstdout = \"report\"\n\
                  tests = \"reported\"\nchunk-size = 1\n";
    let select =
        "select = [\"--only=^(<tests>)$\"]\nselect-separator = \"|\"\nselect-escape = \"regex\"\n";
    let group = "[groups.g]\nrunner = \"mine\"\nfiles = [\"*.t\"]\n";
    let script = "case $1 in --only=*) pattern=${1#--only=}; shift ;; *) pattern=. ;; esac\n\
                  n=0\nwhile read -r name; do echo \"$name\" | grep -qE \"$pattern\" || continue; n=$((n + 1)); echo \"ok $n - $name\"; done <\"$1\"\necho \"1..$n\"";
    let project = Project::with(&format!("{runner}{select}{group}"))
        .script("mine", script)
        .file("a.t", "one\ntwo.\ntwos\n");
    let ran = project.run(&["a.t::two."]).exits(0);
    assert_eq!(ran.outcomes(), ["g::a.t::two. passed"]);
    let whole = project.file("fastest.toml", &format!("{runner}{group}"));
    let ran = whole.run(&["a.t::two."]).exits(0);
    assert_eq!(
        ran.outcomes(),
        [
            "g::a.t::one passed",
            "g::a.t::two. passed",
            "g::a.t::twos passed"
        ]
    );
    ran.says("its runner `mine` has no `select`");
}
