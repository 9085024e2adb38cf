//! Broken manifests: each message must be enough to mend the file.

use std::fs;
use std::path::Path;

use crate::support::Project;

/// The manifests of a folder, with their names.
fn manifests(folder: &str) -> Vec<(String, String)> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/manifests")
        .join(folder);
    let mut list: Vec<_> = fs::read_dir(folder)
        .unwrap()
        .map(|entry| {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            (name, fs::read_to_string(path).unwrap())
        })
        .collect();
    list.sort();
    list
}

#[test]
fn broken_manifests_say_what_to_mend() {
    let list = manifests("broken");
    assert!(list.len() >= 20);
    for (name, text) in list {
        let ran = Project::with(&text)
            .orchestrate(&["check", "--no-list"])
            .exits(2);
        assert_eq!(ran.stdout, "");
        insta::assert_snapshot!(name, format!("{text}\n---\n{}", ran.stderr));
    }
}

#[test]
fn valid_manifests_are_accepted() {
    for (name, text) in manifests("valid") {
        let project = Project::with(&text);
        let ran = project.orchestrate(&["check", "--no-list"]);
        assert_eq!(ran.code, 0, "{name}: {}", ran.stderr);
        insta::assert_snapshot!(
            format!("show-{name}"),
            project
                .orchestrate(&["show", "--profile", "ci"])
                .exits(0)
                .stdout
        );
    }
}

#[test]
fn what_can_not_be_a_manifest_is_refused_at_once() {
    let refused = |bytes: &[u8], why: &str| {
        let project = Project::new();
        fs::write(project.path().join("fastest.toml"), bytes).unwrap();
        project.orchestrate(&["check"]).exits(2).says(why);
    };
    refused(&vec![b'#'; (1 << 20) + 1], "over 1 MiB");
    refused(b"a = 1\0", "NUL byte at offset 5");
    refused(b"a = \"\xff\"", "byte 5 is not UTF-8");
    Project::new()
        .orchestrate(&["check", "gone.toml"])
        .exits(2)
        .says("can't read gone.toml");
}

/// As git's `core.autocrlf` and editors of Windows write it.
#[test]
fn a_manifest_with_the_lines_of_windows_means_the_same() {
    let manifest = "\u{feff}# A comment.\r\n[groups.g]\r\ncommand = \"\"\"\r\ntest 1 = 1 &&\r\necho \\\r\n  done >> log\r\n\"\"\"\r\nenv = { A = '''\r\na\r\nb''' }\r\nbefore-all = ['printf \"%s.\" \"$A\" > seen']\r\n";
    let project = Project::with(manifest);
    project.run(&[]).exits(0);
    assert_eq!(project.read("log"), "done\n");
    assert_eq!(project.read("seen"), "a\nb.");
    // A message is about the line that an editor shows.
    Project::with("[groups.g]\r\ncommand = [\"true\"]\r\nbogus = 1\r\n")
        .orchestrate(&["check"])
        .exits(2)
        .says("fastest.toml:3:1");
}

#[test]
fn several_manifests_are_checked_and_all_problems_told() {
    Project::new()
        .file("a.toml", "[groups.a]\ncommand = [\"true\"]\n")
        .file("b.toml", "[groups.a]\n")
        .file("c.toml", "x = 1\n")
        .orchestrate(&["check", "a.toml", "b.toml", "c.toml"])
        .exits(2)
        .says("a.toml: 1 group, 1 test, no problems")
        .says("one problem in b.toml")
        .says("one problem in c.toml");
}
