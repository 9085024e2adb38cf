//! Settings of projects that are tested with bats: Debian's version and the current one.

use std::path::{Path, PathBuf};

use crate::harness::{Native, Outcomes, Setting, junit, missing, quoted};

/// From this version on a file may register tests by itself, and `bats:focus` is a tag.
const REGISTERS: &str = "1.13";

/// The versions of bats that `tests/setup` installs, each with its number.
fn versions() -> Vec<(PathBuf, String)> {
    let npm =
        Path::new(env!("CARGO_MANIFEST_DIR")).join("target/test-env/node/node_modules/bats/bin");
    let mut versions = Vec::new();
    for (program, wanted) in [("bats".into(), ""), (npm.join("bats"), REGISTERS)] {
        let version = std::process::Command::new(&program)
            .arg("--version")
            .output();
        let version = version.map(|output| String::from_utf8_lossy(&output.stdout).into_owned());
        match version {
            Ok(version) if version.contains(wanted) => versions.push((program, version)),
            _ => missing(&program.to_string_lossy()),
        }
    }
    versions
}

/// How the tool's results are read.
#[derive(Clone, Copy)]
enum Form {
    /// As JUnit, which keeps a name apart from what stands behind it.
    Junit,
    /// As TAP, which has lines that belong to no test.
    Tap,
}

/// Runs a setting with each version of bats: `bats ARGUMENTS FILES`, and us with the same arguments and files.
fn each(
    form: Form,
    arguments: &str,
    files: &str,
    tests: usize,
    build: impl Fn(Setting) -> Setting,
) {
    for (bats, _) in versions() {
        one(&bats, form, arguments, files, &build).agrees_on(tests);
    }
}

fn one(
    bats: &Path,
    form: Form,
    arguments: &str,
    files: &str,
    build: &dyn Fn(Setting) -> Setting,
) -> Setting {
    let formatter = match form {
        Form::Junit => "junit",
        Form::Tap => "tap",
    };
    let native = format!(
        "{} --formatter {formatter} {arguments} {files} >\"$OUT/report\"",
        bats.display()
    );
    let read = move |native: &Native| -> Outcomes {
        let report = native.out.join("report");
        match form {
            Form::Junit => {
                let cases = junit(&report).into_iter();
                cases
                    .map(|(id, outcome)| (without_file(&id), outcome))
                    .collect()
            }
            Form::Tap => tap(&std::fs::read_to_string(report).unwrap_or_default()),
        }
    };
    let manifest = format!(
        "[groups.t]\nrunner = \"bats\"\nwith = {{ bats = \"{}\", args = [{}] }}\n",
        bats.display(),
        quoted(arguments)
    );
    build(
        Setting::new(&native, read)
            .manifest(&manifest)
            .ours(without_file),
    )
}

/// The name behind the file: names are told apart in each setting.
fn without_file(id: &str) -> String {
    let name = id.split_once(".bats::").map_or(id, |(_, name)| name);
    // As XML has it.
    name.replace("&quot;", "\"")
}

/// Test points, by their descriptions.
fn tap(text: &str) -> Outcomes {
    let mut outcomes = Outcomes::new();
    for line in text.lines() {
        let (outcome, rest) = match (line.strip_prefix("ok "), line.strip_prefix("not ok ")) {
            (Some(rest), _) if rest.contains(" # skip") => ("skipped", rest),
            (Some(rest), _) => ("passed", rest),
            (_, Some(rest)) => ("failed", rest),
            _ => continue,
        };
        let name = rest.split_once(' ').map_or(rest, |(_, name)| name);
        let name = name.split_once(" # ").map_or(name, |(name, _)| name);
        outcomes.insert(name.to_owned(), outcome.to_owned());
    }
    outcomes
}

#[test]
fn names_that_mean_something_to_tap() {
    // bats' own formatters take `# skip` in a name for a skipped test: that one is in tests/runners.
    each(Form::Junit, "", "test", 7, |setting| {
        setting.file(
            "test/a.bats",
            "@test \"removes # TODO lines\" { false; }\n\
             @test \"-x is an option\" { true; }\n@test \"waits in 5ms\" { true; }\n@test \"# all\" { skip \"why # not\"; }\n\
             @test 'sums [1] + (2|3) * 4 . ? ^ {5}' { true; }\n@test \"é and ü\" { true; }\n@test \"skip\" { true; }\n",
        )
    });
}

#[test]
fn a_folder_is_taken_without_those_below_it() {
    each(Form::Junit, "", "test", 1, |setting| {
        setting
            .file("test/a.bats", "@test \"good\" { true; }\n")
            .file(
                "test/fixtures/failing.bats",
                "@test \"a fixture\" { false; }\n",
            )
            .file("test/helper.bash", "false\n")
    });
}

#[test]
fn files_at_the_root() {
    each(Form::Junit, "", ".", 2, |setting| {
        setting
            .file("b.bats", "@test \"of b\" { true; }\n")
            .file("a.bats", "@test \"of a\" { [ 1 = 2 ]; }\n")
    });
}

#[test]
fn outcomes_with_the_hooks_around_them() {
    each(Form::Junit, "", "test", 5, |setting| {
        setting.file(
            "test/a.bats",
            "setup() { X=1; }\nteardown() { [ \"$BATS_TEST_DESCRIPTION\" != 'torn down badly' ]; }\n\
             @test \"passes\" { [ $X = 1 ]; }\n@test \"fails\" { run false; [ $status = 0 ]; }\n@test \"skips\" { skip; }\n\
             @test \"torn down badly\" { true; }\n@test \"leaves\" { exit 0; }\n",
        )
    });
}

#[test]
fn a_file_is_set_up_once_and_in_its_order() {
    each(Form::Junit, "", "test", 3, |setting| {
        setting.file(
            "test/a.bats",
            "setup_file() { echo up >>log; export SHARED=1; }\nteardown_file() { echo down >>log; }\n\
             @test \"one\" { [ $SHARED = 1 ]; echo 1 >>log; }\n@test \"two\" { echo 2 >>log; [ $BATS_TEST_NUMBER = 2 ]; }\n\
             @test \"three\" { echo 3 >>log; [ -d \"$BATS_FILE_TMPDIR\" ]; }\n",
        )
    });
}

#[test]
fn the_suite_is_set_up_once() {
    each(Form::Junit, "", "test", 3, |setting| {
        setting
            .file(
                "test/setup_suite.bash",
                "setup_suite() { echo up >>log; export SHARED=1; }\nteardown_suite() { echo down >>log; }\n",
            )
            .file("test/a.bats", "@test \"one\" { [ $SHARED = 1 ]; }\n@test \"two\" { true; }\n")
            .file("test/b.bats", "@test \"three\" { [ $SHARED = 1 ]; echo three >>log; }\n")
    });
}

#[test]
fn a_suite_that_is_not_set_up() {
    for (bats, _) in versions() {
        let build = |setting: Setting| {
            setting
                .file("test/setup_suite.bash", "setup_suite() { false; }\n")
                .file("test/a.bats", "@test \"one\" { true; }\n")
        };
        // Its test is errored: bats itself says nothing of it.
        let ours = |id: &str| match without_file(id).as_str() {
            "one" => "one".to_owned(),
            _ => "setup_suite".to_owned(),
        };
        let native = |_: &Native| {
            let of = |name: &str, outcome: &str| (name.to_owned(), outcome.to_owned());
            Outcomes::from([of("setup_suite", "failed"), of("one", "errored")])
        };
        let line = format!("{} test", bats.display());
        let manifest = format!("[groups.t]\nrunner = \"bats\"\nwith = {{ bats = {bats:?} }}\n");
        build(Setting::new(&line, native).manifest(&manifest).ours(ours)).agrees_on(2);
    }
}

#[test]
fn tags_that_choose() {
    each(
        Form::Junit,
        "--filter-tags slow,!net",
        "test",
        1,
        |setting| {
            setting.file(
            "test/a.bats",
            "# bats file_tags=all\n# bats test_tags=slow\n@test \"slow one\" { true; }\n\
             # bats test_tags=slow, net\n@test \"slow one with a net\" { false; }\n@test \"quick\" { false; }\n",
        )
        },
    );
}

#[test]
fn a_filter_that_chooses() {
    each(Form::Junit, "--filter ^adds", "test", 2, |setting| {
        setting
            .file(
                "test/a.bats",
                "@test \"adds\" { true; }\n@test \"divides\" { false; }\n",
            )
            .file(
                "test/b.bats",
                "@test \"adds more\" { true; }\n@test \"never adds\" { false; }\n",
            )
            .file("test/c.bats", "@test \"other\" { false; }\n")
    });
}

#[test]
fn a_file_that_skips_all_of_its_tests() {
    each(Form::Tap, "", "test", 2, |setting| {
        setting.file(
            "test/a.bats",
            "setup() { skip \"no net\"; }\n@test \"one\" { false; }\n@test \"two\" { false; }\n",
        )
    });
}

#[test]
fn names_with_variables_in_them() {
    each(Form::Junit, "", "test", 2, |setting| {
        setting
            .env("SYSTEM", "linux")
            .file(
                "test/a.bats",
                "@test \"runs on $SYSTEM\" { true; }\n@test \"says \\\"hi\\\"\" { false; }\n",
            )
            .ours(|id| {
                let name = without_file(id);
                name.replace("$SYSTEM", "linux").replace('\\', "")
            })
    });
}

#[test]
fn what_a_file_loads_and_knows_of_itself() {
    each(Form::Junit, "", "test", 3, |setting| {
        setting
            .file("test/helper.bash", "sum() { echo $(($1 + $2)); }\n")
            .file(
                "test/a.bats",
                "load helper\n@test \"loads\" { run sum 1 2; [ \"$output\" = 3 ]; }\n\
                 @test \"knows its folder\" { [ -e \"$BATS_TEST_DIRNAME/helper.bash\" ]; [ \"${BATS_TEST_FILENAME##*/}\" = a.bats ]; }\n\
                 @test \"runs in the root\" { [ -d test ]; [ -z \"$ORCHESTRATE_LISTING\" ]; }\n",
            )
    });
}

#[test]
fn tests_that_are_functions() {
    each(Form::Junit, "", "test", 2, |setting| {
        setting.file(
            "test/a.bats",
            "works() { # @test\n  true\n}\nfunction fails { # @test\n  false\n}\nno_test() {\n  false\n}\n",
        )
    });
}

#[test]
fn tests_that_bats_ends_or_tries_again() {
    each(Form::Tap, "", "test", 2, |setting| {
        setting
            .file(
                "test/a.bats",
                "setup_file() { export BATS_TEST_RETRIES=2; }\n\
                 @test \"flaky\" { echo x >>\"$BATS_FILE_TMPDIR/n\"; [ \"$(wc -l <\"$BATS_FILE_TMPDIR/n\")\" = 2 ]; }\n",
            )
            .file("test/b.bats", "BATS_TEST_TIMEOUT=1\n@test \"hangs\" { sleep 60; }\n")
    });
}

#[test]
fn options_that_say_how_tests_run() {
    each(
        Form::Junit,
        "--jobs 2 --verbose-run --timing",
        "test",
        3,
        |setting| {
            setting
                .file(
                    "test/a.bats",
                    "@test \"one\" { run true; }\n@test \"two\" { run -1 false; false; }\n",
                )
                .file("test/b.bats", "@test \"three\" { true; }\n")
        },
    );
}

#[test]
fn a_report_of_the_whole_run() {
    each(
        Form::Tap,
        "--report-formatter tap --output out",
        "test",
        2,
        |setting| {
            setting
                .shell("mkdir out")
                .file("test/a.bats", "@test \"one\" { true; }\n")
                .file("test/b.bats", "@test \"two\" { true; }\n")
        },
    );
}

#[test]
fn tests_that_a_file_registers_by_itself() {
    for (bats, version) in versions() {
        if !version.contains(REGISTERS) {
            continue;
        }
        let build = |setting: Setting| {
            setting.file(
                "test/a.bats",
                "@test \"written\" { true; }\ncheck() { [ $1 != 2 ]; }\n\
                 for n in 1 2 3; do bats_test_function --description \"number $n\" --tags many -- check $n; done\n",
            )
        };
        one(&bats, Form::Junit, "", "test", &build).agrees_on(4);
        let build = |setting: Setting| {
            setting
                .file("test/a.bats", "# bats test_tags=bats:focus\n@test \"focused\" { true; }\n@test \"not\" { false; }\n")
                .env("BATS_NO_FAIL_FOCUS_RUN", "1")
        };
        one(&bats, Form::Junit, "", "test", &build).agrees_on(1);
    }
}
