//! What is fuzzed: a function for each place at which bytes of others come in. It takes any bytes and panics where a promise
//! is broken, and nowhere else. `fuzz/` feeds them for hours; the test below feeds them every seed and every input that ever
//! broke one.
//!
//! Only there with the feature `fuzzing`, and for our own tests: it is no part of the library.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt::Debug;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use std::{fs, io, str};

use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::event::{Event, Line, Moment, VERSION};
use crate::execute::owed;
use crate::explain::{Explanation, Record};
use crate::history::{self, Folder, Journal, Store};
use crate::manifest::config::{CommandTemplate, Config, GroupConfig, Hook, Runner, SettingValue};
use crate::manifest::model::{ListFormat, ResultFormat, Separator};
use crate::manifest::template::{Context, Lookup, Name, Own, Template};
use crate::manifest::{Choices, LoadError, Manifest, load, source, validate};
use crate::outcome::Outcome;
use crate::pending::{PendingVariables, SetByHook, may_be_recalled};
use crate::plan::{Expression, Item};
use crate::report::{
    self, Console, Junit, Progress, ReportError, Reporter, Source, Verbosity, harmless, replay,
};
use crate::runner::apart::tell_apart;
use crate::runner::{discover, list, read};
use crate::worker::frame::{self, Cause, Ended, Reply, Request, Status};

/// A target's name, which its folder of seeds has too, and its function.
pub type Target = (&'static str, fn(&[u8]));

/// All of them.
pub const TARGETS: [Target; 16] = [
    ("manifest", manifest),
    ("template", template),
    ("frames", frames),
    ("events", events),
    ("junit", junit),
    ("libtest", libtest),
    ("tap", tap),
    ("bats", bats),
    ("go", go),
    ("gtest", gtest),
    ("listings", listings),
    ("journal", journal),
    ("merge", merge),
    ("merged", merged),
    ("kept", kept),
    ("expression", expression),
];

/// A manifest is refused with problems that can be shown, or gives a configuration, with each of its profiles, whose templates
/// all come to an end.
pub fn manifest(bytes: &[u8]) {
    let path = Path::new("fastest.toml");
    let root = Path::new("/nonexistent");
    let source = match load::accept(path, bytes.to_vec()) {
        Ok(source) => source,
        Err(LoadError::Refused { why, .. }) => return assert!(!why.is_empty()),
        Err(error) => panic!("{error}"),
    };
    let (value, _, problems) = source::parse(&source.text);
    if problems.is_empty() && validate::accepts(&value) {
        let read = serde_json::from_value::<Manifest>(value);
        assert!(
            read.is_ok(),
            "the schema accepts what the types do not read: {read:?}"
        );
    }
    match load::check(&source, root) {
        Ok(config) => {
            expand_all(&config);
            for profile in load::profiles(&source) {
                let choices = Choices {
                    profile: Some(profile),
                    workers: None,
                    ..Choices::default()
                };
                expand_all(
                    &load::load(&source, root.to_owned(), &choices).expect("it was checked"),
                );
            }
        }
        Err(LoadError::Problems(problems)) => {
            assert!(!problems.is_empty());
            assert!(problems.render(false).contains("fastest.toml"));
            let _ = problems.render(true);
        }
        Err(error) => panic!("{error}"),
    }
}

/// Names of a group, looked up as a job looks them up.
struct OfGroup<'a>(&'a GroupConfig);

impl Lookup for OfGroup<'_> {
    fn values(&self, name: &Name) -> Option<Vec<OsString>> {
        let Name::Own(own) = name else {
            return Some(vec!["x".into()]);
        };
        let resource = self.0.resources.iter().find(|(name, _)| name == own);
        if let Some((_, template)) = resource {
            return Some(vec![template.expand(self).ok()?]);
        }
        let (_, value) = self
            .0
            .runner
            .settings
            .iter()
            .find(|(name, _)| name == own)?;
        match value {
            SettingValue::One(template) => Some(vec![template.expand(self).ok()?]),
            SettingValue::Many(list) | SettingValue::FirstOf(list) => {
                list.iter().map(|one| one.expand(self).ok()).collect()
            }
        }
    }
}

/// Expands what a configuration has to expand: every name in it must be known.
fn expand_all(config: &Config) {
    for group in &config.groups {
        let lookup = OfGroup(group);
        for (name, template) in [&group.env, &group.resources, &group.runner.env]
            .into_iter()
            .flatten()
        {
            assert!(template.expand(&lookup).is_ok(), "{name} of {}", group.name);
        }
        let mut commands = vec![&group.runner.run];
        commands.extend(&group.runner.list);
        for hook in Hook::ALL {
            commands.extend(group.hooks.of(hook));
        }
        for command in commands {
            assert!(list::words(command, &lookup, &[]).is_ok(), "{command:?}");
        }
    }
}

/// Every name with the same value, lists with it twice.
struct Everywhere(&'static str);

impl Lookup for Everywhere {
    fn values(&self, name: &Name) -> Option<Vec<OsString>> {
        let is_list = match name {
            Name::Items | Name::Files | Name::Program | Name::Arguments => true,
            Name::Own(own) => own == "args",
            _ => false,
        };
        Some(vec![self.0.into(); if is_list { 2 } else { 1 }])
    }
}

/// A template is what it prints; a value is put in once and is never looked through again; no value is part of the line that
/// a shell is given.
///
/// The first byte chooses where it stands.
pub fn template(bytes: &[u8]) {
    let Some((first, rest)) = bytes.split_first() else {
        return;
    };
    let Ok(text) = str::from_utf8(rest) else {
        return;
    };
    let context = match first % 5 {
        0 => Context::RunCommand,
        1 => Context::ListCommand,
        2 => Context::Value,
        3 => Context::GroupHook,
        _ => Context::Setting,
    };
    let own = Own {
        single: ["database".into()].into(),
        lists: ["args".into()].into(),
        ..Own::default()
    };
    let template = match Template::parse(text, context, &own) {
        Ok(template) => template,
        Err(error) => return assert!(!error.message.is_empty() && !error.help.is_empty()),
    };
    let printed = template.to_string();
    assert_eq!(
        Template::parse(&printed, context, &own).as_ref(),
        Ok(&template),
        "{printed}"
    );
    let _ = template.check_word(&own);

    // A value that wants to be more than one, as a template and in every quoting of a shell.
    let (hostile, tame) = ("\u{1}<pid><items>$(a)`b`\"'; c\n\u{2}", "x");
    if text.contains(hostile) {
        return;
    }
    let is_list = |name: &Name| {
        Everywhere(tame)
            .values(name)
            .is_some_and(|values| values.len() > 1)
    };
    let names: Vec<&Name> = template.names().collect();
    let lists = names.iter().filter(|name| is_list(name)).count();

    let expanded = template
        .expand(&Everywhere(hostile))
        .expect("every name has a value");
    let expanded = expanded.to_str().expect("text of texts");
    assert_eq!(expanded.matches(hostile).count(), names.len() + lists);
    let words = template
        .expand_words(&Everywhere(hostile))
        .expect("every name has a value");
    assert_eq!(words.join(OsStr::new(" ")), expanded);

    let (line, variables) = template
        .expand_shell(&Everywhere(hostile))
        .expect("every name has a value");
    let (same, _) = template
        .expand_shell(&Everywhere(tame))
        .expect("every name has a value");
    assert_eq!(line, same, "the line depends on a value");
    assert!(!line.contains(hostile));
    let as_arguments = |name: &&&Name| matches!(name, Name::Items | Name::Files);
    assert_eq!(
        variables.len(),
        names.iter().filter(|name| !as_arguments(name)).count()
    );
    for (index, (name, value)) in variables.iter().enumerate() {
        assert_eq!(*name, format!("ORCHESTRATE_ARG_{}", index + 1));
        assert!(line.contains(&format!("${{{name}}}")), "{name} in {line}");
        assert!(value == hostile || *value == *format!("{hostile} {hostile}"));
    }
}

/// What is read from a stream can be written, and is read again as it was; broken frames are errors.
pub fn frames(bytes: &[u8]) {
    fn of<T: Serialize + DeserializeOwned + PartialEq + Debug>(mut stream: &[u8]) {
        while let Ok(Some(message)) = frame::read::<T>(&mut stream) {
            let mut written = Vec::new();
            frame::write(&mut written, &message).expect("it came from a frame");
            let mut again = written.as_slice();
            assert_eq!(
                frame::read(&mut again).expect("it was written"),
                Some(message)
            );
            assert!(again.is_empty());
        }
    }
    of::<Request>(bytes);
    of::<Reply>(bytes);
    // The stream as one whole frame, so that mutations need not keep a length right.
    let mut framed = u32::try_from(bytes.len())
        .unwrap_or(u32::MAX)
        .to_le_bytes()
        .to_vec();
    framed.extend_from_slice(bytes);
    of::<Request>(&framed);
    of::<Reply>(&framed);
}

/// Results as JSON lines: see [`judge`].
pub fn events(bytes: &[u8]) {
    judge(ResultFormat::Events, bytes);
}

/// Results as JUnit: see [`judge`].
pub fn junit(bytes: &[u8]) {
    judge(ResultFormat::Junit, bytes);
}

/// Results as a log of Rust's harness: see [`judge`].
pub fn libtest(bytes: &[u8]) {
    judge(ResultFormat::Libtest, bytes);
}

/// Results as TAP: see [`judge`].
pub fn tap(bytes: &[u8]) {
    judge(ResultFormat::Tap, bytes);
}

/// Results as bats writes them: see [`judge`].
pub fn bats(bytes: &[u8]) {
    judge(ResultFormat::Bats, bytes);
}

/// Results as Go's events and as the text that they are made from: see [`judge`].
pub fn go(bytes: &[u8]) {
    judge(ResultFormat::GoJson, bytes);
    judge(ResultFormat::GoTest, bytes);
}

/// Results as GoogleTest's XML: see [`judge`].
pub fn gtest(bytes: &[u8]) {
    judge(ResultFormat::GtestXml, bytes);
    judge(ResultFormat::Ctest, bytes);
}

/// Each item has exactly one verdict or goes to exactly one other job, and a job that went wrong is not all success.
///
/// The first byte chooses how the process ended, the second what ended it. Then come the items, a line each, an empty line,
/// and the report.
fn judge(results: ResultFormat, bytes: &[u8]) {
    let [how, why, rest @ ..] = bytes else { return };
    let at = rest.windows(2).position(|two| two == b"\n\n");
    let (head, report) = at.map_or((rest, &b""[..]), |at| (&rest[..at], &rest[at + 2..]));
    let head = String::from_utf8_lossy(head);
    let items: Vec<Item> = head
        .lines()
        .filter(|line| !line.is_empty())
        .map(|id| Item {
            // Half of them are files that are one test each.
            file: (id.len() % 2 == 0).then(|| id.into()),
            ..Item::plain(id.to_owned())
        })
        .collect();
    let holds_tests = how & 4 != 0 && results != ResultFormat::Libtest;
    let runner = Runner {
        name: "x".into(),
        list: None,
        list_format: ListFormat::Lines,
        session: None,
        session_forks: true,
        finish: None,
        run: CommandTemplate::Words(Vec::new()),
        item_separator: None,
        item_escape: None,
        select: None,
        results,
        stdout_is_report: false,
        report: None,
        holds_tests,
        skip_exit: vec![77],
        env_without: Vec::new(),
        start_cost: Duration::ZERO,
        settings: Vec::new(),
        env: Vec::new(),
    };
    let ended = Ended {
        status: match how % 4 {
            0 => Status::Exit(0),
            1 => Status::Exit(1),
            2 => Status::Signal(11),
            _ => Status::NotStarted("gone".into()),
        },
        cause: match why % 6 {
            0 => Cause::Itself,
            1 => Cause::Timeout,
            2 => Cause::Stop,
            3 => Cause::Output,
            4 => Cause::Memory,
            5 => Cause::Starved,
            _ => Cause::Shortage,
        },
        duration: Duration::from_secs(1),
        report: Some(report.to_vec()),
        ..Ended::not_started(String::new())
    };
    let judged = read::judge(&runner, Path::new("/root"), &items, None, &ended);
    assert_eq!(judged.verdicts.len(), items.len());
    assert!(judged.started.iter().all(|index| *index < items.len()));
    assert!(judged.again.iter().all(|job| !job.is_empty()));
    for (index, verdict) in judged.verdicts.iter().enumerate() {
        let again = judged
            .again
            .iter()
            .flatten()
            .filter(|again| **again == index);
        assert_eq!(
            usize::from(verdict.is_some()) + again.count(),
            1,
            "item {index}"
        );
    }
    let mut ids: Vec<&str> = judged.found.iter().map(|test| test.id.as_str()).collect();
    ids.sort_unstable();
    ids.dedup();
    assert_eq!(ids.len(), judged.found.len(), "two tests of one id");
    for test in &judged.found {
        let index = test.item.filter(|_| holds_tests);
        assert_eq!(index, test.item, "a test in an item that holds none");
        assert!(index.is_none_or(|index| judged.verdicts[index].is_some()));
    }
    let ended_well = ended.status == Status::Exit(0) && ended.cause == Cause::Itself;
    let was_stopped = ended.cause == Cause::Stop;
    let found = judged.found.iter().map(|test| &test.verdict);
    let mut verdicts = judged.verdicts.iter().flatten().chain(found);
    if !ended_well && !was_stopped && !items.is_empty() && judged.again.is_empty() {
        assert!(
            verdicts.any(|verdict| !verdict.outcome.is_success()),
            "a process that ended with {:?} is believed",
            ended.status
        );
    }
}

/// Listings are items or an error; nothing is listed that is not there.
pub fn listings(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let lines = text.lines().count();
    if let Ok(list::jsonl::Listing { items, .. }) = list::jsonl::parse(&text) {
        assert_eq!(items.len(), lines);
    }
    assert!(list::lines(bytes).len() <= lines);
    for separator in [Separator::Newline, Separator::Nul] {
        let mut items = discover::split(bytes, separator);
        let before = items.len();
        tell_apart(&mut items, |item| &mut item.id);
        let mut ids: Vec<&str> = items.iter().map(|item| item.id.as_str()).collect();
        ids.sort_unstable();
        ids.dedup();
        assert_eq!(ids.len(), before, "two items of one id");
    }
    // What cargo says of the packages, an empty line, what it says of the build.
    let at = bytes.windows(2).position(|two| two == b"\n\n");
    let (packages, built) = at.map_or((bytes, bytes), |at| (&bytes[..at], &bytes[at + 2..]));
    list::cargo::read_all(packages, built);
    list::go::read_all(bytes);
    assert!(list::gtest::tests(bytes, list::gtest::Flags::default()).len() <= lines);
    if let Ok(items) = list::ctest::read_all(bytes) {
        assert!(items.len() <= bytes.len());
    }
}

/// A report that remembers all events, writes them and makes XML of them.
struct Everything {
    events: Arc<Mutex<Vec<Event>>>,
    junit: Junit,
}

impl Reporter for Everything {
    fn event(&mut self, when: Moment, event: &Event) -> Result<(), ReportError> {
        let line = Line::write(when, event).expect("an event can be written");
        assert!(serde_json::from_str::<Line>(&line).is_ok(), "{line}");
        self.events
            .lock()
            .expect("nobody panicked")
            .push(event.clone());
        self.junit.event(when, event)
    }

    fn finish(&mut self) -> Result<(), ReportError> {
        assert!(self.junit.write_to(&mut io::sink()).is_ok());
        Ok(())
    }
}

/// Whatever a journal says, every test that its beginning names, or that was found, has exactly one result, and a run that lacks one, or has a bad
/// one, is no success.
pub fn journal(bytes: &[u8]) {
    let Ok(mut journal) = Journal::new(bytes) else {
        return;
    };
    if let Ok(journal) = Journal::new(bytes) {
        let explanation = Explanation::of(&Record::of(journal));
        assert!(explanation.changes <= explanation.findings.len());
    }
    let events = Arc::new(Mutex::new(Vec::new()));
    let everything = Everything {
        events: events.clone(),
        junit: Junit::create(Path::new("-"), Path::new("")).expect("standard output is not opened"),
    };
    let console = Console::new(
        Box::new(io::sink()),
        true,
        Progress::None,
        Verbosity::Verbose,
    );
    let reported = replay(
        &mut journal,
        vec![Box::new(everything), Box::new(console)],
        "why",
    );
    assert!(reported.errors.is_empty());
    let events = events.lock().expect("nobody panicked");
    let mut named: Vec<&str> = Vec::new();
    let mut told: Vec<&str> = Vec::new();
    let mut all_well = true;
    let mut is_part = false;
    for event in &*events {
        match event {
            Event::RunStarted { groups, shard, .. } => {
                is_part = shard
                    .as_ref()
                    .is_some_and(|shard| shard.tests_elsewhere() > 0);
                named.extend(
                    groups
                        .iter()
                        .flat_map(|group| &group.ids)
                        .map(String::as_str),
                );
            }
            Event::TestsFound { of, tests, .. } => {
                let at = named.iter().position(|id| of.as_deref() == Some(id));
                at.map(|at| named.swap_remove(at));
                named.extend(tests.iter().map(String::as_str));
            }
            Event::TestFinished(test) => {
                told.push(&test.id);
                all_well &= test.outcome.is_success() && test.outcome != Outcome::NotRun;
            }
            _ => {}
        }
    }
    named.sort_unstable();
    told.sort_unstable();
    assert_eq!(named, told);
    assert_eq!(reported.totals.all(), named.len());
    assert!(reported.exit_with_reports() != 0 || (all_well && (is_part || !named.is_empty())));
}

/// Runs, with an empty line between them, are told as one, whatever they say: each test that one of them was to run, or knows
/// others to have, has a result; where one lacks it, or is bad, that is no success; and what is told can be told again.
pub fn merge(bytes: &[u8]) {
    let mut rest = bytes;
    let mut journals = Vec::new();
    while let Some(at) = rest.windows(2).position(|two| two == b"\n\n") {
        journals.extend(Journal::new(&rest[..=at]));
        rest = &rest[at + 2..];
    }
    journals.extend(Journal::new(rest));
    let sources = journals.iter_mut().zip(0..);
    let sources =
        sources.filter_map(|(journal, name)| Source::begin(format!("{name}"), journal, "why"));
    let events = Arc::new(Mutex::new(Vec::new()));
    let everything = Everything {
        events: events.clone(),
        junit: Junit::create(Path::new("-"), Path::new("")).expect("standard output is not opened"),
    };
    let console = Console::new(
        Box::new(io::sink()),
        true,
        Progress::None,
        Verbosity::Verbose,
    );
    let merged = report::merge(
        sources.collect(),
        vec![Box::new(everything), Box::new(console)],
    );
    assert!(merged.reported.errors.is_empty());
    let events = events.lock().expect("nobody panicked").clone();
    let results = |events: &[Event]| {
        let told = events.iter().filter_map(|event| match event {
            Event::TestFinished(test) => {
                Some((test.id.clone(), test.repetition, test.outcome.word()))
            }
            _ => None,
        });
        let mut told: Vec<_> = told.collect();
        told.sort_unstable();
        told
    };
    let told = results(&events);
    let mut named: BTreeSet<&String> = BTreeSet::new();
    for event in &events {
        match event {
            Event::RunStarted { groups, .. } => {
                named.extend(groups.iter().flat_map(|group| &group.ids));
            }
            // Those that are in it are there for it.
            Event::TestsFound { of, tests, .. } => {
                of.as_ref().map(|of| named.remove(of));
                named.extend(tests);
            }
            _ => {}
        }
    }
    assert!(
        named
            .into_iter()
            .all(|id| told.iter().any(|(told, ..)| told == id))
    );
    assert_eq!(merged.reported.totals.all(), told.len());
    let is_bad =
        |event: &Event| matches!(event, Event::TestFinished(test) if !test.outcome.is_success());
    let is_well = merged.gaps.is_empty() && !told.is_empty() && !events.iter().any(is_bad);
    assert!(merged.reported.exit_with_reports() != 0 || is_well);

    let again = Arc::new(Mutex::new(Vec::new()));
    let everything = Everything {
        events: again.clone(),
        junit: Junit::create(Path::new("-"), Path::new("")).expect("standard output is not opened"),
    };
    let mut lines = events.into_iter().map(|event| Line {
        v: VERSION,
        at: 0.0,
        time: None,
        event,
    });
    let replayed = replay(&mut lines, vec![Box::new(everything)], "why");
    assert_eq!(results(&again.lock().expect("nobody panicked")), told);
    assert_eq!(replayed.exit, merged.reported.exit);
}

/// What stands between the parts of an input that has several.
const BETWEEN: &[u8] = b"\n\n";

fn parts(bytes: &[u8]) -> Vec<&[u8]> {
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some(at) = memchr::memmem::find(rest, BETWEEN) {
        parts.push(&rest[..=at]);
        rest = &rest[at + BETWEEN.len()..];
    }
    parts.push(rest);
    parts
}

/// A report that keeps what the JSON form of all events is.
struct AsLines(Arc<Mutex<Vec<u8>>>);

impl Reporter for AsLines {
    fn event(&mut self, when: Moment, event: &Event) -> Result<(), ReportError> {
        let line = Line::write(when, event).expect("an event can be written");
        let mut written = self.0.lock().expect("nobody panicked");
        written.extend_from_slice(line.as_bytes());
        Ok(())
    }

    fn finish(&mut self) -> Result<(), ReportError> {
        Ok(())
    }
}

/// How many bytes may be written of merged events for each that was read, and how many more. The least that is read of a test is
/// an empty id, and the most that is written of one that lacks its results are two of them with the longest name of a group.
const MOST_WRITTEN: (usize, usize) = (400, 64 << 10);

/// Merged events, with an empty line between runs, cost no more than there is of them; and what is written of them is read again as
/// it was: merged, reported and explained.
pub fn merged(bytes: &[u8]) {
    let merge = |parts: &[&[u8]]| {
        let mut journals: Vec<_> = parts
            .iter()
            .filter_map(|part| Journal::new(*part).ok())
            .collect();
        let sources = journals.iter_mut().zip(0..);
        let sources =
            sources.filter_map(|(journal, name)| Source::begin(format!("{name}"), journal, "why"));
        let written = Arc::new(Mutex::new(Vec::new()));
        let lines = AsLines(written.clone());
        let merged = report::merge(sources.collect(), vec![Box::new(lines)]);
        assert!(merged.reported.errors.is_empty());
        let written = std::mem::take(&mut *written.lock().expect("nobody panicked"));
        (written, merged.reported.totals)
    };
    let (written, totals) = merge(&parts(bytes));
    let (each, more) = MOST_WRITTEN;
    assert!(
        written.len() <= each * bytes.len() + more,
        "{} bytes are written of {}",
        written.len(),
        bytes.len()
    );
    let (again, totals_again) = merge(&[&written]);
    assert_eq!(totals.by_word(), totals_again.by_word());
    assert!(again.len() <= 2 * written.len() + more);
    if let Ok(journal) = Journal::new(written.as_slice()) {
        let explanation = Explanation::of(&Record::of(journal));
        assert!(explanation.changes <= explanation.findings.len());
    }
}

/// A folder of runs that somebody else has written: the journal of an interrupted run, of one that is over, a history, lines to import
/// and pending variables. It changes what is known and nothing else: a run begins, what it makes up for are hooks that take back,
/// with variables that steer nothing, and whatever is broken is set aside.
pub fn kept(bytes: &[u8]) {
    const INTERRUPTED: &str = "20200101-000000.000-1";
    const OVER: &str = "20200102-000000.000-1";
    // A folder a thread: the fuzzer is a process without others.
    let root = std::env::temp_dir().join(format!(
        "orchestrate-fuzz-{}-{:?}",
        std::process::id(),
        std::thread::current().id()
    ));
    let _ = fs::remove_dir_all(&root);
    let parts = parts(bytes);
    let part = |index: usize| parts.get(index).copied().unwrap_or_default();
    let write = |name: &str, bytes: &[u8]| {
        let path = root.join(name);
        fs::create_dir_all(path.parent().expect("it is in the root")).expect("there is room");
        fs::write(path, bytes).expect("there is room");
    };
    write(
        &format!(".fastest/runs/{INTERRUPTED}/journal.jsonl"),
        part(0),
    );
    write(&format!(".fastest/runs/{INTERRUPTED}/lock"), b"");
    write(&format!(".fastest/runs/{OVER}/journal.jsonl"), part(1));
    if !part(2).trim_ascii().is_empty() {
        write(".fastest/history.db", part(2));
    }
    let folder = Folder::of(&root);
    let environment = [("XDG_STATE_HOME".into(), root.clone().into())].into();
    let pending = PendingVariables::of(&root, &environment);
    let set = SetByHook {
        group: "g".into(),
        pid: None,
        variables: vec![("A".into(), "1".into())],
    };
    pending.keep(INTERRUPTED, set).expect("there is room");
    if !part(4).trim_ascii().is_empty() {
        let files = fs::read_dir(root.join("orchestrate/pending")).expect("it was made");
        for file in files.flatten() {
            fs::write(file.path(), part(4)).expect("there is room");
        }
    }
    let run = "20260101-000000.000-1";
    let begun = folder.begin(run).expect("a run begins");
    assert!(folder.kept().iter().any(|id| id == run));
    assert!(begun.interrupted.len() <= 2);
    for id in &begun.interrupted {
        let Ok(journal) = Journal::open(&folder.run(id).journal()) else {
            continue;
        };
        for mut owed in owed(id, journal.map(|line| line.event)) {
            assert!(owed.variables.is_empty());
            owed.recall(&pending.recall(&owed.run).unwrap_or_default());
            let names = owed.variables.iter().map(|(name, _)| name);
            assert!(names.into_iter().all(|name| may_be_recalled(name)));
        }
    }
    let (store, _) = Store::read(&folder.database(), run);
    let asked = || ["g::a".to_owned(), "g::b".to_owned()].into_iter();
    let unfinished = history::unfinished(&folder, &store, asked()).unwrap_or_default();
    assert!(
        unfinished
            .keys()
            .all(|id| asked().any(|asked| asked == *id))
    );
    let _ = history::inside(&folder, asked());
    let database = folder.database();
    let export = || {
        let mut lines = Vec::new();
        history::export(&database, None, &mut lines)
            .is_ok()
            .then_some(lines)
    };
    let before = export();
    let imported = history::import(&database, &mut io::Cursor::new(part(3)));
    match (before, imported) {
        // All of it or none.
        (Some(before), Err(_)) => assert_eq!(export().unwrap_or_default(), before),
        (_, Ok(new)) => assert!(new <= part(3).len()),
        (None, Err(_)) => {}
    }
    if let Ok(known) = history::look(&database) {
        assert!(known.iter().all(|test| !test.tries.is_empty()));
    }
    begun.folder.end();
    let _ = fs::remove_dir_all(&root);
}

/// An expression is understood or its error names a character of it; `not` turns it round.
pub fn expression(bytes: &[u8]) {
    let Ok(text) = str::from_utf8(bytes) else {
        return;
    };
    let _ = harmless(text);
    let id = "unit::tests/a.py::test_login[x]";
    match Expression::parse(text) {
        Ok(expression) => {
            let not = Expression::Not(Box::new(expression.clone()));
            let is = |word: &str| id.contains(word);
            assert!(expression.holds(&is) != not.holds(&is));
            assert_eq!(
                expression.clone().in_lower_case(),
                expression.in_lower_case().in_lower_case()
            );
        }
        Err(error) => {
            assert!(
                (1..=text.chars().count() + 1).contains(&error.at),
                "{error}"
            );
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::worker::frame::{JOB_PID, JobRequest, Limits, OnTimeout, Output};

    /// Frames are no text, and change with the types: their seeds are written by these.
    #[test]
    fn the_seeds_of_frames_are_frames_of_today() {
        let job = JobRequest {
            words: vec!["./a b".into(), "x".into()],
            folder: "/root".into(),
            env: [("A", "1")].into_iter().collect(),
            env_only: Some(vec!["PATH".into()]),
            report: Some("/t/r".into()),
            timeout: Some(Duration::from_millis(1500)),
            on_timeout: Some(OnTimeout {
                shown: format!("x {JOB_PID}"),
                words: vec!["x".into(), JOB_PID.into()],
                ..OnTimeout::default()
            }),
            limits: Limits {
                memory: Some(1 << 30),
                ..Limits::default()
            },
            ..JobRequest::default()
        };
        let ended = Ended {
            status: Status::Signal(11),
            output: Output {
                head: b"head".to_vec(),
                tail: b"tail".to_vec(),
                total: 100,
            },
            report: Some(b"report".to_vec()),
            kept: Some("/kept".into()),
            trouble: Some("trouble".into()),
            ..Ended::not_started(String::new())
        };
        let mut requests = Vec::new();
        for request in [
            Request::Run(Box::default()),
            Request::Run(Box::new(job)),
            Request::Stop,
            Request::Resume,
        ] {
            frame::write(&mut requests, &request).unwrap();
        }
        let mut replies = Vec::new();
        let tmp = "/t".into();
        for reply in [
            Reply::Ready { tmp },
            Reply::Failed("no".into()),
            Reply::Ended(Box::new(Ended::not_started("gone".into()))),
            Reply::Ended(Box::new(ended)),
        ] {
            frame::write(&mut replies, &reply).unwrap();
        }
        // One whole frame for each: the target sets a length before it.
        let last = |stream: &[u8]| {
            let mut rest = stream;
            let mut length = 0;
            while !rest.is_empty() {
                length = u32::from_le_bytes(rest[..4].try_into().unwrap()) as usize;
                rest = &rest[4 + length..];
            }
            stream[stream.len() - length..].to_vec()
        };
        let reply = last(&replies);
        for (name, bytes) in [
            ("requests", requests),
            ("replies", replies),
            ("reply", reply),
        ] {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/frames");
            let path = path.join(name);
            if std::env::var_os("BLESS").is_some() {
                fs::write(&path, &bytes).unwrap();
            }
            let is_fresh = fs::read(&path).is_ok_and(|committed| committed == bytes);
            assert!(
                is_fresh,
                "{} is stale: renew it with `BLESS=1 cargo test --lib fuzzing`",
                path.display()
            );
        }
    }

    /// Also inputs that are cut off at any place, since that is how most files break.
    #[test]
    fn every_seed_and_every_input_that_broke_a_promise_holds_now() {
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (name, target) in TARGETS {
            let folder = corpus.join(name);
            let mut count = 0;
            for entry in fs::read_dir(&folder).unwrap_or_else(|error| panic!("{name}: {error}")) {
                let path = entry.unwrap().path();
                let bytes = fs::read(&path).unwrap();
                eprintln!("{}", path.display());
                target(&bytes);
                for cut in 1..20 {
                    target(&bytes[..bytes.len() * cut / 20]);
                }
                count += 1;
            }
            assert!(count > 0, "{} has no seeds", folder.display());
        }
        let folders = fs::read_dir(&corpus).unwrap().count();
        assert_eq!(folders, TARGETS.len(), "a folder of seeds has no target");
    }

    /// What stands in for a fuzzer where there is none: seeds that are cut, joined and changed by chance. It takes the seconds that
    /// `FUZZ_SECONDS` names, for each target that `FUZZ_TARGETS` names: `cargo test --lib -- --ignored by_chance`.
    #[test]
    #[ignore = "it takes as long as it is told to"]
    fn seeds_that_are_changed_by_chance_hold_too() {
        let variable = |name: &str| std::env::var(name).unwrap_or_default();
        let seconds = variable("FUZZ_SECONDS").parse().unwrap_or(10);
        let names = variable("FUZZ_TARGETS");
        let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus");
        for (name, target) in TARGETS {
            if !names.is_empty() && !names.split(',').any(|asked| asked == name) {
                continue;
            }
            let files = fs::read_dir(corpus.join(name)).unwrap();
            let seeds: Vec<Vec<u8>> = files
                .map(|file| fs::read(file.unwrap().path()).unwrap())
                .collect();
            let mut chance = 0x9e37_79b9_7f4a_7c15_u64 ^ u64::from(std::process::id());
            let mut below = |most: usize| {
                chance ^= chance << 13;
                chance ^= chance >> 7;
                chance ^= chance << 17;
                usize::try_from(chance % (most.max(1) as u64)).unwrap()
            };
            let begun = std::time::Instant::now();
            let mut count = 0;
            while begun.elapsed() < Duration::from_secs(seconds) {
                let mut lines: Vec<Vec<u8>> = Vec::new();
                for _ in 0..=below(3) {
                    let seed = &seeds[below(seeds.len())];
                    lines.extend(
                        seed.split_inclusive(|byte| *byte == b'\n')
                            .map(<[u8]>::to_vec),
                    );
                }
                for _ in 0..below(8) {
                    if lines.is_empty() {
                        break;
                    }
                    let (at, other) = (below(lines.len()), below(lines.len()));
                    match below(6) {
                        0 => drop(lines.remove(at)),
                        1 => lines.swap(at, other),
                        2 => lines.insert(at, lines[other].clone()),
                        3 => lines.insert(at, b"\n".to_vec()),
                        4 => {
                            let end = below(lines[at].len());
                            lines[at].truncate(end);
                        }
                        _ if !lines[at].is_empty() => {
                            let place = below(lines[at].len());
                            lines[at][place] = b"0129\"{}[]:,aegtx"[below(16)];
                        }
                        _ => {}
                    }
                }
                let input = lines.concat();
                if std::panic::catch_unwind(|| target(&input)).is_err() {
                    let path = std::env::temp_dir().join(format!("{name}-{count}"));
                    fs::write(&path, &input).unwrap();
                    panic!("{name} breaks a promise: {}", path.display());
                }
                count += 1;
            }
            eprintln!("{name}: {count} inputs");
        }
    }
}
