//! The plan: which tests run, in which chunks, in which order.
//!
//! Pure: no clock, no environment, no file system. Deterministic in the configuration, the items and the history. Chunks
//! partition the selected items.

mod chunk;
pub mod claims;
mod expression;
pub mod forecast;
pub mod inside;
mod matchers;
pub mod pack;
pub mod predict;
pub mod random;
mod rules;
mod select;
pub mod shard;
mod specs;
mod workers;

pub use expression::{Expression, ExpressionError};
pub use matchers::{Matched, Miss};
pub use rules::Rules;
pub use select::{Changed, Exclusion, Place, Selection, Selector};

pub use specs::spec;

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use chunk::{Cut, Draft};
pub use claims::Claims;
use forecast::{Load, Outlook};

use crate::manifest::config::{GroupConfig, Runner, SerialTests, TestSettings};
use crate::manifest::model::{Parallel, ResultFormat};
use crate::schedule::{After, Limits, Pool};

/// What a runner can be told to run.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Its id in the group: `tests/a.py::test_x[1]`.
    pub id: String,
    /// What the runner is told, where that is not the id: a file's name may be no text.
    pub argument: OsString,
    /// Its file, relative to the root.
    pub file: Option<PathBuf>,
    /// Its line in the file, from 1.
    pub line: Option<u32>,
    /// What it is grouped by: its file or executable.
    pub module: String,
    /// Its tags.
    pub tags: Vec<String>,
    /// The names that `-k` looks in, a line each and in lower case, where the runner says which; else it looks in id and tags.
    pub keywords: Option<String>,
    /// The longest that it may take, by its own word.
    pub timeout: Option<Duration>,
    /// Tests of the same name here run in one worker, in the order of the listing.
    pub affinity: Option<String>,
    /// What it claims and when it may run, by the listing's word.
    pub claims: Option<Arc<Claims>>,
    /// Files that it leaves for who reads the report.
    pub attachments: Vec<Attachment>,
    /// How it is started, where the listing found more than the runner's command says.
    pub launch: Option<Arc<Launch>>,
    /// Its result, where the listing already has it.
    pub known: Option<Known>,
    /// The tests in it that are to run, by their names in it; none is all.
    pub inside: Vec<String>,
}

impl Item {
    /// An item that is a file, relative to the root.
    #[must_use]
    pub fn of_file(path: PathBuf) -> Self {
        let id = path.to_string_lossy().into_owned();
        Self {
            // A name without a folder would be looked for on PATH, one that begins with a dash would be taken for an option.
            argument: Path::new(".").join(&path).into(),
            file: Some(path),
            ..Self::plain(id)
        }
    }

    /// A test of a module, by its name there; without a name the module as a whole.
    #[must_use]
    pub fn in_module(module: &str, name: &str) -> Self {
        Self {
            argument: name.into(),
            module: module.to_owned(),
            ..Self::plain(if name.is_empty() {
                module.to_owned()
            } else {
                format!("{module}::{name}")
            })
        }
    }

    /// An item that is its id and nothing more.
    #[must_use]
    pub fn plain(id: String) -> Self {
        Self {
            argument: OsString::from(&id),
            module: id.clone(),
            id,
            file: None,
            line: None,
            tags: Vec::new(),
            keywords: None,
            timeout: None,
            affinity: None,
            claims: None,
            attachments: Vec::new(),
            launch: None,
            known: None,
            inside: Vec::new(),
        }
    }
}

/// A file that a test leaves for who reads the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Attachment {
    /// Its path, relative to the root or absolute.
    pub path: PathBuf,
    /// Whether only a failed test has it.
    pub on_failure: bool,
}

/// How a listing says that items are started.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Launch {
    /// The program and its first arguments: `<program>`.
    pub program: Vec<OsString>,
    /// The folder it runs in.
    pub folder: PathBuf,
    /// Variables it needs.
    pub env: Vec<(OsString, OsString)>,
    /// Variables that it must not inherit.
    pub without: Vec<OsString>,
    /// Whether it runs all items of its module at once and can't be told which.
    pub whole: bool,
    /// Arguments that stand behind the items: `<arguments>`.
    pub arguments: Vec<OsString>,
    /// How its results are read, where that differs from the runner. `program` is then the whole command.
    pub reading: Option<Reading>,
    /// How its end becomes a result, where neither its exit code alone nor a report says so.
    pub rules: Option<Arc<Rules>>,
}

/// How the results of a job are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reading {
    /// The format of the report.
    pub results: ResultFormat,
    /// Whether the report is the standard output of the job.
    pub stdout_is_report: bool,
}

impl Reading {
    /// How the results of a job with this launch are read.
    #[must_use]
    pub fn of(runner: &Runner, launch: Option<&Launch>) -> Self {
        launch.and_then(|launch| launch.reading).unwrap_or(Self {
            results: runner.results,
            stdout_is_report: runner.stdout_is_report,
        })
    }
}

/// A result that needs no job.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// The runner says that it is skipped, and why.
    Skipped(String),
    /// It can't be listed, so it can't run either.
    Broken(String),
    /// It does not run, as what must pass first cannot be listed.
    Barred(String),
}

/// What is known of a test from earlier runs.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Past {
    /// How long it is thought to take with nothing else in its way.
    pub duration: Duration,
    /// Whether it failed last time.
    pub failed: bool,
    /// The most memory that a job with it took, in bytes; 0 is not known.
    pub memory: u64,
}

/// What is known of tests from earlier runs, by full id.
pub trait Memory {
    /// What is known of one.
    fn recall(&self, id: &str) -> Option<Past>;

    /// What starting a chunk of a group costs before its first test, where that was measured.
    fn start_cost(&self, _group: &str) -> Option<Duration> {
        None
    }
}

/// Nothing is known.
pub struct NoMemory;

impl Memory for NoMemory {
    fn recall(&self, _: &str) -> Option<Past> {
        None
    }
}

/// A whole run's plan.
#[derive(Clone, Debug)]
pub struct Plan {
    /// The groups that have tests.
    pub groups: Vec<GroupPlan>,
    /// The most jobs at once.
    pub workers: usize,
    /// Why so many, where that was left open.
    pub why: Option<String>,
    /// The seed of what is at random.
    pub seed: u64,
    /// The memory that jobs may take together.
    pub memory: Option<u64>,
    /// What jobs can use by name.
    pub pools: Vec<Pool>,
}

/// A group's plan.
#[derive(Clone, Debug)]
pub struct GroupPlan {
    /// The group.
    pub config: Arc<GroupConfig>,
    /// Its jobs, in the order in which they are handed out.
    pub jobs: Vec<PlannedJob>,
    /// Items whose result is known already.
    pub known: Vec<Item>,
    /// The most of its jobs at once.
    pub workers: usize,
    /// How many of its tests have run before.
    pub measured: usize,
    /// What its tests are thought to take in all.
    pub load: Load,
}

/// A job before it ran.
#[derive(Clone, Debug)]
pub struct PlannedJob {
    /// Its items.
    pub items: Vec<Item>,
    /// The settings that they share.
    pub settings: TestSettings,
    /// What it is thought to take, in seconds, its start included.
    pub seconds: f64,
    /// The memory it is thought to need, in bytes; 0 is not known.
    pub memory: u64,
    /// The jobs of its group that must be over first, by their places in the plan.
    pub after: Vec<After>,
}

impl PlannedJob {
    /// The same, with each item alone that has selected tests in it: a command names the tests of one file.
    fn apart(self) -> Vec<Self> {
        if self.items.len() < 2 || self.items.iter().all(|item| item.inside.is_empty()) {
            return vec![self];
        }
        let (whole, partial): (Vec<_>, Vec<_>) = self
            .items
            .into_iter()
            .partition(|item| item.inside.is_empty());
        let partial = partial.into_iter().map(|item| vec![item]);
        let lists = partial.chain((!whole.is_empty()).then_some(whole));
        let lists = lists.map(|items| Self {
            items,
            settings: self.settings.clone(),
            seconds: self.seconds,
            memory: self.memory,
            after: self.after.clone(),
        });
        lists.collect()
    }
}

/// What the run may have of the machine.
#[derive(Clone, Copy, Debug)]
pub struct Machine<'a> {
    /// Processors that may be used.
    pub cores: usize,
    /// The memory that jobs may take together, in bytes; none where that is not known.
    pub memory: Option<u64>,
    /// What jobs can use by name.
    pub pools: &'a [Pool],
}

impl Plan {
    /// Plans a run over the selected items of each group. `asked` is the number of workers; where there is none, as many as help.
    #[must_use]
    pub fn new(
        selected: Vec<(Arc<GroupConfig>, Vec<Item>)>,
        asked: Option<usize>,
        machine: Machine<'_>,
        seed: u64,
        memory: &dyn Memory,
    ) -> Self {
        Self::with_outlook(selected, asked, machine, seed, memory, &[]).0
    }

    /// The same, and what other numbers of workers would give.
    #[must_use]
    pub fn with_outlook(
        selected: Vec<(Arc<GroupConfig>, Vec<Item>)>,
        asked: Option<usize>,
        machine: Machine<'_>,
        seed: u64,
        memory: &dyn Memory,
        numbers: &[usize],
    ) -> (Self, Vec<Outlook>) {
        let parts: Vec<_> = selected
            .into_iter()
            .filter(|(_, items)| !items.is_empty())
            .map(|(config, mut items)| {
                claims::bar(&mut items);
                let (known, items): (Vec<_>, Vec<_>) =
                    items.into_iter().partition(|item| item.known.is_some());
                (config, known, items)
            })
            .collect();
        let drafts: Vec<Draft<'_>> = parts
            .iter()
            .map(|(config, _, items)| Draft::new(config, items, memory, seed))
            .collect();
        let groups = parts.iter().zip(&drafts);
        let groups: Vec<_> = groups
            .map(|((config, ..), draft)| workers::Group { config, draft })
            .collect();
        let loads: Vec<Load> = drafts.iter().map(Draft::load).collect();
        let outlook = workers::outlook(&groups, &loads, numbers, machine);
        let is_open = asked.is_none() && parts.iter().any(|(config, ..)| config.workers.is_none());
        let choice = is_open.then(|| workers::choose(&groups, machine));
        let automatic = choice.as_ref().map(|choice| choice.workers);
        let automatic = automatic.or(asked).unwrap_or(machine.cores).max(1);
        // A group that asks for more workers than there are cores knows why: its tests wait more than they work.
        let wanted = parts.iter().filter_map(|(config, ..)| config.workers).max();
        let workers = asked.unwrap_or(automatic.max(wanted.unwrap_or(1))).max(1);
        let cuts: Vec<Shaped> = parts
            .iter()
            .zip(&drafts)
            .zip(loads)
            .map(|(((config, ..), draft), load)| {
                let own = config.workers.unwrap_or(automatic).min(workers).max(1);
                let cuts = draft.cut(own).into_iter();
                let cuts = cuts.map(|cut| (draft.settings(&cut).clone(), cut));
                let cuts = cuts.map(|(mut settings, cut)| {
                    if config.one_process.is_some() {
                        settings.slots = own;
                        // Several programs are several jobs, one after the other.
                        settings.serial = true;
                    }
                    (settings, cut)
                });
                Shaped {
                    workers: own,
                    cuts: cuts.collect(),
                    measured: draft.known(),
                    load,
                }
            })
            .collect();
        drop(drafts);
        let groups = parts
            .into_iter()
            .zip(cuts)
            .map(|((config, known, items), shaped)| GroupPlan::new(config, known, items, shaped))
            .collect();
        let plan = Self {
            groups,
            workers,
            why: choice.map(|choice| choice.why),
            seed,
            memory: machine.memory,
            pools: machine.pools.to_vec(),
        };
        (plan, outlook)
    }

    /// How many tests it has.
    #[must_use]
    pub fn tests(&self) -> usize {
        self.groups.iter().map(GroupPlan::tests).sum()
    }

    /// What bounds its groups together.
    #[must_use]
    pub fn limits(&self) -> Limits {
        Limits {
            slots: self.workers,
            memory: self.memory,
            pools: self.pools.clone(),
        }
    }
}

/// A group's chunks, each with its settings.
struct Shaped {
    workers: usize,
    cuts: Vec<(TestSettings, Cut)>,
    measured: usize,
    load: Load,
}

impl GroupPlan {
    fn new(config: Arc<GroupConfig>, known: Vec<Item>, items: Vec<Item>, shaped: Shaped) -> Self {
        let mut items: Vec<Option<Item>> = items.into_iter().map(Some).collect();
        let jobs = shaped.cuts.into_iter().map(|(settings, cut)| PlannedJob {
            // Each is in one chunk only.
            items: cut
                .items
                .iter()
                .filter_map(|index| items[*index].take())
                .collect(),
            settings,
            seconds: cut.seconds,
            memory: cut.memory,
            after: cut.after,
        });
        let jobs: Vec<PlannedJob> = match config.one_process {
            Some(_) => jobs.collect(),
            None => jobs.flat_map(PlannedJob::apart).collect(),
        };
        Self {
            // More workers than jobs would be started for nothing.
            workers: shaped.workers.min(jobs.len()).max(1),
            measured: shaped.measured,
            load: shaped.load,
            jobs,
            known,
            config,
        }
    }

    /// How many tests it has.
    #[must_use]
    pub fn tests(&self) -> usize {
        self.known.len() + self.jobs.iter().map(|job| job.items.len()).sum::<usize>()
    }

    /// The items that jobs run.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.jobs.iter().flat_map(|job| &job.items)
    }

    /// The full ids of its tests, in the order in which they are handed out.
    #[must_use]
    pub fn ids(&self) -> Vec<String> {
        let jobs = self.jobs.iter().flat_map(|job| &job.items);
        let name = self.config.name.as_str();
        let items = self.known.iter().chain(jobs);
        items.map(|item| full_id(name, &item.id)).collect()
    }
}

/// The full id of an item of a group.
#[must_use]
pub fn full_id(group: &str, item: &str) -> String {
    if item.is_empty() {
        group.to_owned()
    } else {
        format!("{group}::{item}")
    }
}

impl GroupConfig {
    /// The settings of one test: the group's, with every override that matches.
    #[must_use]
    pub fn settings_of(&self, item: &Item) -> TestSettings {
        let mut settings = self.tests.clone();
        settings.serial = match &self.serial {
            SerialTests::All(all) => *all,
            SerialTests::Matching(matchers) => self.matches(matchers, item),
        };
        let is_tagged = |tag: &str| item.tags.iter().any(|known| known == tag);
        settings.serial |= is_tagged("serial")
            || (self.parallel == Parallel::OptIn && !is_tagged("parallel_safe"));
        settings.exclusive |= is_tagged("exclusive");
        if let Some(timeout) = item.timeout {
            let timeout = self.timeout_factor.of(timeout);
            settings.timeout = Some(timeout).filter(|timeout| !timeout.is_zero());
        }
        if let Some(claims) = &item.claims {
            claims.add_to(&mut settings);
        }
        for entry in self
            .overrides
            .iter()
            .filter(|entry| self.matches(&entry.matching, item))
        {
            if let Some(timeout) = entry.timeout {
                settings.timeout = timeout;
            }
            if let Some(slow_after) = entry.slow_after {
                settings.slow_after = slow_after;
            }
            if let Some(grace) = entry.grace {
                settings.grace = grace;
            }
            if let Some(stop_signal) = entry.stop_signal {
                settings.stop_signal = stop_signal;
            }
            if let Some(on_timeout) = &entry.on_timeout {
                settings.on_timeout.clone_from(on_timeout);
            }
            if let Some(retries) = entry.retries {
                settings.retries = retries;
            }
            if let Some(backoff) = entry.backoff {
                settings.backoff = backoff;
            }
            if let Some(flaky) = entry.flaky {
                settings.flaky = flaky;
            }
            if let Some(exclusive) = entry.exclusive {
                settings.exclusive = exclusive;
            }
            if let Some(slots) = entry.slots {
                settings.slots = slots;
            }
            if let Some(locks) = &entry.locks {
                settings.locks.clone_from(locks);
            }
            if let Some(uses) = &entry.uses {
                settings.uses.clone_from(uses);
            }
            if entry.expect.is_some() {
                settings.expect = entry.expect;
            }
        }
        settings
    }
}
