//! Settings of projects that are tested with go.

use std::collections::BTreeSet;
use std::process::Command;

use serde_json::Value;

use crate::harness::{Native, Outcomes, Setting};

/// The results of `go test -json`: those of tests, and of packages that fail without a test that fails.
fn results(native: &Native) -> Outcomes {
    let mut outcomes = Outcomes::new();
    let mut failed = BTreeSet::new();
    for line in native.stdout.lines() {
        let Ok(event) = serde_json::from_str::<Value>(line) else {
            // Before Go 1.24, a package that can't be built has no event.
            if let Some(rest) = line.strip_prefix("FAIL\t") {
                failed.insert(rest.split_whitespace().next().unwrap().to_owned());
            }
            continue;
        };
        let outcome = match event["Action"].as_str().unwrap() {
            "pass" => "passed",
            "fail" => "failed",
            "skip" => "skipped",
            _ => continue,
        };
        let package = event["Package"].as_str().unwrap();
        match event["Test"].as_str() {
            Some(test) if !test.contains('/') && !test.starts_with("Benchmark") => {
                let old = outcomes.insert(format!("{package}::{test}"), outcome.into());
                // With `-count`, a test has several results.
                if old.as_deref() == Some("failed") {
                    outcomes.insert(format!("{package}::{test}"), "failed".into());
                }
            }
            None if outcome == "failed" => {
                failed.insert(package.to_owned());
            }
            _ => {}
        }
    }
    for package in failed {
        let inside = format!("{package}::");
        let is_failed =
            |(id, outcome): (&String, &String)| id.starts_with(&inside) && outcome == "failed";
        if !outcomes.iter().any(is_failed) {
            outcomes.insert(package, "errored".into());
        }
    }
    outcomes
}

/// A module `m`, tested with these flags and packages.
fn module_of(flags: &[&str], packages: &[&str]) -> Setting {
    let quoted = |words: &[&str]| {
        let words = words.iter().map(|word| format!("'{word}'"));
        words.collect::<Vec<_>>().join(" ")
    };
    let native = format!("go test -json {} {}", quoted(packages), quoted(flags));
    let manifest = format!(
        "[groups.g]\nrunner = \"go\"\nwith = {{ packages = {packages:?}, args = {flags:?} }}\n"
    );
    Setting::new(&native, results)
        .manifest(&manifest)
        .file("go.mod", "module example.org/m\n\ngo 1.18\n")
        .env("GOPROXY", "off")
        .env("GOFLAGS", "")
}

fn module(flags: &[&str]) -> Setting {
    module_of(flags, &["./..."])
}

/// A test file: imports, and the rest of its text.
fn test_file(package: &str, imports: &[&str], text: &str) -> String {
    let imports = imports.iter().map(|name| format!("\t\"{name}\"\n"));
    let imports: String = imports.collect();
    format!("package {package}\n\nimport (\n{imports}\t\"testing\"\n)\n\n{text}")
}

const OUTCOMES: &str = "func TestPasses(t *testing.T) {}\n\
    func TestFails(t *testing.T) { t.Error(\"no\") }\n\
    func TestSkips(t *testing.T) { t.Skip(\"no\") }\n\
    func TestInside(t *testing.T) {\n\tt.Run(\"good\", func(t *testing.T) {})\n\tt.Run(\"bad\", func(t *testing.T) { t.Fatal(1) })\n}\n\
    func TestOther(t *testing.T) { t.Run(\"good\", func(t *testing.T) {}) }\n";

fn with_outcomes(flags: &[&str]) -> Setting {
    module(flags).file("m_test.go", &test_file("m", &[], OUTCOMES))
}

/// The minor version of Go.
fn minor() -> u32 {
    let output = Command::new("go")
        .args(["env", "GOVERSION"])
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let minor = text.trim().split('.').nth(1).unwrap_or_default();
    minor.parse().unwrap()
}

#[test]
fn every_common_outcome() {
    with_outcomes(&[]).agrees_on(5);
}

#[test]
fn run_selects_tests() {
    with_outcomes(&["-run", "Pass|Skip"]).agrees_on(2);
}

#[test]
fn run_selects_subtests() {
    with_outcomes(&["-run=Test.*/good"]).agrees_on(5);
}

#[test]
#[ignore = "slow"]
fn run_selects_subtests_of_some_tests() {
    with_outcomes(&["-run", "(Inside|Other)/^good$"]).agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn run_has_alternatives() {
    with_outcomes(&["-run", "Inside/good|Passes"]).agrees_on(2);
}

#[test]
fn skip_leaves_out_tests() {
    // Go before 1.20 has no such flag: both fail.
    let tests = if minor() < 20 { 1 } else { 3 };
    with_outcomes(&["-skip", "Fails|Inside"]).agrees_on(tests);
}

#[test]
#[ignore = "slow"]
fn short_is_passed_on() {
    let text = "func TestLong(t *testing.T) { if testing.Short() { t.Skip() } }\n";
    for flag in ["-short", "-test.short", "--short=true"] {
        module(&[flag])
            .file("m_test.go", &test_file("m", &[], text))
            .agrees_on(1);
    }
}

#[test]
fn a_build_tag_reaches_the_listing() {
    let tagged = format!(
        "//go:build integration\n\n{}",
        test_file("only", &[], "func TestOnly(t *testing.T) { t.Fatal(1) }\n")
    );
    module(&["-tags", "integration,other"])
        .file("only/only_test.go", &tagged)
        .file("m_test.go", &test_file("m", &[], OUTCOMES))
        .agrees_on(6);
}

#[test]
#[ignore = "slow"]
fn a_build_tag_in_goflags() {
    let tagged = format!(
        "//go:build integration\n\n{}",
        test_file("only", &[], "func TestOnly(t *testing.T) {}\n")
    );
    module(&[])
        .env("GOFLAGS", "-tags=integration -count=1")
        .file("only/only_test.go", &tagged)
        .agrees_on(1);
}

#[test]
fn vet_is_a_part_of_go_test() {
    let text = "func TestPrints(t *testing.T) { fmt.Printf(\"%d\\n\", \"text\") }\n";
    module(&[])
        .file("m_test.go", &test_file("m", &["fmt"], text))
        .file(
            "a/a_test.go",
            &test_file("a", &[], "func TestA(t *testing.T) {}\n"),
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn vet_can_be_off() {
    let text = "func TestPrints(t *testing.T) { fmt.Printf(\"%d\\n\", \"text\") }\n";
    module(&["-vet=off"])
        .file("m_test.go", &test_file("m", &["fmt"], text))
        .agrees_on(1);
}

#[test]
fn packages_that_cannot_be_built_fail_alone() {
    module(&[])
        .file(
            "m_test.go",
            &test_file("m", &[], "func TestM(t *testing.T) {}\n"),
        )
        .file(
            "types/a_test.go",
            &test_file("types", &[], "func TestX(t *testing.T) { nothing() }\n"),
        )
        .file("syntax/a_test.go", "package syntax\n\nfunc {\n")
        .file(
            "missing/a_test.go",
            &test_file(
                "missing",
                &["example.org/gone"],
                "func TestX(t *testing.T) {}\n",
            ),
        )
        .agrees_on(4);
}

const CODE: &str = "package m\n\nfunc Sign(n int) int {\n\tif n < 0 {\n\t\treturn -1\n\t}\n\tif n == 0 {\n\t\treturn 0\n\t}\n\treturn 1\n}\n";
const CODE_TESTS: &str = "func TestNegative(t *testing.T) { Sign(-1) }\n\
    func TestPositive(t *testing.T) { Sign(1); Sign(2) }\n\
    func TestNothing(t *testing.T) {}\n";

#[test]
fn the_coverage_of_all_jobs_is_one_profile() {
    module(&["-coverprofile=c.out"])
        .file("m.go", CODE)
        .file("m_test.go", &test_file("m", &[], CODE_TESTS))
        .agrees_on(3);
}

#[test]
fn counts_of_the_coverage_add_up_over_packages() {
    // `go test` writes a package's profile when its tests end: one package at a time, so that their order is fixed.
    module(&["-covermode", "count", "-coverprofile", "c.out"])
        .env("GOFLAGS", "-p=1")
        .file("m.go", CODE)
        .file("m_test.go", &test_file("m", &[], CODE_TESTS))
        .file("a/a.go", &CODE.replace("package m", "package a"))
        .file("a/a_test.go", &test_file("a", &[], CODE_TESTS))
        .file(
            "untested/u.go",
            &CODE.replace("package m", "package untested"),
        )
        .agrees_on(6);
}

#[test]
#[ignore = "slow"]
fn the_coverage_goes_to_the_output_folder() {
    module(&["-coverprofile=c.out", "-outputdir", "out"])
        .file("out/keep", "")
        .file("m.go", CODE)
        .file("m_test.go", &test_file("m", &[], CODE_TESTS))
        .agrees_on(3);
}

#[test]
#[ignore = "slow"]
fn coverage_without_a_profile_changes_no_result() {
    module(&["-cover"])
        .file("m.go", CODE)
        .file("m_test.go", &test_file("m", &[], CODE_TESTS))
        .agrees_on(3);
}

#[test]
fn modules_of_a_workspace() {
    module_of(&[], &["./a/...", "./b/..."])
        .file("go.work", "go 1.18\n\nuse (\n\t./a\n\t./b\n)\n")
        .file("a/go.mod", "module example.org/a\n\ngo 1.18\n")
        .file("a/a.go", "package a\n\nfunc A() int { return 1 }\n")
        .file(
            "a/a_test.go",
            &test_file("a", &[], "func TestA(t *testing.T) {}\n"),
        )
        .file("b/go.mod", "module example.org/b\n\ngo 1.18\n")
        .file(
            "b/b_test.go",
            &test_file(
                "b",
                &["example.org/a"],
                "func TestB(t *testing.T) { if a.A() != 1 { t.Fatal() } }\n",
            ),
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn a_nested_module_is_not_a_part() {
    module(&[])
        .file(
            "m_test.go",
            &test_file("m", &[], "func TestM(t *testing.T) {}\n"),
        )
        .file("nested/go.mod", "module example.org/nested\n\ngo 1.18\n")
        .file(
            "nested/n_test.go",
            &test_file("nested", &[], "func TestN(t *testing.T) {}\n"),
        )
        .agrees_on(1);
}

#[test]
fn folders_and_files_that_go_ignores() {
    let test = |package: &str| test_file(package, &[], "func TestX(t *testing.T) {}\n");
    module(&[])
        .file("testdata/a_test.go", &test("testdata"))
        .file("_under/a_test.go", &test("under"))
        .file(".dot/a_test.go", &test("dot"))
        .file("vendor/v/a_test.go", &test("v"))
        .file("vendor/modules.txt", "")
        .file("a/a_windows_test.go", &test("a"))
        .file("a/_a_test.go", &test("a"))
        .file("a/a_test.go", &test("a"))
        .agrees_on(1);
}

#[test]
fn tests_run_in_the_folder_of_their_package() {
    let text = "func TestReads(t *testing.T) { if _, err := os.ReadFile(\"testdata/x\"); err != nil { t.Fatal(err) } }\n\
        func TestWrites(t *testing.T) { if err := os.WriteFile(\"written\", []byte(os.Getenv(\"PWD\")[len(os.Getenv(\"PWD\"))-1:]), 0o600); err != nil { t.Fatal(err) } }\n";
    module(&[])
        .file("a/testdata/x", "")
        .file("a/a_test.go", &test_file("a", &["os"], text))
        .agrees_on(2);
}

#[test]
fn a_test_main_sets_up_and_its_exit_code_counts() {
    let good = "var ready bool\n\nfunc TestMain(m *testing.M) { ready = true; os.Exit(m.Run()) }\n\
        func TestReady(t *testing.T) { if !ready { t.Fatal() } }\n";
    module(&[])
        .file("good/a_test.go", &test_file("good", &["os"], good))
        .file(
            "early/a_test.go",
            &test_file(
                "early",
                &["os"],
                "func TestMain(m *testing.M) { os.Exit(0) }\nfunc TestX(t *testing.T) {}\n",
            ),
        )
        .file(
            "fails/a_test.go",
            &test_file(
                "fails",
                &["os"],
                "func TestMain(m *testing.M) { os.Exit(3) }\nfunc TestX(t *testing.T) {}\n",
            ),
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn a_package_of_tests_from_outside() {
    module(&[])
        .file("m.go", CODE)
        .file(
            "m_test.go",
            &test_file("m", &[], "func TestIn(t *testing.T) {}\n"),
        )
        .file(
            "out_test.go",
            &test_file(
                "m_test",
                &["example.org/m"],
                "func TestOut(t *testing.T) { if m.Sign(0) != 0 { t.Fatal() } }\n",
            ),
        )
        .agrees_on(2);
}

#[test]
fn examples_with_output_are_tests() {
    module(&[])
        .file("m.go", CODE)
        .file(
            "m_test.go",
            "package m\n\nimport \"fmt\"\n\nfunc ExampleSign() {\n\tfmt.Println(Sign(3))\n\t// Output: 1\n}\n\n\
             func ExampleSign_wrong() {\n\tfmt.Println(Sign(3))\n\t// Output: 2\n}\n\nfunc ExampleSign_silent() {\n\tfmt.Println(Sign(3))\n}\n",
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn fuzz_tests_run_their_seeds() {
    let text = "func FuzzGood(f *testing.F) { f.Add(1); f.Fuzz(func(t *testing.T, n int) {}) }\n\
        func FuzzBad(f *testing.F) { f.Fuzz(func(t *testing.T, n int) { if n == 7 { t.Fatal() } }) }\n";
    module(&[])
        .file("m_test.go", &test_file("m", &[], text))
        .file("testdata/fuzz/FuzzBad/seed", "go test fuzz v1\nint(7)\n")
        .agrees_on(2);
}

#[test]
fn parallel_tests_and_subtests() {
    let text = "func TestA(t *testing.T) { t.Parallel() }\nfunc TestB(t *testing.T) { t.Parallel(); t.Fatal() }\n\
        func TestC(t *testing.T) {\n\tfor _, name := range []string{\"x\", \"y\"} {\n\t\tt.Run(name, func(t *testing.T) { t.Parallel() })\n\t}\n}\n";
    module(&["-parallel", "2"])
        .file("m_test.go", &test_file("m", &[], text))
        .agrees_on(3);
}

#[test]
#[ignore = "slow"]
fn a_test_that_fails_only_the_first_time() {
    let text =
        "var times int\n\nfunc TestFirst(t *testing.T) { times++; if times == 1 { t.Fatal() } }\n";
    module(&["-count=2"])
        .file("m_test.go", &test_file("m", &[], text))
        .agrees_on(1);
    module(&["-cpu", "1,2"])
        .file("m_test.go", &test_file("m", &[], text))
        .agrees_on(1);
}

#[test]
fn flags_of_the_project_reach_its_tests() {
    let text = "var update = flag.Bool(\"update\", false, \"\")\n\nfunc TestFlag(t *testing.T) { if !*update || len(flag.Args()) != 1 { t.Fatal(flag.Args()) } }\n";
    module(&["-short", "-args", "-update", "word"])
        .file("m_test.go", &test_file("m", &["flag"], text))
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn an_unknown_flag_is_the_projects() {
    let text = "var update = flag.Bool(\"update\", false, \"\")\n\nfunc TestFlag(t *testing.T) { if !*update { t.Fatal() } }\n";
    module(&["-update=true", "-v"])
        .file("m_test.go", &test_file("m", &["flag"], text))
        .agrees_on(1);
}

#[test]
fn output_without_the_end_of_a_line() {
    let text = "func TestA(t *testing.T) { fmt.Print(\"a\") }\nfunc TestB(t *testing.T) { fmt.Print(\"b\") }\n\
        func TestC(t *testing.T) { t.Run(\"x\", func(t *testing.T) { fmt.Print(\"c\") }) }\n";
    // `go test -json` of Go before 1.20 loses results here, so its exit code is what counts.
    let read = |native: &Native| {
        let names = ["TestA", "TestB", "TestC"]
            .iter()
            .filter(|_| native.success);
        names
            .map(|name| (format!("example.org/m::{name}"), "passed".into()))
            .collect()
    };
    Setting::new("go test ./...", read)
        .manifest("[groups.g]\nrunner = \"go\"\n")
        .file("go.mod", "module example.org/m\n\ngo 1.18\n")
        .file("m_test.go", &test_file("m", &["fmt"], text))
        .agrees_on(3);
}

#[test]
#[ignore = "slow"]
fn without_cgo() {
    let text =
        "func TestOff(t *testing.T) { if os.Getenv(\"CGO_ENABLED\") != \"0\" { t.Fatal() } }\n";
    module(&[])
        .env("CGO_ENABLED", "0")
        .file("m_test.go", &test_file("m", &["os"], text))
        .file(
            "c/c.go",
            "package c\n\nimport \"C\"\n\nconst WithC = true\n",
        )
        .file("c/plain.go", "package c\n")
        .file(
            "c/c_test.go",
            &test_file("c", &[], "func TestC(t *testing.T) {}\n"),
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn a_vendored_dependency() {
    let text = "func TestDep(t *testing.T) { if dep.N != 1 { t.Fatal() } }\n";
    module(&["-mod=vendor"])
        .file(
            "go.mod",
            "module example.org/m\n\ngo 1.18\n\nrequire example.org/dep v1.0.0\n",
        )
        .file(
            "vendor/modules.txt",
            "# example.org/dep v1.0.0\n## explicit\nexample.org/dep\n",
        )
        .file(
            "vendor/example.org/dep/dep.go",
            "package dep\n\nconst N = 1\n",
        )
        .file("m_test.go", &test_file("m", &["example.org/dep"], text))
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn linker_flags_have_blanks() {
    let text = "var version string\n\nfunc TestVersion(t *testing.T) { if version != \"1\" { t.Fatal(version) } }\n";
    module(&["-ldflags", "-s -X example.org/m.version=1"])
        .file("m_test.go", &test_file("m", &[], text))
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn shuffled_tests() {
    with_outcomes(&["-shuffle", "7"]).agrees_on(5);
}

#[test]
#[ignore = "slow"]
fn some_packages_only() {
    let test = |package: &str| test_file(package, &[], "func TestX(t *testing.T) {}\n");
    module_of(&[], &["./a", "./b/..."])
        .file("a/a_test.go", &test("a"))
        .file("a/in/a_test.go", &test("in"))
        .file("b/c/a_test.go", &test("c"))
        .agrees_on(2);
}

#[test]
fn names_with_other_letters() {
    let text = "func TestÄ(t *testing.T) {}\nfunc Test_x(t *testing.T) {}\nfunc Test1(t *testing.T) {}\nfunc Test(t *testing.T) {}\nfunc Testing(t *testing.T) {}\n";
    module(&["-vet=off"])
        .file("m_test.go", &test_file("m", &[], text))
        .agrees_on(4);
}

#[test]
#[ignore = "slow"]
fn a_program_that_runs_test_programs() {
    let text =
        "func TestWrapped(t *testing.T) { if os.Getenv(\"WRAPPED\") != \"a b\" { t.Fatal() } }\n";
    module(&["-exec", "./wrap.sh \"a b\""])
        .program(
            "wrap.sh",
            "#!/bin/sh\nWRAPPED=$1\nexport WRAPPED\nshift\nexec \"$@\"\n",
        )
        .file("m_test.go", &test_file("m", &["os"], text))
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn a_time_limit_of_a_program() {
    with_outcomes(&["-timeout", "1m"]).agrees_on(5);
}

#[test]
#[ignore = "slow"]
fn variables_of_go_itself() {
    let text = "func TestRoot(t *testing.T) { if err := os.WriteFile(\"root\", []byte(os.Getenv(\"GOROOT\")), 0o600); err != nil { t.Fatal(err) } }\n\
        func TestPath(t *testing.T) { if err := os.WriteFile(\"path\", []byte(os.Getenv(\"PATH\")), 0o600); err != nil { t.Fatal(err) } }\n";
    module(&[])
        .file("m_test.go", &test_file("m", &["os"], text))
        .agrees_on(2);
}
