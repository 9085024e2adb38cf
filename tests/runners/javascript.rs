//! Node's own runner, jest, vitest.

use std::os::unix::fs::symlink;

use crate::support::Project;
use crate::{has, is_detected, missing_unless, node_modules};

#[test]
fn node() {
    if !has("node") {
        return;
    }
    let project = Project::new()
        .file("package.json", "{\"scripts\":{\"test\":\"node --test\"}}")
        .file(
            "test/calc.mjs",
            "import test, { describe, it } from 'node:test';\nimport assert from 'node:assert';\n\
             test('adds', () => assert.equal(1 + 1, 2));\n\
             test('is wrong', () => assert.equal(1, 2));\n\
             test('is skipped', { skip: 'no net' }, () => {});\n\
             test('comes later', { todo: 'soon' }, () => { throw new Error('x'); });\n\
             describe('suite', () => { it('inner', () => {}); });\n\
             test('outer', async (t) => { await t.test('inner', () => {}); });\n",
        )
        .file("test/plain.cjs", "console.log('a file without a test is one');\n")
        .file(
            "test/leaves.mjs",
            "import test from 'node:test';\ntest('first', () => {});\ntest('leaves', () => process.exit(0));\ntest('last', () => {});\n",
        )
        .file(
            "test/forks.mjs",
            "import test from 'node:test';\nimport { fork } from 'node:child_process';\n\
             test('forks', () => new Promise((go) => fork('test/plain.cjs').on('exit', go)));\n",
        )
        .file(
            "test/killed.mjs",
            "import test from 'node:test';\ntest('killed', () => { process.kill(process.pid, 'SIGKILL'); return new Promise((go) => setTimeout(go, 9e4)); });\n",
        );
    is_detected(&project, "node");
    let ran = project
        .run(&[])
        .exits(1)
        .says("1 == 2")
        .says("killed by SIGKILL");
    assert_eq!(
        ran.outcomes(),
        [
            "node::test/calc.mjs::adds passed",
            "node::test/calc.mjs::comes later xfailed",
            "node::test/calc.mjs::is skipped skipped",
            "node::test/calc.mjs::is wrong failed",
            "node::test/calc.mjs::outer > inner passed",
            "node::test/calc.mjs::outer passed",
            "node::test/calc.mjs::suite > inner passed",
            "node::test/forks.mjs::forks passed",
            "node::test/killed.mjs crashed",
            "node::test/leaves.mjs errored",
            "node::test/plain.cjs passed",
        ]
    );
}

/// Those of `node --test`: by their name anywhere, and all in a folder `test`.
#[test]
fn node_files() {
    if !has("node") {
        return;
    }
    let names = [
        "a-test.js",
        "lib/a.test.cjs",
        "lib/a_test.mjs",
        "lib/test-a.js",
        "lib/test.js",
        "lib/test/a.js",
        "test/deep/a.mjs",
    ];
    let others = ["atest.js", "lib/a.js", "test.txt", "tests/a.js"];
    let mut project = Project::with("[groups.g]\nrunner = \"node\"\n");
    for name in names.iter().chain(&others) {
        project = project.file(name, "");
    }
    let list = project.orchestrate(&["list"]).exits(0).stdout;
    let listed: Vec<_> = list
        .lines()
        .filter_map(|line| line.strip_prefix("g::"))
        .collect();
    assert_eq!(listed, names);
    let theirs = std::process::Command::new("node")
        .args(["--test", "--test-reporter=spec"])
        .current_dir(project.path())
        .output()
        .unwrap();
    let theirs = String::from_utf8(theirs.stdout).unwrap();
    assert!(
        theirs.contains(&format!("pass {}", names.len())),
        "{theirs}"
    );
}

/// A project beside the modules that the tests' set-up installed.
fn with_modules(package: &str) -> Option<Project> {
    if !has("node") || !missing_unless(node_modules().join(package).is_dir(), package) {
        return None;
    }
    let project = Project::new().file(
        "package.json",
        &format!("{{\"devDependencies\":{{\"{package}\":\"*\"}}}}"),
    );
    symlink(node_modules(), project.path().join("node_modules")).unwrap();
    Some(project)
}

#[test]
fn jest() {
    let Some(project) = with_modules("jest") else {
        return;
    };
    let project = project
        .file(
            "src/calc.test.js",
            "test('adds', () => expect(1 + 1).toBe(2));\n\
             describe('suite', () => { test('is wrong', () => { console.log('said'); expect(1).toBe(2); }); });\n\
             test.skip('is skipped', () => {});\ntest.todo('comes later');\n",
        )
        .file("src/broken.test.js", "require('./nothing');\n")
        .file("src/leaves.test.js", "test('first', () => {});\ntest('leaves', () => process.exit(0));\n")
        .file(
            "src/killed.test.js",
            "test('killed', async () => { process.kill(process.pid, 'SIGKILL'); await new Promise(() => {}); });\n",
        );
    is_detected(&project, "jest");
    let ran = project
        .run(&["-n", "1"])
        .exits(1)
        .says("expect(received).toBe(expected)")
        .says("said")
        .says("Cannot find module './nothing'");
    assert_eq!(
        ran.outcomes(),
        [
            "jest::src/broken.test.js errored",
            "jest::src/calc.test.js::adds passed",
            "jest::src/calc.test.js::comes later skipped",
            "jest::src/calc.test.js::is skipped skipped",
            "jest::src/calc.test.js::suite > is wrong failed",
            "jest::src/killed.test.js crashed",
            "jest::src/leaves.test.js errored",
        ]
    );
}

#[test]
fn vitest() {
    let Some(project) = with_modules("vitest") else {
        return;
    };
    let project = project
        .file(
            "src/calc.test.mjs",
            "import { describe, expect, test } from 'vitest';\n\
             test('adds', () => expect(1 + 1).toBe(2));\n\
             describe('suite', () => { test('is wrong', () => { console.log('said'); expect(1).toBe(2); }); });\n\
             test.skip('is skipped', () => {});\ntest.fails('fails', () => { throw new Error('x'); });\n",
        )
        .file("src/broken.test.mjs", "import './nothing.mjs';\n")
        .file(
            "src/killed.test.mjs",
            "import { test } from 'vitest';\ntest('first', () => {});\ntest('killed', () => process.kill(process.pid, 'SIGKILL'));\n",
        );
    is_detected(&project, "vitest");
    let ran = project
        .run(&["-n", "1"])
        .exits(1)
        .says("expected 1 to be 2")
        .says("said")
        .says("Cannot find module './nothing.mjs'");
    let outcomes = ran.outcomes();
    let of_calc: Vec<_> = outcomes
        .iter()
        .filter(|line| line.contains("calc"))
        .collect();
    assert_eq!(
        of_calc,
        [
            "vitest::src/calc.test.mjs::adds passed",
            "vitest::src/calc.test.mjs::fails passed",
            "vitest::src/calc.test.mjs::is skipped skipped",
            "vitest::src/calc.test.mjs::suite > is wrong failed",
        ]
    );
    for file in ["broken", "killed"] {
        let line = format!("vitest::src/{file}.test.mjs errored");
        assert!(outcomes.contains(&line), "{outcomes:?}");
    }
    // Whatever vitest knew of the test whose worker died: it is not passed.
    let passed = "vitest::src/killed.test.mjs::killed passed".to_owned();
    assert!(!outcomes.contains(&passed), "{outcomes:?}");
}
