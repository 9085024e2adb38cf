//! Go, CTest, GoogleTest.

use crate::support::Project;
use crate::{has, is_detected, missing_unless};

#[test]
fn go() {
    if !has("go") {
        return;
    }
    let project = Project::new()
        .file("go.mod", "module example.org/shop\n\ngo 1.18\n")
        .file("shop.go", "package shop\n\nfunc Add(a, b int) int { return a + b }\n")
        .file(
            "shop_test.go",
            "package shop\n\nimport (\n\t\"fmt\"\n\t\"os\"\n\t\"testing\"\n)\n\n\
             func TestAdds(t *testing.T) {\n\tif Add(1, 1) != 2 {\n\t\tt.Fatal(\"sum\")\n\t}\n}\n\n\
             func TestWrong(t *testing.T) {\n\tt.Run(\"inner\", func(t *testing.T) { t.Errorf(\"got %d\", Add(1, 1)) })\n}\n\n\
             func TestSkipped(t *testing.T) { t.Skip(\"no net\") }\n\n\
             func TestFolder(t *testing.T) {\n\tif _, err := os.Stat(\"shop.go\"); err != nil {\n\t\tt.Fatal(err)\n\t}\n}\n\n\
             func ExampleAdd() {\n\tfmt.Println(Add(1, 1))\n\t// Output: 2\n}\n\n\
             func BenchmarkAdd(b *testing.B) {}\n",
        )
        .file(
            "store/store_test.go",
            "package store\n\nimport (\n\t\"os\"\n\t\"syscall\"\n\t\"testing\"\n)\n\n\
             func TestFirst(t *testing.T) {}\n\nfunc TestKilled(t *testing.T) { syscall.Kill(os.Getpid(), syscall.SIGKILL); select {} }\n\n\
             func TestLeaves(t *testing.T) { os.Exit(0) }\n\nfunc TestPanics(t *testing.T) { panic(\"boom\") }\n\nfunc TestLast(t *testing.T) {}\n",
        )
        .file("broken/broken_test.go", "package broken\n\nimport \"testing\"\n\nfunc TestX(t *testing.T) { nothing() }\n")
        .file("empty/empty.go", "package empty\n")
        // The module has no dependencies, and asks nobody.
        .env("GOFLAGS", "-mod=mod")
        .env("GOPROXY", "off");
    is_detected(&project, "go");
    let ran = project
        .run(&["-n", "2"])
        .exits(1)
        .says("got 2")
        .says("boom")
        .says("nothing");
    assert_eq!(
        ran.outcomes(),
        [
            "go::example.org/shop/broken errored",
            "go::example.org/shop/store::TestFirst passed",
            "go::example.org/shop/store::TestKilled crashed",
            "go::example.org/shop/store::TestLast passed",
            "go::example.org/shop/store::TestLeaves failed",
            "go::example.org/shop/store::TestPanics failed",
            "go::example.org/shop::ExampleAdd passed",
            "go::example.org/shop::TestAdds passed",
            "go::example.org/shop::TestFolder passed",
            "go::example.org/shop::TestSkipped skipped",
            "go::example.org/shop::TestWrong failed",
        ]
    );
    let wrong = "example.org/shop::TestWrong";
    let list = project
        .orchestrate(&["list", "--format", "json", wrong])
        .exits(0)
        .stdout;
    assert!(
        list.contains("\"shop_test.go\"") && list.contains("15"),
        "{list}"
    );
}

#[test]
fn go_events_of_whole_packages() {
    if !has("go") {
        return;
    }
    let manifest = "[runners.mine]\nrun = [\"go\", \"test\", \"-json\", \"./a\", \"./b\"]\nstdout = \"report\"\nresults = \"go-json\"\n\
        tests = \"reported\"\nfiles = [\"go.mod\"]\n[groups.g]\nrunner = \"mine\"\n";
    let project = Project::with(manifest)
        .file("go.mod", "module m\n\ngo 1.18\n")
        .file(
            "a/a_test.go",
            "package a\n\nimport \"testing\"\n\nfunc TestA(t *testing.T) {}\n",
        )
        .file(
            "b/b_test.go",
            "package b\n\nimport \"testing\"\n\nfunc TestB(t *testing.T) { t.Fatal(\"no\") }\n",
        );
    assert_eq!(
        project.run(&[]).exits(1).outcomes(),
        [
            "g::go.mod::m/a::TestA passed",
            "g::go.mod::m/b::TestB failed"
        ]
    );
}

const PLAIN: &str = "package t\n\nimport \"testing\"\n\nfunc TestPlain(t *testing.T) {}\n";

fn go_project(manifest: &str) -> Project {
    Project::with(manifest)
        .file("go.mod", "module example.org/t\n\ngo 1.18\n")
        .env("GOPROXY", "off")
}

#[test]
fn go_build_flags_reach_the_listing() {
    if !has("go") {
        return;
    }
    let failing = "//go:build integration\n\npackage only\n\nimport \"testing\"\n\nfunc TestOnly(t *testing.T) { t.Fatal(\"seen\") }\n";
    for with in [
        "{ build = [\"-tags\", \"integration\"] }",
        "{ args = [\"-tags=integration\"] }",
    ] {
        let project = go_project(&format!("[groups.g]\nrunner = \"go\"\nwith = {with}\n"))
            .file("a_test.go", PLAIN)
            .file("only/c_test.go", failing);
        assert_eq!(
            project.run(&[]).exits(1).says("seen").outcomes(),
            [
                "g::example.org/t/only::TestOnly failed",
                "g::example.org/t::TestPlain passed"
            ]
        );
    }
}

#[test]
fn go_tests_print_without_ending_their_lines_and_wait_for_their_turn() {
    if !has("go") {
        return;
    }
    let project = go_project("[groups.g]\nrunner = \"go\"\n")
        .file(
            "a_test.go",
            "package t\n\nimport (\n\t\"fmt\"\n\t\"testing\"\n)\n\nfunc TestOne(t *testing.T) { fmt.Print(\"no line end\") }\n\n\
             func TestTwo(t *testing.T) { fmt.Print(\"nor here\") }\n",
        )
        .file(
            "paused/a_test.go",
            "package paused\n\nimport \"testing\"\n\nfunc TestParallel(t *testing.T) { t.Parallel() }\n\n\
             func TestPanics(t *testing.T) { panic(\"no\") }\n\nfunc TestAfter(t *testing.T) {}\n",
        );
    assert_eq!(
        project.run(&["-n", "1"]).exits(1).outcomes(),
        [
            "g::example.org/t/paused::TestAfter passed",
            "g::example.org/t/paused::TestPanics failed",
            "g::example.org/t/paused::TestParallel passed",
            "g::example.org/t::TestOne passed",
            "g::example.org/t::TestTwo passed",
        ]
    );
}

#[test]
fn files_and_exclude_narrow_what_go_lists() {
    if !has("go") {
        return;
    }
    for (keys, left) in [
        ("exclude = [\"slow_test.go\"]", "TestQuick"),
        ("files = [\"slow_*.go\"]", "TestSlow"),
    ] {
        let project = go_project(&format!("[groups.g]\nrunner = \"go\"\n{keys}\n"))
            .file("quick_test.go", &PLAIN.replace("TestPlain", "TestQuick"))
            .file("slow_test.go", &PLAIN.replace("TestPlain", "TestSlow"));
        assert_eq!(
            project.run(&[]).exits(0).outcomes(),
            [format!("g::example.org/t::{left} passed")]
        );
    }
}

#[test]
fn go_flags_that_would_do_nothing_are_errors() {
    if !has("go") {
        return;
    }
    for (flag, instead) in [("-bench=.", "benchmarks"), ("-failfast", "max-fail")] {
        let manifest = format!("[groups.g]\nrunner = \"go\"\nwith = {{ args = [\"{flag}\"] }}\n");
        let project = go_project(&manifest).file("a_test.go", PLAIN);
        project.run(&[]).exits(1).says(instead);
    }
}

#[test]
fn a_go_profile_of_one_process_makes_the_group_one_process() {
    if !has("go") {
        return;
    }
    let manifest = "[groups.g]\nrunner = \"go\"\nchunk-size = 1\nwith = { args = [\"-memprofile\", \"mem.out\"] }\n";
    let project = go_project(manifest).file(
        "a_test.go",
        &(PLAIN.to_owned() + "func TestMore(t *testing.T) {}\n"),
    );
    let ran = project.run(&["-n", "2"]).exits(0).says("-memprofile");
    assert_eq!(ran.outcomes().len(), 2);
    assert!(project.path().join("mem.out").exists());
}

const CMAKE: &str = "cmake_minimum_required(VERSION 3.14)\nproject(calc CXX)\nenable_testing()\n\
    add_executable(calc_test calc.cc)\nfind_package(GTest REQUIRED)\ntarget_link_libraries(calc_test GTest::gtest_main)\n\
    add_test(NAME good COMMAND sh -c \"exit 0\")\nadd_test(NAME bad COMMAND sh -c \"echo said; exit 1\")\n\
    add_test(NAME skips COMMAND sh -c \"exit 77\")\nset_tests_properties(skips PROPERTIES SKIP_RETURN_CODE 77 LABELS slow)\n\
    add_test(NAME off COMMAND sh -c \"exit 1\")\nset_tests_properties(off PROPERTIES DISABLED TRUE)\n\
    add_test(NAME killed COMMAND sh -c \"kill -SEGV $$\")\nadd_test(NAME missing COMMAND nosuchprogram)\n\
    add_test(NAME calc COMMAND calc_test --gtest_filter=Calc.Adds)\n\
    add_test(NAME calc.more COMMAND sh -c \"exit 0\")\n";

const CALC: &str = "#include <gtest/gtest.h>\n#include <cstdlib>\n\
    TEST(Calc, Adds) { EXPECT_EQ(1 + 1, 2); }\nTEST(Calc, Wrong) { EXPECT_EQ(1, 2) << \"why\"; }\n\
    TEST(Calc, Skips) { GTEST_SKIP() << \"no net\"; }\nTEST(Calc, DISABLED_Off) { FAIL(); }\n\
    TEST(Calc, Aborts) { abort(); }\nTEST(Calc, Leaves) { exit(0); }\nTEST(Calc, Last) {}\n\
    class P : public ::testing::TestWithParam<int> {};\nTEST_P(P, Even) { EXPECT_EQ(GetParam() % 2, 0); }\n\
    INSTANTIATE_TEST_SUITE_P(Few, P, ::testing::Values(2, 3));\n";

/// A project of CMake whose tests are lines of `sh`.
fn scripts(arguments: &str, body: &str) -> Project {
    let begin =
        "cmake_minimum_required(VERSION 3.14)\nproject(x LANGUAGES NONE)\nenable_testing()\n";
    let manifest = format!("[groups.c]\nrunner = \"ctest\"\nwith = {{ {arguments} }}\n");
    Project::with(&manifest).file("CMakeLists.txt", &format!("{begin}{body}"))
}

#[test]
fn ctest_whose_order_has_a_cycle_runs_nothing() {
    if !has("cmake") {
        return;
    }
    let body = "add_test(NAME a COMMAND sh -c \"exit 0\")\nadd_test(NAME b COMMAND sh -c \"exit 0\")\n\
        set_tests_properties(a PROPERTIES DEPENDS b)\nset_tests_properties(b PROPERTIES DEPENDS a)\n";
    let ran = scripts("", body).run(&[]).exits(1);
    let ran = ran.says("b comes after a, which comes after b");
    assert_eq!(ran.outcomes(), ["c errored"]);
}

#[test]
fn ctest_without_one_of_several_configurations() {
    if !has("cmake") || !has("ninja") {
        return;
    }
    let arguments = "configure = [\"-G\", \"Ninja Multi-Config\"]";
    let project = scripts(
        arguments,
        "add_test(NAME a COMMAND sh -c \"exit 0\")\nadd_test(NAME b CONFIGURATIONS Debug COMMAND sh -c \"exit 0\")\n",
    );
    let native = std::process::Command::new("sh")
        .args([
            "-c",
            "cmake -S . -B build -G 'Ninja Multi-Config' && cd build && ctest",
        ])
        .current_dir(project.path())
        .output()
        .unwrap();
    assert!(!native.status.success());
    let ran = project.run(&[]).exits(1).says("without configuration");
    assert_eq!(ran.outcomes(), ["c::a errored"]);
}

#[test]
fn ctest_arguments_and_keys_that_do_nothing_are_warnings() {
    if !has("cmake") {
        return;
    }
    let body = "add_test(NAME a COMMAND sh -c \"exit 0\")\n";
    let arguments =
        "args = [\"-j\", \"4\", \"--stop-on-failure\"] }\nchunk-size = 5\nenv = { A = \"1\"";
    let ran = scripts(arguments, body).run(&[]).exits(0);
    ran.says("`-j` in `args` does nothing here; use `-n` or `workers`")
        .says("`--stop-on-failure` in `args` does nothing here; use `--max-fail 1`")
        .says("`chunk-size = 5` does nothing");
}

#[test]
fn ctest_builds_with_as_many_processes_as_there_are_workers() {
    if !has("cmake") {
        return;
    }
    let body = "add_custom_target(level ALL COMMAND sh -c \"echo $CMAKE_BUILD_PARALLEL_LEVEL >>${CMAKE_SOURCE_DIR}/level\" VERBATIM)\n\
        add_test(NAME a COMMAND sh -c \"exit 0\")\n";
    let project = scripts("", body);
    project.run(&["-n", "3"]).exits(0);
    let project = project.env("CMAKE_BUILD_PARALLEL_LEVEL", "2");
    project.run(&["-n", "3"]).exits(0);
    let level = std::fs::read_to_string(project.path().join("level")).unwrap();
    assert_eq!(level, "3\n2\n");
}

#[test]
fn ctest_processes_cost_no_ctest_each() {
    if !has("cmake") {
        return;
    }
    // A test that ctest ran itself would be its child.
    let body = "add_test(NAME direct COMMAND sh -c \"tr '\\\\0' ' ' </proc/$PPID/cmdline | grep -v ctest\")\n\
        add_test(NAME by_ctest COMMAND sh -c \"tr '\\\\0' ' ' </proc/$PPID/cmdline | grep ctest\")\n\
        set_tests_properties(by_ctest PROPERTIES REQUIRED_FILES ${CMAKE_SOURCE_DIR}/CMakeLists.txt)\n";
    let ran = scripts("", body).run(&[]).exits(0);
    assert_eq!(ran.outcomes(), ["c::by_ctest passed", "c::direct passed"]);
}

#[test]
fn ctest_and_gtest() {
    let has_gtest = std::path::Path::new("/usr/include/gtest/gtest.h").exists();
    if !has("cmake") || !has("c++") || !missing_unless(has_gtest, "gtest") {
        return;
    }
    let project = Project::new()
        .file("CMakeLists.txt", CMAKE)
        .file("calc.cc", CALC);
    is_detected(&project, "ctest");
    let ran = project
        .run(&["-n", "4"])
        .exits(1)
        .says("said")
        .says("SIGSEGV");
    assert_eq!(
        ran.outcomes(),
        [
            "ctest::bad failed",
            "ctest::calc passed",
            "ctest::calc.more passed",
            "ctest::good passed",
            "ctest::killed crashed",
            "ctest::missing errored",
            "ctest::off skipped",
            "ctest::skips skipped",
        ]
    );
    // What CMake has built, by itself; all in one job, so that the crash has company.
    let manifest = "[groups.g]\nrunner = \"gtest\"\nfiles = [\"build/*_test\"]\nchunk-size = 100\n";
    let project = project.file("fastest.toml", manifest);
    let ran = project.run(&[]).exits(1).says("why");
    assert_eq!(
        ran.outcomes(),
        [
            "g::build/calc_test::Calc.Aborts crashed",
            "g::build/calc_test::Calc.Adds passed",
            "g::build/calc_test::Calc.DISABLED_Off skipped",
            "g::build/calc_test::Calc.Last passed",
            "g::build/calc_test::Calc.Leaves errored",
            "g::build/calc_test::Calc.Skips skipped",
            "g::build/calc_test::Calc.Wrong failed",
            "g::build/calc_test::Few/P.Even/0 passed",
            "g::build/calc_test::Few/P.Even/1 failed",
        ]
    );
    // What fails outside of the tests is told with the program that it is of.
    let main = "#include <gtest/gtest.h>\nTEST(A, a) {}\n\
        struct Around : testing::Environment { void TearDown() override { ADD_FAILURE() << \"late\"; } };\n\
        int main(int count, char **words) { testing::InitGoogleTest(&count, words);\n\
        testing::AddGlobalTestEnvironment(new Around); return RUN_ALL_TESTS(); }\n";
    let project = Project::with(manifest)
        .file("CMakeLists.txt", CMAKE)
        .file("calc.cc", main)
        .script("build/other_test", "exec build/calc_test \"$@\"");
    for step in [&["-S", ".", "-B", "build"][..], &["--build", "build"]] {
        let built = std::process::Command::new("cmake")
            .args(step)
            .current_dir(project.path())
            .output();
        assert!(built.unwrap().status.success());
    }
    assert_eq!(
        project.run(&[]).exits(1).says("late").outcomes(),
        [
            "g::build/calc_test::A.a passed",
            "g::build/calc_test::NonTestSuiteFailure failed",
            "g::build/other_test::A.a passed",
            "g::build/other_test::NonTestSuiteFailure failed",
        ]
    );
}
