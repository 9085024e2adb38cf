//! The events of a run: the one stream that every report, the journal and the exit code are made from.
//!
//! Exactly one `test-finished` comes for each selected test and exactly one `job-finished` for each job that started; the
//! totals of `run-finished` are a fold of them. An item that turns out to hold tests gives way to them by `tests-found`. A failed attempt that is run again ends with `test-retried`, which is not a
//! result. The JSON form is versioned (`"v":2`) and its schema is `schema/events.schema.json`.

mod placement;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::manifest::config::Hook;
use crate::manifest::model::Order;
use crate::outcome::Outcome;
use crate::plan::shard::Part;

pub use placement::{Placement, Wait};

/// The version that every line of the JSON form carries. Version 2 added `time`.
pub const VERSION: u8 = 2;

/// The oldest version that is still read.
pub const OLDEST_VERSION: u8 = 1;

/// When something happened.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Moment {
    /// In seconds since the run began.
    pub at: f64,
    /// In seconds since 1970, UTC; not known of a run that an older version wrote down.
    pub time: Option<f64>,
}

impl Moment {
    /// The same, or later if that is not yet so many seconds after the run's beginning.
    #[must_use]
    pub fn until(self, at: f64) -> Self {
        let later = (at - self.at).max(0.0);
        Self {
            at: self.at + later,
            time: self.time.map(|time| time + later),
        }
    }
}

/// What happened.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "event", rename_all = "kebab-case")]
pub enum Event {
    /// The run begins.
    RunStarted {
        /// The run's id.
        run: String,
        /// The groups, in the order of the manifest.
        groups: Vec<GroupStarted>,
        /// How many tests were selected.
        tests: usize,
        /// The most jobs at once.
        workers: usize,
        /// The seed of whatever is random in the run.
        seed: u64,
        /// How often each test is to run; 0 is until one fails or the run is stopped.
        #[serde(skip_serializing_if = "is_first", default = "first")]
        repeat: u32,
        /// Seconds that listing the tests, and building them, took before.
        #[serde(default)]
        prepared: f64,
        /// How many processors there were.
        #[serde(default)]
        cores: usize,
        /// The memory that jobs may be thought to need together, in bytes; none is no bound.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        memory: Option<u64>,
        /// How many names each pool has.
        #[serde(skip_serializing_if = "BTreeMap::is_empty", default)]
        pools: BTreeMap<String, usize>,
        /// What this run has of the selected tests, where it is one of several that share them.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        shard: Option<ShardStarted>,
    },
    /// All selected tests are to run again, now that each has its result of the repetition before.
    RepetitionStarted {
        /// Which repetition this is, from 2.
        repetition: u32,
        /// The ids of those that run again, where that are not all: of one of the runs that were merged.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        tests: Vec<String>,
    },
    /// A job was handed to a worker.
    JobStarted {
        /// The job's number in the run, in the order in which jobs started.
        job: usize,
        /// Its group.
        group: String,
        /// The slot of its worker in the group.
        worker: usize,
        /// The worker's process id.
        pid: u32,
        /// Which try this is, from 1.
        attempt: u32,
        /// The ids of its tests.
        tests: Vec<String>,
        /// Its place in the plan and among the others.
        #[serde(default)]
        placement: Placement,
    },
    /// A test was seen to begin; runners that report only results leave this out.
    TestStarted {
        /// Its id.
        id: String,
        /// Its group.
        group: String,
        /// The slot of its worker.
        worker: usize,
        /// Which try this is.
        attempt: u32,
    },
    /// A runner reported tests that it had not listed: each has a result of its own, which follows.
    TestsFound {
        /// Their group.
        group: String,
        /// The selected item that they are in, a file for example: they stand for it from now on, so it has no result of its
        /// own unless it is among `tests` itself. None where they are in none.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        of: Option<String>,
        /// Their ids.
        tests: Vec<String>,
        /// Whether the item was to run only some of its tests.
        #[serde(skip_serializing_if = "std::ops::Not::not", default)]
        part: bool,
    },
    /// A try failed and the test will be run again: not a result.
    TestRetried(TestFinished),
    /// A test has its result.
    TestFinished(TestFinished),
    /// A job is over.
    JobFinished {
        /// The job's number.
        job: usize,
        /// How its process ended.
        outcome: Outcome,
        /// Its duration.
        seconds: f64,
        /// Processor time of its process and of those that it waited for, in seconds.
        #[serde(default)]
        cpu: f64,
        /// The peak memory of the largest of them in bytes, or of all together where the group limits it.
        #[serde(default)]
        memory: u64,
        /// The exit code, if it exited.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        exit: Option<i32>,
        /// The signal, if one ended it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        signal: Option<i32>,
    },
    /// A hook begins.
    HookStarted {
        /// Which.
        hook: Hook,
        /// Its group.
        group: String,
        /// The process id of the worker that it is for.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        pid: Option<u32>,
        /// The slot of that worker.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        worker: Option<usize>,
        /// The port of that worker.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        port: Option<u16>,
        /// The run that was killed and could not run it, where this makes up for it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        of: Option<String>,
    },
    /// A hook is over.
    HookFinished {
        /// Which.
        hook: Hook,
        /// Its group.
        group: String,
        /// The process id of the worker that it was for.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        pid: Option<u32>,
        /// The run that was killed and could not run it, where this makes up for it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        of: Option<String>,
        /// How: `passed`, `errored` or `cancelled`.
        outcome: Outcome,
        /// Its duration.
        seconds: f64,
        /// Why it failed.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        message: Option<String>,
        /// What it printed, if it failed.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        output: Option<String>,
        /// The names of the variables that it has set. Their values are in no report.
        #[serde(skip_serializing_if = "Vec::is_empty", default)]
        variables: Vec<String>,
    },
    /// A run that was killed could not run this hook: it is made up for now.
    HookOwed(HookOwed),
    /// What runs just now; somebody asked (`SIGUSR1`).
    Status {
        /// The jobs, in the order of their start.
        running: Vec<Running>,
    },
    /// A test runs longer than `slow-after`, or a job of several than as much for each: told once, while it runs.
    Slow(Running),
    /// What memory there is for jobs has changed.
    MemoryChanged {
        /// Whether less is free than is to stay so: nothing starts beside what runs while it is.
        short: bool,
        /// What jobs may be thought to need together from now on, in bytes; none is no bound. Told only where jobs wait for it.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        memory: Option<u64>,
    },
    /// Something that a person should know.
    Warning {
        /// What.
        message: String,
    },
    /// The run is over.
    RunFinished {
        /// How many tests ended how.
        counts: BTreeMap<String, usize>,
        /// The duration of the run.
        seconds: f64,
        /// The exit code that the tests' outcomes give; a report that can't be written turns 0 into 3 later.
        exit: u8,
        /// Why the run was stopped before all of its tests had run, if it was.
        #[serde(skip_serializing_if = "Option::is_none", default)]
        stopped: Option<String>,
    },
}

/// A hook that a run which was killed still owes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct HookOwed {
    /// Which.
    pub hook: Hook,
    /// The run.
    pub run: String,
    /// Its group.
    pub group: String,
    /// The process id of the worker that it is for.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub pid: Option<u32>,
    /// The slot of that worker.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub worker: Option<usize>,
    /// The port of that worker.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub port: Option<u16>,
    /// Which shard of how many the run was, from 1, if it was one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub shard: Option<(usize, usize)>,
    /// The names of the variables that other hooks had set.
    #[serde(skip_serializing_if = "BTreeSet::is_empty", default)]
    pub variables: BTreeSet<String>,
}

/// A job that runs.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Running {
    /// Its group.
    pub group: String,
    /// The slot of its worker.
    pub worker: usize,
    /// The process id of its worker.
    pub pid: u32,
    /// For how long.
    pub seconds: f64,
    /// The ids of its tests.
    pub tests: Vec<String>,
}

/// What a shard is told apart by, and what the others have: whoever has the events of all shards can tell whether they are a
/// whole.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct ShardStarted {
    /// Which it is, from 1.
    pub number: usize,
    /// How many there are.
    pub of: usize,
    /// What the tests were divided by: `time` or `hash`.
    pub by: String,
    /// A digest of what was known of the tests: shards that belong together have the same.
    pub history: String,
    /// The ids of the selected tests that other shards have, by group.
    pub elsewhere: BTreeMap<String, Vec<String>>,
}

impl From<&Part> for ShardStarted {
    fn from(part: &Part) -> Self {
        Self {
            number: part.shard.number(),
            of: part.shard.of(),
            by: part.by.word().to_owned(),
            history: part.history.clone(),
            elsewhere: part.elsewhere.clone(),
        }
    }
}

impl ShardStarted {
    /// How many of the selected tests other shards have.
    #[must_use]
    pub fn tests_elsewhere(&self) -> usize {
        self.elsewhere.values().map(Vec::len).sum()
    }
}

/// A group at the run's beginning.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct GroupStarted {
    /// Its name.
    pub name: String,
    /// How many of its tests were selected.
    pub tests: usize,
    /// The most of its jobs at once.
    pub workers: usize,
    /// The order in which its tests were planned to start.
    #[serde(default)]
    pub order: Order,
    /// The groups of this run that must have passed before it starts.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub needs: Vec<String>,
    /// How its tests use their runner's session: `shared`, `worker` or `cold`; none where the runner has no session.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub session: Option<String>,
    /// Why so.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub because: Option<String>,
    /// Why all of its tests run in one process, where they must.
    #[serde(
        rename = "one-process",
        skip_serializing_if = "Option::is_none",
        default
    )]
    pub one_process: Option<String>,
    /// The ids of the selected tests: a stream that was cut off still tells who has no result.
    pub ids: Vec<String>,
}

/// The result of a test, or of a try.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct TestFinished {
    /// Its id, with the group's name before it.
    pub id: String,
    /// Its group.
    pub group: String,
    /// How it ended.
    pub outcome: Outcome,
    /// Its duration.
    pub seconds: f64,
    /// Which try this is, from 1.
    pub attempt: u32,
    /// Which repetition this is, from 1.
    #[serde(skip_serializing_if = "is_first", default = "first")]
    pub repetition: u32,
    /// Whether it failed, was run again and passed, which `flaky = "fail"` counts as failed.
    #[serde(skip_serializing_if = "std::ops::Not::not", default)]
    pub flaky: bool,
    /// The slot of the worker that ran it; none where it never ran.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub worker: Option<usize>,
    /// Its file, relative to the root.
    #[serde(
        skip_serializing_if = "Option::is_none",
        default,
        serialize_with = "as_text"
    )]
    pub file: Option<PathBuf>,
    /// Its line in the file, from 1.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub line: Option<u32>,
    /// Why, where it did not simply pass.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub message: Option<String>,
    /// What it printed, where it did not simply pass.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub output: Option<String>,
    /// Files that its listing says it leaves: absolute, or relative to the root.
    #[serde(skip_serializing_if = "Vec::is_empty", default)]
    pub attachments: Vec<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde's form")]
fn is_first(number: &u32) -> bool {
    *number == 1
}

fn first() -> u32 {
    1
}

/// A name need not be text; JSON must be.
#[expect(clippy::ref_option, reason = "serde's form")]
fn as_text<S: serde::Serializer>(path: &Option<PathBuf>, to: S) -> Result<S::Ok, S::Error> {
    match path {
        Some(path) => to.serialize_some(&path.to_string_lossy()),
        None => to.serialize_none(),
    }
}

impl TestFinished {
    /// A result of a first try of which nothing else is known.
    #[must_use]
    pub fn new(id: String, group: &str, outcome: Outcome) -> Self {
        Self {
            id,
            group: group.to_owned(),
            outcome,
            seconds: 0.0,
            attempt: 1,
            repetition: 1,
            flaky: false,
            worker: None,
            file: None,
            line: None,
            message: None,
            output: None,
            attachments: Vec::new(),
        }
    }

    /// What people read for it: its id, and which repetition if there was one before.
    #[must_use]
    pub fn name(&self) -> String {
        repeated(&self.id, self.repetition)
    }

    /// The same without what the test printed.
    #[must_use]
    pub fn without_output(&self) -> Self {
        Self {
            seconds: self.seconds,
            attempt: self.attempt,
            repetition: self.repetition,
            flaky: self.flaky,
            worker: self.worker,
            file: self.file.clone(),
            line: self.line,
            message: self.message.clone(),
            ..Self::new(self.id.clone(), &self.group, self.outcome)
        }
    }
}

/// A name in a repetition.
#[must_use]
pub fn repeated(name: &str, repetition: u32) -> String {
    if is_first(&repetition) {
        name.to_owned()
    } else {
        format!("{name} (repetition {repetition})")
    }
}

/// One line of the JSON form.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[schemars(title = "orchestrate events")]
pub struct Line {
    /// The version of the form.
    pub v: u8,
    /// Seconds since the run began.
    #[serde(default)]
    pub at: f64,
    /// When that was: seconds since 1970, UTC. Since version 2.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub time: Option<f64>,
    /// The event.
    #[serde(flatten)]
    pub event: Event,
}

/// What [`Line`] is when it is written: an event may be large, and each report writes it.
#[derive(Serialize)]
struct Written<'a> {
    v: u8,
    at: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    time: Option<f64>,
    #[serde(flatten)]
    event: &'a Event,
}

impl Line {
    /// An event in the JSON form, with the end of the line.
    ///
    /// # Errors
    /// Never, as far as we know: all that is in an event can be written.
    pub fn write(when: Moment, event: &Event) -> serde_json::Result<String> {
        let line = Written {
            v: VERSION,
            at: when.at,
            time: when.time,
            event,
        };
        serde_json::to_string(&line).map(|text| text + "\n")
    }

    /// When the event happened.
    #[must_use]
    pub fn when(&self) -> Moment {
        Moment {
            at: self.at,
            time: self.time,
        }
    }
}

/// The totals of a run: a fold of its `test-finished` events.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Totals {
    counts: BTreeMap<Outcome, usize>,
    /// The durations of all tests together.
    pub test_seconds: f64,
    /// How many hooks failed.
    pub failed_hooks: usize,
    /// Whether the run is a shard, and others have tests: then it may well have none.
    pub is_part: bool,
}

impl Totals {
    /// Counts one event.
    pub fn add(&mut self, event: &Event) {
        match event {
            Event::TestFinished(test) => {
                *self.counts.entry(test.outcome).or_default() += 1;
                self.test_seconds += test.seconds;
            }
            Event::RunStarted {
                shard: Some(shard), ..
            } => self.is_part = shard.tests_elsewhere() > 0,
            // One that was ended with the run has not failed.
            Event::HookFinished { outcome, .. } if outcome.is_failure() => self.failed_hooks += 1,
            _ => {}
        }
    }

    /// How many ended so.
    #[must_use]
    pub fn count(&self, outcome: Outcome) -> usize {
        self.counts.get(&outcome).copied().unwrap_or(0)
    }

    /// How many ended.
    #[must_use]
    pub fn all(&self) -> usize {
        self.counts.values().sum()
    }

    /// How many did badly.
    #[must_use]
    pub fn failures(&self) -> usize {
        self.counts
            .iter()
            .filter(|(outcome, _)| outcome.is_failure())
            .map(|(_, count)| count)
            .sum()
    }

    /// Whether there was no test at all, in this shard or in others.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.all() == 0 && !self.is_part
    }

    /// Whether every test ended well, and there was one.
    #[must_use]
    pub fn is_success(&self) -> bool {
        !self.is_nothing() && self.counts.keys().all(|outcome| outcome.is_success())
    }

    /// The counts by word, without zeroes.
    #[must_use]
    pub fn by_word(&self) -> BTreeMap<String, usize> {
        let words = self.counts.iter();
        words
            .map(|(outcome, count)| (outcome.word().to_owned(), *count))
            .collect()
    }
}

/// The committed schema of the JSON form.
pub const SCHEMA: &str = include_str!("../schema/events.schema.json");

/// Makes the schema of the JSON form anew.
#[must_use]
pub fn generate_schema() -> String {
    let schema = schemars::generate::SchemaSettings::draft07()
        .into_generator()
        .into_root_schema_for::<Line>();
    serde_json::to_string_pretty(&schema.to_value()).expect("a schema is plain JSON") + "\n"
}
