//! The ways in which a run is ended or held from outside, while the job that runs does what it can against it.

use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::arena::{Arena, Started, until};
use crate::terminal::Terminal;

const GRACE: Duration = Duration::from_millis(300);

/// A job that has a daemon beside it, both deaf, and a group behind it that never gets to run.
fn arena(grace: &str) -> Option<Arena> {
    let manifest = format!(
        "[run]\nworkers = 1\n[defaults]\ngrace = \"{grace}\"\n[groups.bad]\ncommand = [\"./job\"]\n[groups.behind]\ncommand = [\"true\"]\nneeds = [\"bad\"]\n"
    );
    Arena::new(&manifest)
        .script("job", "trap '' TERM HUP INT QUIT; ./daemon bare deaf; touch $TMPDIR/file; touch up; while :; do sleep 0.05; done")
        .program("daemon")
}

/// A run whose job is up.
fn started(arena: &Arena) -> Started {
    let started = arena.start(&mut arena.run_command(&["--report", "junit=junit.xml"]));
    arena.until_file("up");
    started
}

/// From now on.
fn anew(started: Started) -> Started {
    Started {
        begun: Instant::now(),
        ..started
    }
}

#[test]
fn the_first_signal_ends_what_runs() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        let Some(arena) = arena("300ms") else { return };
        let started = started(&arena);
        started.signal(signal);
        let end = arena.finish(anew(started)).exits(code).within(GRACE);
        end.ends(&["bad cancelled", "behind not-run"]);
        assert!(arena.read("junit.xml").contains("tests=\"2\""));
        arena.is_clean();
    }
}

#[test]
fn the_second_signal_ends_it_at_once() {
    let Some(arena) = arena("30s") else { return };
    let started = started(&arena);
    started.signal(Signal::INT);
    // The first has arrived when it is written that nothing more is to run; two at once could be taken for one.
    thread::sleep(Duration::from_millis(100));
    started.signal(Signal::INT);
    arena
        .finish(anew(started))
        .exits(130)
        .within(Duration::ZERO);
    arena.is_soon_without_processes(Duration::ZERO);
    arena.has_its_victim();
}

#[test]
fn a_killed_run_leaves_no_process() {
    let Some(arena) = arena("30s") else { return };
    let started = started(&arena);
    started.signal(Signal::KILL);
    arena.finish(started).exits(-9);
    arena.is_soon_without_processes(Duration::ZERO);
    arena.has_its_victim();
}

#[test]
fn a_killed_run_leaves_no_files() {
    let Some(arena) = arena("30s") else { return };
    let started = started(&arena);
    started.signal(Signal::KILL);
    arena.finish(started).exits(-9);
    arena.is_soon_without_processes(Duration::ZERO);
    arena.has_no_files();
}

/// A job that has the supervisor's own descriptors open must not be what keeps the supervisor from seeing its lifeline close.
#[test]
fn a_killed_run_leaves_no_process_that_holds_the_lifeline() {
    for nobody in [false, true] {
        let manifest = "[defaults]\ngrace = \"300ms\"\n[groups.bad]\ncommand = \"./daemon lifeline deaf; touch up; sleep 60\"\n";
        let Some(arena) = Arena::new(manifest).program("daemon") else {
            return;
        };
        let arena = if nobody {
            arena.of_another_user()
        } else {
            Some(arena)
        };
        let Some(arena) = arena else { return };
        let started = started(&arena);
        started.signal(Signal::KILL);
        arena.finish(started).exits(-9);
        arena.is_soon_without_processes(GRACE);
    }
}

/// What lists tests is a command of the project's, too, and nobody supervises it.
fn ends_while_it_lists(signal: Signal, code: i32) {
    let manifest = "[groups.g]\ncommand = [\"true\", \"<items>\"]\nitems = { command = [\"sh\", \"-c\", \"touch up; sleep 60\"] }\n";
    let arena = Arena::new(manifest);
    let started = started(&arena);
    started.signal(signal);
    let end = arena.finish(anew(started)).within(GRACE);
    // Ended by the signal or by itself: a shell tells both as 128 and the number.
    assert!(
        end.code == code || end.code == -signal.as_raw(),
        "{}",
        end.code
    );
    arena.is_soon_without_processes(GRACE);
}

#[test]
fn a_run_that_is_stopped_while_it_lists() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 129)] {
        ends_while_it_lists(signal, code);
    }
}

#[test]
fn a_run_that_is_killed_while_it_lists() {
    ends_while_it_lists(Signal::KILL, -9);
}

#[test]
fn a_listing_that_leaves_a_daemon() {
    let manifest = "[groups.g]\ncommand = [\"true\", \"<items>\"]\nitems = { command = [\"sh\", \"-c\", \"./daemon bare deaf; echo one\"] }\n";
    let Some(arena) = Arena::new(manifest).program("daemon") else {
        return;
    };
    arena.run(&[]).exits(0).ends(&["g::one passed"]);
    arena.is_clean();
}

#[test]
fn a_terminal_that_is_closed() {
    let Some(arena) = arena("300ms") else { return };
    let mut command = arena.run_command(&["--report", "junit=junit.xml"]);
    let terminal = Terminal::of(&mut command);
    let started = arena.start(&mut command);
    drop(command);
    arena.until_file("up");
    drop(terminal);
    let end = arena.finish(anew(started)).exits(129).within(GRACE);
    end.ends(&["bad cancelled", "behind not-run"]);
    assert!(arena.read("junit.xml").contains("tests=\"2\""));
    arena.is_clean();
}

#[test]
fn interrupted_by_a_key() {
    let Some(arena) = arena("300ms") else { return };
    let mut command = arena.run_command(&[]);
    let mut terminal = Terminal::of(&mut command);
    let started = arena.start(&mut command);
    arena.until_file("up");
    terminal.types(b"\x03");
    let end = arena.finish(anew(started)).exits(130).within(GRACE);
    end.ends(&["bad cancelled", "behind not-run"]);
    arena.is_clean();
}

/// Held by Ctrl-Z for twice as long as its job may take: time that nobody could use is not charged.
#[test]
fn a_run_that_is_held_and_goes_on() {
    let manifest = "[groups.g]\ncommand = [\"./job\"]\ntimeout = \"1s\"\n";
    // It tells that it runs, so that it can be seen whether it is held.
    let line = "touch up; for i in 1 2 3 4 5 6; do sleep 0.1; date +%s.%N >> ticks; done";
    let Some(arena) = Arena::new(manifest)
        .script("job", line)
        .program("jobcontrol")
    else {
        return;
    };
    let run = arena.run_command(&[]);
    let mut command = Command::new(arena.path().join("jobcontrol"));
    command
        .arg(arena.path().join("log/control"))
        .arg(run.get_program())
        .args(run.get_args());
    command.current_dir(arena.path());
    for (name, value) in run.get_envs() {
        match value {
            Some(value) => command.env(name, value),
            None => command.env_remove(name),
        };
    }
    let mut terminal = Terminal::of(&mut command);
    let shell = arena.start(&mut command);
    drop(command);
    arena.until_file("up");
    terminal.types(b"\x1a");
    let control = || arena.read("log/control");
    assert!(
        until(Duration::from_secs(5), || control().contains("stopped ")),
        "{}",
        control()
    );
    let ticks = || arena.read("ticks").lines().count();
    let before = ticks();
    thread::sleep(Duration::from_secs(2));
    let held = ticks();
    let pid = control()
        .lines()
        .next()
        .and_then(|line| line.strip_prefix("started ")?.parse().ok());
    kill_process(Pid::from_raw(pid.unwrap()).unwrap(), Signal::CONT).unwrap();
    let end = arena.finish(shell).exits(0);
    assert!(
        control().ends_with("exited 0\n"),
        "{}\n{}",
        control(),
        String::from_utf8_lossy(&terminal.seen())
    );
    // One may have been on its way.
    assert!(
        held <= before + 1,
        "the job went on: {before}, then {held}\n{}",
        control()
    );
    end.ends(&["g passed"]);
    arena.is_clean();
}

/// Held without a terminal, as a batch system does it; STOP itself can't be seen by anybody, so the job goes on.
#[test]
fn a_run_that_is_stopped_and_then_killed_leaves_no_process() {
    let Some(arena) = arena("30s") else { return };
    let started = started(&arena);
    started.signal(Signal::STOP);
    started.signal(Signal::KILL);
    arena.finish(started).exits(-9);
    arena.is_soon_without_processes(Duration::ZERO);
}

/// A person who waits can ask what for.
#[test]
fn what_runs_is_told_by_a_key_and_by_a_signal() {
    let manifest = "[groups.g]\ncommand = \"touch up; until [ -e down ]; do sleep 0.02; done\"\n";
    let arena = Arena::new(manifest);
    let mut command = arena.run_command(&[]);
    let mut terminal = Terminal::of(&mut command);
    let started = arena.start(&mut command);
    drop(command);
    arena.until_file("up");
    let told = |terminal: &Terminal, times: usize| {
        let seen = String::from_utf8_lossy(&terminal.seen()).into_owned();
        seen.matches("running: 1 job").count() == times
    };
    terminal.types(b"xt");
    assert!(until(Duration::from_secs(10), || told(&terminal, 1)));
    started.signal(Signal::USR1);
    assert!(until(Duration::from_secs(10), || told(&terminal, 2)));
    std::fs::write(arena.path().join("down"), "").unwrap();
    arena.finish(started).exits(0).ends(&["g passed"]);
    arena.is_clean();
}
