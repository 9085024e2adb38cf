//! A verdict comes from the wait status and the result channel: whatever a job prints, and whatever else it reaches.

use std::fs;
use std::time::Duration;

use crate::arena::{Arena, array};

#[test]
fn every_exit_code() {
    let items: Vec<_> = (0..=255).map(|code| code.to_string()).collect();
    let manifest = format!(
        "[groups.g]\ncommand = [\"sh\", \"-c\", \"exit $1\", \"sh\", \"<items>\"]\nitems = {}\nchunk-size = 1\n",
        array(&items)
    );
    let arena = Arena::new(&manifest);
    let end = arena.run(&[]).exits(1);
    let mut expected: Vec<_> = (0..=255)
        .map(|code| format!("g::{code} {}", if code == 0 { "passed" } else { "failed" }))
        .collect();
    expected.sort();
    for code in 1..=255 {
        let message = end.message(&format!("g::{code}"));
        assert_eq!(message, format!("exited with code {code}"));
    }
    end.ends(&expected);
    arena.is_clean();
}

#[test]
fn every_signal_that_ends_a_process() {
    let stays = [17, 18, 19, 20, 21, 22, 23, 28];
    // 32 and 33 are the C library's own.
    let signals: Vec<i32> = (1..=31)
        .chain([34, 50, 64])
        .filter(|number| !stays.contains(number))
        .collect();
    let items: Vec<_> = signals.iter().map(ToString::to_string).collect();
    let manifest = format!(
        "[groups.g]\ncommand = [\"./die\", \"<items>\"]\nitems = {}\nchunk-size = 1\n",
        array(&items)
    );
    let Some(arena) = Arena::new(&manifest).program("die") else {
        return;
    };
    let end = arena.run(&[]).exits(1);
    let mut expected: Vec<_> = items
        .iter()
        .map(|item| format!("g::{item} crashed"))
        .collect();
    expected.sort();
    for (number, name) in [
        (6, "SIGABRT"),
        (9, "SIGKILL"),
        (11, "SIGSEGV"),
        (13, "SIGPIPE"),
        (15, "SIGTERM"),
    ] {
        assert_eq!(
            end.message(&format!("g::{number}")),
            format!("its process was killed by {name}")
        );
    }
    assert!(
        end.message("g::64").contains("64"),
        "{}",
        end.message("g::64")
    );
    end.ends(&expected);
    arena.is_clean();
}

#[test]
fn what_can_not_be_started() {
    let manifest = "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\n\
        [groups.gone]\ncommand = [\"./gone\"]\n[groups.nowhere]\ncommand = [\"no-such-program-anywhere\"]\n\
        [groups.folder]\ncommand = [\"./t\"]\n[groups.through]\ncommand = [\"./t/text/x\"]\n";
    let arena = Arena::new(manifest)
        .script("t/bad-interpreter", "")
        .file("t/bad-interpreter", "#!/nowhere/at/all\n")
        .script("t/interpreter-is-a-folder", "")
        .file("t/interpreter-is-a-folder", "#!/usr\n")
        .script("t/itself", "")
        .script("t/no-program", "")
        .file("t/no-program", "\u{7f}ELF, it says\n")
        .script("t/nothing", "")
        .file("t/nothing", "")
        .file("t/text", "not executable")
        .script("t/z", "exit 0");
    let itself = arena.path().join("t/itself");
    fs::write(&itself, format!("#!{}\n", itself.display())).unwrap();
    let end = arena
        .run(&[])
        .exits(1)
        .says("the interpreter of its first line does not exist")
        .says("run `chmod +x");
    let outcomes = end.outcomes();
    let errored = outcomes
        .iter()
        .filter(|line| line.ends_with(" errored"))
        .count();
    assert!(outcomes.contains(&"g::t/z passed".to_owned()));
    // An empty program is run by some systems as an empty script, but never silently as another thing.
    assert_eq!(
        (outcomes.len(), errored),
        (11, 10),
        "{outcomes:#?}\n{}",
        end.shown()
    );
    for test in end
        .finished()
        .iter()
        .filter(|test| test["outcome"] == "errored")
    {
        assert!(
            test["message"].as_str().is_some_and(|why| why.len() > 20),
            "{test}"
        );
    }
    arena.is_clean();
}

/// Every form of result that there is, printed.
const FORGED: &str = "cat <<'END'\n<?xml version=\"1.0\"?><testsuites><testsuite name=\"g\" tests=\"1\">\
    <testcase name=\"t/a\" classname=\"g\" file=\"t/a\"/></testsuite></testsuites>\nTAP version 14\n1..1\nok 1 - t/a\n\
    running 1 test\ntest t/a ... ok\n\ntest result: ok. 1 passed; 0 failed; 0 ignored; 0 measured; 0 filtered out\nok t/a\n\
    {\"type\":\"test\",\"event\":\"ok\",\"name\":\"t/a\"}\n{\"event\":\"finished\",\"id\":\"t/a\",\"outcome\":\"passed\"}\n\
    {\"v\":1,\"event\":\"test-finished\",\"id\":\"g::t/a\",\"group\":\"g\",\"outcome\":\"passed\",\"seconds\":0,\"attempt\":1}\n\
    {\"Action\":\"pass\",\"Test\":\"t/a\"}\n--- PASS: t/a (0.00s)\nPASS\nok  	t/a	0.001s\n=== 1 passed in 0.01s ===\nEND\n";

#[test]
fn forged_lines_are_no_results() {
    let manifest = "[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\n";
    let arena = Arena::new(manifest).script("t/a", &format!("{FORGED}exit 1"));
    arena.run(&[]).exits(1).ends(&["g::t/a failed"]);
    for results in ["junit", "events", "libtest"] {
        let manifest = format!(
            "[runners.r]\nrun = [\"./forge\", \"<report>\", \"<items>\"]\nresults = \"{results}\"\nfiles = [\"t/*\"]\n[groups.g]\nrunner = \"r\"\n"
        );
        for ending in ["exit 0", "exit 1", "kill -SEGV $$"] {
            let arena = Arena::new(&manifest)
                .file("t/a", "")
                .script("forge", &format!("{FORGED}{ending}"));
            let outcomes = arena.run(&[]).exits(1).outcomes();
            assert_eq!(outcomes.len(), 1);
            assert!(
                !outcomes[0].ends_with("passed"),
                "{results}, {ending}: {outcomes:?}"
            );
            arena.is_clean();
        }
    }
}

/// A frame that says "exited with 0" to whoever reads frames: the reply's number, the status, the code, and then zeroes.
fn forged_frame() -> Vec<u8> {
    let mut bytes = 200_u32.to_le_bytes().to_vec();
    bytes.push(2);
    bytes.resize(204, 0);
    bytes
}

/// Writes a frame to every pipe and socket of its supervisor and of its run that it can open.
const FORGE_FRAMES: &str = "run=$(sed 's/.*) . \\([0-9]*\\).*/\\1/' /proc/$PPID/stat); \
    for fd in /proc/$PPID/fd/* /proc/$run/fd/*; do case $(readlink $fd) in pipe:*|socket:*) \
    timeout 0.2 sh -c \"cat frame > $fd\" 2>/dev/null && echo $fd >> opened;; esac; done; exit 1";

#[test]
fn forged_frames_are_no_results() {
    let arena = Arena::new("[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\ntimeout = \"10s\"\n")
        .script("t/a", FORGE_FRAMES)
        .script("t/b", FORGE_FRAMES)
        .script("t/c", "exit 1");
    fs::write(arena.path().join("frame"), forged_frame()).unwrap();
    let end = arena.run(&[]).exits(1);
    let outcomes = end.outcomes();
    assert_eq!(
        outcomes.len(),
        3,
        "{}\nopened: {}",
        end.shown(),
        arena.read("opened")
    );
    assert!(
        outcomes.iter().all(|line| line.ends_with(" failed")),
        "{outcomes:?}\nopened: {}",
        arena.read("opened")
    );
    arena.is_clean();
}

/// Root may open anything, other users only what is theirs and not protected.
#[test]
fn forged_frames_of_another_user_are_no_results() {
    let arena = Arena::new("[groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\ntimeout = \"10s\"\n")
        .script("t/a", FORGE_FRAMES)
        .script("t/b", FORGE_FRAMES)
        .script("t/c", "exit 1");
    fs::write(arena.path().join("frame"), forged_frame()).unwrap();
    let Some(arena) = arena.of_another_user() else {
        return;
    };
    let end = arena.run(&[]).exits(1);
    let outcomes = end.outcomes();
    assert_eq!(
        outcomes,
        ["g::t/a failed", "g::t/b failed", "g::t/c failed"],
        "opened: {}",
        arena.read("opened")
    );
    arena.is_clean();
}

/// The results file of another job, of the same worker or of another: what was there before a job began is not its result.
#[test]
fn a_results_file_that_is_written_in_advance_is_no_result() {
    let manifest = "[run]\nworkers = 1\n[runners.r]\nrun = [\"./forge\", \"<report>\", \"<items>\"]\nresults = \"junit\"\nfiles = [\"t/*\"]\n[groups.g]\nrunner = \"r\"\nchunk-size = 1\n";
    // Whatever the files are called: by the last number in it.
    let forge = "name=$(basename \"$1\"); case $2 in *a) for n in 0 1 2 3 4 5; do \
        next=$(echo \"$name\" | sed \"s/[0-9][0-9]*\\([^0-9]*\\)$/$n\\1/\"); \
        echo \"<testsuite><testcase name='x' file='$2'/></testsuite>\" > \"$(dirname \"$1\")/$next\"; done;; esac; exit 0";
    let arena = Arena::new(manifest)
        .file("t/a", "")
        .file("t/b", "")
        .file("t/c", "")
        .script("forge", forge);
    let end = arena.run(&[]).exits(1);
    assert_eq!(
        end.outcomes(),
        ["g::t/a passed", "g::t/b errored", "g::t/c errored"],
        "{}",
        end.shown()
    );
    arena.is_clean();
}

/// A job that has made `what` where its results were to be.
fn results_that_are(what: &str) {
    let manifest = "[runners.r]\nrun = [\"./forge\", \"<report>\"]\nresults = \"junit\"\nfiles = [\"t\"]\n\
        [defaults]\ntimeout = \"2s\"\n[groups.g]\nrunner = \"r\"\n";
    let arena = Arena::new(manifest).file("t", "").script("forge", what);
    let end = arena.run(&[]).exits(1).within(Duration::from_secs(2));
    assert!(end.peak_kib < 36 << 10, "{} KiB", end.peak_kib);
    end.ends(&["g::t errored"]);
    arena.is_clean();
}

#[test]
fn results_that_are_no_file() {
    results_that_are("mkdir $1");
    results_that_are("ln -s /dev/tty $1");
    results_that_are("ln -s /nowhere $1");
}

#[test]
fn results_that_never_end() {
    results_that_are("ln -s /dev/zero $1");
}

/// Who opens one waits for somebody to write.
#[test]
fn results_that_are_a_pipe() {
    results_that_are("mkfifo $1");
}

/// The machine's clock can't be set by a test, so it is read in the code that nothing there asks for it: deadlines and
/// durations are of the monotonic clock.
#[test]
fn deadlines_are_of_the_monotonic_clock() {
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut read = 0;
    for folder in ["worker", "execute", "schedule"] {
        let mut open = vec![root.join(folder)];
        while let Some(path) = open.pop() {
            if path.is_dir() {
                open.extend(
                    fs::read_dir(path)
                        .unwrap()
                        .flatten()
                        .map(|entry| entry.path()),
                );
            } else {
                let text = fs::read_to_string(&path).unwrap();
                for word in ["SystemTime", "ClockId::Realtime", "CLOCK_REALTIME"] {
                    assert!(!text.contains(word), "{} in {}", word, path.display());
                }
                read += 1;
            }
        }
    }
    assert!(read > 5);
}
