//! Groups of processes: a number that was a group's may be another's once its leader was reaped, so nobody signals by it then.
//! In these tests whoever does is killed by the kernel.

use crate::arena::Arena;
use crate::filter::{Filter, filter};
use crate::support::python;

fn run(arena: &Arena) -> crate::arena::End {
    let mut command = arena.run_command(&[]);
    filter(&mut command, &[Filter::no_signals_to_groups()]);
    arena.finish(arena.start(&mut command))
}

/// What a job has left in its group: one that ends when it is asked to, and a deaf one.
const LEAVES: &str = "[defaults]\ngrace = \"300ms\"\n[groups.g]\ncommand = [\"sh\", \"-c\", \"sleep 60 & (trap '' TERM; sleep 60) & exit 0\"]\n";

#[test]
fn what_a_job_has_left_in_its_group_is_ended_without_a_signal_to_the_group() {
    let arena = Arena::new(LEAVES);
    run(&arena).exits(0).ends(&["g leaked"]);
    arena.is_clean();
}

#[test]
fn what_a_job_of_another_user_has_left_in_its_group_is_ended_without_a_signal_to_the_group() {
    let Some(arena) = Arena::new(LEAVES).of_another_user() else {
        return;
    };
    run(&arena).exits(0).ends(&["g leaked"]);
    arena.is_clean();
}

/// A fork is reaped by its guard, and its group may be gone at any time.
#[test]
fn a_test_of_a_session_that_takes_too_long_is_ended_without_a_signal_to_a_group() {
    let Some(python) = python() else { return };
    let manifest = format!(
        "[groups.g]\nrunner = \"pytest\"\nwith = {{ python = {python:?} }}\ntimeout = \"1s\"\ngrace = \"300ms\"\n"
    );
    let test = "import subprocess, time\ndef test_a():\n    subprocess.Popen(['sleep', '60'])\n    time.sleep(60)\ndef test_b(): pass\n";
    let arena = Arena::new(&manifest).file("test_t.py", test);
    run(&arena).exits(1).ends(&[
        "g::test_t.py::test_a timed-out",
        "g::test_t.py::test_b passed",
    ]);
    arena.is_clean();
}
