//! Parts of a run that are processes of their own, started by hand: they do nothing.

use std::fs;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;

use crate::arena::Arena;

const REFUSAL: &str = "is a part of a run, which starts it itself, and not for use by hand";

fn mounts() -> String {
    fs::read_to_string("/proc/self/mountinfo").unwrap()
}

/// Each refuses, says so, and has changed nothing.
fn refuses(arena: &Arena) {
    let victim = arena.victim();
    let victim = victim.to_str().unwrap();
    let before = mounts();
    let all: [&[&str]; 9] = [
        &["guard", "--", "-1", "1"],
        &["guard", "--", "3", "-1"],
        &["guard", "--", "1", "0"],
        &["guard", "--", "99999", "2147483647"],
        &["worker"],
        &["worker", "--confined"],
        &["worker", "--output-fd", "77"],
        &["worker", "--run-folder", victim],
        &["record", victim, "--", "true"],
    ];
    for arguments in all {
        let end = arena.finish(arena.start(&mut arena.command(arguments)));
        assert!(
            !end.said.contains("panicked"),
            "{arguments:?}: {}",
            end.said
        );
        end.exits(2).says(REFUSAL);
        arena.has_its_victim();
    }
    assert_eq!(mounts(), before);
    let names: Vec<_> = fs::read_dir(victim).unwrap().flatten().collect();
    assert_eq!(names.len(), 2, "in the victim: {names:?}");
    arena.has_no_process();
}

#[test]
fn a_part_of_a_run_that_is_started_by_hand_refuses() {
    refuses(&Arena::new(""));
}

#[test]
fn a_part_of_a_run_that_another_user_starts_by_hand_refuses() {
    let Some(arena) = Arena::new("").of_another_user() else {
        return;
    };
    refuses(&arena);
}

/// With all that it looks at but a folder that is a run's.
#[test]
fn a_worker_by_hand_removes_no_folder() {
    let arena = Arena::new("");
    let inside = arena.tmp().join("orchestrate-run-mine");
    std::os::unix::fs::symlink(arena.victim(), &inside).unwrap();
    for folder in [arena.victim(), inside, arena.path().join("victim/0/..")] {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let mut command = arena.command(&["worker", "--run-folder"]);
        command
            .arg(&folder)
            .stdin(OwnedFd::from(theirs.try_clone().unwrap()))
            .stdout(OwnedFd::from(theirs));
        let started = arena.start(&mut command);
        drop(command);
        // As a run that is killed.
        drop(ours);
        arena.finish(started).exits(2).says(REFUSAL);
        arena.has_its_victim();
    }
}
