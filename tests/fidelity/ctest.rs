//! Settings of projects that are tested with CTest. Their tests are lines of `sh`, so nothing is compiled.

use std::collections::BTreeMap;

use crate::harness::{Native, Outcomes, Setting, has, quoted};

/// What every project begins with.
const BEGIN: &str = "cmake_minimum_required(VERSION 3.14)\nproject(x LANGUAGES NONE)\nenable_testing()\n\
    function(t name line)\n  add_test(NAME ${name} COMMAND sh -c \"${line}\")\n  set(i 2)\n  while(i LESS ARGC)\n\
    math(EXPR j \"${i} + 1\")\n  set_property(TEST ${name} PROPERTY \"${ARGV${i}}\" \"${ARGV${j}}\")\n\
    math(EXPR i \"${i} + 2\")\n  endwhile()\nendfunction()\n";

/// A project whose `CMakeLists.txt` ends so, and which both sides run with the same arguments of `ctest`.
fn suite(body: &str, arguments: &str) -> Setting {
    let native = format!("cmake -S . -B build >\"$OUT/log\" && cd build && ctest {arguments}");
    let manifest = format!(
        "[groups.c]\nrunner = \"ctest\"\nwith = {{ args = [{}] }}\n",
        quoted(arguments)
    );
    project(body, &native).manifest(&manifest)
}

/// A project that the tool runs so.
fn project(body: &str, native: &str) -> Setting {
    Setting::new(native, results)
        .file("CMakeLists.txt", &format!("{BEGIN}{body}"))
        .ignoring(&["build"])
}

/// The results that `ctest` prints, one test at a time: its JUnit does not tell a test that was skipped by its own word from
/// one that could not start. Of tests with the same name, all but the first have a number.
fn results(native: &Native) -> Outcomes {
    let mut by_number: BTreeMap<u32, (String, String)> = BTreeMap::new();
    let mut is_barred = false;
    for line in native.stdout.lines().chain(native.stderr.lines()) {
        is_barred |= line.starts_with("Failed test dependencies");
        let Some((_, rest)) = line.split_once(" Test ") else {
            continue;
        };
        let Some((number, rest)) = rest
            .trim_start()
            .strip_prefix('#')
            .and_then(|rest| rest.split_once(": "))
        else {
            continue;
        };
        let Some((name, outcome)) = outcome(rest, is_barred) else {
            continue;
        };
        is_barred = false;
        let name = name.trim_end_matches(['.', ' ']).to_owned();
        by_number.insert(number.parse().unwrap(), (name, outcome.to_owned()));
    }
    let mut outcomes = Outcomes::new();
    for (name, outcome) in by_number.into_values() {
        let number = (2..).map(|number| format!("{name}#{number}"));
        let mut names = std::iter::once(name.clone()).chain(number);
        let name = names.find(|name| !outcomes.contains_key(name)).unwrap();
        outcomes.insert(name, outcome);
    }
    outcomes
}

/// A test's name, with dots behind it, and its outcome.
fn outcome(line: &str, is_barred: bool) -> Option<(&str, &'static str)> {
    let marks = [
        ("Subprocess", "crashed"),
        ("***Exception", "crashed"),
        ("***Timeout", "timed-out"),
        ("***Skipped", "skipped"),
        ("***Not Run (Disabled)", "skipped"),
        ("***Not Run", if is_barred { "not-run" } else { "errored" }),
        ("***Failed", "failed"),
        ("   Passed ", "passed"),
    ];
    marks
        .iter()
        .find_map(|(mark, outcome)| Some((line.split_once(mark)?.0, *outcome)))
}

#[test]
fn exit_codes_and_signals() {
    suite(
        "t(ok \"exit 0\")\nt(one \"exit 1\")\nt(many \"exit 255\")\nt(abort \"kill -ABRT $$\")\nt(segv \"kill -SEGV $$\")\nt(term \"kill -TERM $$\")\n",
        "",
    )
    .agrees_on(6);
}

#[test]
fn tests_that_are_to_fail() {
    suite(
        "t(passes \"exit 0\" WILL_FAIL 1)\nt(fails \"exit 3\" WILL_FAIL 1)\nt(signal \"kill -SEGV $$\" WILL_FAIL 1)\n\
         t(off \"exit 3\" WILL_FAIL 0)\nadd_test(NAME missing COMMAND nosuchprogram)\nset_tests_properties(missing PROPERTIES WILL_FAIL 1)\n",
        "",
    )
    .agrees_on(5);
}

#[test]
fn patterns_that_must_be_found() {
    suite(
        "t(found \"echo hello; exit 3\" PASS_REGULAR_EXPRESSION hel+o)\nt(absent \"echo hullo\" PASS_REGULAR_EXPRESSION hel+o)\n\
         t(one_of \"echo two >&2\" PASS_REGULAR_EXPRESSION \"one;two\")\nt(signal \"echo hello; kill -TERM $$\" PASS_REGULAR_EXPRESSION hello)\n\
         t(not \"echo hello\" PASS_REGULAR_EXPRESSION hello WILL_FAIL 1)\n",
        "",
    )
    .agrees_on(5);
}

#[test]
fn patterns_that_must_not_be_found() {
    suite(
        "t(found \"echo Error\" FAIL_REGULAR_EXPRESSION \"[^a-z]Error;ERROR;Failed\")\nt(second \"echo Failed\" FAIL_REGULAR_EXPRESSION \"ERROR;Failed\")\n\
         t(absent \"echo fine\" FAIL_REGULAR_EXPRESSION ERROR)\nt(fails \"echo fine; exit 1\" FAIL_REGULAR_EXPRESSION ERROR)\n\
         t(both \"echo good ERROR\" FAIL_REGULAR_EXPRESSION ERROR PASS_REGULAR_EXPRESSION good)\n\
         t(will \"echo ERROR\" FAIL_REGULAR_EXPRESSION ERROR WILL_FAIL 1)\n",
        "",
    )
    .agrees_on(6);
}

#[test]
fn tests_that_are_skipped() {
    suite(
        "t(code \"exit 77\" SKIP_RETURN_CODE 77)\nt(other \"exit 76\" SKIP_RETURN_CODE 77)\nt(zero \"exit 0\" SKIP_RETURN_CODE 0)\n\
         t(text \"echo no net; exit 1\" SKIP_REGULAR_EXPRESSION \"no net\")\nt(signal \"echo no net; kill -TERM $$\" SKIP_REGULAR_EXPRESSION \"no net\")\n\
         t(will \"exit 77\" SKIP_RETURN_CODE 77 WILL_FAIL 1)\nt(text_of_a_pass \"echo no net\" SKIP_REGULAR_EXPRESSION \"no net\")\n\
         t(off \"exit 1\" DISABLED 1)\n",
        "",
    )
    .agrees_on(8);
}

#[test]
fn the_syntax_of_patterns_is_cmakes() {
    suite(
        "t(start \"printf 'a\\\\nb'\" PASS_REGULAR_EXPRESSION \"^b\")\nt(end \"printf 'a\\\\nb'\" PASS_REGULAR_EXPRESSION \"b\\n$\")\n\
         t(across \"printf 'a\\\\nb'\" PASS_REGULAR_EXPRESSION \"a.b\")\nt(braces \"echo aa\" PASS_REGULAR_EXPRESSION \"a{2}\")\n\
         t(digit \"echo 7\" PASS_REGULAR_EXPRESSION \"\\\\\\\\d\")\nt(dot \"echo axb\" PASS_REGULAR_EXPRESSION \"a\\\\\\\\.b\")\n\
         t(class \"echo ']'\" PASS_REGULAR_EXPRESSION \"[]]\")\nt(cr \"printf 'a\\\\r\\\\n'\" PASS_REGULAR_EXPRESSION \"a\\n\")\n\
         t(none \"exit 0\" PASS_REGULAR_EXPRESSION \"^$\")\n",
        "",
    )
    .agrees_on(9);
}

#[test]
fn a_pattern_is_looked_for_in_all_that_was_printed() {
    suite(
        "t(middle \"seq 1 200000; echo needle; seq 1 200000\" PASS_REGULAR_EXPRESSION needle)\n\
         t(absent \"seq 1 400000\" PASS_REGULAR_EXPRESSION needle)\n",
        "",
    )
    .agrees_on(2);
}

#[test]
fn programs_that_are_missing_or_no_programs() {
    suite(
        "add_test(NAME missing COMMAND nosuchprogram)\nadd_test(NAME plain COMMAND ${CMAKE_SOURCE_DIR}/CMakeLists.txt)\n\
         add_test(NAME folder COMMAND ${CMAKE_SOURCE_DIR})\nt(ok \"exit 0\")\n",
        "",
    )
    .agrees_on(4);
}

#[test]
fn files_that_a_test_requires() {
    suite(
        "t(there \"exit 0\" REQUIRED_FILES \"${CMAKE_SOURCE_DIR}/CMakeLists.txt\")\nt(gone \"exit 0\" REQUIRED_FILES \"${CMAKE_SOURCE_DIR}/none\")\n\
         t(relative \"exit 0\" REQUIRED_FILES CTestTestfile.cmake)\n",
        "",
    )
    .agrees_on(3);
}

#[test]
fn a_file_that_an_earlier_test_makes_may_be_required() {
    suite(
        "t(make \"touch made\" FIXTURES_SETUP f)\nt(use \"test -e made\" FIXTURES_REQUIRED f REQUIRED_FILES made)\n\
         t(program \"printf '#!/bin/sh' >late && chmod +x late\" FIXTURES_SETUP g)\n\
         add_test(NAME late COMMAND ${CMAKE_BINARY_DIR}/late)\nset_tests_properties(late PROPERTIES FIXTURES_REQUIRED g)\n",
        "",
    )
    .agrees_on(4);
}

#[test]
fn the_working_folder() {
    suite(
        "file(MAKE_DIRECTORY ${CMAKE_BINARY_DIR}/sub)\nfile(WRITE ${CMAKE_BINARY_DIR}/sub/here x)\n\
         t(own \"test -e CTestTestfile.cmake\")\nt(other \"test -e here\" WORKING_DIRECTORY ${CMAKE_BINARY_DIR}/sub)\n\
         t(none \"exit 0\" WORKING_DIRECTORY ${CMAKE_BINARY_DIR}/none)\n\
         add_test(NAME relative COMMAND ./x.sh WORKING_DIRECTORY ${CMAKE_SOURCE_DIR}/scripts)\n",
        "",
    )
    .program("scripts/x.sh", "#!/bin/sh\ntest -e x.sh\n")
    .agrees_on(4);
}

#[test]
fn variables_of_a_test() {
    suite(
        "t(set \"test \\\"$A\\\" = '1 x' && test \\\"$B\\\" = y=z\" ENVIRONMENT \"A=1 x;B=y=z\")\n\
         t(outer \"test \\\"$OUTER\\\" = inherited\")\nt(changed \"test \\\"$OUTER\\\" = changed\" ENVIRONMENT OUTER=changed)\n\
         t(debug \"test \\\"$CTEST_INTERACTIVE_DEBUG_MODE\\\" = 1\")\nt(wrong \"test \\\"$A\\\" = 1\" ENVIRONMENT A=2)\n",
        "",
    )
    .env("OUTER", "inherited")
    .agrees_on(5);
}

#[test]
fn modified_variables_of_a_test() {
    suite(
        "t(prepend \"test \\\"$P\\\" = /x:/a:/b\" ENVIRONMENT_MODIFICATION P=path_list_prepend:/x)\n\
         t(append \"test \\\"$P\\\" = /a:/b:/x:/y\" ENVIRONMENT_MODIFICATION \"P=path_list_append:/x;P=path_list_append:/y\")\n\
         t(unset \"test -z \\\"\\${P+x}\\\"\" ENVIRONMENT_MODIFICATION P=unset:)\n\
         t(reset \"test \\\"$P\\\" = /a:/b\" ENVIRONMENT P=1 ENVIRONMENT_MODIFICATION P=reset:)\n\
         t(text \"test \\\"$N\\\" = xy\" ENVIRONMENT_MODIFICATION \"N=string_append:x;N=string_append:y\")\n",
        "",
    )
    .env("P", "/a:/b")
    .agrees_on(5);
}

/// A line that notes its name.
fn noted(name: &str) -> String {
    format!("echo {name} >>${{CMAKE_SOURCE_DIR}}/order")
}

#[test]
fn a_fixture_is_set_up_before_and_cleaned_up_after() {
    let body = format!(
        "t(drop \"{}\" FIXTURES_CLEANUP db)\nt(use \"{}; exit 1\" FIXTURES_REQUIRED db)\nt(make \"{}\" FIXTURES_SETUP db)\n",
        noted("drop"),
        noted("use"),
        noted("make")
    );
    suite(&body, "").agrees_on(3);
}

#[test]
fn what_needs_a_fixture_that_fails_does_not_run_and_the_cleanup_does() {
    let body = format!(
        "t(make \"{}; exit 1\" FIXTURES_SETUP db)\nt(use \"{}\" FIXTURES_REQUIRED db)\nt(drop \"{}\" FIXTURES_CLEANUP db)\nt(other \"exit 0\")\n",
        noted("make"),
        noted("use"),
        noted("drop")
    );
    suite(&body, "").agrees_on(4);
}

#[test]
fn fixtures_that_need_fixtures() {
    let body = "t(disk \"exit 1\" FIXTURES_SETUP disk)\nt(db \"exit 0\" FIXTURES_SETUP db FIXTURES_REQUIRED disk)\n\
         t(use \"exit 0\" FIXTURES_REQUIRED db)\nt(drop \"exit 0\" FIXTURES_CLEANUP db)\nt(wipe \"exit 0\" FIXTURES_CLEANUP disk)\n";
    suite(body, "").agrees_on(5);
}

#[test]
fn a_setup_that_is_skipped_or_disabled_holds_nobody_up() {
    suite(
        "t(skips \"exit 77\" FIXTURES_SETUP a SKIP_RETURN_CODE 77)\nt(use_a \"exit 0\" FIXTURES_REQUIRED a)\n\
         t(off \"exit 1\" FIXTURES_SETUP b DISABLED 1)\nt(use_b \"exit 0\" FIXTURES_REQUIRED b)\n\
         t(nobody \"exit 0\" FIXTURES_REQUIRED c)\nt(off_user \"exit 0\" FIXTURES_REQUIRED a DISABLED 1)\n",
        "",
    )
    .agrees_on(6);
}

#[test]
fn several_setups_of_one_fixture_must_all_pass() {
    suite(
        "t(one \"exit 0\" FIXTURES_SETUP db)\nt(two \"exit 1\" FIXTURES_SETUP db)\nt(use \"exit 0\" FIXTURES_REQUIRED db)\n\
         t(both \"exit 0\" FIXTURES_REQUIRED \"db;other\")\nt(make \"exit 0\" FIXTURES_SETUP other)\n",
        "",
    )
    .agrees_on(5);
}

#[test]
fn a_test_comes_after_those_that_it_depends_on_however_they_end() {
    let body = format!(
        "t(last \"{}\" DEPENDS middle)\nt(middle \"{}; exit 1\" DEPENDS \"first;nosuchtest\")\nt(first \"{}\")\n",
        noted("last"),
        noted("middle"),
        noted("first")
    );
    suite(&body, "").agrees_on(3);
}

/// A line that fails where another one of the same kind runs meanwhile.
const ALONE: &str = "mkdir ${CMAKE_BINARY_DIR}/held && sleep 0.1 && rmdir ${CMAKE_BINARY_DIR}/held";

#[test]
fn tests_that_share_a_resource_lock() {
    let test = |name: &str| format!("t({name} \"{ALONE}\" RESOURCE_LOCK \"a;b\")\n");
    let body: String = ["one", "two", "three"]
        .iter()
        .map(|name| test(name))
        .collect();
    suite(&body, "").agrees_on(3);
}

#[test]
fn tests_that_run_alone() {
    let body = format!(
        "t(one \"{ALONE}\" RUN_SERIAL 1)\nt(two \"{ALONE}\" RUN_SERIAL 1)\nt(three \"{ALONE}\")\n"
    );
    suite(&body, "").agrees_on(3);
}

#[test]
fn processors_and_costs() {
    suite(
        "t(wide \"exit 0\" PROCESSORS 4)\nt(dear \"exit 1\" COST 100)\nt(cheap \"exit 0\" COST -1)\nt(attached \"exit 1\" ATTACHED_FILES_ON_FAIL x.log)\n\
         t(bound \"exit 0\" PROCESSORS 2 PROCESSOR_AFFINITY 1)\nt(bound_too \"exit 1\" PROCESSOR_AFFINITY 1)\n",
        "",
    )
    .agrees_on(6);
}

const LABELLED: &str = "t(a \"exit 0\" LABELS \"fast;net\")\nt(b \"exit 1\" LABELS slow)\nt(c \"exit 0\")\n\
    t(make \"exit 0\" FIXTURES_SETUP f LABELS slow)\nt(use \"exit 0\" FIXTURES_REQUIRED f LABELS fast)\nt(drop \"exit 0\" FIXTURES_CLEANUP f)\n";

#[test]
fn labels_select_and_bring_fixtures() {
    suite(LABELLED, "-L fast").agrees_on(4);
}

#[test]
fn labels_leave_out() {
    suite(LABELLED, "-LE slow").agrees_on(5);
}

#[test]
fn names_select() {
    suite(LABELLED, "-R '^[ab]$'").agrees_on(2);
}

#[test]
fn names_leave_out() {
    suite(LABELLED, "-E b").agrees_on(5);
}

#[test]
fn numbers_select() {
    suite(LABELLED, "-I 1,3,2").agrees_on(2);
}

#[test]
fn fixtures_are_left_out_on_demand() {
    suite(LABELLED, "-R use -FA f").agrees_on(1);
}

#[test]
fn several_selections_together() {
    suite(LABELLED, "-L fast -E ^a$ --output-on-failure").agrees_on(3);
}

#[test]
fn equal_names_in_different_folders() {
    let sub = "t(same \"exit 1\")\nt(own \"exit 0\")\n";
    suite(
        "add_subdirectory(one)\nadd_subdirectory(two)\nt(same \"exit 0\")\n",
        "",
    )
    .file("one/CMakeLists.txt", sub)
    .file("two/CMakeLists.txt", "t(same \"exit 0\")\n")
    .agrees_on(4);
}

#[test]
fn equal_names_that_ctest_runs_itself() {
    suite(
        "add_subdirectory(one)\nt(same \"exit 0\")\nt(last \"exit 0\")\n",
        "--repeat until-pass:2",
    )
    .file(
        "one/CMakeLists.txt",
        "t(first \"exit 0\")\nt(same \"exit 1\")\n",
    )
    .agrees_on(4);
}

#[test]
fn timeouts() {
    suite(
        "t(long \"exec sleep 20\" TIMEOUT 0.5)\nt(short \"exit 0\" TIMEOUT 20)\nt(will \"exec sleep 20\" TIMEOUT 0.5 WILL_FAIL 1)\n\
         t(none \"exit 0\" TIMEOUT 0)\n",
        "",
    )
    .agrees_on(4);
}

#[test]
fn a_timeout_for_tests_that_have_none() {
    suite(
        "t(long \"exec sleep 20\")\nt(own \"sleep 1\" TIMEOUT 20)\n",
        "--timeout 0.5",
    )
    .agrees_on(2);
}

#[test]
fn a_timeout_that_begins_with_what_is_printed() {
    suite(
        "t(late \"echo go; exec sleep 20\" TIMEOUT_AFTER_MATCH \"0.5;go\")\nt(done \"echo go\" TIMEOUT_AFTER_MATCH \"5;go\")\n",
        "",
    )
    .agrees_on(2);
}

#[test]
fn names_and_arguments_with_every_character() {
    suite(
        "add_test(NAME \"a b\" COMMAND sh -c \"exit 0\")\nadd_test(NAME \"x(1)+[y]*\" COMMAND sh -c \"exit 1\")\nadd_test(NAME a.b COMMAND nosuchprogram)\n\
         add_test(NAME axb COMMAND nosuchprogram)\nadd_test(NAME \"quo'te\\\"s\" COMMAND sh -c \"exit 0\")\nadd_test(NAME -dash COMMAND sh -c \"exit 0\")\n\
         add_test(NAME words COMMAND sh -c [[test \"$1|$2|$3\" = 'a b|*|$x;y']] sh \"a b\" \"*\" \"\\$x;y\")\n",
        "",
    )
    .agrees_on(7);
}

#[test]
fn tests_that_are_tried_again() {
    suite(
        "t(second \"test -e tried || { touch tried; exit 1; }\")\nt(never \"exit 1\")\nt(ok \"exit 0\")\n",
        "--repeat until-pass:3",
    )
    .agrees_on(3);
}

#[test]
fn resources_that_a_file_names() {
    suite(
        "t(gpu \"test \\\"$CTEST_RESOURCE_GROUP_COUNT\\\" = 1\" RESOURCE_GROUPS gpus:1)\n\
         t(also \"test \\\"$CTEST_RESOURCE_GROUP_0_GPUS\\\" = id:0,slots:1\" RESOURCE_GROUPS gpus:1)\nt(none \"test -z \\\"$CTEST_RESOURCE_GROUP_COUNT\\\"\")\n",
        "--resource-spec-file ../spec.json",
    )
    .file("spec.json", "{\"version\": {\"major\": 1, \"minor\": 0}, \"local\": [{\"gpus\": [{\"id\": \"0\", \"slots\": 1}]}]}")
    .agrees_on(3);
}

#[test]
fn resources_without_a_file() {
    suite(
        "t(gpu \"test -z \\\"$CTEST_RESOURCE_GROUP_COUNT\\\"\" RESOURCE_GROUPS gpus:1)\n",
        "",
    )
    .agrees_on(1);
}

#[test]
fn a_configuration_has_tests_of_its_own() {
    let body = "add_test(NAME debug COMMAND sh -c \"exit 0\" CONFIGURATIONS Debug)\nadd_test(NAME release COMMAND sh -c \"exit 1\" CONFIGURATIONS Release)\nt(both \"exit 0\")\n";
    suite(body, "-C Debug").agrees_on(2);
}

/// A project for a generator of several configurations.
fn several(arguments: &str, words: &str) -> Setting {
    let native = format!(
        "cmake -S . -B build -G 'Ninja Multi-Config' >\"$OUT/log\" && cd build && ctest {arguments}"
    );
    let manifest = format!(
        "[groups.c]\nrunner = \"ctest\"\nwith = {{ configure = [\"-G\", \"Ninja Multi-Config\"], args = [{words}] }}\n"
    );
    let body =
        "add_test(NAME debug COMMAND sh -c \"exit 0\" CONFIGURATIONS Debug)\nt(both \"exit 0\")\n";
    project(body, &native).manifest(&manifest)
}

#[test]
fn one_of_several_configurations() {
    if !has("ninja") {
        return;
    }
    several("-C Debug", "\"-C\", \"Debug\"").agrees_on(2);
    several("-C Release", "\"-C\", \"Release\"").agrees_on(1);
}

#[test]
fn a_project_without_a_manifest_in_upper_case() {
    let native = "cmake -S . -B build >\"$OUT/log\" && cd build && ctest";
    Setting::new(native, results)
        .file(
            "CMakeLists.txt",
            "CMAKE_MINIMUM_REQUIRED(VERSION 3.14)\nPROJECT(x NONE)\nENABLE_TESTING ()\nADD_TEST(old sh -c \"exit 0\")\nADD_TEST(bad sh -c \"exit 1\")\n",
        )
        .ignoring(&["build"])
        .agrees_on(2);
}

#[test]
fn a_module_that_brings_a_timeout_of_the_project() {
    let native = "cmake -S . -B build >\"$OUT/log\" && cd build && ctest";
    Setting::new(native, results)
        .file(
            "CMakeLists.txt",
            "cmake_minimum_required(VERSION 3.14)\nproject(x NONE)\nset(DART_TESTING_TIMEOUT 1 CACHE STRING \"\")\ninclude( CTest )\n\
             add_test(NAME long COMMAND sh -c \"exec sleep 20\")\nadd_test(NAME short COMMAND sh -c \"exit 0\")\n",
        )
        .ignoring(&["build"])
        .agrees_on(2);
}

#[test]
fn another_folder_and_arguments_of_the_configuration() {
    let native = "cmake -S . -B out/deep -DWITH=ON >\"$OUT/log\" && cd out/deep && ctest";
    project("if(WITH)\n  t(with \"exit 1\")\nendif()\nt(always \"exit 0\")\n", native)
        .manifest("[groups.c]\nrunner = \"ctest\"\nwith = { build = \"out/deep\", configure = [\"-DWITH=ON\"] }\n")
        .ignoring(&["out"])
        .agrees_on(2);
}

#[test]
fn a_preset_selects_and_sets_variables() {
    let presets = r#"{"version": 3, "configurePresets": [{"name": "dev", "generator": "Unix Makefiles", "binaryDir": "${sourceDir}/build"}],
        "testPresets": [{"name": "some", "configurePreset": "dev", "environment": {"FROM": "preset"}, "filter": {"exclude": {"name": "slow"}}}]}"#;
    let native = "cmake --preset dev >\"$OUT/log\" && ctest --preset some";
    project("t(slow \"exit 1\")\nt(variable \"test \\\"$FROM\\\" = preset\")\nt(bad \"exit 1\")\n", native)
        .file("CMakePresets.json", presets)
        .manifest("[groups.c]\nrunner = \"ctest\"\nwith = { configure = [\"--preset\", \"dev\"], args = [\"--preset\", \"some\"] }\n")
        .agrees_on(2);
}

#[test]
fn tests_that_an_included_file_adds() {
    let body = "t(own \"exit 0\")\nfile(WRITE ${CMAKE_BINARY_DIR}/more.cmake \"add_test(found sh -c \\\"exit 1\\\")\\n\")\n\
         set_property(DIRECTORY APPEND PROPERTY TEST_INCLUDE_FILES ${CMAKE_BINARY_DIR}/more.cmake)\n";
    suite(body, "").agrees_on(2);
}

#[test]
fn output_that_is_no_text() {
    suite(
        "t(bytes \"printf '\\\\377\\\\000x'\" PASS_REGULAR_EXPRESSION \"x\")\nt(absent \"printf '\\\\377\\\\000x'\" PASS_REGULAR_EXPRESSION \"y\")\n",
        "",
    )
    .agrees_on(2);
}

// Debian's CMake runs everything above, that of PyPI these.
versions! {
    [
        cmake_of_pypi: Version::programs("venv"),
    ]
    quick [
        exit_codes_and_signals
        tests_that_are_skipped
        tests_that_an_included_file_adds
    ]
    slow [
        tests_that_are_to_fail
        patterns_that_must_be_found
        patterns_that_must_not_be_found
        the_syntax_of_patterns_is_cmakes
        a_pattern_is_looked_for_in_all_that_was_printed
        programs_that_are_missing_or_no_programs
        files_that_a_test_requires
        a_file_that_an_earlier_test_makes_may_be_required
        the_working_folder
        variables_of_a_test
        modified_variables_of_a_test
        a_fixture_is_set_up_before_and_cleaned_up_after
        what_needs_a_fixture_that_fails_does_not_run_and_the_cleanup_does
        fixtures_that_need_fixtures
        a_setup_that_is_skipped_or_disabled_holds_nobody_up
        several_setups_of_one_fixture_must_all_pass
        a_test_comes_after_those_that_it_depends_on_however_they_end
        tests_that_share_a_resource_lock
        tests_that_run_alone
        processors_and_costs
        labels_select_and_bring_fixtures
        labels_leave_out
        names_select
        names_leave_out
        numbers_select
        fixtures_are_left_out_on_demand
        several_selections_together
        equal_names_in_different_folders
        equal_names_that_ctest_runs_itself
        timeouts
        a_timeout_for_tests_that_have_none
        a_timeout_that_begins_with_what_is_printed
        names_and_arguments_with_every_character
        tests_that_are_tried_again
        resources_that_a_file_names
        resources_without_a_file
        a_configuration_has_tests_of_its_own
        one_of_several_configurations
        a_project_without_a_manifest_in_upper_case
        a_module_that_brings_a_timeout_of_the_project
        another_folder_and_arguments_of_the_configuration
        a_preset_selects_and_sets_variables
        output_that_is_no_text
    ]
}
