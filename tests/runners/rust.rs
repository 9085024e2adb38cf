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
