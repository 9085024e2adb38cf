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
pub fn with_modules(package: &str) -> Option<Project> {
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
            "jest::src/leaves.test.js::first passed",
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

/// Without a manifest too, the project's own patterns say which files are tests.
#[test]
fn patterns_of_a_project_without_a_manifest() {
    let test = "test('fails', () => expect(1).toBe(2));\n";
    for (tool, name, config) in [
        (
            "jest",
            "jest.config.js",
            "module.exports = { testMatch: ['**/*.unit.js'] };\n",
        ),
        (
            "vitest",
            "vitest.config.mjs",
            "export default { test: { globals: true, include: ['*.unit.js'] } };\n",
        ),
    ] {
        let Some(project) = with_modules(tool) else {
            return;
        };
        let ran = project
            .file(name, config)
            .file("a.test.js", test)
            .file("b.unit.js", test)
            .run(&[])
            .exits(1);
        assert_eq!(ran.outcomes(), [format!("{tool}::b.unit.js::fails failed")]);
    }
}

/// The tests of a file take longer together than one may: each is reported when it ends, and the clock begins anew.
#[test]
fn a_timeout_is_one_test_s_and_not_its_file_s() {
    let tools = ["jest", "vitest", "mocha"];
    if !tools.iter().all(|tool| with_modules(tool).is_some()) {
        return;
    }
    let wait = "for (let n = 1; n <= 6; n++) test(`t${n}`, () => new Promise((go) => setTimeout(go, 2000)));\n";
    let mut manifest = "[defaults]\ntimeout = \"10s\"\n".to_owned();
    for runner in ["jest", "mocha", "node", "vitest"] {
        manifest.push_str(&format!("[groups.{runner}]\nrunner = {runner:?}\n"));
    }
    let project = with_modules("jest")
        .unwrap()
        .file("fastest.toml", &manifest)
        .file(
            "jest.config.js",
            "module.exports = { testMatch: ['**/jest/*.js'] };\n",
        )
        .file("jest/a.js", wait)
        .file(
            ".mocharc.json",
            "{ \"spec\": \"mocha/*.js\", \"timeout\": 0 }",
        )
        .file("mocha/a.js", &format!("const test = it;\n{wait}"))
        .file(
            "test/a.mjs",
            &format!("import test from 'node:test';\n{wait}"),
        )
        .file(
            "vitest.config.mjs",
            "export default { test: { include: ['vitest/*.js'] } };\n",
        )
        .file(
            "vitest/a.js",
            &format!("import {{ test }} from 'vitest';\n{wait}"),
        );
    let ran = project.run(&["-n", "4"]).exits(0);
    assert_eq!(ran.outcomes().len(), 24);
}

/// A lone surrogate in a name or a message is no reason to lose a result.
#[test]
fn results_that_no_text_can_hold_are_kept() {
    let tests = "test('has \\ud800 in its name', () => {});\n\
                 test('passes', () => {});\n\
                 test('always wrong', () => { throw new Error('\\udfff is half of it'); });\n";
    if has("node") {
        let project = Project::with("[groups.n]\nrunner = \"node\"\n").file(
            "a.test.mjs",
            &format!("import test from 'node:test';\n{tests}"),
        );
        let ran = project.run(&[]).exits(1);
        assert_eq!(
            ran.outcomes(),
            [
                "n::a.test.mjs::always wrong failed",
                "n::a.test.mjs::has \u{fffd} in its name passed",
                "n::a.test.mjs::passes passed",
            ]
        );
    }
    let Some(project) = with_modules("jest") else {
        return;
    };
    let manifest = "[groups.n]\nrunner = \"jest\"\nretries = 1\nchunk-size = 2\n";
    let second = "const fs = require('fs');\n\
                  test('passes at its second try', () => { const again = fs.existsSync('again'); fs.writeFileSync('again', ''); expect(again).toBe(true); });\n";
    let project = project
        .file("fastest.toml", manifest)
        .file("a.test.js", tests)
        .file("b.test.js", second);
    let ran = project.run(&["-n", "1"]).exits(1);
    let outcomes = ran.outcomes();
    for line in [
        "n::a.test.js::always wrong failed",
        "n::b.test.js::passes at its second try flaky",
    ] {
        assert!(outcomes.contains(&line.to_owned()), "{outcomes:?}");
    }
}

/// What no test is to blame for is a failed test that is called like the group.
#[test]
fn coverage_is_measured_as_a_whole_and_its_threshold_is_judged_once() {
    let Some(project) = with_modules("jest") else {
        return;
    };
    let project = project
        .file("fastest.toml", "[groups.n]\nrunner = \"jest\"\n")
        .file(
            "jest.config.js",
            "module.exports = { collectCoverage: true, coverageThreshold: { global: { functions: 100 } } };\n",
        )
        .file("m.js", "exports.a = () => 1;\nexports.b = () => 2;\n")
        .file("a.test.js", "test('a', () => expect(require('./m').a()).toBe(1));\n")
        .file("b.test.js", "test('b', () => expect(require('./m').b()).toBe(2));\n");
    project
        .orchestrate(&["run", "-n", "2"])
        .exits(0)
        .says("group n runs as one process: it measures coverage");
    let ran = project
        .run(&["-n", "2", "a.test.js"])
        .exits(1)
        .says("Coverage for functions (50%) does not meet \"global\" threshold (100%)");
    assert_eq!(ran.outcomes(), ["n failed", "n::a.test.js::a passed"]);
}

/// The project's name is part of the id and a tag.
#[test]
fn projects_are_told_apart() {
    let Some(project) = with_modules("jest") else {
        return;
    };
    let project = project
        .file("fastest.toml", "[groups.n]\nrunner = \"jest\"\n")
        .file(
            "jest.config.js",
            "module.exports = { projects: ['red', 'blue'].map((name) => ({ displayName: name, globals: { COLOUR: name } })) };\n",
        )
        .file("x.test.js", "test('is red', () => expect(COLOUR).toBe('red'));\n");
    let all = [
        "n::x.test.js[blue]::is red failed",
        "n::x.test.js[red]::is red passed",
    ];
    assert_eq!(project.run(&[]).exits(1).outcomes(), all);
    let red = project.run(&["-m", "project:red"]).exits(0);
    assert_eq!(red.outcomes(), all[1..]);
    let both = project.run(&["x.test.js::is red"]).exits(1);
    assert_eq!(both.outcomes(), all);
}

/// `args` that would choose tests a second time, or send the results elsewhere, are refused by name.
#[test]
fn arguments_that_would_lose_tests_are_refused() {
    let Some(project) = with_modules("jest") else {
        return;
    };
    let project = project.file("a.test.js", "test('a', () => {});\n");
    for (runner, argument) in [
        ("jest", "--shard=1/2"),
        ("vitest", "--shard=1/2"),
        ("node", "--test-reporter=dot"),
    ] {
        let manifest =
            format!("[groups.n]\nrunner = {runner:?}\nwith = {{ args = [{argument:?}] }}\n");
        std::fs::write(project.path().join("fastest.toml"), manifest).unwrap();
        let option = argument.split('=').next().unwrap();
        project
            .orchestrate(&["run"])
            .exits(1)
            .says(&format!("`args` of the runner has {option}"));
    }
}
