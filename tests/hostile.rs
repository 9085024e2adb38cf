//! Hostile manifests: whatever somebody writes, it is refused or understood in a fifth of a second of processor time and in
//! 50 MB, as the kernel counts them (`wait4(2)`).
//!
//! A binary of its own, and a small one: the peak of a child begins with that of the process that it was forked from.

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::Duration;

/// A build without optimizations may take ten times as long.
const MOST_CPU: Duration = Duration::from_millis(if cfg!(debug_assertions) { 2000 } else { 200 });
const MOST_MEMORY: i64 = 50 << 20;
/// How many values of a kind fit into a manifest that is not refused for its length alone.
const MANY: usize = 4_000;

/// What a process ended with.
struct Ended {
    code: Option<i32>,
    stderr: String,
    cpu: Duration,
    memory: i64,
}

/// Runs `orchestrate` in a folder.
fn orchestrate(folder: &Path, arguments: &[&str]) -> Ended {
    let errors = folder.join("stderr");
    #[expect(clippy::zombie_processes, reason = "wait4 reaps it")]
    let child = Command::new(env!("CARGO_BIN_EXE_orchestrate"))
        .args(arguments)
        .current_dir(folder)
        .env_remove("RUST_BACKTRACE")
        .stdout(Stdio::null())
        .stderr(fs::File::create(&errors).unwrap())
        .spawn()
        .unwrap();
    let pid = libc::pid_t::try_from(child.id()).unwrap();
    let mut status = 0;
    // SAFETY: rusage is numbers only, so zeroes are one; both pointers are to locals that outlive the call, and `pid` is a
    // child that nobody else waits for.
    let (reaped, usage) = unsafe {
        let mut usage: libc::rusage = std::mem::zeroed();
        (libc::wait4(pid, &raw mut status, 0, &raw mut usage), usage)
    };
    assert_eq!(reaped, pid);
    let time = |time: libc::timeval| {
        let seconds = u64::try_from(time.tv_sec).unwrap();
        let micros = u64::try_from(time.tv_usec).unwrap();
        Duration::from_secs(seconds) + Duration::from_micros(micros)
    };
    // Linux counts in KiB, macOS in bytes.
    let unit = if cfg!(target_os = "macos") { 1 } else { 1024 };
    Ended {
        code: libc::WIFEXITED(status).then(|| libc::WEXITSTATUS(status)),
        stderr: fs::read_to_string(errors).unwrap(),
        cpu: time(usage.ru_utime) + time(usage.ru_stime),
        memory: usage.ru_maxrss * unit,
    }
}

/// Runs it, again if it took long: other processes may have had the caches.
#[track_caller]
fn cheap(what: &str, folder: &Path, arguments: &[&str]) -> Ended {
    let mut ended = orchestrate(folder, arguments);
    for _ in 0..2 {
        if ended.cpu > MOST_CPU {
            ended = orchestrate(folder, arguments);
        }
    }
    let (cpu, kib) = (ended.cpu, ended.memory >> 10);
    let start: String = ended.stderr.chars().take(300).collect();
    eprintln!("{what}: {cpu:?}, {kib} KiB, {:?}", ended.code);
    assert!(
        cpu <= MOST_CPU,
        "{what}: {cpu:?} of processor time\n{start}"
    );
    assert!(ended.memory <= MOST_MEMORY, "{what}: {kib} KiB\n{start}");
    ended
}

#[track_caller]
fn check(what: &str, text: &str) -> Ended {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("fastest.toml"), text).unwrap();
    cheap(what, folder.path(), &["check", "--no-list"])
}

/// It is refused, and says this.
#[track_caller]
fn refused(what: &str, text: &str, why: &str) {
    let ended = check(what, text);
    let start: String = ended.stderr.chars().take(500).collect();
    assert_eq!(ended.code, Some(2), "{what}: {start}");
    assert!(ended.stderr.contains(why), "{what}: {start}");
}

/// It is odd, but nothing is wrong with it.
#[track_caller]
fn accepted(what: &str, text: &str) {
    let ended = check(what, text);
    let start: String = ended.stderr.chars().take(500).collect();
    assert_eq!(ended.code, Some(0), "{what}: {start}");
}

/// `each` for every number below `count`.
fn repeat(count: usize, each: impl Fn(usize) -> String) -> String {
    (0..count).map(each).collect()
}

/// The same, where the number stands for `#`.
fn lines(count: usize, line: &str) -> String {
    repeat(count, |i| line.replace('#', &i.to_string()))
}

/// A group with a command, and this in it.
fn group(keys: &str) -> String {
    format!("[groups.a]\ncommand = ['true']\n{keys}\n")
}

fn groups(count: usize) -> String {
    lines(count, "[groups.g#]\ncommand=['x']\n")
}

#[test]
fn a_million_lines() {
    let most = "over 20,000 lines, keys and values";
    refused("lines", &"\n".repeat(1_000_000), most);
    refused("keys", &"a=1\n".repeat(250_000), most);
    refused("over 1 MiB", &"#\n".repeat(1_000_000), "over 1 MiB");
    let long = "x".repeat(1_000_000);
    accepted("one long comment", &(group("") + "#" + &long));
    accepted("many lines", &(group("") + &"\n".repeat(19_000)));
}

#[test]
fn deep_nesting() {
    for depth in [100, 5_000, 15_000, 250_000] {
        let most = if depth < 20_000 { "" } else { "over 20,000" };
        let nested = |open: &str, close: &str| {
            let (open, close) = (open.repeat(depth), close.repeat(depth));
            format!("a = {open}1{close}")
        };
        refused("arrays", &nested("[", "]"), most);
        refused("arrays without an end", &nested("[", ""), most);
        refused("tables", &nested("{a=", "}"), most);
        let dots = "a.".repeat(depth);
        refused("dotted keys", &format!("{dots}a = 1"), most);
        refused("headers", &format!("[{dots}a]"), most);
        refused("headers of arrays", &format!("[[{dots}a]]"), most);
    }
}

#[test]
fn self_reference() {
    let unknown = "is not known here";
    let resources = |list: &str| group(&format!("resources = {{ {list} }}"));
    refused("a resource of itself", &resources("a = '<a>'"), unknown);
    refused(
        "resources of each other",
        &resources("a = '<b>', b = '<a>'"),
        unknown,
    );
    let doubled = repeat(40, |i| format!("r{i} = '<r{0}><r{0}>', ", i + 1));
    refused(
        "resources that double",
        &resources(&(doubled + "r40 = 'x'")),
        unknown,
    );
    let setting = "[runners.r]\nrun = ['x', '<s>']\n[runners.r.settings]\ns = '<s>'\n[groups.a]\nrunner = 'r'\n";
    refused("a setting of itself", setting, unknown);
    accepted(
        "a variable of itself",
        &group("env = { A = '<env:A|<<env:A|x>' }"),
    );
    refused(
        "a group that needs itself",
        &group("needs = ['a']"),
        "need each other: a -> a",
    );

    let needs = |groups: String| format!("[defaults]\ncommand = ['x']\n{groups}");
    let circle = repeat(3_000, |i| {
        format!("[groups.g{i}]\nneeds=['g{}']\n", (i + 1) % 3_000)
    });
    refused(
        "a circle of groups",
        &needs(circle),
        "need each other: g0 -> g1 -> ",
    );
    let chain = repeat(3_000, |i| format!("[groups.g{i}]\nneeds=['g{}']\n", i + 1));
    accepted("a chain of groups", &needs(chain + "[groups.g3000]\n"));
    let ladder = repeat(150, |i| {
        let above = lines(i, "'g#',");
        format!("[groups.g{i}]\nneeds=[{above}]\n")
    });
    accepted("groups that need all above them", &needs(ladder));
    let overlay = "[profiles.p.groups.a]\n[profiles.p.profiles.p]\n";
    refused(
        "a profile in itself",
        &(group("") + overlay),
        "unknown key `profiles`",
    );
}

#[test]
fn huge_numbers() {
    let digits = "9".repeat(900_000);
    for key in ["a", "run.workers", "run.timeout"] {
        let refused = |what: &str, number: &str, why| {
            refused(what, &format!("{key} = {number}"), why);
        };
        refused("integer", &digits, "this number is too large");
        refused(
            "negative",
            &format!("-{digits}"),
            "this number is too large",
        );
        refused(
            "hexadecimal",
            &format!("0x{digits}"),
            "this number is too large",
        );
        refused("float", &format!("{digits}.0"), "not a finite number");
        refused("exponent", &format!("1e{digits}"), "not a finite number");
        refused("date", &format!("{digits}-01-01"), "");
        refused("no number", &format!("1e-{digits}x"), "");
    }
    // To a float that is 1.
    accepted(
        "fraction",
        &format!("run.workers = 0.{digits}\n[groups.g]\ncommand = ['true']"),
    );
    for (key, value) in [
        ("timeout", format!("{digits}s")),
        ("timeout", "1h ".repeat(300_000)),
        ("memory", format!("{digits}GiB")),
        ("workers", format!("{digits}%")),
    ] {
        refused(key, &group(&format!("{key} = '{value}'")), key);
    }
}

#[test]
fn templates() {
    let command = |word: &str| format!("[groups.a]\ncommand = ['{word}']\n");
    accepted("less-than signs", &command(&"<".repeat(500_000)));
    refused(
        "names without an end",
        &command(&"<a".repeat(250_000)),
        "is not closed",
    );
    refused(
        "unknown names",
        &command(&"<pix>".repeat(150_000)),
        "did you mean `pid`?",
    );
    accepted("known names", &command(&"<pid>".repeat(150_000)));
    refused(
        "lists in a word",
        &command(&"<items>".repeat(100_000)),
        "several arguments",
    );
    accepted("variables", &command(&"<env:A|x>".repeat(90_000)));
    let long = format!("<{}>", "a".repeat(1_000_000));
    refused("a long name", &command(&long), "is not known here");
    let resources = lines(MANY, "r#='x',");
    let last = format!("<r{}>", MANY - 1).repeat(100_000);
    let keys = format!("resources = {{ {resources} }}\nenv = {{ A = '{last}' }}");
    accepted("names of many resources", &group(&keys));
}

#[test]
fn patterns() {
    let files = |pattern: &str| format!("[groups.a]\nrunner = 'exec'\nfiles = ['{pattern}']\n");
    let long = "longer than a path can be";
    refused("folders", &files(&("**/".repeat(100_000) + "x")), long);
    refused("stars", &files(&("*a".repeat(500_000) + "b")), long);
    refused("any characters", &files(&"?".repeat(900_000)), long);
    refused("classes", &files(&"[a-z]".repeat(15_000)), long);

    // Every name on the way to a file is one that leads a star astray.
    let folder = tempfile::tempdir().unwrap();
    for end in ["a", "b", "z"] {
        let mut deep = folder.path().join(end.repeat(200));
        for _ in 0..10 {
            deep.push("ab".repeat(30));
        }
        fs::create_dir_all(&deep).unwrap();
        fs::write(deep.join("x"), "").unwrap();
    }
    for (what, pattern) in [
        ("folders", "**/".repeat(1_000) + "x"),
        ("folders with names", "**/*/".repeat(800) + "x"),
        ("stars", "*?".repeat(20) + "q/**/x"),
        (
            "stars in folders",
            "**/*a*b*a*b*a*b*a*b*a*b*q/".repeat(100) + "x",
        ),
        ("stars before a folder", "*a".repeat(60) + "q/*/x"),
        ("classes", "**/[a-z]*[!q]*[a-z]*[!q]*[a-z]*q/*".to_owned()),
    ] {
        fs::write(folder.path().join("fastest.toml"), files(&pattern)).unwrap();
        let ended = cheap(&format!("matching {what}"), folder.path(), &["list"]);
        let is_listed = matches!(ended.code, Some(0 | 4));
        assert!(is_listed, "{what}: {:?} {}", ended.code, ended.stderr);
    }
}

#[test]
fn errors() {
    let most = "more than 100 problems";
    refused(
        "60,000 of them",
        &group(&lines(60_000, "a#=1\n")),
        "over 20,000",
    );
    refused("unknown keys", &group(&lines(9_000, "a#=1\n")), most);
    refused("equal keys", &"a=1\n".repeat(9_000), "5 problems");
    refused("no TOML", &"= 1\n".repeat(9_000), "5 problems");
    refused("arrays that open", &"a = [\n".repeat(6_000), "5 problems");
    refused("tables", &"[[g]]\n".repeat(6_000), "");
    refused(
        "values",
        &format!("[groups.a]\nfiles = [{}]", "1,".repeat(19_000)),
        most,
    );
    for (key, open, each, close) in [
        ("env", "{", "A#='<pix>'", "}"),
        ("resources", "{", "r#='<r#1>'", "}"),
        ("needs", "[", "'g#'", "]"),
        ("serial", "[", "'/#'", "]"),
        ("before-all", "[", "['<x#>']", "]"),
    ] {
        let list = lines(MANY, &format!("{each},"));
        refused(key, &group(&format!("{key} = {open}{list}{close}")), most);
    }
    let settings = lines(MANY, "s#='',");
    refused("settings", &group(&format!("with = {{{settings}}}")), most);
    for (what, count, each) in [
        ("runners", 3_000, "[groups.g#]\nrunner='r#'\n"),
        (
            "needs of groups",
            2_000,
            "[groups.g#]\ncommand=['x']\nneeds=['h#']\n",
        ),
        (
            "runners like others",
            1_200,
            "[runners.q#]\nrun=['x']\n[groups.g#]\nrunner='r#'\n",
        ),
        ("groups of profiles", 3_000, "[profiles.p#.groups.h#]\n"),
        ("names of groups", 3_000, "[groups.'g #']\ncommand=['x']\n"),
    ] {
        refused(what, &lines(count, each), most);
    }
    refused(
        "reports",
        &format!("[run.reports]\n{}", lines(6_000, "r#='x'\n")),
        most,
    );
    refused(
        "a long key",
        &format!("[groups.a]\n{}=1", "tim".repeat(300_000)),
        "unknown key",
    );
    refused(
        "a long word",
        &group(&format!("chunk-by = '{}'", "m".repeat(1_000_000))),
        "chunk-by",
    );
    refused(
        "a long line",
        &format!("x = 1 #{}", "x".repeat(1_000_000)),
        "unknown key",
    );
    refused("quotes", &format!("a = '''{}", "'".repeat(1_000_000)), "");
}

/// What is short to write and long to work out.
#[test]
fn what_multiplies() {
    accepted("groups", &groups(3_000));
    let comment = format!("#{}\n", "x".repeat(700_000));
    accepted("groups behind a long comment", &(comment + &groups(3_000)));
    let too_much = "multiply to more";
    let profiles = lines(3_000, "[profiles.p#]\n");
    refused(
        "groups and profiles",
        &(groups(1_500) + &profiles),
        too_much,
    );
    accepted("profiles of one group", &(groups(1) + &profiles));
    let long = "x".repeat(700_000);
    for key in ["description", "env.A", "resources.a", "with.a", "command"] {
        let defaults = format!("[defaults]\n{key} = '{long}'\n");
        refused("long defaults", &(defaults + &groups(3_000)), too_much);
    }
    let many = lines(MANY, "A#='x',");
    let defaults = format!("[defaults]\nenv={{{many}}}\n");
    refused("many defaults", &(defaults + &groups(1_000)), too_much);
    let runner = format!("[runners.r]\nrun=['{long}']\n");
    let of_it = lines(1_000, "[groups.g#]\nrunner='r'\n");
    refused("a long runner", &(runner + &of_it), too_much);
    let text = "x".repeat(10_000);
    let profiles = lines(
        40,
        &format!("[profiles.p#.defaults]\ndescription='{text}'\n"),
    );
    refused(
        "long defaults of profiles",
        &(groups(50) + &profiles),
        too_much,
    );
    let overrides = lines(1_500, "[[groups.a.overrides]]\nmatch=['a#']\ntimeout=1\n");
    accepted("overrides", &(group("") + &overrides));
}
