//! mocha.

use crate::is_detected;
use crate::javascript::with_modules;

const CALC: &str = "const assert = require('node:assert');\n\
    it('adds', () => assert.equal(1 + 1, 2));\n\
    describe('suite', () => {\n\
        it('is wrong', () => assert.equal(1, 2));\n\
        it('comes later');\n\
        it.skip('is skipped', () => {});\n\
        describe('inner', () => it('is deep', () => {}));\n\
    });\n\
    describe('hooked', () => {\n\
        before(() => { throw new Error('no database'); });\n\
        it('never runs', () => {});\n\
    });\n";

#[test]
fn mocha() {
    let Some(project) = with_modules("mocha") else {
        return;
    };
    let project = project
        .file(".mocharc.json", "{ \"timeout\": 0 }")
        .file("test/calc.js", CALC)
        .file("test/leaves.js", "it('first', () => {});\nit('leaves', () => process.exit(0));\n")
        .file(
            "test/killed.js",
            "it('first', () => {});\nit('killed', () => { process.kill(process.pid, 'SIGKILL'); return new Promise(() => {}); });\n",
        )
        .file("test/last.js", "it('goes on', () => {});\n");
    is_detected(&project, "mocha");
    let ran = project
        .run(&["-n", "1"])
        .exits(1)
        .says("1 == 2")
        .says("\"before all\" hook for \"never runs\": no database")
        .says("killed by SIGKILL");
    assert_eq!(
        ran.outcomes(),
        [
            "mocha::test/calc.js::adds passed",
            "mocha::test/calc.js::hooked errored",
            "mocha::test/calc.js::suite > comes later skipped",
            "mocha::test/calc.js::suite > inner > is deep passed",
            "mocha::test/calc.js::suite > is skipped skipped",
            "mocha::test/calc.js::suite > is wrong failed",
            "mocha::test/killed.js crashed",
            "mocha::test/killed.js::first passed",
            "mocha::test/last.js::goes on passed",
            "mocha::test/leaves.js errored",
            "mocha::test/leaves.js::first passed",
        ]
    );
}

#[test]
fn a_test_that_hangs_is_ended_by_its_timeout() {
    let Some(project) = with_modules("mocha") else {
        return;
    };
    let project = project
        .file(
            "fastest.toml",
            "[groups.m]\nrunner = \"mocha\"\ntimeout = \"3s\"\ngrace = \"100ms\"\n",
        )
        .file(".mocharc.json", "{ \"timeout\": 0 }")
        .file(
            "test/hangs.js",
            "it('hangs', () => new Promise(() => setInterval(() => {}, 1000)));\n",
        );
    let ran = project.run(&[]).exits(1);
    assert_eq!(ran.outcomes(), ["m::test/hangs.js timed-out"]);
}

/// Hooks outside of any suite hold for the tests of all files, and so does a file without tests.
#[test]
fn files_that_need_each_other_run_in_one_process() {
    let Some(project) = with_modules("mocha") else {
        return;
    };
    let project = project
        .file("fastest.toml", "[groups.m]\nrunner = \"mocha\"\n")
        .file("test/a-helper.js", "global.ready = 0;\nbeforeEach(() => { global.ready++; });\n")
        .file("test/b.js", "it('is ready', () => { if (!global.ready) throw new Error('not ready'); });\n")
        .file("test/c.js", "it('is ready as well', () => { if (!(global.ready >= 2)) throw new Error('not ready'); });\n");
    project
        .orchestrate(&["run", "-n", "2"])
        .exits(0)
        .says("group m runs as one process: its files have hooks outside of any suite");
    // `parallel` says that files need nothing of each other.
    let project = project.file(".mocharc.json", "{ \"parallel\": true }");
    let ran = project.run(&["-n", "2"]).exits(1);
    assert_eq!(
        ran.outcomes(),
        [
            "m::test/b.js::is ready failed",
            "m::test/c.js::is ready as well failed"
        ]
    );
}
