//! The configuration: what a manifest, the profile, the environment and the command line resolved to.
//!
//! Valid by type: names that exist, patterns that parse, templates whose names are known. Nothing after `manifest/` sees the
//! manifest itself.

use std::borrow::Cow;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexSet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::model::{
    ChunkBy, ChunkSize, Compat, Expect, Factor, Flaky, Isolation, ItemEscape, ListFormat, Lock,
    MaxFail, Order, Parallel, ResultFormat, Separator, StopSignal,
};
use super::pattern::Pattern;
use super::retry::Backoff;
use super::source::Source;
use super::template::{Name, Template};
use crate::schedule::Pool;
use crate::worker::frame::{KeepTmp, Level, Limits, Network};

/// A whole run's configuration.
#[derive(Clone, Debug)]
pub struct Config {
    /// The folder of the manifest; every path in it is relative to this.
    pub root: PathBuf,
    /// The manifest's own path; `None` where it was detected.
    pub manifest: Option<PathBuf>,
    /// The manifest's text, for messages that point at a place in it.
    pub source: Source,
    /// Settings of the whole run.
    pub run: RunConfig,
    /// Names that jobs of all groups take for themselves while they run.
    pub pools: Pools,
    /// The groups, in the order of the file.
    pub groups: Vec<GroupConfig>,
    /// What is allowed and probably not meant.
    pub warnings: Vec<String>,
}

/// Pools of names.
#[derive(Clone, Debug, Default)]
pub struct Pools {
    /// Each with its names.
    pub list: Vec<Pool>,
    /// Each with where it came from.
    pub provenance: Vec<Provenance>,
}

/// Settings of the whole run.
#[derive(Clone, Debug)]
pub struct RunConfig {
    /// The most jobs at once; `None` is automatic.
    pub workers: Option<usize>,
    /// The longest the run may take.
    pub timeout: Option<Duration>,
    /// Stop after so many failed tests.
    pub max_fail: Option<MaxFail>,
    /// The memory that is to stay free, in bytes, where it is said.
    pub min_free_memory: Option<u64>,
    /// The seed of what is at random, where it was asked for.
    pub seed: Option<u64>,
    /// Reports to write: format and path.
    pub reports: Vec<(String, String)>,
    /// Each value with where it came from.
    pub provenance: Vec<Provenance>,
}

impl RunConfig {
    /// The memory that is to stay free of so much, in bytes.
    #[must_use]
    pub fn least_free(&self, total: u64) -> u64 {
        const MOST: u64 = 1 << 30;
        self.min_free_memory.unwrap_or((total / 20).min(MOST))
    }
}

/// A group's configuration.
#[derive(Clone, Debug)]
pub struct GroupConfig {
    /// Its name.
    pub name: GroupName,
    /// How its tests are listed, run and read.
    pub runner: Runner,
    /// The folder in which its tests are listed and run, relative to the root; empty for the root itself.
    pub dir: PathBuf,
    /// What it runs over.
    pub source: ItemSource,
    /// Files that all of its tests depend on.
    pub inputs: Vec<Pattern>,
    /// Whether its listing is kept as long as these and its own files are the same.
    pub cache_listing: bool,
    /// The most jobs at once; `None` is automatic.
    pub workers: Option<usize>,
    /// How many items a job gets.
    pub chunk_size: ChunkSize,
    /// What a chunk may hold.
    pub chunk_by: ChunkBy,
    /// The order in which its tests start.
    pub order: Order,
    /// The tests that it leaves out.
    pub exclude: Vec<Matcher>,
    /// The tests that run alone in the group.
    pub serial: SerialTests,
    /// Which tests run beside others.
    pub parallel: Parallel,
    /// Whether its tests run in warm processes, and in whose.
    pub session: Session,
    /// Why all of its tests run in one process, where the listing says that they must.
    pub one_process: Option<String>,
    /// How much tests of a session share a process.
    pub isolation: Isolation,
    /// The longest that it may take as a whole.
    pub timeout: Option<Duration>,
    /// Settings of its tests, before overrides.
    pub tests: TestSettings,
    /// What the timeouts were multiplied with, and those are to be that a listing tells.
    pub timeout_factor: Factor,
    /// Overrides, later ones stronger.
    pub overrides: Vec<OverrideConfig>,
    /// Groups that must have passed first.
    pub needs: Vec<GroupName>,
    /// Environment variables of its jobs.
    pub env: Vec<(String, Template)>,
    /// Names a worker has for itself.
    pub resources: Vec<(String, Template)>,
    /// Variables of other tools.
    pub compat: Vec<Compat>,
    /// What its jobs may use and keep.
    pub bounds: Bounds,
    /// What runs before and after.
    pub hooks: Hooks,
    /// Each value with where it came from.
    pub provenance: Vec<Provenance>,
}

/// Whether a group's tests run in warm processes, and why so.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Session {
    /// Its runner has none.
    None,
    /// A process of its own for each job.
    Cold(String),
    /// Forks of one host.
    Shared(String),
    /// Forks of a host for each worker.
    Worker(String),
}

impl Session {
    /// Whether jobs are handed to a process that has loaded everything.
    #[must_use]
    pub fn is_warm(&self) -> bool {
        matches!(self, Self::Shared(_) | Self::Worker(_))
    }

    /// Whether its tests may turn out to need a host for each worker: nobody has asked for one host.
    #[must_use]
    pub fn may_change(&self) -> bool {
        matches!(self, Self::Shared(why) if why != ASKED_FOR)
    }

    /// The word for it and the reason, where there is a choice.
    #[must_use]
    pub fn told(&self) -> Option<(&'static str, &str)> {
        match self {
            Self::None => None,
            Self::Cold(why) => Some(("cold", why)),
            Self::Shared(why) => Some(("shared", why)),
            Self::Worker(why) => Some(("worker", why)),
        }
    }
}

/// The reason of a session that the manifest names.
pub const ASKED_FOR: &str = "it is asked for";

/// What handing a job to a process costs that has loaded everything.
const WARM_COST: Duration = Duration::from_millis(1);

impl GroupConfig {
    /// Makes one process of all of its tests, for this reason.
    pub fn run_as_one_process(&mut self, why: String) {
        if self.session.is_warm() {
            self.session = Session::Cold(format!("all tests run in one process: {why}"));
        }
        self.one_process = Some(why);
    }

    /// The folder in which its tests are listed and run.
    #[must_use]
    pub fn folder(&self, root: &Path) -> PathBuf {
        // Joining an empty path would add a slash.
        if self.dir.as_os_str().is_empty() {
            root.to_owned()
        } else {
            root.join(&self.dir)
        }
    }

    /// A path relative to the root, as it is called in the group's folder; `None` where it is not below that.
    #[must_use]
    pub fn in_folder<'p>(&self, path: &'p Path) -> Option<&'p Path> {
        path.strip_prefix(&self.dir).ok()
    }

    /// What starting a job costs.
    #[must_use]
    pub fn start_cost(&self) -> Duration {
        if self.session.is_warm() {
            WARM_COST
        } else {
            self.runner.start_cost
        }
    }

    /// The pools that some test of it may use.
    pub fn pools(&self) -> impl Iterator<Item = &str> {
        let overrides = self
            .overrides
            .iter()
            .filter_map(|entry| entry.uses.as_ref());
        let all = overrides.chain([&self.tests.uses]).flatten();
        let names: IndexSet<&str> = all.map(|(pool, _)| pool.as_str()).collect();
        names.into_iter()
    }

    /// What some test of it may run when its time is over.
    pub fn on_timeouts(&self) -> impl Iterator<Item = &CommandTemplate> {
        let overrides = self.overrides.iter().flat_map(|entry| &entry.on_timeout);
        let all = overrides.chain([&self.tests.on_timeout]);
        all.flatten().map(AsRef::as_ref)
    }

    /// Whether a template names a pool: then only a job gives it a value.
    #[must_use]
    pub fn names_pool(&self, template: &Template) -> bool {
        template.names().any(|name| match name {
            Name::Own(own) => self.pools().any(|pool| pool == own),
            _ => false,
        })
    }
}

/// What runs before and after a group, its workers and its jobs.
#[derive(Clone, Debug, Default)]
pub struct Hooks {
    commands: [Vec<CommandTemplate>; 6],
    /// The longest that a command may take.
    pub timeout: Option<Duration>,
}

impl Hooks {
    /// The commands of a hook, in order.
    #[must_use]
    pub fn of(&self, hook: Hook) -> &[CommandTemplate] {
        &self.commands[hook as usize]
    }

    /// The same, to be filled.
    pub fn of_mut(&mut self, hook: Hook) -> &mut Vec<CommandTemplate> {
        &mut self.commands[hook as usize]
    }
}

/// When a hook runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Hook {
    /// Once, before the group's first test.
    BeforeAll,
    /// Once a worker, before its first job.
    BeforeWorker,
    /// Before each job.
    BeforeJob,
    /// After each job.
    AfterJob,
    /// Once a worker, after its last job.
    AfterWorker,
    /// Once, after the group's last test.
    AfterAll,
}

impl Hook {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::BeforeAll,
        Self::BeforeWorker,
        Self::BeforeJob,
        Self::AfterJob,
        Self::AfterWorker,
        Self::AfterAll,
    ];

    /// Its key in the manifest.
    #[must_use]
    pub fn key(self) -> &'static str {
        match self {
            Self::BeforeAll => "before-all",
            Self::BeforeWorker => "before-worker",
            Self::BeforeJob => "before-job",
            Self::AfterJob => "after-job",
            Self::AfterWorker => "after-worker",
            Self::AfterAll => "after-all",
        }
    }

    /// Whether it takes back what another hook has done: then all of its commands run, and no stop of the run ends them.
    #[must_use]
    pub fn takes_back(self) -> bool {
        matches!(self, Self::AfterJob | Self::AfterWorker | Self::AfterAll)
    }
}

/// What a job may use, and what is kept of it.
#[derive(Clone, Debug)]
pub struct Bounds {
    /// The most bytes of output that are kept.
    pub output_limit: u64,
    /// The most bytes of output that it may write.
    pub output_max: u64,
    /// What its processes may use.
    pub limits: Limits,
    /// Of the caller's variables only these; `None` is all.
    pub env_only: Option<Vec<OsString>>,
    /// Which variables have values that no report may show.
    pub secrets: Vec<glob::Pattern>,
    /// What holds its processes together.
    pub level: Level,
    /// Which network they have.
    pub network: Network,
    /// When its temporary folder is kept.
    pub keep_tmp: KeepTmp,
}

impl Bounds {
    /// Whether its worker lives in namespaces of its own.
    #[must_use]
    pub fn is_confined(&self) -> bool {
        self.level.has_namespace() || self.network != Network::Host
    }
}

/// How a kind of test is listed, run and read, with a group's settings filled in.
#[derive(Clone, Debug)]
pub struct Runner {
    /// The preset's or the user's name for it; `command` for a group with a command.
    pub name: String,
    /// The command that lists tests.
    pub list: Option<CommandTemplate>,
    /// How the listing is written.
    pub list_format: ListFormat,
    /// The command that runs a chunk.
    pub run: CommandTemplate,
    /// What stands between items that are one argument.
    pub item_separator: Option<String>,
    /// How an item is written.
    pub item_escape: Option<ItemEscape>,
    /// How only some of the tests in a file are run.
    pub select: Option<Select>,
    /// The command that starts a session host.
    pub session: Option<CommandTemplate>,
    /// Whether that forks for its workers; otherwise it is one itself.
    pub session_forks: bool,
    /// The command that finishes what the group's processes have left for it.
    pub finish: Option<CommandTemplate>,
    /// Where results come from.
    pub results: ResultFormat,
    /// Whether they are its standard output.
    pub stdout_is_report: bool,
    /// Where it writes them, if that is not for us to say.
    pub report: Option<Template>,
    /// Whether an item holds tests that only the report names.
    pub holds_tests: bool,
    /// Exit codes that mean skipped.
    pub skip_exit: Vec<u8>,
    /// What starting a job costs.
    pub start_cost: Duration,
    /// Its settings.
    pub settings: Vec<(String, SettingValue)>,
    /// Environment variables of its commands.
    pub env: Vec<(String, Template)>,
    /// Environment variables that its commands do not inherit.
    pub env_without: Vec<OsString>,
}

/// How only some of the tests in a file are run.
#[derive(Clone, Debug)]
pub struct Select {
    /// The words that say so.
    pub words: Vec<Template>,
    /// What stands between names that are one argument.
    pub separator: Option<String>,
    /// How a name is written.
    pub escape: Option<ItemEscape>,
}

/// A setting's value; templates in it name only what is known before the run.
#[derive(Clone, Debug)]
pub enum SettingValue {
    /// One value.
    One(Template),
    /// A list of arguments.
    Many(Vec<Template>),
    /// The first that exists.
    FirstOf(Vec<Template>),
}

/// A command whose templates are parsed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommandTemplate {
    /// A program and its arguments.
    Words(Vec<Template>),
    /// A line for `sh -c`.
    Shell(Template),
}

impl CommandTemplate {
    /// The names in it.
    pub fn names(&self) -> impl Iterator<Item = &Name> {
        let templates = match self {
            Self::Words(words) => words.as_slice(),
            Self::Shell(line) => std::slice::from_ref(line),
        };
        templates.iter().flat_map(Template::names)
    }
}

/// What a group runs over.
#[derive(Clone, Debug)]
pub enum ItemSource {
    /// Files that match; the runner may list tests inside them. Without patterns the runner finds its tests itself.
    Files {
        /// The files.
        files: Vec<Pattern>,
        /// What to leave out.
        exclude: Vec<Pattern>,
    },
    /// Nothing: the group is its one test.
    Once,
    /// Items that the manifest lists.
    Listed(Vec<String>),
    /// Items that a command prints.
    Command(CommandTemplate, Separator),
    /// Items in a file.
    File(PathBuf, Separator),
}

/// The tests of a group that run alone in it.
#[derive(Clone, Debug)]
pub enum SerialTests {
    /// All, or none.
    All(bool),
    /// Those that match.
    Matching(Vec<Matcher>),
}

/// Settings of a test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TestSettings {
    /// The longest it may take.
    pub timeout: Option<Duration>,
    /// After how long it is slow.
    pub slow_after: Option<Duration>,
    /// From `stop_signal` to KILL.
    pub grace: Duration,
    /// What asks it to end.
    pub stop_signal: StopSignal,
    /// What is run when its time is over, before it is ended.
    pub on_timeout: Option<Arc<CommandTemplate>>,
    /// How often it is run again when it failed.
    pub retries: u32,
    /// How long it waits before that.
    pub backoff: Backoff,
    /// What it counts as if it then passes.
    pub flaky: Flaky,
    /// Nothing else runs in the whole run.
    pub exclusive: bool,
    /// How many of the run's workers it takes up; more than there are is all.
    pub slots: usize,
    /// Nothing else runs in its group.
    pub serial: bool,
    /// Locks it holds.
    pub locks: Vec<Lock>,
    /// How many names of which pools it has for itself, sorted by pool.
    pub uses: Vec<(String, usize)>,
    /// The failure that is expected.
    pub expect: Option<Expect>,
}

impl TestSettings {
    /// Takes over what another test needs that runs in the same process: the longer time, and everything that either claims.
    pub fn join(&mut self, other: Self) {
        let longer = |a: Option<Duration>, b: Option<Duration>| Some(a?.max(b?));
        self.timeout = longer(self.timeout, other.timeout);
        self.slow_after = longer(self.slow_after, other.slow_after);
        self.grace = self.grace.max(other.grace);
        if self.stop_signal == StopSignal::default() {
            self.stop_signal = other.stop_signal;
        }
        self.retries = self.retries.max(other.retries);
        self.exclusive |= other.exclusive;
        self.slots = self.slots.max(other.slots);
        for lock in other.locks {
            if !self.locks.contains(&lock) {
                self.locks.push(lock);
            }
        }
        for (pool, number) in other.uses {
            match self.uses.iter_mut().find(|(known, _)| *known == pool) {
                Some((_, most)) => *most = number.max(*most),
                None => self.uses.push((pool, number)),
            }
        }
        self.uses.sort_unstable();
    }
}

/// Settings for the tests that match.
#[derive(Clone, Debug)]
pub struct OverrideConfig {
    /// The tests.
    pub matching: Vec<Matcher>,
    /// What is set: outer `None` leaves a value as it is.
    pub timeout: Option<Option<Duration>>,
    /// See [`TestSettings::slow_after`]; outer `None` leaves it as it is.
    pub slow_after: Option<Option<Duration>>,
    /// See [`TestSettings::grace`].
    pub grace: Option<Duration>,
    /// See [`TestSettings::stop_signal`].
    pub stop_signal: Option<StopSignal>,
    /// See [`TestSettings::on_timeout`]; outer `None` leaves it as it is.
    pub on_timeout: Option<Option<Arc<CommandTemplate>>>,
    /// See [`TestSettings::retries`].
    pub retries: Option<u32>,
    /// See [`TestSettings::backoff`].
    pub backoff: Option<Backoff>,
    /// See [`TestSettings::flaky`].
    pub flaky: Option<Flaky>,
    /// See [`TestSettings::exclusive`].
    pub exclusive: Option<bool>,
    /// See [`TestSettings::slots`].
    pub slots: Option<usize>,
    /// See [`TestSettings::locks`].
    pub locks: Option<Vec<Lock>>,
    /// See [`TestSettings::uses`].
    pub uses: Option<Vec<(String, usize)>>,
    /// See [`TestSettings::expect`].
    pub expect: Option<Expect>,
}

/// What chooses tests in `serial`, `match` and `exclude`.
#[derive(Clone, Debug)]
pub struct Matcher {
    /// As it is written.
    pub written: String,
    /// Where it is written: the JSON pointer of its value.
    pub place: String,
    /// How it chooses.
    pub by: By,
}

/// How a matcher chooses tests.
#[derive(Clone, Debug)]
pub enum By {
    /// By a pattern over the test's file and its id.
    Pattern(Pattern),
    /// By the test's id, with its group or without, or by the beginning of it up to a `::`. An id may look like a pattern.
    Id,
    /// By a tag that the runner lists for the test.
    Tag(String),
}

/// A group's name: letters, digits, `.`, `_` and `-`.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct GroupName(String);

impl GroupName {
    /// The longest name of a group, in bytes: that of a file.
    pub const LONGEST: usize = 255;

    /// A group's name, if `name` can be one: it is part of ids, of variables and of file names.
    #[must_use]
    pub fn new(name: &str) -> Option<Self> {
        if name.len() > Self::LONGEST {
            return None;
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
        (name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(fits))
            .then(|| Self(name.to_owned()))
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for GroupName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A resolved value and where it came from, for `orchestrate show`.
#[derive(Clone, Debug)]
pub struct Provenance {
    /// The key.
    pub key: Cow<'static, str>,
    /// The value as TOML.
    pub value: String,
    /// Where it came from.
    pub origin: Origin,
}

/// Where a value came from, the strongest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// A flag of the command line.
    CommandLine(&'static str),
    /// A variable of the environment.
    Environment(&'static str),
    /// A line of the manifest, in a table.
    Manifest {
        /// The table, such as `groups.unit`.
        table: String,
        /// The line, from 1.
        line: usize,
    },
    /// The runner's preset.
    Preset(String),
    /// `orchestrate` itself.
    BuiltIn,
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::CommandLine(flag) => write!(f, "command line, {flag}"),
            Self::Environment(name) => write!(f, "environment, {name}"),
            Self::Manifest { table, line } => write!(f, "[{table}], line {line}"),
            Self::Preset(name) => write!(f, "runner {name}"),
            Self::BuiltIn => f.write_str("built in"),
        }
    }
}
