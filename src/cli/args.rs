//! The arguments, as they are written.

use std::ffi::OsString;
use std::path::PathBuf;

use clap::{ArgAction, Args, Parser, Subcommand, ValueEnum};

use crate::manifest::model::{Factor, MaxFail};
use crate::plan::shard::Shard;

/// Runs a repository's tests, in any language, from one committed fastest.toml
#[derive(Debug, Parser)]
#[command(
    name = "orchestrate",
    version,
    about,
    max_term_width = 100,
    arg_required_else_help = true
)]
#[command(
    after_help = "Exit codes: 0 all passed, 1 some test failed, 2 usage or manifest, 3 infrastructure, \
                        4 nothing matched, 128+N ended by signal N"
)]
pub struct Arguments {
    /// What to do
    #[command(subcommand)]
    pub command: Command,
}

/// The subcommands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Runs tests
    Run(RunArguments),
    /// Tells again of a run that is over, or was interrupted
    Report(ReportArguments),
    /// Joins the results of runs, such as those of all shards, and fails where a test ran in none of them or in two
    Merge(MergeArguments),
    /// Shows what is known of tests from earlier runs, and carries it to other places
    History(HistoryArguments),
    /// Says how `run` would go: workers, chunks, order, and how long it would take
    Plan(PlanArguments),
    /// Says what a run's time went to, and which changes would save most
    Explain(ExplainArguments),
    /// Lists the tests that `run` would run
    List(ListArguments),
    /// Checks manifests, and that their groups have the tests that they name
    Check(CheckArguments),
    /// Shows resolved values and where each came from
    Show(ShowArguments),
    /// Prints built-in runners in the words of [runners.NAME]
    Runners(RunnersArguments),
    /// Prints the JSON schema of the manifest, or of the event stream
    Schema(SchemaArguments),
    /// Writes a manifest for what is found here
    Init(InitArguments),
    /// Says what works on this system: isolation levels, temporary folders
    Doctor,
    /// Waits for a worker of a session's host; started by that
    #[command(hide = true)]
    Guard(GuardArguments),
    /// Writes down how a tool starts a test program; started by tools that a listing runs
    #[command(hide = true)]
    Record(RecordArguments),
    /// Serves jobs on standard input and output; started by `run`
    #[command(hide = true)]
    Worker(WorkerArguments),
}

/// What to select, the same for every subcommand that lists tests.
#[derive(Args, Debug, Default)]
pub struct SelectArguments {
    /// Files, folders or test ids; all tests if there is none
    #[arg(value_name = "PATH|ID")]
    pub selectors: Vec<OsString>,
    /// Only this group; may be repeated
    #[arg(short, long = "group", value_name = "GROUP")]
    pub groups: Vec<String>,
    /// With --group: not the groups that these need
    #[arg(long, requires = "groups")]
    pub no_needs: bool,
    /// Only tests whose name matches an expression: words, `and`, `or`, `not`, parentheses
    #[arg(short = 'k', value_name = "EXPR")]
    pub words: Option<String>,
    /// Only tests whose tags match an expression
    #[arg(short = 'm', value_name = "EXPR")]
    pub tags: Option<String>,
    /// Not these files, folders, tests or groups, nor what a pattern matches; may be repeated
    #[arg(long, value_name = "PATTERN|ID")]
    pub exclude: Vec<OsString>,
    /// Only tests that failed, or did not run, the last time they were to
    #[arg(long)]
    pub failed: bool,
    /// Only tests whose file, or whose group's `inputs`, git says to have changed since a commit [default: HEAD]
    #[arg(
        long,
        value_name = "REF",
        num_args = 0..=1,
        require_equals = true,
        default_missing_value = "HEAD"
    )]
    pub changed: Option<String>,
    /// Only one of several parts of what is selected: 2/5 is the second of five. Each machine of a CI run takes another;
    /// `merge` joins their results
    #[arg(long, value_name = "NUMBER/OF")]
    pub shard: Option<Shard>,
    /// How many listing commands run at once [default: as many as there are processors]
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=4096))]
    pub collect_jobs: Option<u16>,
    /// List anew what `cache-listing` keeps
    #[arg(long)]
    pub no_cache: bool,
    /// An overlay of the manifest: [profiles.PROFILE]
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
}

/// How many jobs run at once, and in which order.
#[derive(Args, Clone, Copy, Debug, Default)]
pub struct ScheduleArguments {
    /// The most jobs at once, in all and in each group: a number, a share of the processors such as 50%, or auto, which 0
    /// is too [env: FASTEST_WORKERS]
    #[arg(
        short = 'n',
        long = "workers",
        value_name = "N",
        allow_negative_numbers = true
    )]
    pub workers: Option<WorkerNumber>,
    /// The order in which tests start, in all groups
    #[arg(long, value_enum, value_name = "ORDER")]
    pub order: Option<OrderName>,
    /// The seed of a random order, which this asks for
    #[arg(long, value_name = "N")]
    pub seed: Option<u64>,
}

/// `orchestrate run`.
#[derive(Args, Debug)]
pub struct RunArguments {
    /// What to run.
    #[command(flatten)]
    pub select: SelectArguments,
    /// How it is planned.
    #[command(flatten)]
    pub schedule: ScheduleArguments,
    /// Stop after the first failed test; what did not run is listed as not-run
    #[arg(short = 'x', long)]
    pub fail_fast: bool,
    /// Stop after this many failed tests, or a share of them such as 10%; 0 never stops early. What runs then ends by
    /// itself, or at once with :now, as in 3:now
    #[arg(
        long,
        value_name = "N[%][:now|soon]",
        conflicts_with = "fail_fast",
        allow_negative_numbers = true
    )]
    pub max_fail: Option<MaxFail>,
    /// Multiply the timeout of each test, for a machine that is slower or a build that is [env: FASTEST_TIMEOUT_MULTIPLIER]
    #[arg(long, value_name = "F", allow_negative_numbers = true)]
    pub timeout_multiplier: Option<Factor>,
    /// Run each selected test N times, one round of all after the other
    #[arg(
        long,
        value_name = "N",
        value_parser = clap::value_parser!(u32).range(1..=1_000_000),
        allow_negative_numbers = true
    )]
    pub repeat: Option<u32>,
    /// Run the selected tests round after round until a test fails; --repeat bounds it
    #[arg(long)]
    pub until_fail: bool,
    /// Say more: every test
    #[arg(short, long, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Say less: failures and one line
    #[arg(short, long)]
    pub quiet: bool,
    /// Write a report besides those of the manifest: junit or jsonl, to PATH or to standard output (-); may be repeated
    #[arg(long = "report", value_name = "FORMAT[=PATH]")]
    pub reports: Vec<String>,
    /// Print what would run, and run nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Let tests write to the terminal, one at a time
    #[arg(long, action = ArgAction::SetTrue)]
    pub no_capture: bool,
}

/// A number of workers as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WorkerNumber {
    /// So many; 0 is automatic.
    Number(u32),
    /// So many hundredths of the processors.
    Percent(u32),
}

impl std::str::FromStr for WorkerNumber {
    type Err = &'static str;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        const WHY: &str = "expected a whole number, a share of the processors such as 50%, or auto";
        if text == "auto" {
            return Ok(Self::Number(0));
        }
        let number = |text: &str| text.parse().map_err(|_| WHY);
        match text.strip_suffix('%') {
            Some(share) => match number(share)? {
                0 => Err(WHY),
                share => Ok(Self::Percent(share)),
            },
            None => Ok(Self::Number(number(text)?)),
        }
    }
}

/// An order as it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum OrderName {
    /// What failed last time first, then what takes longest
    Smart,
    /// As they are listed
    Listed,
    /// At random
    Random,
}

/// How a run that is over is told of.
#[derive(Args, Debug)]
pub struct TellArguments {
    /// Say more: every test
    #[arg(short, long, conflicts_with = "quiet")]
    pub verbose: bool,
    /// Say less: failures and one line
    #[arg(short, long)]
    pub quiet: bool,
    /// Write a report: junit or jsonl, to PATH or to standard output (-); may be repeated
    #[arg(long = "report", value_name = "FORMAT[=PATH]")]
    pub reports: Vec<String>,
}

/// `orchestrate report`.
#[derive(Args, Debug)]
pub struct ReportArguments {
    /// The run, or how its id begins; the last run if there is none
    pub id: Option<String>,
    /// How to tell of it.
    #[command(flatten)]
    pub tell: TellArguments,
}

/// `orchestrate merge`.
#[derive(Args, Debug)]
pub struct MergeArguments {
    /// The runs: their folders, the files that `--report jsonl=FILE` wrote, or the ids of runs that are kept here
    #[arg(value_name = "RUN", required = true)]
    pub runs: Vec<PathBuf>,
    /// How to tell of them.
    #[command(flatten)]
    pub tell: TellArguments,
}

/// `orchestrate history`.
#[derive(Args, Debug)]
pub struct HistoryArguments {
    /// What to do with it
    #[command(subcommand)]
    pub command: HistoryCommand,
}

/// What is done with the history.
#[derive(Debug, Subcommand)]
pub enum HistoryCommand {
    /// Shows the last results of tests, and what the next run thinks of them
    Show {
        /// Parts of ids; all tests if there is none
        #[arg(value_name = "ID")]
        tests: Vec<String>,
    },
    /// Lists the tests that take longest
    Slowest {
        /// How many
        #[arg(short = 'n', long, value_name = "N", default_value_t = 10)]
        number: u32,
    },
    /// Lists the tests that passed only at a later try, or both failed and passed at one commit
    Flaky,
    /// Writes it as lines of JSON, so that another machine can import it
    Export {
        /// The file; standard output if there is none
        #[arg(value_name = "FILE")]
        to: Option<PathBuf>,
        /// Only what this run has measured; `last` is the last one
        #[arg(long, value_name = "RUN")]
        run: Option<String>,
    },
    /// Takes in files that were exported, in whatever order; what is known already changes nothing
    Import {
        /// The files
        #[arg(value_name = "FILE", required = true)]
        files: Vec<PathBuf>,
    },
    /// Forgets what is old
    Prune {
        /// How many of a test's last runs are kept
        #[arg(long, value_name = "N", default_value_t = u32::try_from(crate::history::KEPT).unwrap_or(u32::MAX))]
        keep: u32,
        /// Tests that did not run in the last so many runs are forgotten
        #[arg(long, value_name = "N", default_value_t = u32::try_from(crate::history::FORGOTTEN).unwrap_or(u32::MAX))]
        runs: u32,
    },
}

/// `orchestrate plan`.
#[derive(Args, Debug)]
pub struct PlanArguments {
    /// What to plan.
    #[command(flatten)]
    pub select: SelectArguments,
    /// How it is planned.
    #[command(flatten)]
    pub schedule: ScheduleArguments,
    /// How to print it
    #[arg(long, value_enum, default_value_t = PlanForm::Human)]
    pub format: PlanForm,
}

/// `orchestrate explain`.
#[derive(Args, Debug)]
pub struct ExplainArguments {
    /// The run, or how its id begins; the last run if there is none
    #[arg(value_name = "RUN")]
    pub id: Option<String>,
    /// How to print it
    #[arg(long, value_enum, default_value_t = PlanForm::Human)]
    pub format: PlanForm,
}

/// How a plan, or what is explained of a run, is printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum PlanForm {
    /// For a person
    Human,
    /// One JSON object
    Json,
}

/// `orchestrate list`.
#[derive(Args, Debug)]
pub struct ListArguments {
    /// What to list.
    #[command(flatten)]
    pub select: SelectArguments,
    /// How to print it
    #[arg(long, value_enum, default_value_t = ListForm::Ids)]
    pub format: ListForm,
}

/// How a list is printed.
#[derive(Clone, Copy, Debug, ValueEnum)]
pub enum ListForm {
    /// One id a line
    Ids,
    /// One JSON array
    Json,
    /// Groups, files, and what is in them
    Tree,
}

/// `orchestrate check`.
#[derive(Args, Debug)]
pub struct CheckArguments {
    /// The manifests; the nearest fastest.toml if there is none
    pub manifests: Vec<PathBuf>,
    /// Read the manifests only: list no tests, which may build them
    #[arg(long)]
    pub no_list: bool,
    /// List tests with an overlay of the manifest: [profiles.PROFILE]
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
}

/// `orchestrate show`.
#[derive(Args, Debug)]
pub struct ShowArguments {
    /// The group; all if there is none
    pub group: Option<String>,
    /// An overlay of the manifest: [profiles.PROFILE]
    #[arg(long, value_name = "PROFILE")]
    pub profile: Option<String>,
}

/// `orchestrate runners`.
#[derive(Args, Debug)]
pub struct RunnersArguments {
    /// The runner; a list of all if there is none
    pub name: Option<String>,
}

/// `orchestrate schema`.
#[derive(Args, Debug)]
pub struct SchemaArguments {
    /// Print the schema of `--report jsonl` instead
    #[arg(long)]
    pub events: bool,
}

/// `orchestrate init`.
#[derive(Args, Debug)]
pub struct InitArguments {
    /// Print the manifest, and write nothing
    #[arg(long)]
    pub print: bool,
    /// Write all groups that are found, without listing their tests first
    #[arg(long)]
    pub no_list: bool,
    /// Do not write fastest.schema.json, by which editors complete the manifest
    #[arg(long)]
    pub no_schema: bool,
}

/// `orchestrate guard`.
#[derive(Args, Debug)]
pub struct GuardArguments {
    /// The descriptor that is told how the worker ended.
    pub channel: i32,
    /// The worker's process id.
    pub worker: i32,
}

/// `orchestrate record`.
#[derive(Args, Debug)]
pub struct RecordArguments {
    /// The folder of the records.
    pub folder: PathBuf,
    /// Whether the program is kept beside its record.
    #[arg(long)]
    pub keep: bool,
    /// The program and its arguments.
    #[arg(last = true)]
    pub words: Vec<std::ffi::OsString>,
}

/// `orchestrate worker`.
#[derive(Args, Debug)]
pub struct WorkerArguments {
    /// The descriptor that jobs write to where output is not captured.
    #[arg(long)]
    pub output_fd: Option<i32>,
    /// What is removed if the run is killed.
    #[arg(long)]
    pub run_folder: Option<PathBuf>,
    /// Whether the first frame says which walls it lives behind.
    #[arg(long)]
    pub confined: bool,
}
