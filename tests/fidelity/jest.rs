//! Settings of projects that are tested with jest.

use crate::harness::{Setting, is_with};
use crate::javascript::{jest_json, project, without_project};

const PASSES: &str = "test('passes', () => expect(1 + 1).toBe(2));\n";
const FAILS: &str = "test('fails', () => expect(1).toBe(2));\n";

/// A project with this `jest.config.js`, run with these arguments.
fn jest_with(config: &str, arguments: &[&str]) -> Setting {
    let native = "node_modules/.bin/jest --json --outputFile=\"$OUT/report.json\"";
    project("jest", native, arguments, jest_json)
        .ours(without_project)
        .file("jest.config.js", &format!("module.exports = {config};\n"))
}

fn jest(config: &str) -> Setting {
    jest_with(config, &[])
}

#[test]
fn every_common_outcome() {
    jest("{}")
        .file("a.test.js", &format!("{PASSES}{FAILS}test.skip('is skipped', () => {{}});\ntest.todo('comes later');\n"))
        .file("b.test.js", "describe('outer', () => { describe('inner', () => { test('is deep', () => {}); }); });\n")
        .file("broken.test.js", "require('./nothing');\n")
        .agrees_on(6);
}

#[test]
fn the_default_patterns() {
    jest("{}")
        .file("src/test.js", FAILS)
        .file("src/spec.js", PASSES)
        .file("src/a.test.mjs", "export {};\n")
        .file("src/__tests__/b.js", PASSES)
        .file("src/c.js", FAILS)
        .file("src/d.spec.jsx", PASSES)
        // jest 29 does not run `.mjs`.
        .agrees_on(if is_with(&["jest-29"]) { 4 } else { 5 });
}

#[test]
fn test_match() {
    jest("{ testMatch: ['**/*.unit.js'] }")
        .file("a.test.js", PASSES)
        .file("b.unit.js", FAILS)
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn test_regex() {
    jest("{ testRegex: 'checks/.*\\\\.js$' }")
        .file("a.test.js", FAILS)
        .file("checks/b.js", PASSES)
        .file("checks/deep/c.js", PASSES)
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn paths_that_are_ignored() {
    jest("{ testPathIgnorePatterns: ['/old/'] }")
        .file("old/a.test.js", FAILS)
        .file("new/a.test.js", PASSES)
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn roots() {
    jest("{ roots: ['<rootDir>/one', '<rootDir>/two'] }")
        .file("one/a.test.js", PASSES)
        .file("two/b.test.js", FAILS)
        .file("three/c.test.js", FAILS)
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn a_root_folder_below() {
    jest("{ rootDir: 'packages' }")
        .file("packages/a.test.js", PASSES)
        .file("b.test.js", FAILS)
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn projects_with_names() {
    jest("{ projects: ['red', 'blue'].map((displayName) => ({ displayName, testMatch: [`<rootDir>/${displayName}/*.js`] })) }")
        .file("red/a.js", PASSES)
        .file("blue/b.js", FAILS)
        .file("green/c.js", FAILS)
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn projects_without_names() {
    jest("{ projects: ['<rootDir>/one', '<rootDir>/two'] }")
        .file("one/jest.config.js", "module.exports = {};\n")
        .file("one/a.test.js", PASSES)
        .file(
            "two/jest.config.js",
            "module.exports = { testMatch: ['**/*.check.js'] };\n",
        )
        .file("two/a.test.js", FAILS)
        .file("two/b.check.js", PASSES)
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn a_project_that_is_selected() {
    jest_with(
        "{ projects: ['red', 'blue'].map((displayName) => ({ displayName, testMatch: [`<rootDir>/${displayName}/*.js`] })) }",
        &["--selectProjects", "red"],
    )
    .file("red/a.js", PASSES)
    .file("blue/b.js", FAILS)
    .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn one_file_in_two_projects() {
    jest("{ projects: ['red', 'blue'].map((displayName) => ({ displayName, globals: { NAME: displayName } })) }")
        .file("a.test.js", "test('has a name', () => expect(['red', 'blue']).toContain(NAME));\n")
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn coverage_with_a_threshold_that_is_met() {
    jest("{ collectCoverage: true, coverageThreshold: { global: { functions: 100 } } }")
        .file("m.js", "exports.a = () => 1;\nexports.b = () => 2;\n")
        .file(
            "a.test.js",
            "test('a', () => expect(require('./m').a()).toBe(1));\n",
        )
        .file(
            "b.test.js",
            "test('b', () => expect(require('./m').b()).toBe(2));\n",
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn coverage_of_an_argument() {
    jest_with("{}", &["--coverage"])
        .file("a.test.js", PASSES)
        .file("b.test.js", PASSES)
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn a_global_setup_runs_once() {
    jest("{ globalSetup: './setup.js', globalTeardown: './teardown.js' }")
        .file(
            "setup.js",
            "module.exports = () => require('fs').appendFileSync('log', 'up\\n');\n",
        )
        .file(
            "teardown.js",
            "module.exports = () => require('fs').appendFileSync('log', 'down\\n');\n",
        )
        .file("a.test.js", PASSES)
        .file("b.test.js", FAILS)
        .file("c.test.js", PASSES)
        .agrees_on(3);
}

#[test]
#[ignore = "slow"]
fn a_reporter_of_the_project() {
    jest("{ reporters: ['default', ['./reporter.js', { name: 'seen' }]] }")
        .file(
            "reporter.js",
            "module.exports = class { constructor(config, options) { this.name = options.name; }\n\
             onRunComplete(contexts, results) { require('fs').writeFileSync(this.name, String(results.numTotalTests)); } };\n",
        )
        .file("a.test.js", PASSES)
        .file("b.test.js", FAILS)
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn snapshots_are_written() {
    jest("{}")
        .env("CI", "")
        .file(
            "a.test.js",
            "test('one', () => expect({ a: 1 }).toMatchSnapshot());\n",
        )
        .file(
            "b.test.js",
            "test('two', () => expect([2]).toMatchSnapshot());\n",
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn snapshots_are_not_written_in_ci() {
    jest("{}")
        .env("CI", "true")
        .file(
            "a.test.js",
            "test('one', () => expect({ a: 1 }).toMatchSnapshot());\n",
        )
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn snapshots_that_differ() {
    jest("{}")
        .file("a.test.js", "test('one', () => expect(2).toMatchSnapshot());\n")
        .file("__snapshots__/a.test.js.snap", "// Jest Snapshot v1, https://jestjs.io/docs/snapshot-testing\n\nexports[`one 1`] = `1`;\n")
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn snapshots_are_updated() {
    jest_with("{}", &["--updateSnapshot"])
        .file("a.test.js", "test('one', () => expect(2).toMatchSnapshot());\n")
        .file("__snapshots__/a.test.js.snap", "// Jest Snapshot v1, https://jestjs.io/docs/snapshot-testing\n\nexports[`one 1`] = `1`;\n")
        .file("__snapshots__/gone.test.js.snap", "// Jest Snapshot v1, https://jestjs.io/docs/snapshot-testing\n\nexports[`x 1`] = `1`;\n")
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn files_that_set_up_each_test_file() {
    jest("{ setupFiles: ['./first.js'], setupFilesAfterEnv: ['./second.js'] }")
        .file("first.js", "global.first = 1;\n")
        .file(
            "second.js",
            "beforeEach(() => { global.second = global.first + 1; });\n",
        )
        .file(
            "a.test.js",
            "test('is set up', () => expect(second).toBe(2));\n",
        )
        .file(
            "b.test.js",
            "test('is set up too', () => expect(second).toBe(2));\n",
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn tests_that_are_tried_again() {
    jest("{}")
        .file("a.test.js", "jest.retryTimes(2);\nlet tries = 0;\ntest('passes at last', () => { tries += 1; expect(tries).toBe(3); });\ntest('never passes', () => expect(1).toBe(2));\n")
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn tables_of_tests() {
    jest("{}")
        .file("a.test.js", "test.each([[1, 2], [2, 3]])('%i and %i', (a, b) => expect(b).toBe(a + 1));\ndescribe.each(['x', 'y'])('of %s', (name) => { test('has a name', () => expect(name).toBe('x')); });\n")
        .agrees_on(4);
}

#[test]
#[ignore = "slow"]
fn tests_of_the_same_file_that_are_the_only_ones() {
    jest("{}")
        .file(
            "a.test.js",
            &format!("{FAILS}test.only('only', () => {{}});\n"),
        )
        .file("b.test.js", PASSES)
        .agrees_on(3);
}

#[test]
#[ignore = "slow"]
fn tests_by_name() {
    jest_with("{}", &["-t", "passes"])
        .file("a.test.js", &format!("{PASSES}{FAILS}"))
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn hooks_that_fail() {
    jest("{}")
        .file("a.test.js", "beforeAll(() => { throw new Error('no'); });\ntest('one', () => {});\ntest('two', () => {});\n")
        .file("b.test.js", "describe('s', () => { afterEach(() => { throw new Error('no'); }); test('one', () => {}); });\n")
        .agrees_on(3);
}

#[test]
#[ignore = "slow"]
fn modules_by_another_name() {
    jest("{ moduleNameMapper: { '^~/(.*)$': '<rootDir>/src/$1' } }")
        .file("src/m.js", "module.exports = 3;\n")
        .file(
            "a.test.js",
            "test('maps', () => expect(require('~/m')).toBe(3));\n",
        )
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn a_transform_of_the_project() {
    jest("{ transform: { '\\\\.txt$': './text.js' } }")
        .file("text.js", "exports.process = (text) => ({ code: `module.exports = ${JSON.stringify(text)};` });\n")
        .file("m.txt", "words")
        .file("a.test.js", "test('reads', () => expect(require('./m.txt')).toBe('words'));\n")
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn a_sequencer_of_the_project() {
    jest("{ testSequencer: './sequencer.js', maxWorkers: 1 }")
        .file(
            "sequencer.js",
            "const Sequencer = require('@jest/test-sequencer').default;\n\
             module.exports = class extends Sequencer { sort(tests) { return [...tests].sort((a, b) => (a.path < b.path ? 1 : -1)); } };\n",
        )
        .file("a.test.js", PASSES)
        .file("b.test.js", PASSES)
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn the_configuration_in_package_json() {
    let native = "node_modules/.bin/jest --json --outputFile=\"$OUT/report.json\"";
    project("jest", native, &[], jest_json)
        .ours(without_project)
        .file(
            "package.json",
            "{ \"jest\": { \"testMatch\": [\"**/*.check.js\"] } }\n",
        )
        .file("a.test.js", FAILS)
        .file("b.check.js", PASSES)
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn another_configuration_file() {
    jest_with(
        "{ testMatch: ['**/*.none.js'] }",
        &["--config", "unit.config.js"],
    )
    .file(
        "unit.config.js",
        "module.exports = { testMatch: ['**/*.unit.js'] };\n",
    )
    .file("a.unit.js", PASSES)
    .file("b.none.js", FAILS)
    .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn a_pattern_of_paths() {
    jest_with("{}", &["src/a"])
        .file("src/a.test.js", PASSES)
        .file("src/b.test.js", FAILS)
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn handles_that_a_test_leaves_open() {
    jest("{}")
        .file(
            "a.test.js",
            "test('leaves a timer', () => { setInterval(() => {}, 1000).unref(); });\n",
        )
        .file("b.test.js", PASSES)
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn a_test_that_is_selected_by_its_id() {
    jest("{}")
        .file(
            "a.test.js",
            &format!(
                "{PASSES}describe('outer', () => {{ {FAILS}test('passes', () => {{}}); }});\n"
            ),
        )
        .file("b.test.js", FAILS)
        .natively("a.test.js -t '^outer passes$'")
        .arguments(&["a.test.js::outer > passes"])
        .selecting()
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn modules_of_ecmascript() {
    jest("{ testMatch: ['**/*.mjs'] }")
        .env("NODE_OPTIONS", "--experimental-vm-modules --no-warnings")
        .file("m.js", "exports.two = 2;\n")
        .file(
            "a.mjs",
            "import m from './m.js';\ntest('imports', () => expect(m.two).toBe(2));\n",
        )
        .file("b.mjs", FAILS)
        .agrees_on(2);
}

versions! {
    [
        jest_29: Version::of("jest-29"),
        jest_30_on_node_24: Version::of("node").on("node-24"),
    ]
    quick [
        every_common_outcome
    ]
    slow [
        the_default_patterns
        test_match
        projects_with_names
        one_file_in_two_projects
        coverage_with_a_threshold_that_is_met
        a_global_setup_runs_once
        a_reporter_of_the_project
        snapshots_are_written
        snapshots_are_not_written_in_ci
        hooks_that_fail
        tests_that_are_tried_again
        a_sequencer_of_the_project
        modules_of_ecmascript
        a_test_that_is_selected_by_its_id
    ]
}
