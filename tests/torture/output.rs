//! Output without end, without lines, and without meaning.

use crate::arena::Arena;

/// The most that `orchestrate` and its supervisors may need together, whatever is written.
const MEMORY_KIB: u64 = 20 << 10;

/// An arena for a program that writes much; nothing where there is no room for it.
fn arena(arguments: &str) -> Option<Arena> {
    let manifest = format!(
        "[defaults]\ntimeout = \"60s\"\n[groups.g]\ncommand = \"exec ./flood {arguments}\"\n"
    );
    let arena = Arena::new(&manifest).program("flood")?;
    let free = rustix::fs::statvfs(arena.path()).unwrap();
    if free.f_bavail * free.f_frsize < 3 << 30 {
        eprintln!("skipped: less than 3 GiB are free for temporary files");
        return None;
    }
    Some(arena)
}

#[track_caller]
fn holds(arena: &Arena, peak_kib: u64) {
    assert!(peak_kib < MEMORY_KIB, "{peak_kib} KiB");
    eprintln!("peak: {peak_kib} KiB");
    arena.is_clean();
}

#[test]
fn a_gigabyte_of_a_test_that_passes() {
    let Some(arena) = arena("1024 0 lines") else {
        return;
    };
    let end = arena.run(&[]).exits(0);
    holds(&arena, end.peak_kib);
    end.ends(&["g passed"]);
}

#[test]
fn a_gigabyte_of_a_test_that_fails() {
    let Some(arena) = arena("1024 3 lines") else {
        return;
    };
    let end = arena.run(&["--report", "junit=junit.xml"]).exits(1);
    holds(&arena, end.peak_kib);
    let finished = end.finished();
    let output = finished[0]["output"].as_str().unwrap();
    assert!(output.len() < 2 << 20, "{} bytes are kept", output.len());
    assert!(output.contains("of 1073741824 bytes left out]"));
    let kept = [
        arena.read("junit.xml").len(),
        arena.read("log/stdout.txt").len(),
    ];
    assert!(kept.iter().all(|length| *length < 3 << 20), "{kept:?}");
    end.ends(&["g failed"]);
}

#[test]
fn fifty_megabytes_without_a_newline() {
    let Some(arena) = arena("50 3") else { return };
    let end = arena.run(&[]).exits(1);
    holds(&arena, end.peak_kib);
    let shown = arena.read("log/stdout.txt").len();
    assert!(shown < 2 << 20, "{shown} bytes are shown of one line");
    end.says("left out]").ends(&["g failed"]);
}

#[test]
fn bytes_that_are_no_text() {
    let arena = Arena::new(
        "[groups.g]\ncommand = \"head -c 100000 /dev/urandom; printf '\\\\0\\\\377\\\\376]]>\\\\0'; exit 1\"\n",
    );
    let end = arena.run(&["--report", "junit=junit.xml"]).exits(1);
    let xml = std::fs::read(arena.path().join("junit.xml")).unwrap();
    let xml = String::from_utf8(xml).expect("a report is UTF-8");
    let may_be = |character: char| matches!(character, '\t' | '\n' | '\r' | ' '..='\u{fffd}' | '\u{10000}'..);
    assert!(
        xml.chars().all(may_be),
        "a character that XML 1.0 does not allow"
    );
    assert!(
        xml.contains("]]&gt;") || xml.contains("]]]]>"),
        "the end of a CDATA section"
    );
    end.ends(&["g failed"]);
    arena.is_clean();
}

/// Many at once, each on both streams: nothing is lost, nothing is mixed.
#[test]
fn output_of_tests_that_run_at_once_is_not_mixed() {
    let names: Vec<_> = (0..40).map(|number| format!("n{number}")).collect();
    let manifest = format!(
        "[run]\nworkers = 8\n[groups.g]\ncommand = \"for i in 1 2 3 4 5 6 7 8; do echo out <items>; echo err <items> >&2; done; exit 1\"\n\
        items = {}\nchunk-size = 1\nworkers = 8\n",
        crate::arena::array(&names)
    );
    let arena = Arena::new(&manifest);
    let end = arena.run(&[]).exits(1);
    for test in end.finished() {
        let id = test["id"].as_str().unwrap().trim_start_matches("g::");
        let expected = format!("out {id}\nerr {id}\n").repeat(8);
        assert_eq!(test["output"].as_str().unwrap(), expected);
    }
    assert_eq!(end.finished().len(), 40);
    arena.is_clean();
}
