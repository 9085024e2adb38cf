//! Names of files and items that nobody would choose, and that somebody has.

use std::ffi::OsStr;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;

use crate::arena::{Arena, array};

/// As names of files and as items.
const ODD: [&str; 24] = [
    " ",
    " two  spaces ",
    "a\nnewline",
    "a\ttab",
    "a\rreturn",
    "'",
    "\"",
    "\\",
    "`touch x`",
    "$(touch x)",
    "; touch x",
    "& touch x",
    "> x",
    "-rf",
    "--",
    "--help",
    "<pid>",
    "<<pid>",
    "<items>",
    "*",
    "[a-z]?",
    "a\u{1b}[31mred",
    "\u{1f9ea}\u{202e}txt.sh",
    "\u{e9}e\u{301}",
];

/// Each test notes its own name and folder: what ran is what was listed, and nothing else was run, made or read.
#[test]
fn odd_names_of_files() {
    let manifest = "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/**/*\"]\n";
    let mut arena = Arena::new(manifest).file("ran/.keep", "");
    let long = "n".repeat(255);
    let names: Vec<&str> = ODD.into_iter().chain([long.as_str()]).collect();
    for name in &names {
        arena = arena.script(&format!("t/{name}"), "basename -a -- \"$0\" >> ran/$$");
    }
    let nested = "t/a b/-c/$(touch x)/d\ne";
    arena = arena.script(nested, "basename -a -- \"$0\" >> ran/$$");
    let end = arena.run(&[]).exits(0);
    let mut expected: Vec<_> = names
        .iter()
        .map(|name| format!("g::t/{name} passed"))
        .chain([format!("g::{nested} passed")])
        .collect();
    expected.sort();
    assert_eq!(end.outcomes(), expected, "{}", end.shown());
    let mut ran: Vec<_> = fs::read_dir(arena.path().join("ran"))
        .unwrap()
        .flatten()
        .map(|entry| fs::read_to_string(entry.path()).unwrap())
        .filter(|text| !text.is_empty())
        .collect();
    ran.sort();
    let mut all: Vec<_> = names.iter().map(|name| format!("{name}\n")).collect();
    all.push("d\ne\n".into());
    all.sort();
    assert_eq!(ran, all);
    assert!(!arena.path().join("x").exists());
    arena.is_clean();
}

#[test]
fn names_that_are_no_text() {
    let arena = Arena::new("[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\n").file("t/a/b", "");
    for name in [&b"a\xff"[..], b"a\xfe", b"\xc3\x28", b"caf\xe9"] {
        let path = arena.path().join("t").join(OsStr::from_bytes(name));
        fs::write(&path, "#!/bin/sh\necho >> ran\n").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }
    let end = arena.run(&["--report", "junit=junit.xml"]).exits(0);
    assert_eq!(arena.read("ran"), "\n".repeat(4));
    let mut outcomes = end.outcomes();
    outcomes.dedup();
    assert_eq!(outcomes.len(), 4, "two tests of one id: {outcomes:?}");
    assert!(arena.read("junit.xml").contains("tests=\"4\""));
    arena.is_clean();
}

/// As arguments of a command without a shell, and as `"$@"` of one with a shell.
#[test]
fn odd_items() {
    for command in ["[\"./note\", \"<items>\"]", "\"./note <items>\""] {
        let manifest = format!(
            "[groups.g]\ncommand = {command}\nitems = {}\nchunk-size = 5\n",
            array(ODD)
        );
        let arena = Arena::new(&manifest).file("ran/.keep", "").script(
            "note",
            "for item; do printf '%s\\0' \"$item\"; done > ran/$$",
        );
        let end = arena.run(&[]).exits(0);
        assert_eq!(end.outcomes().len(), ODD.len());
        let mut ran = Vec::new();
        for entry in fs::read_dir(arena.path().join("ran")).unwrap().flatten() {
            let text = fs::read_to_string(entry.path()).unwrap();
            ran.extend(text.split_terminator('\0').map(str::to_owned));
        }
        ran.sort();
        let mut all = ODD.map(str::to_owned);
        all.sort();
        assert_eq!(ran, all, "{command}");
        assert!(!arena.path().join("x").exists(), "{command}");
        arena.is_clean();
    }
}

#[test]
fn odd_items_that_a_command_lists() {
    let bytes: Vec<u8> = ODD.join("\0").into_bytes();
    let manifest = "[groups.g]\ncommand = [\"sh\", \"-c\", \"printf '%s\\\\0' \\\"$1\\\" > ran/$$\", \"sh\", \"<items>\"]\nchunk-size = 1\n\
        items = { command = [\"cat\", \"list\", \"more\"], separator = \"nul\" }\n";
    let arena = Arena::new(manifest).file("ran/.keep", "");
    fs::write(arena.path().join("list"), bytes).unwrap();
    fs::write(arena.path().join("more"), b"\0bad\xff\0bad\xfe").unwrap();
    let end = arena.run(&[]).exits(0);
    let mut outcomes = end.outcomes();
    outcomes.dedup();
    assert_eq!(outcomes.len(), ODD.len() + 2, "{outcomes:?}");
    let mut ran: Vec<_> = fs::read_dir(arena.path().join("ran"))
        .unwrap()
        .flatten()
        .map(|entry| fs::read(entry.path()).unwrap())
        .filter(|text| !text.is_empty())
        .collect();
    ran.sort();
    let mut all: Vec<Vec<u8>> = ODD
        .iter()
        .map(|name| format!("{name}\0").into_bytes())
        .collect();
    all.extend([b"bad\xff\0".to_vec(), b"bad\xfe\0".to_vec()]);
    all.sort();
    assert_eq!(ran, all);
    arena.is_clean();
}

/// The folder of the project itself.
#[test]
fn an_odd_root() {
    let manifest = "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nenv = { ROOT = \"<root>\" }\n[groups.s]\ncommand = \"test -f \\\"<root>/fastest.toml\\\"\"\n";
    let name = "a '$(touch x)' <pid>\n-root";
    let arena = Arena::new("[groups.outer]\ncommand = [\"false\"]\n")
        .file(&format!("{name}/fastest.toml"), manifest)
        .script(
            &format!("{name}/t/a b"),
            "test \"$ROOT\" = \"$PWD\" && test -f \"$ROOT/t/a b\"",
        );
    let mut command = arena.run_command(&[]);
    command.current_dir(arena.path().join(name));
    let end = arena.finish(arena.start(&mut command)).exits(0);
    end.ends(&["g::t/a b passed", "s passed"]);
    arena.is_clean();
}
