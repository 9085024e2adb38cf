//! Settings of projects that are tested with mocha.

use serde_json::Value;

use crate::harness::{Outcomes, Setting};
use crate::javascript::project;

const PASSES: &str = "it('passes', () => {});\n";
const FAILS: &str = "it('fails', () => { throw new Error('no'); });\n";

/// The tests of mocha's report in JSON. A hook that failed is an error of its suite.
fn read(report: &Value, root: &str) -> Outcomes {
    let mut outcomes = Outcomes::new();
    for (list, outcome) in [
        ("passes", "passed"),
        ("pending", "skipped"),
        ("failures", "failed"),
    ] {
        for test in report[list].as_array().into_iter().flatten() {
            let file = test["file"].as_str().unwrap_or_default();
            let file = file.strip_prefix(root).unwrap_or(file);
            let title = test["fullTitle"].as_str().unwrap_or_default();
            match title
                .split_once(" \"before ")
                .or_else(|| title.split_once(" \"after "))
            {
                Some((suite, _)) if outcome == "failed" => {
                    outcomes.insert(format!("{file}::{suite}"), "errored".into());
                }
                _ => {
                    outcomes.insert(format!("{file}::{title}"), outcome.into());
                }
            }
        }
    }
    outcomes
}

fn mocha_with(config: &str, arguments: &[&str]) -> Setting {
    let native =
        "node_modules/.bin/mocha --reporter json --reporter-option output=\"$OUT/report.json\"";
    project("mocha", native, arguments, read)
        .ours(|id| {
            let id = id.split_once("::").map_or(id, |(_, test)| test);
            id.replace(" > ", " ")
        })
        .file(".mocharc.json", config)
}

fn mocha(config: &str) -> Setting {
    mocha_with(config, &[])
}

#[test]
fn every_common_outcome() {
    mocha("{}")
        .file("test/a.js", &format!("{PASSES}{FAILS}it('comes later');\nit.skip('is skipped', () => {{}});\n"))
        .file("test/b.js", "describe('outer', () => { describe('inner', () => { it('is deep', () => {}); }); });\n")
        .file("test/deep/c.js", FAILS)
        .agrees_on(5);
}

#[test]
#[ignore = "slow"]
fn hooks_that_fail() {
    mocha("{}")
        .file("test/a.js", "describe('s', () => { before(() => { throw new Error('no'); }); it('never', () => {}); });\n")
        .file("test/b.js", "describe('t', () => { afterEach(() => { throw new Error('no'); }); it('runs', () => {}); it('never', () => {}); });\n")
        .agrees_on(3);
}

#[test]
#[ignore = "slow"]
fn files_of_the_configuration() {
    mocha("{ \"spec\": [\"checks/*.js\"], \"ignore\": [\"checks/old.js\"] }")
        .file("checks/a.js", PASSES)
        .file("checks/old.js", FAILS)
        .file("test/b.js", FAILS)
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn folders_below() {
    mocha("{ \"recursive\": true, \"extension\": [\"cjs\"] }")
        .file("test/a.cjs", PASSES)
        .file("test/deep/b.cjs", FAILS)
        .file("test/c.js", FAILS)
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn a_module_that_is_required() {
    mocha("{ \"require\": [\"./setup.js\"] }")
        .file(
            "setup.js",
            "exports.mochaHooks = { beforeEach() { global.ready = true; } };\n",
        )
        .file(
            "test/a.js",
            "it('is ready', () => { if (!global.ready) throw new Error('no'); });\n",
        )
        .file(
            "test/b.js",
            "it('is ready too', () => { if (!global.ready) throw new Error('no'); });\n",
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn hooks_for_all_files() {
    mocha("{}")
        .file(
            "test/a.js",
            "beforeEach(() => { global.ready = true; });\nit('is ready', () => {});\n",
        )
        .file(
            "test/b.js",
            "it('is ready too', () => { if (!global.ready) throw new Error('no'); });\n",
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn a_file_that_only_helps() {
    mocha("{}")
        .file("test/a.js", "global.answer = 42;\n")
        .file(
            "test/b.js",
            "it('knows', () => { if (global.answer !== 42) throw new Error('no'); });\n",
        )
        .file(
            "test/c.js",
            "it('knows too', () => { if (global.answer !== 42) throw new Error('no'); });\n",
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn tests_that_are_the_only_ones() {
    mocha("{}")
        .file(
            "test/a.js",
            "it.only('only', () => {});\nit('not this', () => { throw new Error('no'); });\n",
        )
        .file("test/b.js", FAILS)
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn tests_by_name() {
    mocha_with("{}", &["--grep", "passes"])
        .file("test/a.js", &format!("{PASSES}{FAILS}"))
        .file("test/b.js", FAILS)
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn another_interface() {
    mocha("{ \"ui\": \"tdd\" }")
        .file("test/a.js", "suite('s', () => { test('passes', () => {}); test('fails', () => { throw new Error('no'); }); });\n")
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn tests_that_are_tried_again() {
    mocha("{ \"retries\": 2 }")
        .file("test/a.js", "let tries = 0;\nit('passes at last', () => { tries += 1; if (tries < 3) throw new Error('no'); });\nit('never passes', () => { throw new Error('no'); });\n")
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn files_side_by_side() {
    mocha("{ \"parallel\": true, \"jobs\": 2 }")
        .file("test/a.js", PASSES)
        .file("test/b.js", FAILS)
        .file("test/c.js", PASSES)
        .agrees_on(3);
}

#[test]
#[ignore = "slow"]
fn the_configuration_in_package_json() {
    let native =
        "node_modules/.bin/mocha --reporter json --reporter-option output=\"$OUT/report.json\"";
    project("mocha", native, &[], read)
        .file(
            "package.json",
            "{ \"mocha\": { \"spec\": \"checks/*.js\" } }\n",
        )
        .file("checks/a.js", PASSES)
        .file("test/b.js", FAILS)
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn a_test_that_is_selected_by_its_id() {
    mocha("{}")
        .file(
            "test/a.js",
            &format!("{PASSES}describe('outer', () => {{ {FAILS}it('passes', () => {{}}); }});\n"),
        )
        .file("test/b.js", FAILS)
        .natively("test/a.js --grep '^outer passes$'")
        .arguments(&["test/a.js::outer > passes"])
        .agrees_on(1);
}

/// Node runs it by itself, from version 22.18 on.
fn typescript() {
    mocha("{ \"extension\": [\"ts\"], \"spec\": \"test/*.ts\" }")
        .file(
            "test/a.ts",
            "const n: number = 1;\nit('passes', () => { n satisfies number; });\n",
        )
        .file(
            "test/b.ts",
            "const n: number = 1;\nit('fails', () => { throw new Error(String(n)); });\n",
        )
        .agrees_on(2);
}

versions! {
    [
        mocha_10: Version::of("mocha-10"),
        mocha_11_on_node_24: Version::of("node").on("node-24"),
    ]
    quick [
        every_common_outcome
    ]
    slow [
        hooks_that_fail
        files_of_the_configuration
        folders_below
        a_module_that_is_required
        hooks_for_all_files
        a_file_that_only_helps
        tests_that_are_the_only_ones
        tests_by_name
        another_interface
        tests_that_are_tried_again
        files_side_by_side
        a_test_that_is_selected_by_its_id
    ]
}

versions! {
    [
        mocha_10_typescript: Version::of("mocha-10").on("node-24"),
        mocha_11_typescript: Version::of("node").on("node-24"),
    ]
    quick []
    slow [
        typescript
    ]
}
