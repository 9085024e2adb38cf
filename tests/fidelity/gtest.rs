//! Settings of programs of GoogleTest. One program is built for all of them.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::OnceLock;

use crate::harness::{Native, Outcomes, Setting, junit, missing, quoted};

const SOURCE: &str = r#"#include <gtest/gtest.h>
#include <cstdlib>
#include <fstream>
TEST(Plain, Passes) { EXPECT_EQ(1 + 1, 2); }
TEST(Plain, Fails) { EXPECT_EQ(1, 2) << "why"; }
TEST(Plain, Skips) { GTEST_SKIP() << "no net"; }
TEST(Plain, DISABLED_Off) { FAIL(); }
TEST(DISABLED_Suite, Off) { SUCCEED(); }
TEST(Folder, HasData) { EXPECT_TRUE(std::ifstream("data.txt").good()); }
TEST(Slow, Passes) { SUCCEED(); }
class Shared : public ::testing::Test {
 protected:
  static void SetUpTestSuite() { value = new int(1); }
  static void TearDownTestSuite() { delete value; }
  static int *value;
};
int *Shared::value = nullptr;
TEST_F(Shared, First) { EXPECT_EQ(*value, 1); }
TEST_F(Shared, Second) { ASSERT_NE(value, nullptr); }
class P : public ::testing::TestWithParam<int> {};
TEST_P(P, Even) { EXPECT_EQ(GetParam() % 2, 0); }
INSTANTIATE_TEST_SUITE_P(Few, P, ::testing::Values(2, 3));
class Named : public ::testing::TestWithParam<const char *> {};
TEST_P(Named, HasText) { EXPECT_STRNE(GetParam(), ""); }
INSTANTIATE_TEST_SUITE_P(Words, Named, ::testing::Values("a", "b"),
                         [](const auto &info) { return std::string("word_") + info.param; });
template <typename T> class Typed : public ::testing::Test {};
using Types = ::testing::Types<int, char>;
TYPED_TEST_SUITE(Typed, Types);
TYPED_TEST(Typed, HasSize) { EXPECT_EQ(sizeof(TypeParam), 4u); }
TEST(Depends, First) { setenv("SET_BY_FIRST", "1", 1); }
TEST(Argument, Environment) { EXPECT_EQ(getenv("GTEST_TOTAL_SHARDS"), nullptr); }
"#;

/// How many tests it has.
const TESTS: usize = 17;

/// The program, or none where there is no compiler.
fn program() -> Option<&'static PathBuf> {
    static PROGRAM: OnceLock<Option<PathBuf>> = OnceLock::new();
    let built = PROGRAM.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap().keep();
        let (source, program) = (folder.join("all.cc"), folder.join("all_test"));
        fs::write(&source, SOURCE).unwrap();
        let built = Command::new("c++")
            .args(["-std=c++17", "-o"])
            .args([&program, &source])
            .args(["-lgtest", "-lgtest_main", "-pthread"])
            .output();
        built
            .is_ok_and(|built| built.status.success())
            .then_some(program)
    });
    if built.is_none() {
        missing("GoogleTest to build a program with");
    }
    built.as_ref()
}

/// A project with the program `out/all_test`, which runs in `folder` with some arguments.
fn suite(folder: &str, arguments: &str) -> Option<Setting> {
    let program = program()?;
    let native = format!(
        "p=$PWD/out/all_test; cd ./{folder} && \"$p\" {arguments} --gtest_output=xml:\"$OUT/x.xml\""
    );
    let manifest = format!(
        "[groups.t]\nrunner = \"gtest\"\nfiles = [\"out/*_test\"]\nwith = {{ folder = \"{folder}\", args = [{}] }}\n",
        quoted(arguments)
    );
    let setting = Setting::new(&native, results)
        .shell(&format!("mkdir out data && cp {} out/", program.display()))
        .file("data/data.txt", "x")
        .manifest(&manifest)
        .ours(in_words_of_junit);
    Some(setting)
}

/// What the program's XML says. A test that is disabled has a result there, unless it runs.
fn results(native: &Native) -> Outcomes {
    let mut outcomes = junit(&native.out.join("x.xml"));
    let xml = fs::read_to_string(native.out.join("x.xml")).unwrap_or_default();
    for (name, outcome) in &mut outcomes {
        let (class, test) = name.split_once("::").unwrap();
        let mut lines = xml.lines();
        let is_off = |line: &str| {
            line.contains(&format!("name=\"{test}\""))
                && line.contains(&format!("classname=\"{class}\""))
        };
        if lines.any(|line| is_off(line) && line.contains("result=\"suppressed\"")) {
            *outcome = "skipped".into();
        }
    }
    outcomes
}

/// `t::out/all_test::Few/P.Even/0` is `Few/P::Even/0` in JUnit.
fn in_words_of_junit(id: &str) -> String {
    let test = id.rsplit_once("::").map_or(id, |(_, test)| test);
    test.replacen('.', "::", 1)
}

#[test]
fn a_program_with_tests_of_every_kind() {
    let Some(setting) = suite("data", "") else {
        return;
    };
    setting.agrees_on(TESTS);
}

#[test]
fn a_program_in_a_folder_without_its_data() {
    let Some(setting) = suite("", "") else { return };
    setting.agrees_on(TESTS);
}

#[test]
fn disabled_tests_run_on_demand() {
    let Some(setting) = suite("data", "--gtest_also_run_disabled_tests") else {
        return;
    };
    setting.agrees_on(TESTS);
}

#[test]
fn disabled_tests_run_by_a_variable() {
    let Some(setting) = suite("data", "") else {
        return;
    };
    setting
        .env("GTEST_ALSO_RUN_DISABLED_TESTS", "1")
        .agrees_on(TESTS);
}

#[test]
fn a_filter_selects_while_listing() {
    let Some(setting) = suite("data", "'--gtest_filter=Plain.*:-*Fails'") else {
        return;
    };
    setting.agrees_on(3);
}

#[test]
fn a_filter_of_a_variable() {
    let Some(setting) = suite("data", "") else {
        return;
    };
    setting.env("GTEST_FILTER", "*Typed*:Few/*").agrees_on(4);
}

#[test]
fn a_filter_with_parameters() {
    let Some(setting) = suite("data", "'--gtest_filter=Words/Named.HasText/word_?'") else {
        return;
    };
    setting.agrees_on(2);
}

#[test]
fn tests_in_another_order() {
    let Some(setting) = suite("data", "--gtest_shuffle --gtest_random_seed=7") else {
        return;
    };
    setting.agrees_on(TESTS);
}

#[test]
fn tests_that_are_repeated() {
    let Some(setting) = suite("data", "--gtest_repeat=2 '--gtest_filter=Plain.P*'") else {
        return;
    };
    setting.agrees_on(1);
}

#[test]
fn failures_that_throw() {
    let Some(setting) = suite(
        "data",
        "--gtest_break_on_failure=0 --gtest_catch_exceptions=0 --gtest_brief=1",
    ) else {
        return;
    };
    setting.agrees_on(TESTS);
}

#[test]
fn only_what_passes() {
    let Some(setting) = suite("data", "'--gtest_filter=Shared.*:Depends.*:Argument.*'") else {
        return;
    };
    setting.agrees_on(4);
}
