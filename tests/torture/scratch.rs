//! Temporary folders that can't simply be removed, or that lead elsewhere.

use std::ffi::CString;
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use crate::arena::Arena;

fn shell(line: &str) -> Arena {
    Arena::new(
        "[groups.g]\ncommand = [\"./job\"]\n[groups.next]\ncommand = [\"true\"]\nneeds = [\"g\"]\n",
    )
    .script("job", line)
}

/// Passes and leaves nothing, whatever was in its folder.
#[track_caller]
fn passes(arena: &Arena) {
    arena.run(&[]).exits(0).ends(&["g passed", "next passed"]);
    arena.is_clean();
}

#[test]
fn a_link_in_the_folder_is_not_followed() {
    passes(&shell(
        "mkdir $TMPDIR/a; ln -s $PWD/victim $TMPDIR/a/victim; ln -s $PWD/victim $TMPDIR/victim; ln $PWD/victim/keep $TMPDIR/hard",
    ));
}

#[test]
fn a_folder_that_is_replaced_by_a_link_is_not_followed() {
    passes(&shell(
        "ln -s $PWD/victim $TMPDIR.link; rmdir $TMPDIR; mv $TMPDIR.link $TMPDIR",
    ));
}

#[test]
fn a_folder_that_is_gone_is_no_matter() {
    passes(&shell("rm -rf $TMPDIR"));
}

#[test]
fn a_folder_that_is_replaced_by_a_file_is_removed() {
    passes(&shell("rm -rf $TMPDIR; echo > $TMPDIR"));
}

/// One level up: the worker's own folder leads to the victim, in which there is a folder that is called as the job's is.
#[test]
fn a_workers_folder_that_is_replaced_by_a_link_is_not_followed() {
    let arena = shell(
        "up=$(dirname $TMPDIR); own=victim/$(basename $TMPDIR); mkdir $own; echo untouched > $own/keep; \
        echo $own/keep > name; mv $up $up.away; ln -s $PWD/victim $up",
    );
    let _ = arena.run(&[]);
    let name = arena.read("name");
    assert_eq!(
        arena.read(name.trim()),
        "untouched\n",
        "the victim's {name}"
    );
    arena.has_its_victim();
    arena.has_no_process();
    // What was there, and what the job put there.
    let names: Vec<_> = fs::read_dir(arena.victim()).unwrap().flatten().collect();
    assert!(names.len() <= 3, "in the victim: {names:?}");
}

/// Folder and link change places all the time while job after job is cleaned up, by somebody who is no job.
#[test]
fn a_link_that_is_swapped_in_while_a_folder_is_removed_is_not_followed() {
    let items: Vec<_> = (0..150).map(|number| number.to_string()).collect();
    let manifest = format!(
        "[run]\nworkers = 2\n[groups.g]\ncommand = [\"sh\", \"-c\", \"mkdir -p $TMPDIR/a/0/1/2 && touch $TMPDIR/a/keep $TMPDIR/a/0/keep && ln -s $PWD/victim $TMPDIR/b && sleep 0.002\", \"sh\", \"<items>\"]\n\
        items = {}\nchunk-size = 1\n",
        crate::arena::array(&items)
    );
    let arena = Arena::new(&manifest);
    let over = AtomicBool::new(false);
    let swapped = thread::scope(|scope| {
        let thief = scope.spawn(|| {
            let mut swapped = 0;
            while !over.load(Ordering::Relaxed) {
                for worker in fs::read_dir(arena.tmp()).into_iter().flatten().flatten() {
                    for job in fs::read_dir(worker.path()).into_iter().flatten().flatten() {
                        for _ in 0..50 {
                            swapped +=
                                u32::from(exchange(&job.path().join("a"), &job.path().join("b")));
                        }
                    }
                }
            }
            swapped
        });
        let end = arena.run(&[]);
        over.store(true, Ordering::Relaxed);
        let swapped = thief.join().unwrap();
        end.exits(0);
        swapped
    });
    assert!(swapped > 0);
    // Who keeps changing a folder can keep it from being removed, but no more than that.
    arena.has_no_process();
    arena.has_its_victim();
}

/// renameat2(2): both change places at once.
fn exchange(one: &Path, other: &Path) -> bool {
    let text = |path: &Path| CString::new(path.as_os_str().as_bytes()).unwrap();
    let (one, other) = (text(one), text(other));
    // SAFETY: both are texts that live until the call returns.
    unsafe {
        libc::renameat2(
            libc::AT_FDCWD,
            one.as_ptr(),
            libc::AT_FDCWD,
            other.as_ptr(),
            libc::RENAME_EXCHANGE,
        ) == 0
    }
}

/// A tree that is deeper than a path may be long, and than there are descriptors.
fn deep(arguments: &str, nobody: bool) {
    let manifest = format!(
        "[groups.g]\ncommand = \"exec ./deep {arguments}\"\n[groups.next]\ncommand = [\"true\"]\nneeds = [\"g\"]\n"
    );
    let Some(arena) = Arena::new(&manifest).program("deep") else {
        return;
    };
    let arena = if nobody {
        arena.of_another_user()
    } else {
        Some(arena)
    };
    let Some(arena) = arena else { return };
    let mut command = arena.run_command(&[]);
    crate::shortage::limit(&mut command, libc::RLIMIT_NOFILE, 256);
    let end = arena.finish(arena.start(&mut command)).exits(0);
    end.ends(&["g passed", "next passed"]);
    arena.is_clean();
}

#[test]
fn a_deep_tree() {
    deep("1500", false);
}

#[test]
fn a_deep_tree_of_another_user() {
    deep("1500 closed", true);
}

#[test]
fn a_closed_folder() {
    deep("3 closed", false);
}

#[test]
fn a_closed_folder_of_another_user() {
    deep("3 closed", true);
}

/// The job's folder itself, and what is above it.
#[test]
fn a_closed_job_folder_of_another_user() {
    let arena = shell("mkdir $TMPDIR/a; touch $TMPDIR/a/b; chmod 0 $TMPDIR/a $TMPDIR");
    let Some(arena) = arena.of_another_user() else {
        return;
    };
    passes(&arena);
}

#[test]
fn ten_thousand_files() {
    let arena = shell("cd $TMPDIR && seq 10000 | xargs touch");
    arena.run(&[]).exits(0).ends(&["g passed", "next passed"]);
    arena.is_clean();
}

#[test]
fn a_temporary_folder_by_a_relative_path() {
    let arena = Arena::new("[groups.g]\ncommand = \"cd / && touch \\\"$TMPDIR/x\\\"\"\n");
    let mut command = arena.run_command(&[]);
    command.env("TMPDIR", "tmp");
    arena
        .finish(arena.start(&mut command))
        .exits(0)
        .ends(&["g passed"]);
    arena.is_clean();
}
