//! A run: a configuration and what is asked of it, from discovery to the exit code.

use std::collections::{HashMap, HashSet};
use std::ffi::OsString;
use std::io;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{self, RecvTimeoutError};
use std::sync::{Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use indexmap::IndexMap;
use rayon::ThreadPoolBuilder;
use rayon::prelude::*;

use crate::choose::{self, Unlisted, choose};
use crate::event::{Event, Totals};
use crate::execute::{self, Owed, Reason, Repeat, Reserve, Stop};
use crate::history::{self, Begun, Folder, Journal, Kept, Recorder, RunFolder, Store};
use crate::machine::{self, Gauge};
use crate::manifest::Config;
use crate::manifest::config::{GroupConfig, GroupName, Hook, Session};
use crate::manifest::load;
use crate::manifest::model::{Order, Size};
use crate::manifest::problem::{Problem, Problems};
use crate::pending::PendingVariables;
use crate::plan::forecast::Outlook;
use crate::plan::shard::{self, Part, Shard};
use crate::plan::{Item, Machine, Matched, Miss, Plan, Selection};
use crate::report::{self, Jsonl, ReportError, Reported, Reporter};
use crate::runner::list::{Live, Watch};
use crate::runner::{ClaimedFiles, Discovery, discover, files};
use crate::secrets::Secrets;
use crate::worker;

/// A run that is ready to go.
pub struct Run {
    config: Config,
    discovery: Discovery,
    folder: Folder,
    /// What will run.
    pub plan: Plan,
    /// What a person should know before it does.
    pub warnings: Vec<String>,
    /// What other numbers of workers would give, as far as that was asked.
    pub outlook: Vec<Outlook>,
    /// Groups that have no test at all, with why.
    pub empty: Vec<String>,
    /// Patterns of the manifest that choose tests, and match none.
    pub unmatched: Vec<Miss>,
    /// The same for those that only leave tests out.
    pub idle: Vec<Miss>,
    /// The files that its groups claim.
    pub claims: ClaimedFiles,
    /// The paths that were named and hold no test of a group.
    pub unclaimed: Vec<String>,
    /// Whether some groups are left out by name.
    pub is_part: bool,
    /// Where nothing is selected: the words of `-k` and `-m` that no test has, each as a sentence.
    pub absent_words: Vec<String>,
    /// What a person may want to know, and need not act on.
    pub notes: Vec<String>,
    /// The full ids of what was listed and not selected.
    unselected: Vec<String>,
    /// What it is of a whole that several machines share.
    pub part: Option<Part>,
    reserve: Reserve,
    prepared: Duration,
}

/// What is asked of a run.
#[derive(Clone, Copy)]
pub struct Asked<'a> {
    /// The names of groups; none is all.
    pub groups: &'a [String],
    /// Which of their tests.
    pub selection: &'a Selection,
    /// Whether groups that others need are left out.
    pub no_needs: bool,
    /// Which part of these, where several machines share them.
    pub shard: Option<Shard>,
    /// How many groups are listed at once, if not as many as there are processors.
    pub collect_jobs: Option<usize>,
    /// Whether all are listed anew.
    pub no_cache: bool,
    /// The files of reports, which no test may touch where that can be helped.
    pub reports: &'a [PathBuf],
    /// Who shows listings while they run.
    pub watch: Option<&'a dyn Watch>,
    /// The numbers of workers whose prospects are asked for.
    pub outlook: &'a [usize],
}

/// How a plan is run.
#[derive(Clone, Copy, Debug)]
pub struct How {
    /// Whether output is captured.
    pub capture: bool,
    /// How often each test runs.
    pub repeat: Repeat,
}

/// What can't be run.
#[derive(Debug, thiserror::Error)]
pub enum RunError {
    /// A path or an id that nothing is called.
    #[error("{}no test, file or folder is called {written:?}; {hint}", option.map(|option| format!("{option}: ")).unwrap_or_default())]
    Unknown {
        /// The option that names it, if one does.
        option: Option<&'static str>,
        /// As it was written.
        written: String,
        /// What may have been meant, or where to look.
        hint: String,
    },
    /// What failed last time is asked for, and there was no last time.
    #[error("--failed: no run that is kept here has run any of these tests")]
    NoLastRun,
    /// There is no temporary folder.
    #[error(transparent)]
    Scratch(#[from] crate::worker::ScratchError),
}

/// What became of a run.
#[derive(Debug)]
pub struct Finished {
    /// What the reports say.
    pub reported: Reported,
    /// Why it stopped early, if it did.
    pub stopped: Option<Reason>,
}

/// What is kept of earlier runs.
struct Past<'a> {
    folder: &'a Folder,
    store: &'a Store,
}

impl choose::Past for Past<'_> {
    fn unfinished(&self, items: Vec<String>) -> Option<HashMap<String, history::Unfinished>> {
        history::unfinished(self.folder, self.store, items)
    }

    fn inside(&self, items: Vec<String>) -> HashMap<String, Vec<String>> {
        history::inside(self.folder, items)
    }
}

/// How often listings are looked at.
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Lists while somebody watches.
fn watched<T>(
    watch: Option<&dyn Watch>,
    live: &Live,
    secrets: &Secrets,
    list: impl FnOnce() -> T,
) -> T {
    thread::scope(|scope| {
        let (over, ended) = mpsc::channel::<()>();
        let look = move |watch: &dyn Watch| {
            while ended.recv_timeout(LOOK_EVERY) == Err(RecvTimeoutError::Timeout) {
                let mut listings = live.look();
                let lines = listings.iter_mut().flat_map(|listing| &mut listing.lines);
                lines.for_each(|line| secrets.mask(line));
                watch.look(&listings);
            }
            watch.over();
        };
        // Without a thread to be had, nothing is shown.
        let shown = watch.map(|watch| {
            let thread = thread::Builder::new().name("listings".into());
            thread.spawn_scoped(scope, move || look(watch))
        });
        let result = list();
        drop((over, shown));
        result
    })
}

/// The names of the groups that are asked for, with those that they need; none is all. Who names tests wants these alone.
fn with_needs<'a>(config: &'a Config, asked: &Asked<'a>, notes: &mut Vec<String>) -> Vec<&'a str> {
    let mut names: Vec<&str> = asked.groups.iter().map(String::as_str).collect();
    if asked.no_needs || !asked.selection.is_all() {
        return names;
    }
    let mut next = 0;
    while let Some(&name) = names.get(next) {
        next += 1;
        let mut groups = config.groups.iter();
        let group = groups.find(|group| group.name.as_str() == name);
        for needed in group.into_iter().flat_map(|group| &group.needs) {
            let is_excluded = asked.selection.excludes_group(needed.as_str());
            if !is_excluded && !names.contains(&needed.as_str()) {
                notes.push(format!(
                    "group {needed} runs too: {name} needs it (--no-needs leaves it out)"
                ));
                names.push(needed.as_str());
            }
        }
    }
    names
}

/// Which groups that run need others of which no test is selected.
fn unmet_needs(config: &Config, chosen: &[(Arc<GroupConfig>, Vec<Item>)]) -> Vec<String> {
    let runs = |name: &GroupName| {
        let mut groups = chosen.iter();
        groups.any(|(group, items)| group.name == *name && !items.is_empty())
    };
    let mut unmet: IndexMap<&GroupName, Vec<&str>> = IndexMap::new();
    for group in config.groups.iter().filter(|group| runs(&group.name)) {
        for needed in group.needs.iter().filter(|needed| !runs(needed)) {
            unmet.entry(needed).or_default().push(group.name.as_str());
        }
    }
    let unmet = unmet.into_iter();
    unmet
        .map(|(needed, by)| {
            let by = by.join(", ");
            format!(
                "group {needed} is not selected, though {by} needs it: it is taken to have passed"
            )
        })
        .collect()
}

/// A run's id: its beginning in UTC and the process that ran it, so that ids sort by time.
#[must_use]
pub fn new_id() -> String {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let millis = i64::try_from(now.as_millis()).unwrap_or_default();
    let now = chrono::DateTime::from_timestamp_millis(millis).unwrap_or_default();
    format!("{}-{}", now.format("%Y%m%d-%H%M%S%.3f"), std::process::id())
}

impl Run {
    /// Lists, selects and plans.
    ///
    /// # Errors
    /// A path or an id that nothing is called, no last run where it is asked for, or no room for temporary files.
    pub fn prepare(
        config: Config,
        asked: &Asked<'_>,
        environment: HashMap<OsString, OsString>,
    ) -> Result<Self, RunError> {
        let selection = asked.selection;
        let begun = Instant::now();
        let mut warnings = config.warnings.clone();
        let mut empty = Vec::new();
        let folder = Folder::of(&config.root);
        let mut discovery = Discovery::new(&config, new_id(), environment)?;
        discovery.wants_keywords = selection.words.is_some();
        discovery.reads_listings = !asked.no_cache;
        discovery.reports = asked.reports.to_vec();
        discovery.keeps_listings = folder.has_own(Kept::Listings);
        warnings.extend(folder.warning());
        let mut notes = Vec::new();
        let groups = with_needs(&config, asked, &mut notes);
        let (excluded, groups): (Vec<_>, Vec<_>) = config
            .groups
            .iter()
            .filter(|group| {
                let name = group.name.as_str();
                groups.is_empty() || groups.contains(&name)
            })
            .partition(|group| selection.excludes_group(group.name.as_str()));
        let groups: Vec<_> = groups.into_iter().cloned().map(Arc::new).collect();
        let files = files::of_groups(&config.root, &groups);
        let groups: Vec<_> = groups.into_iter().zip(files).collect();
        let list =
            |(group, files): (Arc<GroupConfig>, _)| (discover(&discovery, &group, files), group);
        let jobs = asked.collect_jobs.unwrap_or(0);
        let recall = || {
            if folder.has_own(Kept::History) {
                Store::read(&folder.database(), &discovery.run)
            } else {
                (Store::default(), None)
            }
        };
        // Where no threads are to be had, one after the other will do.
        let (found, (store, unread)): (Vec<_>, _) =
            watched(asked.watch, &discovery.live, &discovery.secrets, || {
                match ThreadPoolBuilder::new().num_threads(jobs).build() {
                    Ok(pool) => pool.install(|| {
                        rayon::join(|| groups.into_par_iter().map(list).collect(), recall)
                    }),
                    Err(_) => (groups.into_iter().map(list).collect(), recall()),
                }
            });
        warnings.extend(unread);
        discovery.close();
        let mut listed = Vec::new();
        let mut unless_all = HashMap::new();
        let mut matched = Matched::default();
        let mut claims = ClaimedFiles::default();
        for (found, mut group) in found {
            empty.extend(found.empty);
            let name = group.name.clone();
            let of_group = |warning| format!("group {name}: {warning}");
            warnings.extend(found.warnings.into_iter().map(of_group));
            if let Some(why) = found.worker {
                Arc::make_mut(&mut group).session = Session::Worker(why);
            }
            if let Some(why) = found.cold {
                Arc::make_mut(&mut group).session = Session::Cold(why);
            }
            if let Some(why) = found.one_process {
                Arc::make_mut(&mut group).run_as_one_process(why);
            } else if let Some(why) = found.one_process_unless_all {
                unless_all.insert(group.name.clone(), (found.items.len(), why));
            }
            let mut items = found.items;
            let is_told = !items.is_empty();
            Arc::make_mut(&mut group).settle(&items);
            matched.add(&group, &items, &found.excluded);
            claims.add(&group, &items);
            items.retain(|item| !group.leaves_out(item));
            if is_told && items.is_empty() {
                empty.push(format!(
                    "group {name}: `exclude` leaves out all of its tests"
                ));
            }
            listed.push((group, items));
        }
        let misses = matched.misses(listed.len() == config.groups.len());
        let (unmatched, idle): (Vec<_>, _) = misses.into_iter().partition(|miss| !miss.excludes);
        let excluded: Vec<&str> = excluded.iter().map(|group| group.name.as_str()).collect();
        let is_part = !asked.groups.is_empty() || !excluded.is_empty();
        let unlisted = Unlisted {
            excluded: &excluded,
            is_part: !asked.groups.is_empty(),
        };
        let earlier_runs = Past {
            folder: &folder,
            store: &store,
        };
        let chosen = choose(selection, unlisted, listed, &earlier_runs)?;
        warnings.extend(chosen.warnings);
        if !selection.failed && selection.changed.is_none() {
            notes.extend(unmet_needs(&config, &chosen.groups));
        }
        let (mut selected, part) = match asked.shard {
            Some(asked) => {
                let (own, part) = shard::take(asked, chosen.groups, &store);
                (own, Some(part))
            }
            None => (chosen.groups, None),
        };
        for (group, items) in &mut selected {
            if let Some((all, why)) = unless_all.remove(&group.name)
                && items.len() < all
            {
                // Its host took all tests for the session's.
                let _ = discovery.session(&group.name).finish(Duration::ZERO);
                Arc::make_mut(group).run_as_one_process(why);
            }
        }
        let is_random = |group: &Arc<GroupConfig>| group.order == Order::Random;
        let seed = match config.run.seed {
            Some(seed) => seed,
            None if selected.iter().any(|(group, _)| is_random(group)) => fresh_seed(),
            None => 0,
        };
        let gauge = Gauge::new();
        let memory = gauge.read();
        let reserve = Reserve {
            least: memory.map_or(0, |memory| config.run.least_free(memory.total)),
            gauge,
        };
        if let Some(memory) = memory.filter(|memory| memory.total <= reserve.least) {
            warnings.push(format!(
                "`min-free-memory` is {}, and there are {}: jobs run one at a time",
                Size(reserve.least),
                Size(memory.total)
            ));
        }
        let machine = Machine {
            cores: machine::cores(),
            memory: memory.map(|memory| memory.free.saturating_sub(reserve.least)),
            pools: &config.pools.list,
        };
        let (asked_workers, outlook) = (config.run.workers, asked.outlook);
        for text in warnings.iter_mut().chain(&mut empty) {
            discovery.secrets.mask(text);
        }
        let (plan, outlook) =
            Plan::with_outlook(selected, asked_workers, machine, seed, &store, outlook);
        Ok(Self {
            config,
            discovery,
            folder,
            plan,
            warnings,
            outlook,
            empty,
            unmatched,
            idle,
            claims,
            notes,
            unclaimed: chosen.unclaimed,
            is_part,
            absent_words: chosen.absent_words,
            unselected: chosen.unselected,
            part,
            reserve,
            prepared: begun.elapsed(),
        })
    }

    /// Runs the plan and feeds the reports.
    #[must_use]
    pub fn execute(
        mut self,
        mut reporters: Vec<Box<dyn Reporter>>,
        how: How,
        stop: &Stop,
    ) -> Finished {
        let begun = Instant::now();
        let mut warnings = std::mem::take(&mut self.warnings);
        let mut unkept = Vec::new();
        let mut owed = Vec::new();
        let pending = PendingVariables::of(&self.config.root, &self.discovery.environment);
        let pending = Arc::new(pending);
        let kept = match self.folder.begin(&self.discovery.run) {
            Ok(Begun {
                folder,
                warnings: told,
                interrupted,
            }) => {
                warnings.extend(told);
                owed = self.owed(&interrupted, &pending, &mut warnings);
                if self.folder.has_own(Kept::History) {
                    reporters.push(Box::new(Recorder::new(
                        self.folder.database(),
                        &self.discovery.run,
                        history::commit(&self.config.root),
                        machine::cores(),
                    )));
                }
                match Jsonl::journal(&folder.journal(), self.cleaned()) {
                    // First, so that it has what the others tell.
                    Ok(journal) => reporters.insert(0, Box::new(journal)),
                    Err(error) => unkept.push(error),
                }
                Some(folder)
            }
            // Read-only is a choice, and what is kept is a help only; a disk that is full is neither.
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
                ) =>
            {
                let path = self.config.root.join(".fastest");
                unkept.push(ReportError::new("the journal", &path, &error));
                None
            }
            Err(error) => {
                warnings.push(format!(
                    "nothing is kept of this run: can't write .fastest: {error}"
                ));
                None
            }
        };
        let max_fail = self.config.run.max_fail;
        let options = execute::Options {
            run: self.discovery.run.clone(),
            max_fail: max_fail.and_then(|max| Some((max.of(self.plan.tests())?, max.stop))),
            deadline: self
                .config
                .run
                .timeout
                .map(|timeout| (begun + timeout, timeout)),
            capture: how.capture,
            repeat: how.repeat,
            prepared: self.prepared,
            owed,
            pending: pending.clone(),
            unselected: std::mem::take(&mut self.unselected),
            part: self.part.take(),
            hold: kept.as_ref().and_then(RunFolder::hold),
            reserve: self.reserve.clone(),
        };
        let (sender, receiver) = report::queue(begun);
        for message in warnings {
            sender.send(Event::Warning { message });
        }
        let secrets = self.discovery.secrets.clone();
        let stopped = std::sync::OnceLock::new();
        let why = &stopped;
        let feed = Mutex::new(Some(move || {
            report::feed(receiver, reporters, &secrets, |totals| {
                let why = why.get().copied().flatten();
                let stopped = why.map(|reason: Reason| reason.to_string());
                (exit_code(totals, why), stopped)
            })
        }));
        let take = || {
            let feed = feed.lock().unwrap_or_else(PoisonError::into_inner).take();
            feed.map(|feed| feed())
        };
        let mut reported = thread::scope(|scope| {
            // Without a thread to be had, everything is told in the end.
            let reports = thread::Builder::new()
                .name("reports".into())
                .spawn_scoped(scope, take);
            let reason = execute::execute(&self.plan, &options, &self.discovery, &sender, stop);
            let _ = stopped.set(reason);
            // The reports see the end now that it is known why.
            drop(sender);
            let reported = match reports {
                Ok(reports) => reports
                    .join()
                    .unwrap_or_else(|panic| std::panic::resume_unwind(panic)),
                Err(_) => take(),
            };
            reported.expect("only one of the two takes the feed, and tells what came of it")
        });
        reported.errors.extend(unkept);
        if let Some(folder) = kept {
            folder.end();
        }
        pending.forget(&self.discovery.run);
        // Only now: what others have left must not keep the reports from being written.
        worker::sweep();
        Finished {
            reported,
            stopped: stopped.get().copied().flatten(),
        }
    }
}

impl Run {
    /// The patterns of the manifest that choose tests and match none, as problems of it.
    #[must_use]
    pub fn mistakes(&self) -> Option<Problems> {
        let problems = self.unmatched.iter().map(|miss| {
            let message = format!("{:?} matches no test", miss.written);
            Problem::value(miss.place.clone(), message)
                .label("matches nothing")
                .help(miss.hint.clone())
        });
        let problems: Vec<Problem> = problems.collect();
        (!problems.is_empty()).then(|| load::problems(&self.config.source, problems))
    }

    /// The root and the manifest.
    #[must_use]
    pub fn config(&self) -> &Config {
        &self.config
    }

    /// Whether no test is selected, in this shard or in others.
    #[must_use]
    pub fn is_nothing(&self) -> bool {
        self.plan.tests() == 0
            && self
                .part
                .as_ref()
                .is_none_or(|part| part.tests_elsewhere() == 0)
    }

    /// The groups that have hooks at their end, or at that of their workers.
    fn cleaned(&self) -> HashSet<String> {
        let has_end = |group: &&GroupConfig| {
            let mut hooks = [Hook::AfterWorker, Hook::AfterAll].into_iter();
            hooks.any(|hook| !group.hooks.of(hook).is_empty())
        };
        let groups = self.config.groups.iter().filter(has_end);
        groups.map(|group| group.name.to_string()).collect()
    }

    /// What interrupted runs owe, as far as the manifest still has their groups and hooks, with the variables that are known
    /// of it.
    fn owed(
        &self,
        interrupted: &[String],
        pending: &PendingVariables,
        warnings: &mut Vec<String>,
    ) -> Vec<(Owed, GroupConfig)> {
        let mut list = Vec::new();
        for id in interrupted {
            let Ok(journal) = Journal::open(&self.folder.run(id).journal()) else {
                continue;
            };
            for owed in execute::owed(id, journal.map(|line| line.event)) {
                let mut groups = self.config.groups.iter();
                let group = groups.find(|group| group.name.as_str() == owed.group);
                let group = group.filter(|group| !group.hooks.of(owed.hook).is_empty());
                // A run that was to make up for another names that: in a journal it may be anything.
                let group = group.filter(|_| history::is_run_id(&owed.run));
                list.extend(group.map(|group| (owed, group.clone())));
            }
        }
        if list.len() > MOST_OWED {
            warnings.push(format!(
                "{} hooks are to be made up for, and {MOST_OWED} are: no run leaves as many",
                list.len()
            ));
            list.truncate(MOST_OWED);
        }
        for (owed, _) in &mut list {
            warnings.extend(recall(owed, pending));
        }
        list
    }
}

/// How many hooks a run makes up for: one for each worker that there can be, and more.
const MOST_OWED: usize = 1000;

/// Gives a hook that is owed the variables that it needs; says which are missing.
fn recall(owed: &mut Owed, pending: &PendingVariables) -> Option<String> {
    let (kept, why) = match pending.recall(&owed.run) {
        Ok(kept) => (kept, String::new()),
        Err(error) => (Vec::new(), format!(" ({error})")),
    };
    let mut missing = owed.recall(&kept);
    if missing.is_empty() {
        return None;
    }
    if missing.len() > MOST_NAMED {
        missing.truncate(MOST_NAMED);
        missing.push("\u{2026}".to_owned());
    }
    Some(format!(
        "{} of group {} makes up for run {} without variables that its hooks had set: {}{why}",
        owed.hook.key(),
        owed.group,
        owed.run,
        missing.join(", ")
    ))
}

/// How many variables are named.
const MOST_NAMED: usize = 10;

impl Finished {
    /// The exit code of the run.
    #[must_use]
    pub fn exit(&self) -> u8 {
        self.reported.exit_with_reports()
    }
}

/// A seed that a person can type again.
fn fresh_seed() -> u64 {
    let now = std::time::SystemTime::now()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap_or_default();
    let mixed = u64::from(now.subsec_nanos()) ^ now.as_secs() ^ u64::from(std::process::id());
    mixed % 1_000_000 + 1
}

/// The exit code that the outcomes give.
fn exit_code(totals: &Totals, stopped: Option<Reason>) -> u8 {
    use crate::cli::exit;
    match stopped {
        Some(Reason::Signal(signal)) => exit::of_signal(signal),
        Some(Reason::NoThreads) => exit::INFRASTRUCTURE,
        _ if totals.failed_hooks > 0 => exit::INFRASTRUCTURE,
        _ if totals.is_nothing() => exit::NOTHING_MATCHED,
        _ if totals.is_success() => exit::SUCCESS,
        _ => exit::TESTS_FAILED,
    }
}
