//! Settings of projects that are tested with prove.

use crate::harness::{Native, Outcomes, Setting, has, quoted};

/// A project that prove and we run with the same arguments; none where there is no prove.
fn suite(arguments: &str) -> Option<Setting> {
    if !has("prove") {
        return None;
    }
    let manifest = format!(
        "[groups.t]\nrunner = \"prove\"\nwith = {{ args = [{}] }}\n",
        quoted(arguments)
    );
    let native = format!("prove {arguments}");
    let setting = Setting::new(&native, |native: &Native| summary(&native.stdout));
    Some(setting.manifest(&manifest))
}

/// What prove says of each file: a line that begins with its name and dots, and those behind it.
fn summary(text: &str) -> Outcomes {
    let mut outcomes = Outcomes::new();
    let mut file = None;
    for line in text.lines() {
        if line.starts_with("Test Summary Report") {
            break;
        }
        let mut rest = line;
        if let Some((name, after)) = line
            .split_once(" .")
            .filter(|(name, _)| !name.contains(' '))
        {
            file = Some(name.trim_start_matches("./").to_owned());
            rest = after.trim_start_matches('.');
        }
        let outcome = match rest.trim() {
            "ok" => "passed",
            rest if rest.starts_with("skipped") => "skipped",
            rest if rest.starts_with("Failed ") => "failed",
            rest if rest.ends_with(" subtests passed") || rest.starts_with("No subtests") => {
                "errored"
            }
            _ => continue,
        };
        outcomes.insert(file.clone().unwrap_or_default(), outcome.to_owned());
    }
    outcomes
}

const OK: &str = "print \"1..1\\nok 1\\n\";\n";
const NOT_OK: &str = "print \"1..2\\nok 1\\nnot ok 2 - no\\n\"; exit 1;\n";

/// A file that may not run beside another one.
const ALONE: &str = "mkdir 'held' or die; select undef, undef, undef, 0.3; rmdir 'held'; print \"1..1\\nok 1\\n\";\n";

#[test]
fn every_common_outcome() {
    let Some(setting) = suite("") else { return };
    setting
        .file("t/a.t", OK)
        .file("t/b.t", NOT_OK)
        .file("t/c.t", "print \"1..0 # SKIP no net\\n\";\n")
        .file(
            "t/d.t",
            "print \"1..2\\nok 1 # skip no net\\nnot ok 2 # TODO later\\n\";\n",
        )
        .file("t/e.t", "print \"1..1\\nok 1\\n\"; exit 3;\n")
        .file("t/f.t", "#!/bin/sh\necho 1..1\necho ok 1\n")
        .file("t/g.t", "die 'before anything'\n")
        .agrees_on(7);
}

#[test]
fn the_folder_t_without_those_below_it() {
    let Some(setting) = suite("") else { return };
    setting
        .file("t/a.t", OK)
        .file("t/deep/b.t", NOT_OK)
        .file("t/c.pl", NOT_OK)
        .file("xt/d.t", NOT_OK)
        .agrees_on(1);
}

#[test]
fn a_configuration_that_recurses() {
    let Some(setting) = suite("") else { return };
    setting
        .file(".proverc", "# recurse\n-r\n--ext .test --ext=.t\nt\n")
        .file("t/a.t", OK)
        .file("t/deep/b.test", OK)
        .file("t/deep/c.pl", NOT_OK)
        .file("xt/d.t", NOT_OK)
        .agrees_on(2);
}

#[test]
fn folders_and_files_that_the_arguments_name() {
    let Some(setting) = suite("t xt/b.t") else {
        return;
    };
    setting
        .file("t/a.t", OK)
        .file("xt/b.t", OK)
        .file("xt/c.t", NOT_OK)
        .agrees_on(2);
}

#[test]
fn recursion_from_the_root() {
    let Some(setting) = suite("-r") else { return };
    setting
        .file("t/a.t", OK)
        .file("more/deep/b.t", OK)
        .agrees_on(2);
}

#[test]
fn libraries_of_the_project() {
    let module = "package Mine; sub n { 1 } 1;\n";
    let test = "use Test::More; use Mine; is(Mine::n(), 1); done_testing;\n";
    let Some(setting) = suite("-l -b") else {
        return;
    };
    setting
        .file("blib/lib/Mine.pm", module)
        .file("t/a.t", test)
        .agrees_on(1);
    let Some(setting) = suite("-Iinc") else {
        return;
    };
    setting
        .file(".proverc", "-l")
        .file("inc/Mine.pm", module)
        .file("lib/Other.pm", "package Other; 1;\n")
        .file("t/a.t", &format!("use Other; {test}"))
        .agrees_on(1);
    // prove adds none by itself.
    let Some(setting) = suite("") else { return };
    setting
        .file("lib/Mine.pm", module)
        .file("t/a.t", test)
        .agrees_on(1);
}

#[test]
fn what_a_test_finds_around_it() {
    let Some(setting) = suite("-w") else { return };
    let test = "open my $file, '>', 'found'; print $file \"$_=$ENV{$_}\\n\" for grep { /^(HARNESS|PERL)/ } sort keys %ENV;\n\
        print $file \"$_\\n\" for @INC, $^W, @ARGV; print \"1..1\\nok 1\\n\";\n";
    setting.file("t/a.t", test).agrees_on(1);
}

#[test]
fn arguments_of_the_tests() {
    let Some(setting) = suite(":: --fast 3") else {
        return;
    };
    setting
        .file(
            "t/a.t",
            "print \"1..1\\n\", \"@ARGV\" eq '--fast 3' ? '' : 'not ', \"ok 1\\n\";\n",
        )
        .agrees_on(1);
}

#[test]
fn an_interpreter_for_all() {
    let Some(setting) = suite("--exec sh --ext .sh") else {
        return;
    };
    setting
        .file("t/a.sh", "echo 1..1; echo ok 1\n")
        .file("t/b.sh", "echo 1..1; echo not ok 1\n")
        .file("t/c.t", NOT_OK)
        .agrees_on(2);
}

#[test]
fn exit_codes_that_do_not_count() {
    let Some(setting) = suite("--ignore-exit") else {
        return;
    };
    setting
        .file("t/a.t", "print \"1..1\\nok 1\\n\"; exit 3;\n")
        .agrees_on(1);
}

#[test]
fn rules_of_what_may_run_at_once() {
    for arguments in ["-j4", ""] {
        let Some(setting) = suite(arguments) else {
            return;
        };
        setting
            .file("t/testrules.yml", "---\nseq: \"**\"\n")
            .file("t/s1.t", ALONE)
            .file("t/s2.t", ALONE)
            .file("t/s3.t", ALONE)
            .agrees_on(3);
    }
    let Some(setting) = suite("-j4 --rules seq=t/s* --rules par=**") else {
        return;
    };
    setting
        .file("t/s1.t", ALONE)
        .file("t/s2.t", ALONE)
        .file("t/p1.t", OK)
        .file("t/p2.t", NOT_OK)
        .agrees_on(4);
}

#[test]
fn an_order_that_is_not_the_names() {
    let Some(setting) = suite("--shuffle") else {
        return;
    };
    setting
        .file("t/a.t", OK)
        .file("t/b.t", NOT_OK)
        .file("t/c.t", OK)
        .agrees_on(3);
    let Some(setting) = suite("--reverse --count") else {
        return;
    };
    setting
        .file("t/a.t", OK)
        .file("t/b.t", "print \"1..1\\nnot ok 1 # TODO later\\n\"\n")
        .agrees_on(2);
}

#[test]
fn output_that_is_merged() {
    let Some(setting) = suite("--merge --norc") else {
        return;
    };
    setting
        .file(".proverc", "--not-an-option")
        .file(
            "t/a.t",
            "print STDERR \"not ok 2 - said\\n\"; print \"1..1\\nok 1\\n\";\n",
        )
        .agrees_on(1);
}
