//! The tables of a manifest. Each doc comment is what an editor shows for the key and what the reference page prints.

use indexmap::IndexMap;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{
    Backoff, ChunkSize, Command, CommandOrNone, Count, Detect, Expect, Factor, Flaky, Isolation,
    Items, Lock, MaxFail, Order, Parallel, Serial, SessionMode, Setting, Size, Slots, Span, Text,
    Workers,
};

/// A table of named things, in the order of the file.
type Map<T> = IndexMap<String, T>;

/// A repository's test groups: what `orchestrate run` runs, and how.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
#[schemars(title = "fastest.toml")]
pub struct Manifest {
    /// Settings of the whole run.
    pub run: Option<Run>,
    /// Where every group starts from: any key of a group.
    pub defaults: Option<Group>,
    /// The test groups, by name. They run side by side, as many workers at once as `run.workers` allows.
    pub groups: Option<Map<Group>>,
    /// Overlays of the same keys, chosen with `--profile NAME`.
    pub profiles: Option<Map<Profile>>,
    /// Pools of names that jobs of all groups share, such as the GPUs of the machine: `gpu = ["0", "1"]`. A job takes some with
    /// `uses`, and nobody else has them meanwhile.
    pub resources: Option<Map<Vec<String>>>,
    /// Runners of your own, in the same words as the built-in presets (see `orchestrate runners pytest`).
    pub runners: Option<Map<RunnerTable>>,
    /// Places to run workers at. Not yet supported.
    pub executors: Option<Map<Executor>>,
}

/// Settings of the whole run.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Run {
    /// The most jobs that run at once, all groups together. `0`, the default, is automatic: from cores and memory.
    pub workers: Option<Workers>,
    /// The longest the whole run may take; then the rest is cancelled. `0`, the default, is no limit.
    pub timeout: Option<Span>,
    /// Stop after this many failed tests, or a share of the selected ones: `3`, `"10%"`. What runs then ends by itself, unless
    /// `:now` is added (`"3:now"`): then it is ended and `cancelled`. What did not run is listed as `not-run`. `0`, the default,
    /// never stops early.
    pub max_fail: Option<MaxFail>,
    /// What `timeout` and `slow-after` of each test are multiplied with, for a machine that is slower: `2`. Default: `1`.
    pub timeout_multiplier: Option<Factor>,
    /// The memory that is to stay free, of the machine and of any control group that we are in. Below it no job starts beside
    /// those that run; below half of it the job that started last is stopped, and run again later, alone, which is no failure and
    /// no retry. `0` is none. Default: a twentieth of what there is, but no more than `"1GiB"`.
    pub min_free_memory: Option<Size>,
    /// Reports to write, by format: `{ junit = "out/junit.xml", jsonl = "events.jsonl" }`. A path is relative to the root; its
    /// folder is made. Those of a profile and of `--report` are written besides. See [reports](reports.md).
    pub reports: Option<Map<String>>,
}

/// A set of tests that share a runner and settings.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Group {
    /// What the group is for, shown by `orchestrate show`.
    pub description: Option<String>,
    /// How the group's tests are listed, run and read: a preset (`orchestrate runners` names them all) or a name from
    /// `[runners]`.
    pub runner: Option<String>,
    /// The folder in which the group's tests are listed and run, relative to the root: `"packages/api"`. Its commands and
    /// hooks run there. `files`, `exclude`, `inputs` and `items` are relative to it. The path of a program, such as
    /// `.venv/bin/python`, is looked for there first and then in the root. Default: `"."`, the root.
    pub dir: Option<String>,
    /// The files that hold the tests, as patterns relative to `dir`: `*`, `?`, `[a-z]`, and `**` for any folders.
    /// Hidden folders, virtual environments, `node_modules` and folders with a `CACHEDIR.TAG` are passed over.
    pub files: Option<Vec<String>>,
    /// What to leave out: patterns over the files (relative to `dir`) and the ids of tests, ids as they are printed, or
    /// `tag:NAME`.
    pub exclude: Option<Vec<String>>,
    /// Files that all tests of the group depend on, as patterns relative to `dir`: `["src/**", "conftest.py"]`. A pattern may
    /// begin with `../` where it stays in the root. If one of these files has changed, `--changed` selects the whole group.
    /// A test's own file does not have to be named.
    pub inputs: Option<Vec<String>>,
    /// `true` keeps what the runner lists for as long as the group's files, its `inputs`, the command and the environment are
    /// the same. Only for a runner whose listing follows from these alone: what it looks at besides is not seen, and a test
    /// that would come of it is missed. Default: `false`.
    pub cache_listing: Option<bool>,
    /// The command of a group without a runner: an array is run as it is, a string by `sh -c`. With `items` it runs over
    /// them in chunks; without, it runs once and the group is its one test.
    pub command: Option<Command>,
    /// What `command` runs over: an array, or where to read it: `{ command = ["git", "ls-files", "-z"], separator = "nul" }`
    /// or `{ file = "list.txt" }`.
    pub items: Option<Items>,
    /// The most jobs of this group that run at once. `0`, the default, is automatic.
    pub workers: Option<Workers>,
    /// How many items a job gets: a number, or `"auto"`: single items where starting a job is cheap, few large chunks where
    /// it is dear.
    pub chunk_size: Option<ChunkSize>,
    /// What a chunk may hold.
    pub chunk_by: Option<ChunkBy>,
    /// The order in which the tests start; those that run alone come after the rest.
    pub order: Option<Order>,
    /// The longest one test may take; then its job is ended and the test is `timed-out`. `0` is no limit. Default: `"60s"`.
    pub timeout: Option<Span>,
    /// After how long it is told of a test that it is slow, once, while it runs; the summary counts those. Where nobody tells when
    /// a test begins, a job has as long for each of its tests. `0` is never. Default: `"60s"`.
    pub slow_after: Option<Span>,
    /// The longest the whole group may take, from its first job on; then what runs of it is ended and `cancelled`, and the rest is
    /// `not-run`. `0`, the default, is no limit.
    pub group_timeout: Option<Span>,
    /// How long a process that was asked to end (by `stop-signal`) has until it is killed (KILL). Default: `"5s"`.
    pub grace: Option<Span>,
    /// The signal that asks a job to end where its time is over or the run is stopped. What its process has started gets it too,
    /// as it does when Ctrl-C is pressed. Default: the runner's, which is `"INT"` for `pytest` and `unittest` and `"TERM"` otherwise.
    pub stop_signal: Option<StopSignal>,
    /// A command that runs when a test's `timeout` is over, before its process is asked to end, and whose output joins the test's:
    /// `["py-spy", "dump", "--pid", "<job-pid>"]`. `<job-pid>` is the process that runs the test. It has `hook-timeout`, and the job's
    /// folder and environment; what it leaves running is ended, and the test is `timed-out` however it ends itself. `[]`, the default, is none.
    pub on_timeout: Option<CommandOrNone>,
    /// How often a failed test is run again. One that then passes is `flaky`, which counts as passed unless `flaky` says
    /// otherwise. Default: `0`.
    pub retries: Option<Count>,
    /// How long a failed test waits until it is run again: a duration, or
    /// `{ kind = "exponential", delay = "1s", max = "30s", jitter = true }`. Others run meanwhile, and no timeout counts it.
    /// Default: `0`.
    pub backoff: Option<Backoff>,
    /// What a test counts as that failed, was run again and passed: `"pass"` or `"fail"`. Default: `"pass"`.
    pub flaky: Option<Flaky>,
    /// `true` runs the whole group one by one; an array names the tests that run alone in their group: patterns over their
    /// file or id, ids as they are printed, or `tag:NAME`.
    pub serial: Option<Serial>,
    /// `true` runs each test while nothing else runs in the whole run.
    pub exclusive: Option<bool>,
    /// Names of locks each test holds while it runs. Locks are shared by all groups.
    pub locks: Option<Vec<Lock>>,
    /// How many names of which pools of `[resources]` each job has for itself while it runs: `{ gpu = 1 }`. They are `<gpu>` in
    /// commands, env and job hooks, and `ORCHESTRATE_RESOURCE_GPU` in the job; several have commas between them. What no pool
    /// grants to a job is empty there. Tests of a runner that has a session then run without it.
    pub uses: Option<Map<Count>>,
    /// The failure that is expected: `"fail"`, or `{ exit = 3 }`. Failing so is `xfailed`, passing is `xpassed`.
    pub expect: Option<Expect>,
    /// Groups that must have passed before this one starts, with what their session, their runner and their `after-*` hooks do at
    /// the end.
    pub needs: Option<Vec<String>>,
    /// Environment variables of the group's jobs; values may hold templates such as `<pid>`.
    pub env: Option<Map<Text>>,
    /// Names of resources a worker has for itself, `{ database = "db_<pid>" }`: `<database>` in commands and env, and
    /// `ORCHESTRATE_RESOURCE_DATABASE` in the job.
    pub resources: Option<Map<String>>,
    /// The runner's own settings, such as `{ python = ".venv/bin/python" }` for `pytest`.
    #[serde(rename = "with")]
    pub settings: Option<Map<Setting>>,
    /// Variables that other tools taught people, set in addition to `ORCHESTRATE_*`.
    pub compat: Option<Vec<Compat>>,
    /// Settings for some of the group's tests; later ones win, key by key.
    pub overrides: Option<Vec<Override>>,
    /// The most bytes of a job's output that reports keep, half from its head and half from its tail. Default: `"1MiB"`.
    pub output_limit: Option<Size>,
    /// The most bytes that a job may write to standard output and error; then it is ended and `errored`. Default: `"1GiB"`.
    pub output_max: Option<Size>,
    /// The most memory that a job's processes may take together; then it is ended and its test is `oom`. It is looked at a few
    /// times a second, so a job can pass it for a moment.
    pub memory: Option<Size>,
    /// The most processor time that each process of a job may take; then the kernel ends it (`SIGXCPU`). In whole seconds.
    pub cpu_time: Option<Span>,
    /// The most files that each process of a job may have open.
    pub open_files: Option<Count>,
    /// The longest file that a process of a job may write; then the kernel ends it (`SIGXFSZ`).
    pub file_size: Option<Size>,
    /// `true` starts jobs without the caller's environment, but for `env-allow`.
    pub env_clear: Option<bool>,
    /// What `env-clear` leaves of the caller's environment, by name. Default: `["PATH"]`.
    pub env_allow: Option<Vec<String>>,
    /// Variables whose values no report may show, by name: `["DB_*", "API_TOKEN"]`; `*` and `?` stand for other characters. In
    /// output, messages and warnings of the whole run a value is `***`, whoever has set it: the caller, `env` or a hook. One of
    /// fewer than 4 bytes is not masked. Default: `[]`.
    pub secrets: Option<Vec<String>>,
    /// When a job's temporary folder outlives it.
    pub keep_tmp: Option<KeepTmp>,
    /// What holds a job's processes together, so that none outlives it. `orchestrate doctor` says which levels work here.
    pub isolation_level: Option<IsolationLevel>,
    /// Which network the group's workers have, and with them all that the group runs: its listing, hooks, sessions and tests.
    /// Default: `"host"`.
    pub network: Option<Network>,
    /// How tests of a runner that has a session (`pytest`, `busted`) use it. Default: `"auto"`.
    pub session: Option<SessionMode>,
    /// How much tests of a session share a process. Default: `"worker"`.
    pub isolation: Option<Isolation>,
    /// Which tests run beside others. A test that its runner lists with the tag `serial` runs alone in its group, one with
    /// `exclusive` alone in the run, in any case. Default: `"all"`.
    pub parallel: Option<Parallel>,
    /// How many of the run's workers a job takes up while it runs, for tests that are heavy: a number, or `"all"`. Default: `1`.
    pub slots: Option<Slots>,
    /// Commands that run once, before the group's first test. One that fails makes all its tests `errored`. What they leave
    /// running stays until `after-all` is over. A hook may append `NAME=value` lines to the file named by `ORCHESTRATE_ENV`:
    /// variables for everything below it. Another line is an error.
    pub before_all: Option<Vec<Command>>,
    /// Commands that run once a worker, before its first job, with the worker's `<pid>`, `<slot>` and resources. What they leave
    /// running stays as long as the worker.
    pub before_worker: Option<Vec<Command>>,
    /// Commands that run before each job, in its temporary folder's company.
    pub before_job: Option<Vec<Command>>,
    /// Commands that run after each job whose `before-job` had started, however it ended.
    pub after_job: Option<Vec<Command>>,
    /// Commands that run once a worker, after its last job, also when the run was stopped. If `orchestrate` is killed, the next
    /// run makes up for them.
    pub after_worker: Option<Vec<Command>>,
    /// Commands that run once, after the group's last worker ended; made up for like `after-worker`. Each runs, also after one that
    /// failed. Who `needs` the group waits for them, and does not run if they fail.
    pub after_all: Option<Vec<Command>>,
    /// The longest each command of a hook, or `on-timeout`, may take. Default: `"2m"`.
    pub hook_timeout: Option<Span>,
}

/// Settings for some of a group's tests.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Override {
    /// The tests: patterns over their file or id, ids as they are printed, or `tag:NAME`.
    #[serde(rename = "match")]
    #[schemars(length(min = 1))]
    pub matching: AtLeastOne,
    /// The longest one test may take. `0` is no limit.
    pub timeout: Option<Span>,
    /// After how long it is told of a test that it is slow. `0` is never.
    pub slow_after: Option<Span>,
    /// How long a process that was asked to end (by `stop-signal`) has until it is killed (KILL).
    pub grace: Option<Span>,
    /// The signal that asks a job to end.
    pub stop_signal: Option<StopSignal>,
    /// A command that runs when a test's `timeout` is over, before its process is asked to end. In place of the group's;
    /// `[]` is none.
    pub on_timeout: Option<CommandOrNone>,
    /// How often a failed test is run again.
    pub retries: Option<Count>,
    /// How long a failed test waits until it is run again: a duration, or a table.
    pub backoff: Option<Backoff>,
    /// What a test counts as that failed, was run again and passed: `"pass"` or `"fail"`.
    pub flaky: Option<Flaky>,
    /// `true` runs the tests while nothing else runs in the whole run.
    pub exclusive: Option<bool>,
    /// How many of the run's workers a job takes up: a number, or `"all"`.
    pub slots: Option<Slots>,
    /// Names of locks the tests hold while they run.
    pub locks: Option<Vec<Lock>>,
    /// How many names of which pools of `[resources]` a job has for itself: `{ gpu = 2 }`. In place of the group's `uses`.
    pub uses: Option<Map<Count>>,
    /// The failure that is expected: `"fail"`, or `{ exit = 3 }`.
    pub expect: Option<Expect>,
}

impl Override {
    /// Whether it only names tests.
    #[must_use]
    pub fn sets_nothing(&self) -> bool {
        let Self {
            matching: _,
            timeout,
            slow_after,
            grace,
            stop_signal,
            on_timeout,
            retries,
            backoff,
            flaky,
            exclusive,
            slots,
            locks,
            uses,
            expect,
        } = self;
        timeout.is_none()
            && slow_after.is_none()
            && grace.is_none()
            && stop_signal.is_none()
            && on_timeout.is_none()
            && retries.is_none()
            && backoff.is_none()
            && flaky.is_none()
            && exclusive.is_none()
            && slots.is_none()
            && locks.is_none()
            && uses.is_none()
            && expect.is_none()
    }
}

/// An overlay, chosen with `--profile NAME`.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Profile {
    /// Settings of the whole run.
    pub run: Option<Run>,
    /// Defaults of every group; a group's own key is stronger.
    pub defaults: Option<Group>,
    /// Keys of single groups; stronger than the group's own.
    pub groups: Option<Map<Group>>,
}

/// How a kind of test is listed, run and read.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct RunnerTable {
    /// What the runner runs.
    pub description: Option<String>,
    /// What tells `orchestrate init` that the runner is used here: patterns of files, relative to the root, or
    /// `{ file = "package.json", contains = "jest" }`.
    pub detect: Option<Vec<Detect>>,
    /// The files of a group that names none.
    pub files: Option<Vec<String>>,
    /// The command that lists the tests; `<files>` are the group's files. Where it names `<program>` it runs once for each
    /// file, which is then the `<program>` of its tests. Without it each file is one item.
    pub list: Option<Command>,
    /// How the listing is written.
    pub list_format: Option<ListFormat>,
    /// The command that runs a chunk: `<items>` are its items, one argument each, `<report>` is where it writes its results
    /// (`ORCHESTRATE_REPORT` names it too).
    pub run: Option<Command>,
    /// What stands between the items where the tool takes them as one argument: then `<items>` may be part of a word, as in
    /// `"--filter=<items>"`. The same goes for `<files>` where the tool lists tests.
    pub item_separator: Option<String>,
    /// How an item is written in `<items>`, where it is not taken as it stands.
    pub item_escape: Option<ItemEscape>,
    /// The words that have only some of the tests in a file run: `["--filter", "^(<tests>)$"]`. They stand where `run` has
    /// `<select>`, in a job whose one file has selected tests; `<tests>` are their names. Elsewhere `<select>` is nothing.
    pub select: Option<Vec<String>>,
    /// What stands between the names where the tool takes them as one argument: then `<tests>` may be part of a word.
    pub select_separator: Option<String>,
    /// How a name is written in `<tests>`, where it is not taken as it stands.
    pub select_escape: Option<ItemEscape>,
    /// The command that starts a session: a process that loads everything once, lists the tests, and is forked for them. It
    /// needs `list-format = "jsonl"` and `results = "events"`. See [sessions](session-protocol.md).
    pub session: Option<Command>,
    /// Whether that process forks for its workers. One that can't, serves a single worker itself, over two named pipes: then
    /// each worker has one. Default: `true`.
    pub session_forks: Option<bool>,
    /// The command that finishes what several processes of a group have left for it in the folder that `ORCHESTRATE_PARTS`
    /// names, such as coverage. It runs once when the group's tests are over, if anything is there. See
    /// [parts](session-protocol.md#parts).
    pub finish: Option<Command>,
    /// Where results come from.
    pub results: Option<ResultFormat>,
    /// What the program's standard output is. `"report"`: its results, which is what some formats are; what else the program
    /// prints is then taken for results too.
    pub stdout: Option<Stdout>,
    /// Where the tool writes its report if it can't be told `<report>`: a path that begins with `<tmp>/`; of a folder, all
    /// `*.xml` files in it.
    pub report: Option<String>,
    /// What is a test. `"listed"`, the default: an item. `"reported"`: what the report names in an item, such as the test
    /// cases of a file; each counts by itself.
    pub tests: Option<Tests>,
    /// Exit codes that mean that the test was skipped.
    pub skip_exit: Option<Vec<u8>>,
    /// The signal that asks a job to end, if not `"TERM"`: one after which the tool still cleans up.
    pub stop_signal: Option<StopSignal>,
    /// What starting a job costs before its first test: it decides how many items a chunk holds.
    pub start_cost: Option<Span>,
    /// What a chunk may hold.
    pub chunk_by: Option<ChunkBy>,
    /// The most items a job may get; `1` for a program that runs one.
    pub chunk_size: Option<ChunkSize>,
    /// The settings that a group's `with` may change, with their defaults; each is a template `<name>` in the commands.
    pub settings: Option<Map<Setting>>,
    /// Environment variables of the runner's commands.
    pub env: Option<Map<Text>>,
    /// Environment variables that the runner's commands do not inherit: those that would make a program run a part of its tests.
    /// A group may still set them.
    pub env_without: Option<Vec<String>>,
}

/// A place to run workers at. Not yet supported.
#[derive(Clone, Debug, Default, Deserialize, JsonSchema, PartialEq)]
#[serde(deny_unknown_fields, rename_all = "kebab-case", default)]
pub struct Executor {
    /// The command that makes room for the workers.
    pub allocate: Option<Command>,
    /// The command that starts one worker; frames go over its standard input and output.
    pub launch: Option<Command>,
    /// The command that gives the room back.
    pub release: Option<Command>,
}

/// An array that is not empty.
#[derive(Clone, Debug, Deserialize, JsonSchema, PartialEq)]
#[serde(try_from = "Vec<String>")]
#[schemars(inline, with = "Vec<String>")]
pub struct AtLeastOne(pub Vec<String>);

impl TryFrom<Vec<String>> for AtLeastOne {
    type Error = &'static str;
    fn try_from(list: Vec<String>) -> Result<Self, Self::Error> {
        if list.is_empty() {
            return Err("at least one pattern is needed");
        }
        Ok(Self(list))
    }
}

/// The signal that asks a process to end.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "UPPERCASE")]
#[schemars(inline)]
pub enum StopSignal {
    /// The usual request to end.
    #[default]
    Term,
    /// What Ctrl-C sends: Python raises `KeyboardInterrupt`.
    Int,
    /// What a closed terminal sends.
    Hup,
    /// What Ctrl-\ sends: the JVM and Go print their stacks.
    Quit,
    /// Free for programs to use.
    Usr1,
    /// Free for programs to use.
    Usr2,
}

impl StopSignal {
    /// All of them.
    pub const ALL: [Self; 6] = [
        Self::Term,
        Self::Int,
        Self::Hup,
        Self::Quit,
        Self::Usr1,
        Self::Usr2,
    ];

    /// The name, as in a manifest.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Term => "TERM",
            Self::Int => "INT",
            Self::Hup => "HUP",
            Self::Quit => "QUIT",
            Self::Usr1 => "USR1",
            Self::Usr2 => "USR2",
        }
    }
}

/// What a chunk may hold.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum ChunkBy {
    /// Items of one module only.
    Module,
    /// Items of any modules; a module stays whole where it fits.
    Any,
}

/// When a job's temporary folder outlives it.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum KeepTmp {
    /// Never: it is removed with the job.
    Never,
    /// When the job failed; the failure says where it is.
    Failed,
    /// Always.
    Always,
}

/// What holds a job's processes together.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum IsolationLevel {
    /// The worker process, to which orphans come; needs no privilege. The default.
    Supervisor,
    /// A process namespace of the worker besides: its jobs see and reach no process outside, and when it goes, the kernel ends
    /// all in it, whoever owns it. Needs root or user namespaces.
    PidNamespace,
    /// That, and the worker's own `/tmp`, `/var/tmp`, `/dev/shm` and shared memory. The folders of other workers, `.fastest/`
    /// and the reports can neither be read nor written. See [security](security.md). Needs root or user namespaces.
    Sandbox,
    /// A control group a job besides the worker process: the kernel ends all in it, and counts its memory where that is delegated to us.
    Cgroup,
}

/// Which network a group's workers have.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Network {
    /// The one that `orchestrate` has. The default.
    Host,
    /// A loopback of each worker's own and nothing else, so that the tests of each may use any port, such as 8080. Needs root or
    /// user namespaces.
    Private,
    /// No interface is up, not even the loopback. Needs root or user namespaces.
    None,
}

/// Variables of other tools.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Compat {
    /// `PYTEST_XDIST_WORKER` (`gw0`, …), `PYTEST_XDIST_WORKER_COUNT`, `PYTEST_XDIST_TESTRUNUID`.
    Xdist,
    /// `TEST_ENV_NUMBER` (empty, then `2`, `3`, …), `PARALLEL_TEST_GROUPS`.
    ParallelTests,
    /// `JEST_WORKER_ID` (from `1`).
    Jest,
    /// `TEST_TMPDIR`.
    Bazel,
}

/// How an item is written in `<items>`.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum ItemEscape {
    /// As a regular expression that matches it and nothing else: for tools that select tests by one.
    Regex,
}

/// What a program's standard output is.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Stdout {
    /// What it prints, kept for whoever reads of a failure.
    Output,
    /// Its results: they are `<report>`.
    Report,
}

/// What is a test.
#[derive(Clone, Copy, Debug, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum Tests {
    /// An item.
    Listed,
    /// What the report names in an item.
    Reported,
}

/// How a listing is written.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum ListFormat {
    /// One id a line on standard output.
    #[default]
    Lines,
    /// One JSON object a line in the file `<report>`: `{"id": …, "file": …, "line": …, "tags": […], "keywords": […],
    /// "error": …}`; all but `id` may be missing. `keywords` are the names that `-k` looks in; without them it is the id and
    /// the tags.
    Jsonl,
    /// Cargo's messages: every test executable is asked for its tests.
    Cargo,
    /// What `go list -json` prints: every package's tests are built once, and asked for their names.
    Go,
    /// What `--gtest_list_tests` prints.
    Gtest,
    /// What `ctest --show-only=json-v1` prints.
    Ctest,
}

/// Where the results of a job come from; never from what a test prints.
#[derive(Clone, Copy, Debug, Default, Deserialize, Serialize, JsonSchema, PartialEq, Eq)]
#[serde(rename_all = "kebab-case")]
#[schemars(inline)]
pub enum ResultFormat {
    /// The exit code alone: it is the result of every item in the chunk.
    #[default]
    Exit,
    /// A JUnit file at `<report>`.
    Junit,
    /// One JSON object a line at `<report>`: `{"event":"started","id":…}`, `{"event":"finished","id":…,"outcome":…}`.
    Events,
    /// The log file of Rust's test harness at `<report>`.
    Libtest,
    /// What Rust's test harness prints: `test NAME ... ok`.
    LibtestText,
    /// The Test Anything Protocol, versions 12 to 14: a stream is the result of the chunk's one item.
    Tap,
    /// What bats prints by `--formatter cat --timing`.
    Bats,
    /// What `go test -json` and `go tool test2json` print.
    GoJson,
    /// What a Go test program prints by `-test.v`, with or without the marks of `-test.v=test2json`.
    GoTest,
    /// What a program of GoogleTest writes by `--gtest_output=xml:<report>`.
    GtestXml,
    /// CTest's own rules, where the listing says how a test is started; else the JUnit file of `ctest`.
    Ctest,
}
