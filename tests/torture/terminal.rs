//! A terminal: what is seen on one, and what comes of it when it goes away.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::arena::Arena;

/// A pseudo terminal, and all that was written to it.
pub struct Terminal {
    master: File,
    seen: Arc<Mutex<Vec<u8>>>,
    over: Arc<AtomicBool>,
    reader: Option<JoinHandle<()>>,
}

impl Terminal {
    /// Opens one, for a command that will lead its session.
    pub fn of(command: &mut Command) -> Self {
        let checked = |fd: i32| {
            assert!(fd >= 0, "{}", io::Error::last_os_error());
            fd
        };
        let flags = libc::O_RDWR | libc::O_NOCTTY | libc::O_CLOEXEC;
        // SAFETY: each call gets what its man page asks for, and what is opened is owned from here on: posix_openpt(3),
        // unlockpt(3), ioctl_tty(2). None is ever open without close-on-exec: other tests start processes meanwhile.
        let (master, slave) = unsafe {
            let master = OwnedFd::from_raw_fd(checked(libc::posix_openpt(flags)));
            checked(libc::unlockpt(master.as_raw_fd()));
            let slave = checked(libc::ioctl(master.as_raw_fd(), libc::TIOCGPTPEER, flags));
            let size = libc::winsize {
                ws_row: 50,
                ws_col: 120,
                ws_xpixel: 0,
                ws_ypixel: 0,
            };
            checked(libc::ioctl(
                master.as_raw_fd(),
                libc::TIOCSWINSZ,
                &raw const size,
            ));
            (File::from(master), OwnedFd::from_raw_fd(slave))
        };
        let end = || Stdio::from(slave.try_clone().unwrap());
        command
            .stdin(end())
            .stdout(end())
            .stderr(end())
            .env("TERM", "xterm-256color");
        // SAFETY: setsid(2) and ioctl(2) are async-signal-safe.
        unsafe {
            command.pre_exec(|| {
                if libc::setsid() < 0 || libc::ioctl(0, libc::TIOCSCTTY, 0) < 0 {
                    return Err(io::Error::last_os_error());
                }
                Ok(())
            });
        }
        let seen = Arc::new(Mutex::new(Vec::new()));
        let over = Arc::new(AtomicBool::new(false));
        let reader = {
            let (mut master, seen, over) =
                (master.try_clone().unwrap(), seen.clone(), over.clone());
            thread::spawn(move || {
                let mut buffer = [0; 4096];
                let tick = Timespec {
                    tv_sec: 0,
                    tv_nsec: 10_000_000,
                };
                loop {
                    let mut polled = [PollFd::new(&master, PollFlags::IN)];
                    match poll(&mut polled, Some(&tick)) {
                        Ok(0) if over.load(Ordering::Relaxed) => return,
                        Ok(0) => {}
                        // EIO while nobody has the other end: nobody will have it again.
                        _ => match master.read(&mut buffer) {
                            Ok(count) => seen.lock().unwrap().extend_from_slice(&buffer[..count]),
                            Err(_) if over.load(Ordering::Relaxed) => return,
                            Err(_) => thread::sleep(std::time::Duration::from_millis(5)),
                        },
                    }
                }
            })
        };
        Self {
            master,
            seen,
            over,
            reader: Some(reader),
        }
    }

    /// Types something.
    pub fn types(&mut self, bytes: &[u8]) {
        self.master.write_all(bytes).unwrap();
    }

    /// All that was written so far.
    pub fn seen(&self) -> Vec<u8> {
        self.seen.lock().unwrap().clone()
    }

    /// What was written until its end.
    pub fn all(mut self) -> Vec<u8> {
        self.close();
        self.seen()
    }

    fn close(&mut self) {
        self.over.store(true, Ordering::Relaxed);
        if let Some(reader) = self.reader.take() {
            let _ = reader.join();
        }
    }
}

impl Drop for Terminal {
    /// Hangs up.
    fn drop(&mut self) {
        self.close();
    }
}

/// What steers a terminal, in every way that one is steered.
const STEERING: [&str; 16] = [
    "\u{1b}[2J",
    "\u{1b}[31;45mred",
    "\u{1b}]0;title\u{7}",
    "\u{1b}]52;c;cm0gLXJm\u{7}",
    "\u{1b}]8;;http://example.org\u{1b}\\link\u{1b}]8;;\u{1b}\\",
    "\u{1b}[?1049h",
    "\u{1b}[?1000h",
    "\u{1b}c",
    "\u{1b}P+q544e\u{1b}\\",
    "\u{1b}[6n",
    "\u{9b}31m",
    "\u{9d}0;title\u{9c}",
    "\u{8}\u{8}\u{8}ok",
    "\rok: 1 passed",
    "\u{7}",
    "\u{202e}desrever",
];

fn hostile_text() -> Vec<u8> {
    let mut text = STEERING.join("\n").into_bytes();
    // C1 as single bytes, which are no UTF-8.
    text.extend(b"\n\x9b31m\n\x90q\n\x84\n\x0e\x0f\x7f\x00\n");
    text
}

/// Fails unless every control character is one that `orchestrate` itself writes: colours, and the progress line's moves.
#[track_caller]
fn is_tame(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes).into_owned();
    let mut rest = text.as_str();
    while let Some(at) = rest
        .find(|character: char| character.is_control() && !matches!(character, '\n' | '\t' | '\r'))
    {
        let around: String = rest[at..].chars().take(60).collect();
        rest = rest[at..]
            .strip_prefix("\u{1b}[")
            .unwrap_or_else(|| panic!("{around:?}"));
        let end = rest
            .find(|character: char| character.is_ascii_alphabetic())
            .unwrap_or_else(|| panic!("{around:?}"));
        let ours = [
            "0m", "1m", "2m", "32m", "33m", "1;31m", "2K", "1A", "K", "1G", "0G",
        ];
        assert!(ours.contains(&&rest[..=end]), "{around:?}");
        rest = &rest[end + 1..];
    }
    let is_override =
        |character| matches!(character, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    assert!(!text.contains(is_override), "text that runs backwards");
    // A carriage return of a test would let it write over a line; the terminal itself puts one before each newline.
    assert!(
        !text.replace("\r\n", "\n").contains("\rok: 1 passed"),
        "a line that is written over"
    );
}

fn arena() -> Arena {
    let manifest = "[runners.r]\nrun = [\"./report\", \"<report>\", \"<items>\"]\nresults = \"junit\"\nfiles = [\"r/*\"]\n\
        [groups.g]\nrunner = \"exec\"\nfiles = [\"t/*\"]\nretries = 1\n[groups.reported]\nrunner = \"r\"\n\
        [groups.listed]\ncommand = [\"true\", \"<items>\"]\nitems = { command = [\"sh\", \"-c\", \"cat text >&2; exit 3\"] }\n";
    let mut arena = Arena::new(manifest)
        .script("t/fails", "cat text; sleep 0.3; cat text >&2; exit 1")
        .script("t/leaks", "cat text; sleep 60 &")
        .file("r/one", "")
        .file("r/two", "");
    for (number, text) in STEERING.iter().enumerate() {
        let name = text.replace('/', "|");
        arena = arena.script(&format!("t/{number}{name}"), "sleep 0.02; exit 3");
    }
    let text = hostile_text();
    std::fs::write(arena.path().join("text"), &text).unwrap();
    let message = STEERING[1];
    arena.script(
        "report",
        &format!(
            "printf '<testsuite><testcase file=\"r/one\" name=\"x\"><failure message=\"{message}\">{message}</failure></testcase>\
            <testcase name=\"{message}\"/></testsuite>' > \"$1\"; cat text; exit 1"
        ),
    )
}

#[test]
fn nothing_that_a_test_prints_steers_the_terminal() {
    for arguments in [&[][..], &["-v"], &["-q"]] {
        let arena = arena();
        let mut command = arena.run_command(arguments);
        let terminal = Terminal::of(&mut command);
        let end = arena.finish(arena.start(&mut command)).exits(1);
        let seen = terminal.all();
        assert!(
            String::from_utf8_lossy(&seen).contains("failed"),
            "nothing was shown"
        );
        is_tame(&seen);
        assert!(end.finished().len() > STEERING.len());
        arena.is_clean();
    }
}

/// What is shown where nothing runs.
fn shows_tamely(arguments: &[&str]) {
    let arena = arena();
    let mut command = arena.command(arguments);
    let terminal = Terminal::of(&mut command);
    arena.finish(arena.start(&mut command));
    let seen = terminal.all();
    assert!(!seen.is_empty());
    is_tame(&seen);
    arena.is_clean();
}

#[test]
fn names_in_what_would_run_do_not_steer_the_terminal() {
    shows_tamely(&["run", "--dry-run"]);
}

#[test]
fn names_in_a_list_do_not_steer_the_terminal() {
    shows_tamely(&["list"]);
}

#[test]
fn arguments_do_not_steer_the_terminal() {
    shows_tamely(&["run", "--dry-run", "-k", "\u{1b}[31;45mred ("]);
    shows_tamely(&["run", "no\u{1b}]0;such\u{7}"]);
}
