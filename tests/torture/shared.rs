//! The temporary folder is everybody's: names in it that other users have taken, and what is left of runs that were killed.

use std::fs;
use std::io::Read;
use std::os::unix::fs::{PermissionsExt, lchown, symlink};
use std::path::Path;
use std::time::Duration;

use rustix::fs::{AtFlags, CWD, FileType, Mode, Timespec, Timestamps, mknodat, utimensat};

use crate::arena::{Arena, End, is_root, until};
use crate::filter::{Filter, filter};

/// Another user than any that runs tests here.
const STRANGER: u32 = 54_321;
/// Names that a run, a worker or a port could have.
const NAMES: [&str; 6] = [
    "orchestrate-run-fifo",
    "orchestrate-worker-link",
    "orchestrate-run-file",
    "orchestrate-run-folder",
    "orchestrate-ports",
    "orchestrate-socket-fifo",
];

/// A job that has a port.
const WITH_PORT: &str =
    "[groups.g]\ncommand = [\"sh\", \"-c\", 'test \"$PORT\" -gt 0']\nenv = { PORT = \"<port>\" }\n";

fn fifo(path: &Path) {
    mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap();
}

/// Makes something as old as what a run that was killed has left.
fn age(path: &Path) {
    let long_ago = Timespec {
        tv_sec: 1_000_000_000,
        tv_nsec: 0,
    };
    let times = Timestamps {
        last_access: long_ago,
        last_modification: long_ago,
    };
    utimensat(CWD, path, &times, AtFlags::SYMLINK_NOFOLLOW).unwrap();
}

/// Fills the temporary folder with names that are taken, in a way that would do harm.
fn litter(arena: &Arena, user: Option<u32>) {
    let path = |name: &str| arena.tmp().join(name);
    fifo(&path(NAMES[0]));
    symlink(arena.victim(), path(NAMES[1])).unwrap();
    fs::write(path(NAMES[2]), "kept").unwrap();
    fs::create_dir(path(NAMES[3])).unwrap();
    symlink(arena.victim(), path(NAMES[4])).unwrap();
    fifo(&path(NAMES[5]));
    for name in NAMES {
        if user.is_some() {
            lchown(path(name), user, user).unwrap();
        }
        age(&path(name));
    }
    fs::set_permissions(arena.tmp(), fs::Permissions::from_mode(0o1777)).unwrap();
}

fn left(arena: &Arena) -> Vec<String> {
    let entries = fs::read_dir(arena.tmp()).unwrap().flatten();
    let mut names: Vec<_> = entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

fn sorted(names: &[&str]) -> Vec<String> {
    let mut names: Vec<_> = names.iter().map(|name| (*name).to_owned()).collect();
    names.sort();
    names
}

#[test]
fn names_that_a_stranger_has_taken_hold_nothing_up_and_are_left_alone() {
    if !is_root() {
        eprintln!("skipped: only root can give files to another user");
        return;
    }
    let arena = Arena::new(WITH_PORT);
    litter(&arena, Some(STRANGER));
    arena.run(&[]).exits(0).ends(&["g passed"]);
    assert_eq!(left(&arena), sorted(&NAMES));
    arena.has_its_victim();
    arena.has_no_process();
}

#[test]
fn names_that_root_has_taken_hold_up_no_other_user() {
    let Some(arena) = Arena::new(WITH_PORT).of_another_user() else {
        return;
    };
    if !is_root() {
        eprintln!("skipped: only root can take names of another user");
        return;
    }
    litter(&arena, None);
    arena.run(&[]).exits(0).ends(&["g passed"]);
    assert_eq!(left(&arena), sorted(&NAMES));
    arena.has_its_victim();
    arena.has_no_process();
}

#[test]
fn of_our_own_names_only_folders_are_removed() {
    for another in [false, true] {
        let arena = Arena::new(WITH_PORT);
        litter(&arena, None);
        fs::create_dir(arena.tmp().join(NAMES[3]).join("a")).unwrap();
        fs::write(arena.tmp().join(NAMES[3]).join("a/b"), "left").unwrap();
        age(&arena.tmp().join(NAMES[3]));
        let arena = if another {
            arena.of_another_user()
        } else {
            Some(arena)
        };
        let Some(arena) = arena else { return };
        arena.run(&[]).exits(0).ends(&["g passed"]);
        let others: Vec<_> = NAMES.into_iter().filter(|name| *name != NAMES[3]).collect();
        assert_eq!(left(&arena), sorted(&others));
        arena.has_its_victim();
        arena.has_no_process();
    }
}

/// The reader of a report takes its time: as long, nothing that others have left is touched.
#[test]
fn reports_are_written_before_what_others_left_is_removed() {
    let items: Vec<_> = (0..600)
        .map(|number| format!("a-long-name-of-a-test-{number:060}"))
        .collect();
    let manifest = format!(
        "[groups.g]\ncommand = [\"sh\", \"-c\", \": >> done\", \"sh\", \"<items>\"]\nitems = {}\n\
        [groups.last]\ncommand = [\"touch\", \"over\"]\nneeds = [\"g\"]\n",
        crate::arena::array(&items)
    );
    let arena = Arena::new(&manifest);
    let report = arena.path().join("log/report");
    fifo(&report);
    let old = arena.tmp().join(NAMES[3]);
    fs::create_dir(&old).unwrap();
    age(&old);
    let argument = format!("--report=jsonl={}", report.display());
    let reader = std::thread::spawn(move || fs::File::open(report).unwrap());
    let started = arena.start(&mut arena.command(&["run", &argument]));
    let mut reader = reader.join().unwrap();
    arena.until_file("over");
    // All workers have gone.
    let is_quiet = || left(&arena).iter().all(|name| !name.contains("-worker-"));
    assert!(until(Duration::from_secs(20), is_quiet));
    assert!(old.exists(), "removed before its report was read");
    let mut text = String::new();
    reader.read_to_string(&mut text).unwrap();
    arena.finish(started);
    assert!(text.contains("run-finished"), "{text}");
    assert!(!old.exists());
    arena.is_clean();
}

#[test]
fn the_folder_of_a_worker_has_a_name_that_nobody_can_know() {
    let arena = Arena::new(
        "[groups.g]\ncommand = \"echo $ORCHESTRATE_PID $(stat -c %a $(dirname $TMPDIR)) $(dirname $TMPDIR) >> names\"\n",
    );
    arena.run(&[]).exits(0);
    arena.run(&[]).exits(0);
    let text = arena.read("names");
    let names: Vec<(&str, &str)> = text
        .lines()
        .map(|line| {
            let (pid, rest) = line.split_once(' ').unwrap();
            let folder = rest.strip_prefix("700 ").unwrap();
            (pid, folder.rsplit('-').next().unwrap())
        })
        .collect();
    assert_eq!(names.len(), 2, "{text}");
    assert_ne!(names[0].1, names[1].1);
    for (pid, name) in names {
        assert_eq!(name.len(), 6, "{text}");
        assert_ne!(pid, name);
    }
    arena.is_clean();
}

/// A run beside another one that is old, in one temporary folder. Whether that one is in use is all that matters.
fn a_live_run_is_not_swept(filters: &[Filter]) {
    let live = Arena::new(
        "[groups.g]\ncommand = \"touch up $TMPDIR/mine; while ! test -e go; do sleep 0.01; done; test -e $TMPDIR/mine\"\n",
    );
    let mut command = live.run_command(&[]);
    filter(&mut command, filters);
    let started = live.start(&mut command);
    live.until_file("up");
    let folders = left(&live);
    assert!(folders.len() >= 2, "{folders:?}");
    for name in &folders {
        age(&live.tmp().join(name));
    }
    let other = Arena::new(WITH_PORT);
    let mut command = other.run_command(&[]);
    command.env("TMPDIR", live.tmp());
    other.finish(other.start(&mut command)).exits(0);
    assert_eq!(left(&live), folders);
    fs::write(live.path().join("go"), "").unwrap();
    live.finish(started).exits(0).ends(&["g passed"]);
    live.is_clean();
}

#[test]
fn the_folders_of_a_live_run_are_not_swept() {
    a_live_run_is_not_swept(&[]);
}

#[test]
fn the_folders_of_a_live_run_that_could_not_lock_them_are_not_swept() {
    a_live_run_is_not_swept(&[Filter::no_locks()]);
}

/// Another user has a name that the next port would be claimed by.
#[test]
fn a_claimed_port_is_not_leased() {
    use std::os::linux::net::SocketAddrExt;
    use std::os::unix::net::{SocketAddr, UnixDatagram};
    let arena = Arena::new(
        "[run]\nworkers = 4\n[groups.g]\ncommand = [\"sh\", \"-c\", \"echo $PORT >> ports\", \"sh\", \"<items>\"]\nitems = [\"a\", \"b\", \"c\", \"d\"]\n\
        env = { PORT = \"<port>\" }\nchunk-size = 1\n",
    );
    // All but a few of those that the kernel gives.
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap();
    let ends: Vec<u16> = range
        .split_whitespace()
        .map(|end| end.parse().unwrap())
        .collect();
    let claims: Vec<_> = (ends[0]..=ends[1])
        .filter(|port| port.is_multiple_of(64))
        .filter_map(|port| {
            let address = SocketAddr::from_abstract_name(format!("orchestrate-port-{port}"));
            Some((port, UnixDatagram::bind_addr(&address.unwrap()).ok()?))
        })
        .collect();
    let end: End = arena.run(&[]).exits(0);
    end.ends(&["g::a passed", "g::b passed", "g::c passed", "g::d passed"]);
    let text = arena.read("ports");
    for port in text.lines().map(|line| line.parse::<u16>().unwrap()) {
        assert!(claims.iter().all(|(claimed, _)| *claimed != port), "{port}");
    }
    arena.is_clean();
}

#[test]
fn runs_of_two_users_at_once_are_leased_different_ports() {
    let manifest = "[run]\nworkers = 3\n[groups.g]\n\
        command = [\"sh\", \"-c\", \"echo $PORT > $1.new; mv $1.new port-$1; while ! test -e go; do sleep 0.01; done\", \"sh\", \"<items>\"]\n\
        items = [\"a\", \"b\", \"c\"]\nenv = { PORT = \"<port>\" }\nchunk-size = 1\n";
    let Some(other) = Arena::new(manifest).of_another_user() else {
        return;
    };
    let arenas = [Arena::new(manifest), other];
    let started = arenas
        .each_ref()
        .map(|arena| arena.start(&mut arena.run_command(&[])));
    let mut ports = std::collections::HashSet::new();
    for arena in &arenas {
        for name in ["port-a", "port-b", "port-c"] {
            arena.until_file(name);
            let port = arena.read(name);
            assert!(ports.insert(port.clone()), "{port} twice");
        }
    }
    for (arena, started) in arenas.iter().zip(started) {
        fs::write(arena.path().join("go"), "").unwrap();
        arena.finish(started).exits(0);
        arena.is_clean();
    }
}

/// Whoever looks at the folder that is kept of a run may get the lock that the run could not have.
#[test]
fn a_live_run_that_could_not_lock_is_not_taken_for_interrupted() {
    for filters in [&[][..], &[Filter::no_locks()]] {
        let arena = Arena::new(
            "[groups.live]\ncommand = \"touch up; while ! test -e go; do sleep 0.01; done\"\nafter-all = [\"echo down >> hooks\"]\n\
            [groups.other]\ncommand = [\"true\"]\n",
        );
        let mut command = arena.run_command(&["-g", "live"]);
        filter(&mut command, filters);
        let started = arena.start(&mut command);
        arena.until_file("up");
        let other = arena.finish(arena.start(&mut arena.command(&["run", "-g", "other"])));
        let said = other.exits(0).said;
        assert!(!said.contains("interrupted"), "{said}");
        assert!(!arena.path().join("hooks").exists());
        fs::write(arena.path().join("go"), "").unwrap();
        arena.finish(started).exits(0).ends(&["live passed"]);
        assert_eq!(arena.read("hooks"), "down\n");
        let locks = fs::read_dir(arena.path().join(".fastest/runs")).unwrap();
        for run in locks.flatten() {
            assert!(!run.path().join("lock").exists());
        }
    }
}
