//! Settings of projects that are tested with vitest.

use crate::harness::{Setting, is_with};
use crate::javascript::{jest_json, project, without_project};

const HEAD: &str = "import { afterEach, beforeAll, describe, expect, test } from 'vitest';\n";
const PASSES: &str = "test('passes', () => expect(1 + 1).toBe(2));\n";
const FAILS: &str = "test('fails', () => expect(1).toBe(2));\n";

fn of(tests: &str) -> String {
    format!("{HEAD}{tests}")
}

/// A project with this `test` in its `vitest.config.mjs`, run with these arguments.
fn vitest_with(config: &str, arguments: &[&str]) -> Setting {
    let native = "node_modules/.bin/vitest run --reporter=json --outputFile=\"$OUT/report.json\"";
    project("vitest", native, arguments, jest_json)
        .ours(without_project)
        .file("package.json", "{ \"type\": \"module\" }\n")
        .file(
            "vitest.config.mjs",
            &format!("export default {{ test: {config} }};\n"),
        )
}

fn vitest(config: &str) -> Setting {
    vitest_with(config, &[])
}

/// Versions before 3.2 have projects in a file of their own.
fn of_projects(list: &str, arguments: &[&str]) -> Setting {
    if is_with(&["vitest-1", "vitest-2"]) {
        let workspace = format!("export default {list};\n");
        vitest_with("{}", arguments).file("vitest.workspace.mjs", &workspace)
    } else {
        vitest_with(&format!("{{ projects: {list} }}"), arguments)
    }
}

#[test]
fn every_common_outcome() {
    vitest("{}")
        .file("a.test.js", &of(&format!("{PASSES}{FAILS}test.skip('is skipped', () => {{}});\ntest.todo('comes later');\n")))
        .file("b.test.js", &of("describe('outer', () => { describe('inner', () => { test('is deep', () => {}); }); });\n"))
        .file("broken.test.js", "import './nothing.js';\n")
        .agrees_on(6);
}

#[test]
#[ignore = "slow"]
fn the_default_patterns() {
    vitest("{}")
        .file("a.test.mjs", &of(PASSES))
        .file("b.spec.ts", &of(FAILS))
        .file("c.js", &of(FAILS))
        .file("__tests__/d.js", &of(FAILS))
        .file("dist/e.test.js", &of(PASSES))
        // `dist` is left out before vitest 4.
        .agrees_on(if is_with(&["vitest-1", "vitest-2", "vitest-3"]) {
            2
        } else {
            3
        });
}

#[test]
fn include() {
    vitest("{ include: ['**/*.check.js'] }")
        .file("a.test.js", &of(PASSES))
        .file("b.check.js", &of(FAILS))
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn exclude() {
    vitest("{ exclude: ['old/**', '**/node_modules/**'] }")
        .file("old/a.test.js", &of(FAILS))
        .file("new/a.test.js", &of(PASSES))
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn a_folder() {
    vitest("{ dir: 'src' }")
        .file("src/a.test.js", &of(PASSES))
        .file("lib/b.test.js", &of(FAILS))
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn a_root_folder_below() {
    vitest("{ root: 'packages' }")
        .file("packages/a.test.js", &of(PASSES))
        .file("b.test.js", &of(FAILS))
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn projects() {
    of_projects(
        "['red', 'blue'].map((name) => ({ test: { name, include: [`${name}/*.js`] } }))",
        &[],
    )
    .file("red/a.js", &of(PASSES))
    .file("blue/b.js", &of(FAILS))
    .file("green/c.js", &of(FAILS))
    .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn a_project_that_is_selected() {
    of_projects(
        "['red', 'blue'].map((name) => ({ test: { name, include: [`${name}/*.js`] } }))",
        &["--project", "red"],
    )
    .file("red/a.js", &of(PASSES))
    .file("blue/b.js", &of(FAILS))
    .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn one_file_in_two_projects() {
    of_projects("['red', 'blue'].map((name) => ({ test: { name, env: { NAME: name }, include: ['a.test.js'] } }))", &[])
        .file("a.test.js", &of("test('has a name', () => expect(['red', 'blue']).toContain(process.env.NAME));\n"))
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn coverage_with_a_threshold_that_is_met() {
    vitest("{ coverage: { enabled: true, thresholds: { functions: 100 } } }")
        .file(
            "m.js",
            "export const a = () => 1;\nexport const b = () => 2;\n",
        )
        .file(
            "a.test.js",
            &of("import { a } from './m.js';\ntest('a', () => expect(a()).toBe(1));\n"),
        )
        .file(
            "b.test.js",
            &of("import { b } from './m.js';\ntest('b', () => expect(b()).toBe(2));\n"),
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn coverage_of_an_argument() {
    vitest_with("{}", &["--coverage"])
        .file("a.test.js", &of(PASSES))
        .file("b.test.js", &of(PASSES))
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn a_global_setup_runs_once() {
    vitest("{ globalSetup: './setup.js' }")
        .file(
            "setup.js",
            "import { appendFileSync } from 'node:fs';\nexport const setup = () => appendFileSync('log', 'up\\n');\nexport const teardown = () => appendFileSync('log', 'down\\n');\n",
        )
        .file("a.test.js", &of(PASSES))
        .file("b.test.js", &of(FAILS))
        .file("c.test.js", &of(PASSES))
        .agrees_on(3);
}

#[test]
#[ignore = "slow"]
fn files_that_must_not_run_side_by_side() {
    let alone = "import { existsSync, rmSync, writeFileSync } from 'node:fs';\ntest('is alone', async () => {\n\
                 expect(existsSync('busy')).toBe(false);\nwriteFileSync('busy', '');\nfor (let i = 0; i < 200; i++) await new Promise(setImmediate);\nrmSync('busy');\n});\n";
    vitest("{ fileParallelism: false }")
        .file("a.test.js", &of(alone))
        .file("b.test.js", &of(alone))
        .file("c.test.js", &of(alone))
        .agrees_on(3);
}

#[test]
#[ignore = "slow"]
fn snapshots_are_written() {
    vitest("{}")
        .env("CI", "")
        .file(
            "a.test.js",
            &of("test('one', () => expect({ a: 1 }).toMatchSnapshot());\n"),
        )
        .file(
            "b.test.js",
            &of("test('two', () => expect([2]).toMatchSnapshot());\n"),
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn snapshots_are_not_written_in_ci() {
    vitest("{}")
        .env("CI", "true")
        .file(
            "a.test.js",
            &of("test('one', () => expect({ a: 1 }).toMatchSnapshot());\n"),
        )
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn snapshots_that_differ() {
    vitest("{}")
        .file("a.test.js", &of("test('one', () => expect(2).toMatchSnapshot());\n"))
        .file("__snapshots__/a.test.js.snap", "// Vitest Snapshot v1, https://vitest.dev/guide/snapshot.html\n\nexports[`one 1`] = `1`;\n")
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn snapshots_are_updated() {
    vitest_with("{}", &["--update"])
        .file("a.test.js", &of("test('one', () => expect(2).toMatchSnapshot());\n"))
        .file("__snapshots__/a.test.js.snap", "// Vitest Snapshot v1, https://vitest.dev/guide/snapshot.html\n\nexports[`one 1`] = `1`;\n")
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn files_that_set_up_each_test_file() {
    vitest("{ setupFiles: ['./first.js'] }")
        .file("first.js", "globalThis.first = 1;\n")
        .file(
            "a.test.js",
            &of("test('is set up', () => expect(first).toBe(1));\n"),
        )
        .file(
            "b.test.js",
            &of("test('is set up too', () => expect(first).toBe(1));\n"),
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn functions_that_are_global() {
    vitest("{ globals: true }")
        .file("a.test.js", PASSES)
        .file("b.test.js", FAILS)
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn tests_that_are_tried_again() {
    vitest("{ retry: 2 }")
        .file("a.test.js", &of("let tries = 0;\ntest('passes at last', () => { tries += 1; expect(tries).toBe(3); });\ntest('never passes', () => expect(1).toBe(2));\n"))
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn tables_of_tests() {
    vitest("{}")
        .file("a.test.js", &of("test.each([[1, 2], [2, 3]])('%i and %i', (a, b) => expect(b).toBe(a + 1));\ndescribe.each(['x', 'y'])('of %s', (name) => { test('has a name', () => expect(name).toBe('x')); });\n"))
        .agrees_on(4);
}

#[test]
#[ignore = "slow"]
fn tests_that_are_the_only_ones() {
    vitest("{ allowOnly: true }")
        .file(
            "a.test.js",
            &of(&format!("{FAILS}test.only('only', () => {{}});\n")),
        )
        .file("b.test.js", &of(PASSES))
        .agrees_on(3);
}

#[test]
#[ignore = "slow"]
fn tests_by_name() {
    vitest_with("{}", &["-t", "passes"])
        .file("a.test.js", &of(&format!("{PASSES}{FAILS}")))
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn hooks_that_fail() {
    vitest("{}")
        .file("b.test.js", &of("describe('s', () => { afterEach(() => { throw new Error('no'); }); test('one', () => {}); });\n"))
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn tests_that_are_to_fail() {
    vitest("{}")
        .file("a.test.js", &of("test.fails('is wrong', () => { throw new Error('x'); });\ntest.fails('is right', () => {});\n"))
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn another_pool() {
    vitest("{ pool: 'threads' }")
        .file("a.test.js", &of(PASSES))
        .file("b.test.js", &of(FAILS))
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn files_that_are_not_isolated() {
    vitest("{ isolate: false }")
        .file("a.test.js", &of(PASSES))
        .file("b.test.js", &of(FAILS))
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn an_order_of_chance() {
    vitest("{ sequence: { shuffle: true, seed: 7 } }")
        .file("a.test.js", &of(&format!("{PASSES}{FAILS}")))
        .file("b.test.js", &of(PASSES))
        .agrees_on(3);
}

#[test]
#[ignore = "slow"]
fn tests_that_run_at_once() {
    vitest("{ sequence: { concurrent: true } }")
        .file("a.test.js", &of(&format!("{PASSES}{FAILS}")))
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn another_configuration_file() {
    vitest_with(
        "{ include: ['**/*.none.js'] }",
        &["--config", "unit.config.mjs"],
    )
    .file(
        "unit.config.mjs",
        "export default { test: { include: ['**/*.unit.js'] } };\n",
    )
    .file("a.unit.js", &of(PASSES))
    .file("b.none.js", &of(FAILS))
    .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn a_pattern_of_paths() {
    vitest_with("{}", &["src/a"])
        .file("src/a.test.js", &of(PASSES))
        .file("src/b.test.js", &of(FAILS))
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn variables_of_the_configuration() {
    vitest("{ env: { COLOUR: 'red' } }")
        .file(
            "a.test.js",
            &of("test('is red', () => expect(process.env.COLOUR).toBe('red'));\n"),
        )
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn a_server_that_is_strict() {
    vitest("{}")
        .file(
            "vitest.config.mjs",
            "export default { server: { fs: { strict: true, allow: ['.'] } }, test: {} };\n",
        )
        .file("m.js", "export const two = 2;\n")
        .file(
            "a.test.js",
            &of("import { two } from './m.js';\ntest('imports', () => expect(two).toBe(2));\n"),
        )
        .file("b.test.js", &of(FAILS))
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn a_test_that_is_selected_by_its_id() {
    vitest("{}")
        .file(
            "a.test.js",
            &of(&format!(
                "{PASSES}describe('outer', () => {{ {FAILS}test('passes', () => {{}}); }});\n"
            )),
        )
        .file("b.test.js", &of(FAILS))
        .natively("a.test.js -t '^ ?outer passes$'")
        .arguments(&["a.test.js::outer > passes"])
        .selecting()
        .agrees_on(1);
}

/// Before vitest 4 projects may have a file of their own.
fn a_file_of_projects() {
    vitest("{}")
        .file("vitest.workspace.mjs", "export default ['packages/*'];\n")
        .file(
            "packages/red/vitest.config.mjs",
            "export default { test: { name: 'red', include: ['*.js'] } };\n",
        )
        .file("packages/red/a.js", &of(PASSES))
        .file(
            "packages/blue/vitest.config.mjs",
            "export default { test: { name: 'blue', include: ['*.check.js'] } };\n",
        )
        .file("packages/blue/a.js", &of(FAILS))
        .file("packages/blue/b.check.js", &of(FAILS))
        .agrees_on(2);
}

versions! {
    [
        vitest_1: Version::of("vitest-1"),
        vitest_2: Version::of("vitest-2"),
        vitest_3: Version::of("vitest-3"),
        vitest_4_with_vite_7: Version::of("vitest-4-vite-7"),
        vitest_4_on_node_24: Version::of("node").on("node-24"),
    ]
    quick [
        every_common_outcome
    ]
    slow [
        the_default_patterns
        include
        exclude
        projects
        a_project_that_is_selected
        one_file_in_two_projects
        coverage_with_a_threshold_that_is_met
        a_global_setup_runs_once
        files_that_must_not_run_side_by_side
        snapshots_are_written
        snapshots_are_updated
        hooks_that_fail
        tests_that_are_tried_again
        tests_that_are_to_fail
        another_pool
        a_server_that_is_strict
        a_test_that_is_selected_by_its_id
    ]
}

versions! {
    [
        vitest_1_workspace: Version::of("vitest-1"),
        vitest_2_workspace: Version::of("vitest-2"),
        vitest_3_workspace: Version::of("vitest-3"),
    ]
    quick []
    slow [
        a_file_of_projects
    ]
}
