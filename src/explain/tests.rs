//! Runs that are made up by the very scheduler, told as events, and explained.

use std::collections::BTreeMap;

use proptest::prelude::*;

use super::*;
use crate::event::{Event, GroupStarted, Line, Placement, TestFinished, VERSION};
use crate::manifest::config::Hook;
use crate::manifest::model::{Lock, LockMode, Order};
use crate::outcome::Outcome;
use crate::plan::predict::{Begun, Course, MemorySeen, simulate};
use crate::schedule::{GroupSpec, JobSpec, Limits};

/// A job that is made up.
#[derive(Clone, Debug)]
struct Fake {
    group: usize,
    spec: JobSpec,
    start: f64,
    tests: Vec<f64>,
    /// Whether its first try fails, and how long the next then waits.
    again: Option<f64>,
    /// After how long it is stopped for want of memory, and then run again alone.
    stopped: Option<f64>,
}

/// A run that is made up: of the second group, whether it needs the first.
#[derive(Clone, Debug)]
struct Made {
    workers: [usize; 2],
    slots: usize,
    needs: bool,
    jobs: Vec<Fake>,
    /// What `before-worker` takes in the first group.
    before_worker: f64,
    rounds: u32,
    memory: Option<u64>,
    seen: Vec<MemorySeen>,
}

/// Notes what happens as events.
struct Teller<'a> {
    made: &'a Made,
    lines: Vec<Line>,
    numbers: usize,
    round: u32,
    /// When that began.
    begun: f64,
    /// By job: the number of its last start.
    last: Vec<usize>,
    tries: Vec<u32>,
}

impl Course for Teller<'_> {
    fn takes(&mut self, begun: &Begun<'_>) -> f64 {
        let index = begun.start.job % self.made.jobs.len();
        let job = &self.made.jobs[index];
        self.numbers += 1;
        let name = format!("g{}", job.group);
        let mut at = self.begun + begun.at;
        let mut ready = 0.0;
        // No process ends before its slot is given to another, so a slot is a worker.
        let pid = u32::try_from(begun.start.slot).unwrap();
        let fresh = u32::try_from(self.numbers).unwrap() + 1000;
        if begun.new_worker.is_some()
            && self.round == 1
            && job.group == 0
            && self.made.before_worker > 0.0
        {
            ready = self.made.before_worker;
            at += ready;
            self.tell(at, hooked(Hook::BeforeWorker, &name, fresh, ready));
        }
        let pid = if ready > 0.0 { fresh } else { pid };
        self.tries[index] += 1;
        let is_again = self.tries[index] > 1;
        let attempt = if job.stopped.is_some() {
            1
        } else {
            self.tries[index]
        };
        self.tell(
            at,
            Event::JobStarted {
                job: self.numbers,
                group: name.clone(),
                worker: begun.start.slot,
                pid,
                attempt,
                tests: ids(job, index),
                placement: Placement {
                    chunk: begun.start.job,
                    of: is_again.then_some(self.last[index]),
                    delay: job.again.filter(|_| is_again).unwrap_or(0.0),
                    slot: begun.start.slot,
                    ready,
                    claims: JobSpec {
                        last: is_again && job.stopped.is_some(),
                        ..job.spec.clone()
                    },
                    ..Placement::default()
                },
            },
        );
        self.last[index] = self.numbers;
        let stopped = job.stopped.filter(|_| !is_again);
        let seconds = stopped.unwrap_or_else(|| job.start + job.tests.iter().sum::<f64>());
        let end = at + seconds;
        let told = if stopped.is_some() {
            Vec::new()
        } else {
            ids(job, index)
        };
        for (id, seconds) in told.into_iter().zip(&job.tests) {
            let finished = TestFinished {
                seconds: *seconds,
                worker: Some(begun.start.slot),
                attempt,
                repetition: self.round,
                ..TestFinished::new(id, &name, Outcome::Passed)
            };
            self.tell(end, Event::TestFinished(finished));
        }
        let number = self.numbers;
        self.tell(
            end,
            Event::JobFinished {
                job: number,
                outcome: Outcome::Passed,
                seconds,
                cpu: 0.0,
                memory: 0,
                exit: Some(0),
                signal: None,
            },
        );
        ready + seconds
    }

    fn over(&mut self, number: usize, at: f64) -> Vec<JobSpec> {
        let index = number % self.made.jobs.len();
        let job = &self.made.jobs[index];
        match job.again.or(job.stopped.map(|_| 0.0)) {
            Some(delay) if self.tries[index] == 1 => vec![JobSpec {
                id: number + self.made.jobs.len(),
                not_before: std::time::Duration::from_secs_f64(if delay > 0.0 {
                    at + delay
                } else {
                    0.0
                }),
                last: job.stopped.is_some(),
                ..job.spec.clone()
            }],
            _ => Vec::new(),
        }
    }

    fn memory(&self) -> Vec<MemorySeen> {
        let seen = self.made.seen.iter().map(|seen| MemorySeen {
            at: seen.at - self.begun,
            ..*seen
        });
        seen.collect()
    }
}

impl Teller<'_> {
    fn tell(&mut self, at: f64, event: Event) {
        self.lines.push(Line {
            v: VERSION,
            at,
            time: None,
            event,
        });
    }
}

fn ids(job: &Fake, index: usize) -> Vec<String> {
    let tests = (0..job.tests.len()).map(|test| format!("g{}::{index}-{test}", job.group));
    tests.collect()
}

fn hooked(hook: Hook, group: &str, pid: u32, seconds: f64) -> Event {
    Event::HookFinished {
        hook,
        group: group.to_owned(),
        pid: Some(pid),
        of: None,
        outcome: Outcome::Passed,
        seconds,
        message: None,
        output: None,
        variables: Vec::new(),
    }
}

impl Made {
    fn specs(&self) -> Vec<GroupSpec> {
        let group = |group: usize| GroupSpec {
            workers: self.workers[group],
            needs: if group == 1 && self.needs {
                vec![0]
            } else {
                Vec::new()
            },
            jobs: self
                .jobs
                .iter()
                .enumerate()
                .filter(|(_, job)| job.group == group)
                .map(|(id, job)| JobSpec {
                    id,
                    ..job.spec.clone()
                })
                .collect(),
            failed: false,
        };
        vec![group(0), group(1)]
    }

    /// What it takes, and its events.
    fn run(&self) -> (f64, Vec<Line>) {
        let mut teller = Teller {
            made: self,
            lines: Vec::new(),
            numbers: 0,
            round: 0,
            begun: 0.0,
            last: vec![0; self.jobs.len()],
            tries: vec![0; self.jobs.len()],
        };
        let groups = [0, 1].map(|group| GroupStarted {
            name: format!("g{group}"),
            tests: 0,
            workers: self.workers[group],
            order: Order::Listed,
            needs: if group == 1 && self.needs {
                vec!["g0".to_owned()]
            } else {
                Vec::new()
            },
            session: None,
            because: None,
            one_process: None,
            ids: Vec::new(),
        });
        teller.tell(
            0.0,
            Event::RunStarted {
                run: "made".to_owned(),
                groups: groups.into(),
                tests: 0,
                workers: self.slots,
                seed: 0,
                repeat: self.rounds,
                shard: None,
                prepared: 0.0,
                cores: 64,
                memory: self.memory,
                pools: BTreeMap::new(),
            },
        );
        let limits = Limits {
            slots: self.slots,
            memory: self.memory,
            ..Limits::default()
        };
        for round in 1..=self.rounds {
            teller.round = round;
            teller.tries.fill(0);
            if round > 1 {
                let begins = Event::RepetitionStarted {
                    repetition: round,
                    tests: Vec::new(),
                };
                teller.tell(teller.begun, begins);
            }
            let seconds = simulate(self.specs(), limits.clone(), &mut teller);
            teller.begun += seconds;
        }
        let seconds = teller.begun;
        for seen in self.seen.iter().filter(|seen| seen.at < seconds) {
            let (short, memory) = (seen.short, seen.most);
            teller.tell(seen.at, Event::MemoryChanged { short, memory });
        }
        teller.tell(
            seconds,
            Event::RunFinished {
                counts: BTreeMap::new(),
                seconds,
                exit: 0,
                stopped: None,
            },
        );
        let mut lines = teller.lines;
        lines.sort_by(|a, b| a.at.total_cmp(&b.at));
        (seconds, lines)
    }

    fn explained(&self) -> Explanation {
        Explanation::of(&Record::of(self.run().1.into_iter()))
    }

    /// What it takes less when it is changed so.
    fn saved(&self, change: impl FnOnce(&mut Self)) -> f64 {
        let mut changed = self.clone();
        change(&mut changed);
        self.run().0 - changed.run().0
    }

    fn each(&mut self, change: impl Fn(&mut Fake)) {
        self.jobs.iter_mut().for_each(change);
    }
}

fn plain(group: usize, seconds: f64) -> Fake {
    Fake {
        group,
        spec: JobSpec::default(),
        start: 0.0,
        tests: vec![seconds],
        again: None,
        stopped: None,
    }
}

fn made(jobs: Vec<Fake>) -> Made {
    Made {
        workers: [2, 2],
        slots: 2,
        needs: false,
        jobs,
        before_worker: 0.0,
        rounds: 1,
        memory: None,
        seen: Vec::new(),
    }
}

fn lock() -> Lock {
    Lock {
        name: "db".to_owned(),
        mode: LockMode::Write,
    }
}

fn finding(told: &Explanation, kind: Kind) -> &Finding {
    let mut findings = told.findings.iter();
    findings.find(|finding| finding.kind == kind).unwrap()
}

#[track_caller]
fn near(a: f64, b: f64) {
    assert!((a - b).abs() < 1e-6, "{a} is not {b}");
}

fn fake() -> impl Strategy<Value = Fake> {
    let tests = prop::collection::vec(1_u32..50, 1..4);
    let claims = (0_u8..6, 0_u8..10, 0_u8..3, 0_u64..12);
    (0_usize..2, tests, 0_u32..10, claims, 0_u8..14).prop_map(
        |(group, tests, start, (serial, exclusive, locked, memory), again)| Fake {
            group,
            spec: JobSpec {
                serial: serial == 0,
                exclusive: exclusive == 0,
                locks: if locked == 0 {
                    vec![lock()]
                } else {
                    Vec::new()
                },
                memory,
                ..JobSpec::default()
            },
            start: f64::from(start),
            tests: tests.into_iter().map(f64::from).collect(),
            again: match again {
                0 => Some(0.0),
                1 => Some(7.0),
                _ => None,
            },
            stopped: (again >= 12).then_some(3.0),
        },
    )
}

proptest! {
    #[test]
    fn a_run_is_played_again_as_it_was_and_its_time_is_accounted_for(
        jobs in prop::collection::vec(fake(), 1..20),
        workers in [1_usize..4, 1_usize..4],
        slots in 1_usize..5,
        needs in any::<bool>(),
        rounds in 1_u32..4,
        seen in prop::collection::vec((0_u32..200, any::<bool>(), 10_u64..40), 0..4),
    ) {
        let mut seen: Vec<MemorySeen> = seen.into_iter().map(|(at, short, most)| MemorySeen {
            at: f64::from(at),
            short,
            most: (!short).then_some(most),
        }).collect();
        seen.sort_by(|a, b| a.at.total_cmp(&b.at));
        let memory = Some(10);
        let made = Made { workers, slots, needs, rounds, memory, seen, ..made(jobs) };
        let (wall, _) = made.run();
        let told = made.explained();
        prop_assert!((told.replayed - wall).abs() < 1e-3, "{} is not {wall}", told.replayed);
        let went: f64 = told.went.iter().map(|part| part.seconds).sum();
        prop_assert!((went - (told.wall - told.bound)).abs() < 1e-6);
        prop_assert!(told.bound <= wall + 1e-6);
        prop_assert!(told.findings.is_sorted_by(|a, b| a.saves >= b.saves));
        // What concerns no plan is exactly what the run takes without it.
        let unlocked = made.saved(|made| made.each(|job| job.spec.locks.clear()));
        if made.jobs.iter().any(|job| !job.spec.locks.is_empty()) {
            prop_assert!((finding(&told, Kind::Lock).saves - unlocked).abs() < 1e-3);
        }
        let with_memory = made.saved(|made| {
            made.memory = None;
            made.seen.clear();
        });
        if let Some(memory) = told.findings.iter().find(|finding| finding.kind == Kind::Memory) {
            prop_assert!((memory.saves - with_memory).abs() < 1e-3);
        } else {
            prop_assert!(with_memory.abs() < 1e-3);
        }
    }
}

#[test]
fn starts_hooks_needs_and_retries_cost_what_is_saved_without_them() {
    let mut suite = made([1.0, 2.0, 3.0, 1.0].map(|seconds| plain(0, seconds)).into());
    suite.jobs.push(plain(1, 2.0));
    suite.jobs.iter_mut().for_each(|job| job.start = 0.5);
    suite.jobs[1].again = Some(3.0);
    suite.before_worker = 4.0;
    suite.needs = true;
    let told = suite.explained();
    let saves = |kind| finding(&told, kind).saves;
    near(
        saves(Kind::ChunkStart),
        suite.saved(|made| {
            made.each(|job| {
                if job.group == 0 {
                    job.start = 0.0;
                }
            });
        }),
    );
    near(
        saves(Kind::Hook),
        suite.saved(|made| made.before_worker = 0.0),
    );
    assert_eq!(
        finding(&told, Kind::Hook).name.as_deref(),
        Some("before-worker")
    );
    near(saves(Kind::Needs), suite.saved(|made| made.needs = false));
    near(
        saves(Kind::Retries),
        suite.saved(|made| made.each(|job| job.again = None)),
    );
    assert_eq!(finding(&told, Kind::Retries).tests, ["g0::1-0"]);
    let mut narrow = made(vec![plain(0, 1.0); 6]);
    narrow.workers[0] = 1;
    near(
        finding(&narrow.explained(), Kind::GroupWorkers).saves,
        narrow.saved(|made| made.workers[0] = 2),
    );
    let even = made(vec![plain(0, 1.0); 6]);
    near(
        finding(&even.explained(), Kind::Workers).saves,
        even.saved(|made| (made.slots, made.workers[0]) = (3, 3)),
    );
}

#[test]
fn two_that_hide_each_other_both_have_their_share() {
    let mut suite = made(vec![plain(0, 1.0); 6]);
    suite.each(|job| {
        job.spec.serial = true;
        job.spec.locks = vec![lock()];
    });
    let told = suite.explained();
    near(finding(&told, Kind::Lock).saves, 0.0);
    near(finding(&told, Kind::Serial).saves, 0.0);
    let share = |kind| {
        let parts = told.went.iter();
        let of = |part: &&Part| {
            part.finding
                .is_some_and(|at| told.findings[at].kind == kind)
        };
        parts.filter(of).map(|part| part.seconds).sum::<f64>()
    };
    near(share(Kind::Lock), 1.5);
    near(share(Kind::Serial), 1.5);
}

#[test]
fn memory_costs_what_is_saved_without_waits_for_it_and_stops() {
    let mut suite = made(vec![plain(0, 1.0); 6]);
    let seen = |at, short, most| MemorySeen { at, short, most };
    // Nothing starts beside what runs, but something starts with nothing running.
    suite.seen = vec![seen(0.5, true, None), seen(3.5, false, None)];
    let told = suite.explained();
    near(told.replayed, 4.5);
    let memory = finding(&told, Kind::Memory);
    near(memory.saves, suite.saved(|made| made.seen.clear()));
    near(memory.saves, 1.5);
    // Two do not fit together until there is more.
    suite.memory = Some(10);
    suite.each(|job| job.spec.memory = 10);
    suite.seen = vec![seen(2.5, false, Some(20))];
    let told = suite.explained();
    near(told.replayed, 4.5);
    near(finding(&told, Kind::Memory).saves, 1.5);

    let mut suite = made(vec![plain(0, 3.0), plain(0, 2.0), plain(0, 1.0)]);
    suite.jobs[1].stopped = Some(1.5);
    let told = suite.explained();
    near(told.replayed, 5.0);
    let stops = finding(&told, Kind::MemoryStops);
    near(stops.saves, suite.saved(|made| made.jobs[1].stopped = None));
    near(stops.saves, 2.0);
    near(stops.seconds, 1.5);
    assert_eq!(stops.tests, ["g0::1-0"]);
    assert!(
        !told
            .findings
            .iter()
            .any(|finding| finding.kind == Kind::ChunkStart),
        "{told:?}"
    );
}

#[test]
fn a_straggler_is_one_in_all_repetitions() {
    let mut suite = made([4.0, 1.0, 1.0].map(|seconds| plain(0, seconds)).into());
    suite.rounds = 3;
    let told = suite.explained();
    near(told.replayed, 12.0);
    near(told.bound, 9.0);
    let straggler = finding(&told, Kind::Straggler);
    near(straggler.saves, 3.0);
    near(straggler.without.unwrap(), 9.0);
    assert_eq!((straggler.jobs, straggler.tests.len()), (3, 1));
}

#[test]
fn a_run_that_was_cut_off_is_explained_as_far_as_it_came() {
    let suite = made(vec![plain(0, 1.0); 6]);
    let (_, mut lines) = suite.run();
    lines.truncate(lines.len() / 2);
    let told = Explanation::of(&Record::of(lines.into_iter()));
    assert!(!told.complete);
    assert!(told.wall > 0.0 && told.tests >= 2.0, "{told:?}");
    // Of nothing, nothing is said.
    let told = Explanation::of(&Record::of(std::iter::empty()));
    assert_eq!((told.changes, told.findings.len()), (0, 0), "{told:?}");
}
