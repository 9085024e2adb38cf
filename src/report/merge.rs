//! Several runs told as one: the events of shards, one run after the other, under one beginning and one end.
//!
//! What was counted in each run is counted on, so that jobs and workers are told apart. A test that ran in none gets a result,
//! not-run; one that ran in two has both of theirs: nothing that failed is left out.

use std::collections::{BTreeMap, HashMap};

use indexmap::IndexMap;

use super::Reporter;
use super::feed::{self, Feed, Reported, without_result};
use super::ledger::Ledger;
use super::whole::{Beginning, Gaps};
use crate::cli::exit;
use crate::event::{Event, GroupStarted, Line, Moment, ShardStarted, TestFinished};
use crate::outcome::Outcome;

/// A run that is to be merged, read as far as its beginning.
pub struct Source<'a> {
    /// What a person calls it.
    name: String,
    /// Why a test has no result, if one has none.
    why: &'static str,
    /// What was told before its beginning.
    before: Vec<Line>,
    started: Event,
    /// When it began, in seconds since 1970.
    time: Option<f64>,
    rest: &'a mut dyn Iterator<Item = Line>,
}

/// What came of a merge.
#[derive(Debug)]
pub struct Merged {
    /// What the reports say.
    pub reported: Reported,
    /// What keeps the runs from being a whole.
    pub gaps: Gaps,
}

impl<'a> Source<'a> {
    /// Reads a run's events as far as its beginning; none if it has no beginning.
    pub fn begin(
        name: String,
        events: &'a mut dyn Iterator<Item = Line>,
        why: &'static str,
    ) -> Option<Self> {
        let mut before = Vec::new();
        loop {
            let line = events.next()?;
            if matches!(line.event, Event::RunStarted { .. }) {
                return Some(Self {
                    name,
                    why,
                    before,
                    time: line.time,
                    started: line.event,
                    rest: events,
                });
            }
            before.push(line);
        }
    }

    fn groups(&self) -> &[GroupStarted] {
        match &self.started {
            Event::RunStarted { groups, .. } => groups,
            _ => &[],
        }
    }

    fn shard(&self) -> Option<&ShardStarted> {
        match &self.started {
            Event::RunStarted { shard, .. } => shard.as_ref(),
            _ => None,
        }
    }
}

/// Feeds the reports with several runs.
pub fn merge(mut sources: Vec<Source<'_>>, reporters: Vec<Box<dyn Reporter>>) -> Merged {
    // The same in whatever order they are named.
    sources.sort_by_key(|source| {
        (
            source.shard().map(|shard| shard.number),
            source.name.clone(),
        )
    });
    let beginnings = sources.iter().map(|source| Beginning {
        name: &source.name,
        groups: source.groups(),
        shard: source.shard(),
    });
    let gaps = Gaps::of(&beginnings.collect::<Vec<_>>());
    let mut feed = Feed::new(reporters);
    let begun = Moment {
        at: 0.0,
        time: sources
            .iter()
            .filter_map(|source| source.time)
            .min_by(f64::total_cmp),
    };
    feed.tell(begun, &together(&sources, &gaps));
    let mut so_far = SoFar::default();
    let (mut last, mut longest, mut worst) = (begun, 0.0_f64, exit::SUCCESS);
    let mut stopped = None;
    let has_all = sources.len() == 1 && gaps.none.is_empty();
    for source in sources {
        let end = one(&mut feed, source, &mut so_far, has_all);
        if end.last.at > last.at {
            last = end.last;
        }
        longest = longest.max(end.seconds);
        stopped = stopped.or(end.stopped);
        worst = match end.exit {
            // A shard without tests, or a run that had none.
            exit::NOTHING_MATCHED => worst,
            code => worst.max(code),
        };
    }
    if !gaps.is_empty() {
        feed.warn(last, gaps.to_string());
        for cause in &gaps.causes {
            feed.warn(last, cause.clone());
        }
    }
    for (group, ids) in &gaps.none {
        for id in ids {
            let not_run = TestFinished {
                message: Some("it ran in none of the runs that are merged".to_owned()),
                ..TestFinished::new(id.clone(), group, Outcome::NotRun)
            };
            feed.tell(last, &Event::TestFinished(not_run));
        }
    }
    let code = if !gaps.is_empty() {
        exit::INFRASTRUCTURE
    } else if feed.totals.is_nothing() {
        exit::NOTHING_MATCHED
    } else if worst == exit::SUCCESS && !feed.totals.is_success() {
        exit::TESTS_FAILED
    } else {
        worst
    };
    Merged {
        reported: feed.finish(
            last.until(longest),
            feed::End {
                seconds: longest,
                exit: code,
                stopped,
            },
        ),
        gaps,
    }
}

/// One beginning for all runs.
fn together(sources: &[Source<'_>], gaps: &Gaps) -> Event {
    let mut all: IndexMap<&str, GroupStarted> = IndexMap::new();
    let mut names = Vec::new();
    // The most; 0 is without end.
    let mut rounds = 1;
    let mut pools: BTreeMap<String, usize> = BTreeMap::new();
    let (mut most, mut processors) = (0, 0);
    let mut longest = 0.0_f64;
    for source in sources {
        let Event::RunStarted {
            run,
            groups,
            workers,
            prepared,
            cores,
            pools: own_pools,
            repeat,
            ..
        } = &source.started
        else {
            continue;
        };
        names.push(run.as_str());
        most = add(most, *workers);
        processors = add(processors, *cores);
        rounds = if rounds == 0 || *repeat == 0 {
            0
        } else {
            rounds.max(*repeat)
        };
        for (name, size) in own_pools {
            let sum = pools.entry(name.clone()).or_default();
            *sum = add(*sum, *size);
        }
        longest = longest.max(*prepared);
        for group in groups {
            match all.get_mut(group.name.as_str()) {
                Some(known) => {
                    known.tests = add(known.tests, group.tests);
                    known.workers = add(known.workers, group.workers);
                    known.ids.extend(group.ids.iter().cloned());
                }
                None => drop(all.insert(&group.name, group.clone())),
            }
        }
    }
    for (name, ids) in &gaps.none {
        let group = all.entry(name).or_insert_with(|| GroupStarted {
            name: name.clone(),
            ..GroupStarted::default()
        });
        group.tests = add(group.tests, ids.len());
        group.ids.extend(ids.iter().cloned());
    }
    Event::RunStarted {
        run: names.join("+"),
        tests: all.values().map(|group| group.ids.len()).sum(),
        groups: all.into_values().collect(),
        workers: most,
        seed: 0,
        repeat: rounds,
        prepared: longest,
        cores: processors,
        memory: None,
        pools,
        shard: None,
    }
}

/// A sum of what others have written, whatever that is.
fn add(a: usize, b: usize) -> usize {
    a.saturating_add(b)
}

/// How many jobs and workers there were in the runs before this one.
#[derive(Default)]
struct SoFar {
    jobs: usize,
    /// The highest number of this run's jobs.
    highest: usize,
    /// The most jobs at once, of all runs before this one together.
    slots: usize,
    /// By group.
    workers: HashMap<String, usize>,
}

impl SoFar {
    /// A run is over that began so.
    fn add(&mut self, started: &Event) {
        self.jobs = self.highest;
        if let Event::RunStarted {
            groups, workers, ..
        } = started
        {
            self.slots = add(self.slots, *workers);
            for group in groups {
                let sum = self.workers.entry(group.name.clone()).or_default();
                *sum = add(*sum, group.workers);
            }
        }
    }

    /// Counts on.
    fn shift(&mut self, event: &mut Event) {
        let by = |group: &str| self.workers.get(group).copied().unwrap_or(0);
        match event {
            Event::JobStarted {
                job,
                group,
                worker,
                placement,
                ..
            } => {
                *job = add(*job, self.jobs);
                self.highest = self.highest.max(*job);
                *worker = add(*worker, by(group));
                placement.slot = add(placement.slot, self.slots);
                placement.of = placement.of.map(|job| add(job, self.jobs));
            }
            Event::JobFinished { job, .. } => *job = add(*job, self.jobs),
            Event::TestStarted { group, worker, .. } => *worker = add(*worker, by(group)),
            Event::TestFinished(test) | Event::TestRetried(test) => {
                let shift = by(&test.group);
                test.worker = test.worker.map(|worker| add(worker, shift));
            }
            Event::HookStarted { group, worker, .. } => {
                let shift = by(group);
                *worker = worker.map(|worker| add(worker, shift));
            }
            Event::Status { running } => {
                for job in running {
                    job.worker = add(job.worker, by(&job.group));
                }
            }
            _ => {}
        }
    }
}

/// How a run ended.
struct End {
    last: Moment,
    seconds: f64,
    exit: u8,
    stopped: Option<String>,
}

/// Tells of one of the runs; whether it has all tests that are told of.
fn one(feed: &mut Feed, source: Source<'_>, so_far: &mut SoFar, has_all: bool) -> End {
    let mut ledger = Ledger::default();
    ledger.take(&source.started);
    let name = source.name;
    let mut last = Moment::default();
    let mut end = None;
    for line in source.before.into_iter().chain(source.rest) {
        let when = line.when();
        let mut event = line.event;
        if let Event::RunFinished {
            seconds,
            exit,
            stopped,
            ..
        } = event
        {
            end = Some((seconds, exit, stopped));
            break;
        }
        last = when;
        if let Event::RepetitionStarted { repetition, tests } = &mut event
            && (!has_all || !tests.is_empty())
        {
            // Other tests have repetitions of their own, or none, so these are named. There may be a line a repetition for as
            // many tests as there are, so only those are named that have their results: no more is written than was read.
            *tests = ledger.again(*repetition, tests);
            if tests.is_empty() {
                continue;
            }
        } else if !ledger.take(&event) {
            continue;
        }
        if let Event::Warning { message } = &mut event {
            *message = format!("{name}: {message}");
        }
        so_far.shift(&mut event);
        feed.tell(when, &event);
    }
    so_far.add(&source.started);
    let missing = ledger.missing(Outcome::Cancelled, source.why);
    let count = missing.len();
    for test in missing {
        feed.tell(last, &Event::TestFinished(test));
    }
    match end {
        Some((seconds, exit, stopped)) if count == 0 => End {
            last,
            seconds,
            exit,
            stopped,
        },
        _ => {
            let whose = format!("{name}: {}", source.why);
            feed.warn(last, without_result(count, &whose));
            End {
                last,
                seconds: last.at,
                exit: exit::INFRASTRUCTURE,
                stopped: None,
            }
        }
    }
}
