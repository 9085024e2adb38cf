//! Cargo workspaces.

use crate::support::Project;

#[test]
fn libtest_of_a_workspace() {
    let package = |name: &str| {
        format!("[package]\nname = \"{name}\"\nversion = \"0.1.0\"\nedition = \"2021\"\n")
    };
    let tests = "#[test] fn passes() { assert_eq!(env!(\"CARGO_PKG_NAME\"), std::env::var(\"CARGO_PKG_NAME\").unwrap()); assert!(std::path::Path::new(\"Cargo.toml\").exists()); }\n\
        #[test] fn fails() { assert_eq!(1, 2); }\n#[test] #[ignore = \"no net\"] fn skips() {}\n";
    let project = Project::new()
        .file(
            "Cargo.toml",
            "[workspace]\nmembers = [\"one\", \"deep/two\"]\nresolver = \"2\"\n",
        )
        .file("one/Cargo.toml", &package("one"))
        .file(
            "one/src/lib.rs",
            &format!("/// ```\n/// assert!(true);\n/// ```\npub fn documented() {{}}\n{tests}"),
        )
        .file("deep/two/Cargo.toml", &package("two"))
        .file("deep/two/src/lib.rs", "")
        .file(
            "deep/two/tests/whole.rs",
            &format!("{tests}#[test] fn aborts() {{ std::process::abort() }}\n"),
        )
        // Ours may be inherited from who tests us.
        .file(".cargo/config.toml", "[build]\ntarget-dir = \"target\"\n")
        .env("CARGO_NET_OFFLINE", "true");
    let target = project.path().join("target").to_str().unwrap().to_owned();
    let project = project.env("CARGO_TARGET_DIR", &target);
    crate::is_detected(&project, "libtest");
    let ran = project.run(&[]).exits(1);
    assert_eq!(
        ran.outcomes(),
        [
            "rust::one/doc::one/src/lib.rs - documented (line 1) passed",
            "rust::one::fails failed",
            "rust::one::passes passed",
            "rust::one::skips skipped",
            "rust::two/whole::aborts crashed",
            "rust::two/whole::fails failed",
            "rust::two/whole::passes passed",
            "rust::two/whole::skips skipped",
        ]
    );
}

/// A package `demo` with this library.
fn demo(library: &str) -> Project {
    Project::with("[groups.r]\nrunner = \"libtest\"\n")
        .file(
            "Cargo.toml",
            "[package]\nname = \"demo\"\nversion = \"0.1.0\"\nedition = \"2024\"\n",
        )
        .file("src/lib.rs", library)
        .env("CARGO_NET_OFFLINE", "true")
        .env("CARGO_TARGET_DIR", "target")
}

#[test]
fn a_test_finds_what_cargo_gives_it() {
    let project = demo(
        "use std::env::var;\n\
         #[test] fn out_dir() { assert!(std::path::Path::new(&var(\"OUT_DIR\").unwrap()).is_dir()); }\n\
         #[test] fn says() { assert_eq!(var(\"BUILD_SAYS\").unwrap(), \"hello\"); }\n\
         #[test] fn setting() { assert_eq!(var(\"MY_SETTING\").unwrap(), \"from the configuration\"); }\n\
         #[test] fn wrapped() { assert_eq!(var(\"WRAPPED\").unwrap(), \"1\"); }\n\
         #[test] fn library_path() { assert!(var(\"LD_LIBRARY_PATH\").unwrap().contains(&var(\"OUT_DIR\").unwrap())); }\n",
    )
    .file(
        "build.rs",
        "fn main() { println!(\"cargo:rustc-env=BUILD_SAYS=hello\"); println!(\"cargo:rustc-link-search=native={}\", std::env::var(\"OUT_DIR\").unwrap()); }\n",
    )
    .file(
        ".cargo/config.toml",
        "[env]\nMY_SETTING = \"from the configuration\"\n[target.'cfg(unix)']\nrunner = \"./wrap.sh\"\n",
    )
    .script("wrap.sh", "WRAPPED=1 exec \"$@\"");
    assert_eq!(
        project.run(&[]).exits(0).outcomes(),
        [
            "r::demo::library_path passed",
            "r::demo::out_dir passed",
            "r::demo::says passed",
            "r::demo::setting passed",
            "r::demo::wrapped passed",
        ]
    );
}

#[test]
fn documentation_tests_of_edition_2024() {
    let project = demo(
        "/// ```\n/// assert_eq!(demo::two(), 2);\n/// ```\npub fn two() -> i32 { 2 }\n\
         /// ```\n/// panic!(\"why\");\n/// ```\n/// ```compile_fail\n/// let x: u8 = \"\";\n/// ```\n\
         /// ```should_panic\n/// panic!();\n/// ```\n/// ```ignore\n/// nothing\n/// ```\n/// ```no_run\n/// loop {}\n/// ```\npub fn three() {}\n\
         #[test] fn unit() {}\n",
    );
    let ran = project.run(&[]).exits(1).says("why");
    assert_eq!(
        ran.outcomes(),
        [
            "r::demo/doc::src/lib.rs - three (line 11) passed",
            "r::demo/doc::src/lib.rs - three (line 14) skipped",
            "r::demo/doc::src/lib.rs - three (line 17) passed",
            "r::demo/doc::src/lib.rs - three (line 5) failed",
            "r::demo/doc::src/lib.rs - three (line 8) passed",
            "r::demo/doc::src/lib.rs - two (line 1) passed",
            "r::demo::unit passed",
        ]
    );
}

#[test]
fn a_program_without_a_harness_is_one_test_and_arguments_select_tests() {
    let project = demo(
        "#[test] fn plain() {}\n#[test] fn slow_one() { panic!() }\n#[test] #[ignore] fn ignored() {}\n",
    )
    .file(
        "Cargo.toml",
        "[package]\nname = \"demo\"\nversion = \"0.1.0\"\nedition = \"2024\"\n[lib]\ndoctest = false\n\
         [[test]]\nname = \"good\"\nharness = false\n[[test]]\nname = \"bad\"\nharness = false\n",
    )
    .file("tests/good.rs", "fn main() { assert!(std::env::args().any(|word| word == \"slow\")); }\n")
    .file("tests/bad.rs", "fn main() { println!(\"words\"); std::process::exit(3) }\n")
    .file(
        "fastest.toml",
        "[groups.r]\nrunner = \"libtest\"\nwith = { args = [\"--\", \"--skip\", \"slow\", \"--include-ignored\"] }\n",
    );
    let ran = project.run(&[]).exits(1).says("words");
    assert_eq!(
        ran.outcomes(),
        [
            "r::demo/bad failed",
            "r::demo/good passed",
            "r::demo::ignored passed",
            "r::demo::plain passed",
        ]
    );
}

#[test]
fn one_thread_is_one_test_at_a_time() {
    let locked = |name: &str| {
        format!(
            "#[test] fn {name}() {{ let lock = std::path::Path::new(\"lock\"); assert!(std::fs::File::create_new(lock).is_ok()); \
             for _ in 0..200 {{ std::thread::yield_now(); }} std::fs::remove_file(lock).unwrap(); }}\n"
        )
    };
    let all: String = ["a", "b", "c", "d"].map(locked).concat();
    let project = demo("")
        .file("tests/one.rs", &all)
        .file("tests/two.rs", &all)
        .file(
            "fastest.toml",
            "[groups.r]\nrunner = \"libtest\"\nwith = { args = [\"--tests\", \"--\", \"--test-threads=1\"] }\n",
        );
    let ran = project.run(&["-n", "4"]).exits(0).says("--test-threads=1");
    assert_eq!(ran.outcomes().len(), 8);
}

#[test]
fn several_tests_of_a_program_share_a_process_with_chunk_size() {
    let project = demo(
        "#[test] fn a() {}\n#[test] fn exits() { std::process::exit(0) }\n#[test] fn z() {}\n#[test] fn aborts() { std::process::abort() }\n",
    )
    .file(
        "fastest.toml",
        "[groups.r]\nrunner = \"libtest\"\nchunk-size = 10\nwith = { args = [\"--lib\"] }\n",
    );
    assert_eq!(
        project.run(&[]).exits(1).outcomes(),
        [
            "r::demo::a passed",
            "r::demo::aborts crashed",
            "r::demo::exits errored",
            "r::demo::z passed",
        ]
    );
}
