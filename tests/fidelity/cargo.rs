//! Settings of projects that are tested with `cargo test`.

use crate::harness::{Native, Outcomes, Setting};

/// The results that `cargo test` prints, by the program they are of: `demo::adds`, `whole::adds`, `doc::src/lib.rs - x (line 1)`.
/// A program without a harness is a test by its own name.
fn results(native: &Native) -> Outcomes {
    let mut outcomes = Outcomes::new();
    let mut program = String::new();
    let mut has_harness = true;
    let all = format!("{}\n     Running the end (x/end-0)\n", native.stdout);
    for line in all.lines() {
        let line = line.trim_start();
        let running = line
            .strip_prefix("Running ")
            .and_then(|rest| rest.rsplit_once(" ("));
        if running.is_some() || line.starts_with("Doc-tests ") {
            if !has_harness {
                outcomes.insert(program.clone(), "passed".into());
            }
            has_harness = false;
            program = match running {
                Some((_, path)) => {
                    let name = path.rsplit('/').next().unwrap();
                    name.rsplit_once('-').unwrap().0.to_owned()
                }
                None => "doc".to_owned(),
            };
        } else if line.starts_with("running ") && line.contains(" test") {
            has_harness = true;
        } else if let Some(rest) = line.strip_prefix("test ") {
            let Some((name, word)) = rest.rsplit_once(" ... ") else {
                continue;
            };
            let kinds = [" - compile fail", " - compile", " - should panic"];
            let in_doc = kinds.iter().filter(|_| program == "doc");
            let name = in_doc.fold(name, |name, kind| name.strip_suffix(kind).unwrap_or(name));
            let outcome = match word.split(',').next().unwrap() {
                "ok" => "passed",
                "FAILED" => "failed",
                _ => "skipped",
            };
            let name = name.strip_suffix(" - should panic").unwrap_or(name);
            outcomes.insert(format!("{program}::{name}"), outcome.into());
        } else if let Some(rest) = line.strip_prefix("error: test failed, to rerun pass `--test ") {
            outcomes.insert(rest.trim_end_matches('`').to_owned(), "failed".into());
        }
    }
    // cargo names the failed targets at the end too.
    for line in native.stdout.lines() {
        let target = line.trim().strip_prefix("`--test ").or_else(|| {
            let (_, rest) = line.trim().split_once(" --test ")?;
            line.trim().starts_with("`-p").then_some(rest)
        });
        if let Some(name) = target.map(|name| name.trim_end_matches('`'))
            && outcomes
                .get(name)
                .is_some_and(|outcome| outcome == "passed")
        {
            outcomes.insert(name.to_owned(), "failed".into());
        }
    }
    outcomes
}

/// `r::demo/whole::adds` is `whole::adds`; `r::demo::adds` is `demo::adds`; `r::demo/doc::x` is `doc::x`.
fn in_words_of_cargo(id: &str) -> String {
    let id = id.split_once("::").map_or(id, |(_, test)| test);
    let (module, test) = match id.split_once("::") {
        Some((module, test)) => (module, Some(test)),
        None => (id, None),
    };
    let program = module.rsplit('/').next().unwrap().replace('-', "_");
    test.map_or(program.clone(), |test| format!("{program}::{test}"))
}

fn package(name: &str, more: &str) -> String {
    format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n{more}")
}

/// A project that `cargo test` and we run with the same arguments.
fn project(arguments: &[&str]) -> Setting {
    let words = arguments.iter().map(|word| format!("'{word}' "));
    let words: String = words.collect();
    let native = if arguments.contains(&"--no-fail-fast") {
        format!("cargo test {words} 2>&1")
    } else if arguments.contains(&"--") {
        format!(
            "cargo test {} 2>&1",
            words.replacen("'--'", "--no-fail-fast --", 1)
        )
    } else {
        format!("cargo test --no-fail-fast {words} 2>&1")
    };
    let manifest = format!("[groups.r]\nrunner = \"libtest\"\nwith = {{ args = {arguments:?} }}\n");
    Setting::new(&native, results)
        .manifest(&manifest)
        .ours(in_words_of_cargo)
        .ignoring(&["target", "Cargo.lock"])
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TARGET_DIR", "target")
        .env("CARGO_TERM_COLOR", "never")
        .env("CARGO_INCREMENTAL", "0")
}

/// A package `demo` with this library, without documentation tests.
fn demo(arguments: &[&str], library: &str) -> Setting {
    project(arguments)
        .file("Cargo.toml", &package("demo", "[lib]\ndoctest = false\n"))
        .file("src/lib.rs", library)
}

const OUTCOMES: &str = "#[test] fn passes() {}\n#[test] fn fails() { panic!(\"no\") }\n\
    #[test] #[ignore = \"slow\"] fn ignored() {}\n#[test] #[should_panic] fn panics() { panic!() }\n\
    mod inner { #[test] fn passes() {} }\n";

#[test]
fn every_common_outcome() {
    demo(&[], OUTCOMES).agrees_on(5);
}

#[test]
#[ignore = "slow"]
fn ignored_tests_too() {
    demo(&["--", "--include-ignored"], OUTCOMES).agrees_on(5);
}

#[test]
#[ignore = "slow"]
fn ignored_tests_only() {
    demo(&["--", "--ignored"], OUTCOMES).agrees_on(1);
}

#[test]
fn names_and_skip_select() {
    demo(&["--", "passes", "ignored", "--skip", "inner"], OUTCOMES).agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn a_name_before_the_dashes_selects() {
    demo(&["passes"], OUTCOMES).agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn exact_names() {
    demo(&["--", "--exact", "passes"], OUTCOMES).agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn output_is_not_captured() {
    demo(
        &["--", "--nocapture", "--color", "never"],
        "#[test] fn says() { println!(\"said\") }\n",
    )
    .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn one_thread() {
    let text = "#[test] fn a() { std::fs::File::create_new(\"lock\").unwrap(); std::fs::remove_file(\"lock\").unwrap(); }\n\
        #[test] fn b() { std::fs::File::create_new(\"lock\").unwrap(); std::fs::remove_file(\"lock\").unwrap(); }\n";
    demo(&["--", "--test-threads=1"], text).agrees_on(2);
    demo(&[], text).env("RUST_TEST_THREADS", "1").agrees_on(2);
}

/// A test that writes the variables that cargo gives it to a file of the project, but for what names the project's folder.
const WRITES_VARIABLES: &str = "#[test] fn variables() {\n\
    let here = std::env::current_dir().unwrap().display().to_string();\n\
    let is_of_cargo = |name: &str| name.starts_with(\"CARGO_\") || name.starts_with(\"RUSTUP\") || [\"CARGO\", \"OUT_DIR\", \"LD_LIBRARY_PATH\", \"FROM_CONFIG\", \"RELATIVE\", \"FORCED\", \"KEPT\", \"FROM_BUILD\"].contains(&name);\n\
    let mut lines: Vec<String> = std::env::vars().filter(|(name, _)| is_of_cargo(name)).map(|(name, value)| format!(\"{name}={value}\\n\").replace(&here, \"HERE\")).collect();\n\
    lines.sort();\n    // The hash of a build script's folder has the project's folder in it.\n\
    let text = lines.concat();\n    let text: Vec<&str> = text.split('-').map(|part| match part.split_once('/') { Some((hash, rest)) if hash.len() == 16 => rest, _ => part }).collect();\n\
    std::fs::write(concat!(env!(\"CARGO_CRATE_NAME\"), \".env\"), text.join(\"-\")).unwrap();\n}\n";

#[test]
fn every_variable_of_cargo() {
    project(&[])
        .file(
            "Cargo.toml",
            &package(
                "demo",
                "authors = [\"A\", \"B\"]\ndescription = \"what\"\nlicense = \"MIT\"\nrust-version = \"1.70\"\nhomepage = \"https://example.org\"\n",
            ),
        )
        .file("src/lib.rs", WRITES_VARIABLES)
        .file("src/main.rs", "fn main() {}\n")
        .file("tests/whole.rs", WRITES_VARIABLES)
        .file(
            "build.rs",
            "fn main() { println!(\"cargo:rustc-env=FROM_BUILD=1\"); println!(\"cargo:rustc-link-search=native={}/lib\", std::env::var(\"OUT_DIR\").unwrap()); }\n",
        )
        .file(
            ".cargo/config.toml",
            "[env]\nFROM_CONFIG = \"1\"\nRELATIVE = { value = \"data\", relative = true }\nFORCED = { value = \"ours\", force = true }\nKEPT = \"ours\"\n",
        )
        .env("FORCED", "theirs")
        .env("KEPT", "theirs")
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn a_runner_for_each_system() {
    demo(
        &[],
        "#[test] fn wrapped() { assert_eq!(std::env::var(\"WRAPPED\").unwrap(), \"a b\"); }\n",
    )
    .file(
        ".cargo/config.toml",
        "[target.'cfg(unix)']\nrunner = [\"./wrap.sh\", \"a b\"]\n",
    )
    .program(
        "wrap.sh",
        "#!/bin/sh\nWRAPPED=$1\nexport WRAPPED\nshift\nexec \"$@\"\n",
    )
    .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn a_runner_of_the_environment() {
    let host = format!(
        "CARGO_TARGET_{}_RUNNER",
        host().to_uppercase().replace('-', "_")
    );
    demo(
        &[],
        "#[test] fn wrapped() { assert_eq!(std::env::var(\"WRAPPED\").unwrap(), \"x\"); }\n",
    )
    .env(&host, "env WRAPPED=x")
    .agrees_on(1);
}

fn host() -> String {
    let output = std::process::Command::new("rustc")
        .arg("-vV")
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines()
        .find_map(|line| line.strip_prefix("host: "))
        .unwrap()
        .to_owned()
}

#[test]
#[ignore = "slow"]
fn a_target_is_named() {
    let host = host();
    demo(&["--target", &host], WRITES_VARIABLES).agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn a_release_build() {
    demo(
        &["--release"],
        "#[test] fn optimised() { assert!(!cfg!(debug_assertions)); }\n",
    )
    .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn a_profile_of_the_project() {
    project(&["--profile", "fast"])
        .file(
            "Cargo.toml",
            &package(
                "demo",
                "[profile.fast]\ninherits = \"dev\"\ndebug-assertions = false\n",
            ),
        )
        .file(
            "src/lib.rs",
            &format!(
                "#[test] fn fast() {{ assert!(!cfg!(debug_assertions)); }}\n{WRITES_VARIABLES}"
            ),
        )
        .agrees_on(2);
}

#[test]
fn programs_without_a_harness() {
    project(&[])
        .file(
            "Cargo.toml",
            &package("demo", "[lib]\ntest = false\ndoctest = false\n[[test]]\nname = \"good\"\nharness = false\n[[test]]\nname = \"bad\"\nharness = false\n"),
        )
        .file("src/lib.rs", "")
        .file("tests/good.rs", "fn main() { std::fs::write(\"ran\", \"once\").unwrap() }\n")
        .file("tests/bad.rs", "fn main() { std::process::exit(3) }\n")
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn targets_that_are_not_tested_by_default() {
    let test = "#[test] fn inside() {}\nfn main() {}\n";
    project(&[])
        .file(
            "Cargo.toml",
            &package(
                "demo",
                "[lib]\ndoctest = false\n[features]\nextra = []\n[[test]]\nname = \"off\"\ntest = false\n[[test]]\nname = \"needs\"\nrequired-features = [\"extra\"]\n\
                 [[example]]\nname = \"tested\"\ntest = true\n[[bench]]\nname = \"benched\"\ntest = true\n",
            ),
        )
        .file("src/lib.rs", "#[test] fn inside() {}\n")
        .file("src/bin/tool.rs", test)
        .file("tests/off.rs", test)
        .file("tests/needs.rs", test)
        .file("tests/on.rs", test)
        .file("examples/tested.rs", test)
        .file("examples/plain.rs", test)
        .file("benches/benched.rs", test)
        .file("benches/plain.rs", test)
        .agrees_on(5);
}

#[test]
#[ignore = "slow"]
fn features_and_all_targets() {
    let test = "#[test] fn inside() {}\nfn main() {}\n";
    let with = |arguments: &[&str]| {
        project(arguments)
            .file(
                "Cargo.toml",
                &package("demo", "[lib]\ndoctest = false\n[features]\nextra = []\n[[test]]\nname = \"needs\"\nrequired-features = [\"extra\"]\n"),
            )
            .file("src/lib.rs", "#[cfg(feature = \"extra\")] #[test] fn extra() {}\n")
            .file("tests/needs.rs", test)
            .file("examples/plain.rs", test)
    };
    with(&["--features", "extra"]).agrees_on(2);
    with(&["--all-targets", "--all-features"]).agrees_on(3);
}

#[test]
#[ignore = "slow"]
fn some_targets_only() {
    let test = "#[test] fn inside() {}\nfn main() {}\n";
    let with = |arguments: &[&str]| {
        project(arguments)
            .file("Cargo.toml", &package("demo", ""))
            .file(
                "src/lib.rs",
                "/// ```\n/// ```\npub fn a() {}\n#[test] fn inside() {}\n",
            )
            .file("src/bin/tool.rs", test)
            .file("tests/one.rs", test)
            .file("tests/two.rs", test)
    };
    with(&["--lib"]).agrees_on(1);
    with(&["--bins", "--test", "one"]).agrees_on(2);
    with(&["--test", "*"]).agrees_on(2);
    with(&["--doc"]).agrees_on(1);
}

/// A workspace: `a` depends on `b`, and `c` is no default member.
fn workspace(arguments: &[&str]) -> Setting {
    let documented = |name: &str| {
        format!(
            "/// ```\n/// {name}::f();\n/// ```\npub fn f() {{}}\n#[test] fn unit() {{ assert!(std::path::Path::new(\"src/lib.rs\").exists()); }}\n"
        )
    };
    project(arguments)
        .file(
            "Cargo.toml",
            "[workspace]\nmembers = [\"a\", \"b\", \"deep/c\"]\ndefault-members = [\"a\", \"b\"]\nresolver = \"2\"\n",
        )
        .file("a/Cargo.toml", &package("a", "[dependencies]\nb = { path = \"../b\" }\n"))
        .file("a/src/lib.rs", &documented("a"))
        .file("b/Cargo.toml", &package("b", ""))
        .file("b/src/lib.rs", &documented("b"))
        .file("deep/c/Cargo.toml", &package("c", ""))
        .file("deep/c/src/lib.rs", &documented("c"))
        .file("deep/c/tests/whole.rs", "#[test] fn whole() {}\n")
}

#[test]
#[ignore = "slow"]
fn no_fail_fast_is_named_once() {
    workspace(&["--no-fail-fast", "-p", "b"]).agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn documentation_tests_with_output() {
    project(&["--doc", "--", "--nocapture"])
        .file("Cargo.toml", &package("demo", "").replace("2021", "2024"))
        .file("src/lib.rs", "/// ```\n/// println!(\"test src/lib.rs - f (line 1) ... FAILED\");\n/// ```\npub fn f() {}\n")
        .agrees_on(1);
}

#[test]
fn default_members_of_a_workspace() {
    workspace(&[]).agrees_on(4);
}

#[test]
#[ignore = "slow"]
fn a_whole_workspace() {
    workspace(&["--workspace", "--exclude", "b"]).agrees_on(5);
}

#[test]
#[ignore = "slow"]
fn one_package_without_the_documentation_of_its_dependencies() {
    workspace(&["-p", "a"]).agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn two_packages() {
    workspace(&["-p", "a", "--package=c"]).agrees_on(5);
}

#[test]
#[ignore = "slow"]
fn a_package_by_its_manifest() {
    workspace(&["--manifest-path", "deep/c/Cargo.toml"]).agrees_on(3);
}

const DOCUMENTED: &str = "/// ```\n/// assert_eq!(demo::two(), 2);\n/// ```\npub fn two() -> i32 { 2 }\n\
    /// ```\n/// panic!(\"why\");\n/// ```\n///\n/// ```compile_fail\n/// let x: u8 = \"\";\n/// ```\n///\n/// ```should_panic\n/// panic!();\n/// ```\n///\n\
    /// ```ignore\n/// nothing\n/// ```\n///\n/// ```no_run\n/// loop {}\n/// ```\n///\n/// ```text\n/// words\n/// ```\npub fn three() {}\n";

#[test]
fn documentation_tests_of_edition_2024() {
    project(&[])
        .file("Cargo.toml", &package("demo", "").replace("2021", "2024"))
        .file("src/lib.rs", DOCUMENTED)
        .agrees_on(6);
}

#[test]
#[ignore = "slow"]
fn documentation_tests_of_edition_2021() {
    project(&[])
        .file("Cargo.toml", &package("demo", ""))
        .file("src/lib.rs", DOCUMENTED)
        .agrees_on(6);
}

#[test]
#[ignore = "slow"]
fn documentation_tests_that_are_selected() {
    project(&["--", "two", "--include-ignored"])
        .file("Cargo.toml", &package("demo", ""))
        .file("src/lib.rs", DOCUMENTED)
        .agrees_on(1);
}

#[test]
#[ignore = "slow"]
fn a_macro_crate() {
    project(&[])
        .file("Cargo.toml", &package("demo", "[lib]\nproc-macro = true\n"))
        .file(
            "src/lib.rs",
            "extern crate proc_macro;\n/// ```\n/// demo::nothing!();\n/// ```\n#[proc_macro] pub fn nothing(_: proc_macro::TokenStream) -> proc_macro::TokenStream { Default::default() }\n#[test] fn unit() {}\n",
        )
        .file("tests/whole.rs", "demo::nothing!();\n#[test] fn whole() {}\n")
        .agrees_on(3);
}

#[test]
#[ignore = "slow"]
fn a_program_starts_the_package_s_own_program() {
    project(&[])
        .file("Cargo.toml", &package("demo", ""))
        .file("src/main.rs", "fn main() { println!(\"hello\") }\n")
        .file(
            "tests/whole.rs",
            "#[test] fn starts() { let output = std::process::Command::new(env!(\"CARGO_BIN_EXE_demo\")).output().unwrap(); assert_eq!(output.stdout, b\"hello\\n\"); }\n\
             #[test] fn scratch() { std::fs::write(concat!(env!(\"CARGO_TARGET_TMPDIR\"), \"/x\"), \"\").unwrap() }\n",
        )
        .agrees_on(2);
}

#[test]
#[ignore = "slow"]
fn tests_that_return_errors() {
    demo(
        &[],
        "#[test] fn good() -> Result<(), String> { Ok(()) }\n#[test] fn bad() -> Result<(), String> { Err(\"no\".into()) }\n\
         #[test] #[should_panic = \"other\"] fn other() { panic!(\"this\") }\n#[test] #[should_panic] fn none() {}\n",
    )
    .agrees_on(4);
}

#[test]
#[ignore = "slow"]
fn a_package_whose_name_has_a_dash() {
    project(&[])
        .file("Cargo.toml", &package("de-mo", ""))
        .file(
            "src/lib.rs",
            "/// ```\n/// de_mo::f();\n/// ```\npub fn f() {}\n#[test] fn unit() {}\n",
        )
        .file("tests/who-le.rs", "#[test] fn whole() {}\n")
        .agrees_on(3);
}
