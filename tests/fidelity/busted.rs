//! Settings of projects that are tested with busted.

use crate::harness::{Native, Outcomes, Setting, has, quoted};

/// A project that busted and we run with the same arguments; none where there is no busted.
fn suite(arguments: &str) -> Option<Setting> {
    if !has("busted") {
        return None;
    }
    let manifest = format!(
        "[groups.t]\nrunner = \"busted\"\nwith = {{ args = [{}] }}\n",
        quoted(arguments)
    );
    let native = format!("busted -o TAP {arguments}");
    let setting = Setting::new(&native, |native: &Native| tap(&native.stdout));
    Some(setting.manifest(&manifest).ours(|id| {
        let name = id.split_once(".lua::").map_or(id, |(_, name)| name);
        name.to_owned()
    }))
}

/// Test points, by their descriptions.
fn tap(text: &str) -> Outcomes {
    let mut outcomes = Outcomes::new();
    for line in text.lines() {
        let (outcome, rest) = match (line.strip_prefix("ok "), line.strip_prefix("not ok ")) {
            (Some(rest), _) if rest.contains("# SKIP") => ("skipped", rest),
            (Some(rest), _) => ("passed", rest),
            (_, Some(rest)) => ("failed", rest),
            _ => continue,
        };
        let name = rest.split_once("- ").map_or(rest, |(_, name)| name);
        let name = name.trim_start_matches("# SKIP ");
        outcomes.insert(name.to_owned(), outcome.to_owned());
    }
    outcomes
}

/// A file of two tests, of which one fails where `good` is not `true`.
fn spec(name: &str, good: bool) -> String {
    format!(
        "describe('{name}', function()\n  it('is', function() assert.is_true(true) end)\n  \
         it('is good', function() assert.is_true({good}) end)\nend)\n"
    )
}

#[test]
fn every_common_outcome() {
    let Some(setting) = suite("") else { return };
    setting
        .file("spec/a_spec.lua", &spec("a", false))
        .file("spec/deep/b_spec.lua", &spec("b", true))
        .file("spec/helper.lua", "error('not a test')")
        .file("spec/c_spec.lua", "describe('c', function()\n  it('breaks', function() error('boom') end)\n  pending('later')\nend)\n")
        .agrees_on(6);
}

#[test]
fn patterns_that_leave_files_out() {
    let Some(setting) = suite("") else { return };
    setting
        .file(
            ".busted",
            "return { _all = { ['exclude-pattern'] = 'sample_spec' } }",
        )
        .file("spec/a_spec.lua", &spec("a", true))
        .file(
            "spec/fixtures/sample_spec.lua",
            "error('a fixture, not a test')",
        )
        .agrees_on(2);
}

#[test]
fn another_root_and_another_pattern() {
    let Some(setting) = suite("") else { return };
    setting
        .file(
            ".busted",
            "return { _all = { ROOT = { './test', 'more/x_test.lua' }, pattern = '_test' } }",
        )
        .file("spec/a_spec.lua", "error('no')")
        .file("test/a_test.lua", &spec("a", true))
        .file("test/a_spec.lua", "error('no')")
        .file("more/x_test.lua", &spec("x", true))
        .file("more/y_test.lua", "error('no')")
        .agrees_on(4);
}

#[test]
fn several_patterns_on_the_command_line() {
    let Some(setting) = suite("--pattern=_test --pattern=_check --exclude-pattern=^not test")
    else {
        return;
    };
    // The folder is an argument of busted: here it is the group's files that say so.
    setting
        .file("test/a_test.lua", &spec("a", true))
        .file("test/b_check.lua", &spec("b", true))
        .file("test/not_c_test.lua", "error('no')")
        .file("fastest.toml", "[groups.t]\nrunner = \"busted\"\n\
             with = { args = [\"--pattern=_test\", \"--pattern=_check\", \"--exclude-pattern=^not\", \"test\"] }\n")
        .agrees_on(4);
}

#[test]
fn without_folders_below() {
    let Some(setting) = suite("") else { return };
    setting
        .file(".busted", "return { _all = { recursive = false } }")
        .file("spec/a_spec.lua", &spec("a", true))
        .file("spec/deep/b_spec.lua", "error('no')")
        .agrees_on(2);
}

#[test]
fn a_task_by_its_name() {
    let config = "return {\n  _all = { lpath = './lib/?.lua' },\n  default = { ROOT = { 'spec/unit' } },\n  \
        api = { ROOT = { 'spec/api' }, tags = 'quick' },\n}\n";
    let files = |setting: Setting| {
        setting
            .file(".busted", config)
            .file("lib/mine.lua", "return { n = 1 }")
            .file("spec/unit/a_spec.lua", "it('of the unit', function() assert.equal(1, require 'mine'.n) end)\n")
            .file(
                "spec/api/b_spec.lua",
                "it('of the api #quick', function() assert.equal(1, require 'mine'.n) end)\nit('slow', function() error('no') end)\n",
            )
    };
    let Some(setting) = suite("") else { return };
    files(setting).agrees_on(1);
    let Some(setting) = suite("--run=api") else {
        return;
    };
    files(setting).agrees_on(1);
}

#[test]
fn tags_and_filters() {
    let spec = "describe('x', function()\n  it('one #slow', function() end)\n  it('two #slow #net', function() error('no') end)\n  \
        it('three', function() error('no') end)\nend)\n";
    let Some(setting) = suite("-t slow --exclude-tags=net") else {
        return;
    };
    setting.file("spec/a_spec.lua", spec).agrees_on(1);
    let Some(setting) = suite("--filter=one --filter-out=never") else {
        return;
    };
    setting.file("spec/a_spec.lua", spec).agrees_on(1);
}

#[test]
fn a_helper_and_arguments_for_it() {
    let Some(setting) = suite("") else { return };
    setting
        .file(
            ".busted",
            "return { _all = { helper = 'spec/helper.lua', Xhelper = 'a,b' } }",
        )
        .file("spec/helper.lua", "given = table.concat({ ... }, '+')\n")
        .file(
            "spec/a_spec.lua",
            "it('has a helper', function() assert.is_not_nil(given) end)\n",
        )
        .agrees_on(1);
}

#[test]
fn hooks_share_what_a_file_has() {
    let Some(setting) = suite("") else { return };
    setting
        .file(
            "spec/a_spec.lua",
            "describe('shared', function()\n  local n = 0\n  setup(function() n = 10 end)\n  before_each(function() n = n + 1 end)\n  \
             it('first', function() assert.equal(11, n) end)\n  it('second', function() assert.equal(12, n) end)\n  \
             describe('deeper', function() before_each(function() n = n * 2 end) it('third', function() assert.equal(26, n) end) end)\nend)\n",
        )
        .file("spec/b_spec.lua", "it('is insulated', function() assert.is_nil(leaked) leaked = 1 end)\n")
        .file("spec/c_spec.lua", "it('is insulated, too', function() assert.is_nil(leaked) leaked = 1 end)\n")
        .agrees_on(5);
}

#[test]
fn an_order_that_is_not_the_listing_s() {
    let Some(setting) = suite("") else { return };
    setting
        .file(".busted", "return { _all = { shuffle = true, seed = 7 } }")
        .file("spec/a_spec.lua", &spec("a", true))
        .file("spec/b_spec.lua", &spec("b", false))
        .agrees_on(4);
}

#[test]
fn a_configuration_of_another_name() {
    let Some(setting) = suite("-f conf/busted.lua") else {
        return;
    };
    setting
        .file(
            "conf/busted.lua",
            "return { default = { ROOT = { 'other' }, verbose = true } }",
        )
        .file(".busted", "error('not this one')")
        .file("other/a_spec.lua", &spec("a", true))
        .agrees_on(2);
}
