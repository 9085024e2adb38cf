//! Lua: busted, warm and cold, and programs that need no framework.

use crate::support::Project;
use crate::{has, is_detected};

/// A project whose group `g` runs `busted`, or nothing where there is none.
fn project(more: &str) -> Option<Project> {
    let manifest = format!("[groups.g]\nrunner = \"busted\"\n{more}\n");
    has("busted").then(|| Project::with(&manifest).file("logging.lua", LOG))
}

/// A module that appends a line to `log`.
const LOG: &str = "return function(...)\n  local file = io.open('log', 'a')\n  \
    file:write(table.concat({ ... }, ' ') .. '\\n')\n  file:close()\nend\n";

/// What tests wrote to the log, sorted.
fn log(project: &Project) -> Vec<String> {
    let mut lines: Vec<_> = project.read("log").lines().map(str::to_owned).collect();
    lines.sort();
    lines
}

/// A process's own number.
const PID: &str = "local pid = ('%d'):format(io.open('/proc/self/stat'):read('*n'))\n";

#[test]
fn busted() {
    if !has("busted") {
        return;
    }
    let project = Project::new()
        .file(
            "spec/calc_spec.lua",
            "describe('calc', function()\n  it('adds, too', function() assert.are.equal(2, 1 + 1) end)\n\
             \x20 it('is wrong', function() print('said') assert.are.equal(1, 2) end)\n  it('breaks', function() error('boom') end)\n\
             \x20 pending('comes later')\n  it('waits', function() pending('for a reason') end)\n\
             \x20 it('twice', function() end)\n  it('twice', function() error('second') end)\nend)\n",
        )
        .file("spec/broken_spec.lua", "this is no Lua\n")
        .file("spec/hook_spec.lua", "describe('hook', function()\n  setup(function() error('no set-up') end)\n  it('never', function() end)\nend)\n")
        .file("spec/leaves_spec.lua", "it('first', function() end)\nit('leaves', function() os.exit(0) end)\nit('last', function() end)\n")
        .file(
            "spec/killed_spec.lua",
            "it('first', function() end)\nit('killed', function() os.execute('kill -KILL $PPID') end)\nit('last', function() end)\n",
        );
    is_detected(&project, "busted");
    let outcomes = [
        "spec/broken_spec.lua errored",
        "spec/calc_spec.lua::calc adds, too passed",
        "spec/calc_spec.lua::calc breaks failed",
        "spec/calc_spec.lua::calc comes later skipped",
        "spec/calc_spec.lua::calc is wrong failed",
        "spec/calc_spec.lua::calc twice passed",
        "spec/calc_spec.lua::calc twice#2 failed",
        "spec/calc_spec.lua::calc waits skipped",
        "spec/hook_spec.lua::hook never errored",
        "spec/killed_spec.lua::first passed",
        "spec/killed_spec.lua::killed crashed",
        "spec/killed_spec.lua::last passed",
        "spec/leaves_spec.lua::first passed",
        "spec/leaves_spec.lua::last passed",
        "spec/leaves_spec.lua::leaves errored",
    ];
    let of = |group: &str| outcomes.map(|line| format!("{group}::{line}"));
    let ran = project
        .run(&["-n", "1"])
        .exits(1)
        .says("Expected objects to be equal")
        .says("said")
        .says("boom")
        .says("no set-up");
    assert_eq!(ran.outcomes(), of("busted"));
    let events = ran.events_of("test-finished");
    let of_id = |id: &str| events.iter().find(|event| event["id"] == id).unwrap();
    let wrong = of_id("busted::spec/calc_spec.lua::calc is wrong");
    assert_eq!(
        (&wrong["file"], &wrong["line"]),
        (&"spec/calc_spec.lua".into(), &3.into())
    );
    let waits = of_id("busted::spec/calc_spec.lua::calc waits");
    assert!(waits["message"].as_str().unwrap().ends_with("for a reason"));
    for (more, session) in [("", "worker"), ("session = \"cold\"\n", "cold")] {
        let manifest = format!("[groups.g]\nrunner = \"busted\"\nworkers = 2\n{more}");
        let project = Project::with(&manifest)
            .file("spec/a_spec.lua", &project.read("spec/calc_spec.lua"))
            .file("spec/b_spec.lua", &project.read("spec/killed_spec.lua"));
        let ran = project
            .run(&["-v"])
            .exits(1)
            .says(&format!("session {session}"));
        let counts = ran.outcomes().iter().fold([0; 3], |mut counts, line| {
            let index = ["passed", "skipped"]
                .iter()
                .position(|word| line.ends_with(word));
            counts[index.unwrap_or(2)] += 1;
            counts
        });
        assert_eq!(counts, [4, 2, 4], "{session}");
    }
}

#[test]
fn busted_is_loaded_once_a_worker_with_its_configuration_and_helper() {
    let Some(project) = project("workers = 2\nchunk-size = 1\n[groups.g.env]\nWHO = \"db_<pid>\"")
    else {
        return;
    };
    let mut project = project
        .file(
            ".busted",
            "return { _all = { helper = 'helper.lua', lpath = './lib/?.lua', ['exclude-tags'] = 'never', ['keep-going'] = false } }",
        )
        .file(
            "helper.lua",
            &format!("{PID}local log = require 'logging'\nlog('load', pid, os.getenv('WHO'))\n\
                 require('busted').subscribe({{ 'exit' }}, function() log('exit', pid) return nil, true end)\n"),
        )
        .file("lib/mine.lua", "require 'logging'('module')\nreturn { n = 0 }");
    for name in 0..10 {
        project = project.file(
            &format!("spec/{name}_spec.lua"),
            &format!("{PID}local log, mine = require 'logging', require 'mine'\n\
                 assert(leaked == nil and mine.n == 0)\nleaked, mine.n = true, 1\n\
                 describe('all', function()\n\
                 lazy_setup(function() log('up') end)\nlazy_teardown(function() log('down') end)\n\
                 before_each(function() mine.n = mine.n + 1 end)\n\
                 it('one', function() finally(function() log('finally') end)\n  assert.equal(2, mine.n) log('run', pid, os.getenv('WHO'), os.getenv('ORCHESTRATE_PID')) end)\n\
                 it('two', function() assert.equal(3, mine.n) error('wrong') end)\n\
                 it('#never', function() error('it did') end)\nend)\n"),
        );
    }
    let ran = project.run(&[]).exits(1);
    assert_eq!(ran.outcomes().len(), 20);
    assert_eq!(
        ran.outcomes()
            .iter()
            .filter(|line| line.ends_with("one passed"))
            .count(),
        10
    );
    let lines = log(&project);
    let of = |kind: &str| -> Vec<Vec<&str>> {
        let lines = lines.iter().filter(|line| line.starts_with(kind));
        lines.map(|line| line.split(' ').collect()).collect()
    };
    // The listing, and each worker.
    let loads = of("load");
    assert!((2..=3).contains(&loads.len()), "{lines:#?}");
    // A listing has no end that tests would see.
    assert_eq!(of("exit").len(), loads.len() - 1, "{lines:#?}");
    for kind in ["up", "down", "finally", "run"] {
        assert_eq!(of(kind).len(), 10, "{kind}: {lines:#?}");
    }
    for run in of("run") {
        let load = loads.iter().find(|load| load[1] == run[1]).unwrap();
        assert_eq!(load[2], run[2], "the same while it loads as while it runs");
        assert_eq!(run[2], format!("db_{}", run[3]));
    }
    // Each file loads its own, in the listing too: what a file has loaded is put back.
    assert_eq!(of("module").len(), 20);
}

/// Everything that a test can do to its process, with how it ends; the tests around each are not harmed.
#[test]
fn hostile_tests_harm_nobody_but_themselves() {
    let Some(project) = project("timeout = \"5s\"\ngrace = \"200ms\"\nworkers = 2") else {
        return;
    };
    let project = project.file(
        "spec/h_spec.lua",
        r"
it('00 before', function() end)
it('01 exits', function() os.exit(3) end)
it('02 between', function() end)
it('03 segfaults', function() print('last words') os.execute('kill -SEGV $PPID') end)
it('04 spins', function() while true do end end)
it('05 leaves a process that holds everything open, and dies', function() os.execute('sleep 3600 &') os.exit(1) end)
it('06 leaves a process', function() os.execute('sleep 3600 &') end)
it('07 prints much that is no text', function() for _ = 1, 1e5 do print('\255\0 a line of a hundred bytes') end error('enough') end)
it('08 replaces what is global', function()
  print, pairs, tostring, type, error = nil, nil, nil, nil, nil
  io.write, io.open, io.read, os.getenv, os.clock = nil, nil, nil, nil, nil
end)
it('09 closes its output', function() io.stdout:close() io.stderr:close() end)
it('10 after', function() end)
describe('hooks', function()
  it('11 before', function() end)
  describe('that leave', function()
    before_each(function() os.exit(4) end)
    it('12 never', function() end)
  end)
  describe('that fail afterwards', function()
    after_each(function() error('not put back') end)
    it('14 passed', function() end)
  end)
  describe('that fail in the end', function()
    teardown(function() error('not taken down') end)
    it('15 passed', function() end)
    it('16 passed', function() end)
  end)
  it('17 after', function() end)
end)
",
    );
    // busted sets a `describe` up also if none of its tests is wanted, so those behind it can't be reached; the one before can.
    let project = project.file(
        "spec/i_spec.lua",
        "it('0', function() end)\ndescribe('a', function() setup(function() os.exit(5) end) it('1', function() end) end)\n\
         it('2', function() end)\n",
    );
    let ran = project
        .run(&[])
        .exits(1)
        .says("last words")
        .says("not put back")
        .says("not taken down");
    let expected = [
        "00 before passed",
        "01 exits errored",
        "02 between passed",
        "03 segfaults crashed",
        "04 spins timed-out",
        "05 leaves a process that holds everything open, and dies errored",
        "06 leaves a process passed",
        "07 prints much that is no text failed",
        "08 replaces what is global passed",
        "09 closes its output passed",
        "10 after passed",
        "hooks 11 before passed",
        "hooks 17 after passed",
        "hooks that fail afterwards 14 passed errored",
        "hooks that fail in the end 15 passed passed",
        "hooks that fail in the end 16 passed errored",
        "hooks that leave 12 never errored",
    ];
    let mut expected = expected
        .map(|line| format!("g::spec/h_spec.lua::{line}"))
        .to_vec();
    expected.extend(
        ["0 passed", "2 errored", "a 1 errored"].map(|line| format!("g::spec/i_spec.lua::{line}")),
    );
    assert_eq!(ran.outcomes(), expected);
}

#[test]
fn what_tests_leave_running_is_ended_and_told_of() {
    let Some(project) = project("") else { return };
    let ran = project
        .file(
            "spec/a_spec.lua",
            "it('leaves', function() os.execute('sleep 3600 &') end)\n",
        )
        .run(&[])
        .exits(0)
        .says("its tests left 1 process running, ended now");
    assert_eq!(ran.outcomes(), ["g::spec/a_spec.lua::leaves passed"]);
}

#[test]
fn a_helper_that_fails_is_the_reason_of_all() {
    let Some(project) = project("") else { return };
    let ran = project
        .file(".busted", "return { _all = { helper = 'helper.lua' } }")
        .file(
            "helper.lua",
            "if os.getenv('ORCHESTRATE_ORDERS') then error('no helper') end",
        )
        .file(
            "spec/a_spec.lua",
            "it('one', function() end)\nit('two', function() end)\n",
        )
        .run(&[])
        .exits(1)
        .says("no helper");
    assert_eq!(
        ran.outcomes(),
        [
            "g::spec/a_spec.lua::one errored",
            "g::spec/a_spec.lua::two errored"
        ]
    );
}

#[test]
fn what_is_asked_for_as_the_end_of_all_is_missed_if_it_fails() {
    let Some(project) = project("") else { return };
    let ran = project
        .file(".busted", "return { _all = { helper = 'helper.lua' } }")
        .file(
            "helper.lua",
            "require('busted').subscribe({ 'suite', 'end' }, function() error('not the end') end)",
        )
        .file(
            "spec/a_spec.lua",
            "it('one', function() end)\nit('two', function() end)\n",
        )
        .run(&["-n", "1"])
        .exits(1)
        .says("not the end");
    assert_eq!(
        ran.outcomes(),
        [
            "g::spec/a_spec.lua::one passed",
            "g::spec/a_spec.lua::two errored"
        ]
    );
}

#[test]
fn single_tests_are_selected_by_name_tag_and_id_and_tried_again() {
    let Some(project) = project("retries = 1\nworkers = 1") else {
        return;
    };
    let project = project
        .file(
            "spec/a_spec.lua",
            "local log = require 'logging'\ndescribe('calc #math', function()\n\
             it('adds', function() log('adds') end)\nit('divides #slow', function() log('divides') end)\nend)\n\
             insulate('flaky', function() it('at first', function() log('flaky', os.getenv('ORCHESTRATE_ATTEMPT'))\n\
             assert.equal('2', os.getenv('ORCHESTRATE_ATTEMPT')) end) end)\n",
        )
        .file("spec/b_spec.lua", "it('other', function() require 'logging' 'other' end)\n");
    let logged = |arguments: &[&str]| {
        let _ = std::fs::remove_file(project.path().join("log"));
        project.run(arguments).exits(0);
        log(&project)
    };
    assert_eq!(logged(&["-k", "calc and not divides"]), ["adds"]);
    assert_eq!(logged(&["-m", "math and slow"]), ["divides"]);
    assert_eq!(logged(&["g::spec/a_spec.lua::calc #math adds"]), ["adds"]);
    assert_eq!(logged(&["spec/b_spec.lua"]), ["other"]);
    assert_eq!(logged(&["-k", "flaky"]), ["flaky 1", "flaky 2"]);
}

#[test]
fn a_file_whose_set_up_decides_what_is_in_it_is_one_test() {
    let Some(project) = project("workers = 1") else {
        return;
    };
    let unsure = "describe('all', function()\n  local names = {}\n  setup(function() names = { 'a', 'b' } end)\n\
                  \x20 describe('of', function()\n    for _, name in ipairs(names) do it(name, function() WHAT end) end\n  end)\nend)\n";
    let ran = project
        .file("spec/good_spec.lua", &unsure.replace("WHAT", ""))
        .file(
            "spec/bad_spec.lua",
            &unsure.replace("WHAT", "assert.equal('a', name)"),
        )
        .file("spec/leaves_spec.lua", "os.exit(0)\n")
        .file("spec/sure_spec.lua", "it('one', function() end)\n")
        .run(&[])
        .exits(1)
        .says("spec/bad_spec.lua::all of b: ");
    assert_eq!(
        ran.outcomes(),
        [
            "g::spec/bad_spec.lua failed",
            "g::spec/good_spec.lua passed",
            "g::spec/leaves_spec.lua errored",
            "g::spec/sure_spec.lua::one passed",
        ]
    );
}

#[test]
fn isolation_gives_each_file_a_process_of_its_own() {
    // A file's tests stay together.
    for (isolation, processes) in [("worker", 1), ("chunk", 3), ("test", 3)] {
        let Some(project) = project(&format!(
            "workers = 1\nchunk-size = 2\nisolation = \"{isolation}\""
        )) else {
            return;
        };
        let spec = format!(
            "{PID}local log = require 'logging'\nit('one', function() log(pid) end)\nit('two', function() log(pid) end)\n"
        );
        let project = ["a", "b", "c"].iter().fold(project, |project, name| {
            project.file(&format!("spec/{name}_spec.lua"), &spec)
        });
        project.run(&[]).exits(0);
        let mut pids = log(&project);
        assert_eq!(pids.len(), 6);
        pids.dedup();
        assert_eq!(pids.len(), processes, "{isolation}");
    }
}

#[test]
fn a_listing_can_be_kept_since_another_process_runs_the_tests() {
    let Some(project) = project("workers = 1\ncache-listing = true") else {
        return;
    };
    let project = project.file(
        "spec/a_spec.lua",
        "require 'logging' 'load'\nit('one', function() require 'logging' 'run' end)\n",
    );
    for _ in 0..2 {
        assert_eq!(
            project.run(&[]).exits(0).outcomes(),
            ["g::spec/a_spec.lua::one passed"]
        );
    }
    assert_eq!(log(&project), ["load", "load", "load", "run", "run"]);
}

#[test]
fn a_session_that_can_t_be_shared_is_refused() {
    let project = Project::with("[groups.g]\nrunner = \"busted\"\nsession = \"shared\"\n");
    project
        .orchestrate(&["check"])
        .exits(2)
        .says("the session can't be `shared`: the host of `busted` does not fork");
}

#[test]
fn lua_without_a_framework_under_exec() {
    if !has("lua") {
        return;
    }
    let lua = |body: &str| format!("#!/usr/bin/env lua\n{body}\n");
    let project = Project::with("[groups.g]\nrunner = \"exec\"\nfiles = [\"test/*.lua\"]\n")
        .program("test/good.lua", &lua("assert(1 + 1 == 2)"))
        .program("test/wrong.lua", &lua("assert(1 + 1 == 3, 'one and one')"))
        .program("test/skips.lua", &lua("os.exit(77)"))
        .program("test/killed.lua", &lua("os.execute('kill -SEGV $PPID')"))
        .program("test/broken.lua", &lua("this is no Lua"));
    let ran = project
        .run(&[])
        .exits(1)
        .says("one and one")
        .says("syntax error");
    assert_eq!(
        ran.outcomes(),
        [
            "g::test/broken.lua failed",
            "g::test/good.lua passed",
            "g::test/killed.lua crashed",
            "g::test/skips.lua skipped",
            "g::test/wrong.lua failed",
        ]
    );
}
