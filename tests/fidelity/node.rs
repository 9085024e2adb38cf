//! Settings of projects that are tested with Node's own runner.

use std::fs;

use crate::harness::{Native, Outcomes, Setting, is_with};

/// A reporter for `node --test`: a line for each test, with its file and the names that lead to it.
const REPORTER: &str = "export default async function* (source) {\n\
    const names = new Map();\n\
    for await (const { type, data } of source) {\n\
        const { name, nesting, file, details } = data;\n\
        if (type === 'test:start') names.set(file, [...(names.get(file) ?? []).slice(0, nesting), name]);\n\
        if (type !== 'test:pass' && type !== 'test:fail') continue;\n\
        if (details?.type === 'suite' && (type === 'test:pass' || details.error?.failureType === 'subtestsFailed')) continue;\n\
        const path = [...(names.get(file) ?? []).slice(0, nesting), name].join(' > ');\n\
        const skipped = (data.skip !== undefined && data.skip !== false) || (data.todo !== undefined && data.todo !== false && type === 'test:pass');\n\
        yield `${file}\\t${path}\\t${skipped ? 'skipped' : type === 'test:pass' ? 'passed' : 'failed'}\\n`;\n\
    }\n\
}\n";

fn read(native: &Native) -> Outcomes {
    let text = |name: &str| fs::read_to_string(native.out.join(name)).unwrap_or_default();
    let root = format!("{}/", text("root").trim_end());
    let mut outcomes = Outcomes::new();
    for line in text("report").lines() {
        let mut fields = line.split('\t');
        let [file, name, outcome] = [(); 3].map(|()| fields.next().unwrap_or_default());
        let file = file.strip_prefix(&root).unwrap_or(file);
        let name = name.strip_prefix(&root).unwrap_or(name);
        // A file without a test is one, and is called as the file.
        let id = if name == file {
            file.to_owned()
        } else {
            format!("{file}::{name}")
        };
        outcomes.insert(id, outcome.to_owned());
    }
    outcomes
}

fn node_with(arguments: &[&str]) -> Setting {
    let native = format!(
        "pwd -P >\"$OUT/root\"; printf '%s' \"$REPORTER\" >\"$OUT/reporter.mjs\"; \
         node --test --test-reporter=\"$OUT/reporter.mjs\" --test-reporter-destination=\"$OUT/report\" {}",
        arguments.join(" ")
    );
    let words: Vec<String> = arguments.iter().map(|word| format!("{word:?}")).collect();
    let manifest = format!(
        "[groups.t]\nrunner = \"node\"\nwith = {{ args = [{}] }}\n",
        words.join(", ")
    );
    Setting::new(&native, read)
        .env("REPORTER", REPORTER)
        .manifest(&manifest)
}

fn node() -> Setting {
    node_with(&[])
}

const PASSES: &str = "require('node:test')('passes', () => {});\n";
const FAILS: &str = "require('node:test')('fails', () => { throw new Error('no'); });\n";

#[test]
fn every_common_outcome() {
    node()
        .file("a.test.mjs", "import test, { describe } from 'node:test';\ntest('passes', () => {});\ntest('fails', () => { throw new Error('no'); });\ntest('is skipped', { skip: 'no net' }, () => {});\ntest('comes later', { todo: true }, () => {});\n")
        .file("b.test.mjs", "import { describe, it } from 'node:test';\ndescribe('outer', () => { describe('inner', () => { it('is deep', () => {}); }); });\n")
        .agrees_on(5);
}

#[test]
fn files_that_fail_beside_their_tests_or_leave_before_them() {
    node()
        .file(
            "a.test.js",
            "require('node:test')('is long over', () => { Promise.reject(new Error('loose')); });\n",
        )
        .file(
            "b.test.js",
            "const test = require('node:test');\nprocess.exit(0);\ntest('never runs', () => {});\n",
        )
        .agrees_on(3);
}

#[test]
fn names_of_files() {
    node()
        .file("a-test.js", PASSES)
        .file("b_test.cjs", PASSES)
        .file("c.test.js", FAILS)
        .file("test-d.js", PASSES)
        .file("test.js", PASSES)
        .file("e.spec.js", FAILS)
        .file("tests/f.js", FAILS)
        .agrees_on(5);
}

#[test]
fn all_in_a_folder_called_test() {
    node()
        .file("test/a.js", PASSES)
        .file("test/deep/b.cjs", FAILS)
        .file("lib/test/c.js", PASSES)
        .file("lib/d.js", FAILS)
        .agrees_on(3);
}

#[test]
fn hidden_folders_and_modules() {
    node()
        .file("node_modules/x/test/a.js", FAILS)
        .file("lib/node_modules/y/a.test.js", FAILS)
        .file("b.test.js", PASSES)
        .agrees_on(1);
}

#[test]
fn subtests() {
    node()
        .file("a.test.mjs", "import test from 'node:test';\ntest('outer', async (t) => { await t.test('inner', () => {}); await t.test('wrong', () => { throw new Error('no'); }); });\n")
        .agrees_on(3);
}

#[test]
fn a_file_without_a_test() {
    node()
        .file("test/plain.js", "console.log('said');\n")
        .file("test/wrong.js", "process.exit(3);\n")
        .agrees_on(2);
}

#[test]
fn hooks() {
    node()
        .file("a.test.mjs", "import { beforeEach, describe, it } from 'node:test';\ndescribe('s', () => { let n = 0; beforeEach(() => { n += 1; }); it('one', () => {}); it('two', () => { if (n !== 2) throw new Error('no'); }); });\n")
        .agrees_on(2);
}

#[test]
fn tests_by_name() {
    node_with(&["--test-name-pattern=passes"])
        .file(
            "a.test.js",
            "const test = require('node:test');\ntest('passes', () => {});\n",
        )
        .file("b.test.js", PASSES)
        .agrees_on(2);
}

#[test]
fn a_module_that_is_imported_first() {
    node_with(&["--require=./setup.cjs"])
        .file("setup.cjs", "global.ready = true;\n")
        .file("a.test.js", "require('node:test')('is ready', () => { if (!global.ready) throw new Error('no'); });\n")
        .agrees_on(1);
}

#[test]
fn promises_and_callbacks() {
    node()
        .file("a.test.mjs", "import test from 'node:test';\ntest('waits', async () => { await new Promise(setImmediate); });\ntest('calls back', (t, done) => setImmediate(done));\ntest('rejects', async () => { throw new Error('no'); });\n")
        .agrees_on(3);
}

#[test]
fn files_that_write() {
    node()
        .file("a.test.mjs", "import test from 'node:test';\nimport { writeFileSync } from 'node:fs';\ntest('writes', () => writeFileSync('made', 'by a test'));\n")
        .file("b.test.js", FAILS)
        .agrees_on(2);
}

#[test]
fn a_test_that_is_selected_by_its_id() {
    node()
        .file("a.test.mjs", "import test, { describe } from 'node:test';\ntest('passes', () => {});\ndescribe('outer', () => { test('adds', () => {}); test('fails', () => { throw new Error('no'); }); });\n")
        .file("b.test.js", FAILS)
        .natively("--test-name-pattern='^adds$' a.test.mjs")
        .arguments(&["a.test.mjs::outer > adds"])
        .selecting()
        .agrees_on(1);
}

/// What runs TypeScript without a flag takes it without being asked.
fn typescript() {
    const TYPED: &str = "import test from 'node:test';\nconst n: number = 1;\n";
    node()
        .file("package.json", "{ \"type\": \"module\" }\n")
        .file(
            "a.test.ts",
            &format!("{TYPED}test('fails', () => {{ throw new Error(String(n)); }});\n"),
        )
        .file(
            "b-test.mts",
            &format!("{TYPED}test('passes', () => {{}});\n"),
        )
        .file(
            "test/deep/c.ts",
            &format!("{TYPED}test('passes', () => {{}});\n"),
        )
        .file(
            "d.ts",
            &format!("{TYPED}test('never', () => {{ throw new Error(String(n)); }});\n"),
        )
        .file(
            "e.test.js",
            "import test from 'node:test';\ntest('passes', () => {});\n",
        )
        .agrees_on(if is_with(&["node-20"]) { 1 } else { 4 });
}

/// For a Node that would run it.
fn typescript_that_is_switched_off() {
    node_with(&["--no-experimental-strip-types"])
        .file(
            "a.test.ts",
            "import test from 'node:test';\ntest('fails', () => { throw new Error('no'); });\n",
        )
        .file("b.test.js", PASSES)
        .agrees_on(1);
}

versions! {
    [
        switched_off: Version::programs("node-24"),
    ]
    quick [
        typescript_that_is_switched_off
    ]
    slow []
}

versions! {
    [
        node_20: Version::programs("node-20"),
        node_24: Version::programs("node-24"),
    ]
    quick [
        every_common_outcome
        names_of_files
        all_in_a_folder_called_test
        hidden_folders_and_modules
        subtests
        a_file_without_a_test
        hooks
        tests_by_name
        a_module_that_is_imported_first
        a_test_that_is_selected_by_its_id
        typescript
    ]
    slow [
        promises_and_callbacks
        files_that_write
    ]
}
