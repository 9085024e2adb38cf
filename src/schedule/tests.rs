//! The scheduler under a virtual clock: random groups, caps, locks, pools, slots, serials, retries, failures and memory.

use std::collections::HashMap;

use proptest::prelude::*;

use super::*;
use crate::manifest::model::LockMode;

/// The pools of every simulation: none of a job's wishes is larger than its pool.
const POOLS: [usize; 2] = [1, 3];

/// A job of the simulation: its specification, its duration, and how often it fails before it passes.
#[derive(Clone, Debug)]
struct Fake {
    spec: JobSpec,
    ticks: u32,
    failures: u32,
    /// What it really takes, whatever it is thought to need.
    memory: u64,
    /// Whether its next try is its last, alone and behind all.
    fails_alone: bool,
    /// Whether it was stopped to make room.
    is_stopped: bool,
    /// How long it then waits before it is run again.
    wait: u32,
    /// Whether it fails for good when it has no failure left.
    fails: bool,
    /// The jobs of its group that it waits for: how far before it (or behind it) they are, and whether they must pass.
    after: Vec<(usize, bool)>,
}

fn lock(name: u8, read: bool) -> Lock {
    Lock {
        name: name.to_string(),
        mode: if read {
            LockMode::Read
        } else {
            LockMode::Write
        },
    }
}

fn spec() -> impl Strategy<Value = JobSpec> {
    let locks = prop::collection::vec((0_u8..3, any::<bool>()), 0..3);
    let claims = (0_u8..12, 0_u8..16, 0_usize..16, 0_u64..12);
    let uses = (0_usize..8, 0_usize..8);
    (claims, locks, uses).prop_map(|((serial, exclusive, slots, memory), locks, uses)| {
        let mut locks: Vec<Lock> = locks
            .into_iter()
            .map(|(name, read)| lock(name, read))
            .collect();
        locks.sort_by(|a, b| a.name.cmp(&b.name));
        locks.dedup_by(|a, b| a.name == b.name);
        let pool = |number: usize, wish: usize| {
            let wish = if wish > POOLS[number] { 0 } else { wish };
            (format!("pool{number}"), wish)
        };
        JobSpec {
            serial: serial == 0,
            exclusive: exclusive == 0,
            slots: match slots {
                0 => usize::MAX,
                1..4 => slots,
                _ => 1,
            },
            locks,
            uses: vec![pool(0, uses.0), pool(1, uses.1)],
            memory: memory.saturating_sub(4),
            ..JobSpec::default()
        }
    })
}

fn fake() -> impl Strategy<Value = Fake> {
    let fails = (
        0_u32..6,
        any::<bool>(),
        0_u32..12,
        prop::bool::weighted(0.1),
    );
    // Some point to jobs behind them, or to themselves: what closes a cycle is left out.
    let after = prop::collection::vec((0_usize..10, any::<bool>()), 0..3);
    let after = prop::option::weighted(0.4, after);
    (spec(), 1_u32..6, fails, 0_u64..8, after).prop_map(
        |(spec, ticks, (failures, fails_alone, wait, fails), memory, after)| Fake {
            spec,
            ticks,
            failures: failures.saturating_sub(3),
            memory,
            fails_alone,
            is_stopped: false,
            wait: wait.saturating_sub(4),
            fails,
            after: after.unwrap_or_default(),
        },
    )
}

/// A group of the simulation.
#[derive(Clone, Debug)]
struct FakeGroup {
    workers: usize,
    /// Whether it needs the one before it.
    needs: bool,
    /// Whether it fails for good.
    fails: bool,
    jobs: Vec<Fake>,
}

fn groups() -> impl Strategy<Value = Vec<FakeGroup>> {
    let group = (
        1_usize..5,
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.1),
        prop::collection::vec(fake(), 0..10),
    );
    let group = group.prop_map(|(workers, needs, fails, jobs)| FakeGroup {
        workers,
        needs,
        fails,
        jobs,
    });
    prop::collection::vec(group, 1..4)
}

fn pools() -> Vec<Pool> {
    let sizes = POOLS.iter().enumerate();
    sizes
        .map(|(number, size)| Pool {
            name: format!("pool{number}"),
            members: (0..*size)
                .map(|member| format!("{number}.{member}"))
                .collect(),
        })
        .collect()
}

/// A tick of the virtual clock.
fn at(tick: u32) -> Duration {
    Duration::from_secs(u64::from(tick))
}

struct Runs {
    end: u32,
    slot: usize,
    job: usize,
    granted: Vec<(String, Vec<String>)>,
    /// Its specification, as it was queued.
    spec: JobSpec,
}

struct Simulation<'a> {
    scheduler: Scheduler,
    groups: &'a [FakeGroup],
    cap: usize,
    memory: Option<u64>,
    jobs: Vec<(usize, Fake)>,
    /// What of each job was queued last.
    queued: Vec<JobSpec>,
    ends: Vec<u32>,
    /// Whether each job is over in this round, and whether it failed.
    over: Vec<Option<bool>>,
    running: Vec<Runs>,
    /// The round that goes on.
    round: u32,
    /// After how many ends no other round is to begin.
    last_after: usize,
    /// A group that is stopped after so many ends.
    stops: Option<(usize, usize)>,
}

impl<'a> Simulation<'a> {
    fn new(groups: &'a [FakeGroup], cap: usize, memory: Option<u64>, rounds: u32) -> Self {
        let mut jobs = Vec::new();
        let mut specs = Vec::new();
        let mut again = Vec::new();
        for (index, group) in groups.iter().enumerate() {
            let mut list = Vec::new();
            let first = jobs.len();
            for fake in &group.jobs {
                let mut fake = fake.clone();
                fake.spec.id = jobs.len();
                let after = fake.after.iter();
                let after = after.map(|(job, must_pass)| After {
                    job: first + job % group.jobs.len(),
                    must_pass: *must_pass,
                });
                fake.spec.after = after.collect();
                list.push(fake.spec.clone());
                jobs.push((index, fake));
            }
            again.push((list.clone(), false));
            specs.push(GroupSpec {
                workers: group.workers,
                needs: Vec::from_iter(index.checked_sub(1).filter(|_| group.needs)),
                jobs: list,
                failed: false,
            });
        }
        let limits = Limits {
            slots: cap,
            memory,
            pools: pools(),
        };
        Self {
            scheduler: Scheduler::new(specs, limits).with_rounds(Some(rounds), again),
            groups,
            cap,
            memory,
            queued: jobs.iter().map(|(_, fake)| fake.spec.clone()).collect(),
            ends: vec![0; jobs.len()],
            over: vec![None; jobs.len()],
            jobs,
            running: Vec::new(),
            round: 1,
            last_after: usize::MAX,
            stops: None,
        }
    }

    /// Runs to the end. `order` shuffles who asks first, as threads do.
    fn run(&mut self, order: &[usize]) {
        let mut now = 0;
        let mut turn = 0;
        loop {
            // Lanes ask one by one, each as long as it gets nothing.
            let mut gave_up = 0;
            while gave_up < self.groups.len() {
                if gave_up == 0 {
                    turn += 1;
                }
                let group = (order[turn % order.len()] + gave_up) % self.groups.len();
                let lanes = self.groups[group].workers;
                let busy = self.running.iter();
                let busy = busy.filter(|runs| self.jobs[runs.job].0 == group).count();
                let next = if busy < lanes {
                    self.scheduler.next(group)
                } else {
                    Next::Wait
                };
                let Next::Run(start) = next else {
                    gave_up += 1;
                    continue;
                };
                gave_up = 0;
                self.begin(now, group, start);
            }
            self.relieve();
            let due = self.scheduler.next_due();
            let due = due.map(|due| u32::try_from(due.as_secs()).unwrap());
            let ends = self.running.iter().map(|runs| runs.end);
            let Some(next) = ends.chain(due).min() else {
                return;
            };
            now = next;
            self.scheduler.pass_to(at(now));
            while let Some(index) = self.running.iter().position(|runs| runs.end == now) {
                let runs = self.running.swap_remove(index);
                self.end(now, &runs);
            }
        }
    }

    fn begin(&mut self, now: u32, group: usize, start: Start) {
        assert_eq!(self.jobs[start.job].0, group);
        assert!(
            !self.scheduler.is_group_stopped(group),
            "its group is stopped"
        );
        if start.round > self.round {
            assert_eq!(start.round, self.round + 1);
            assert!(self.running.is_empty(), "the round before is not over");
            self.round = start.round;
            let specs = self.jobs.iter().map(|(_, fake)| fake.spec.clone());
            self.queued = specs.collect();
            self.over.fill(None);
            for (_, fake) in &mut self.jobs {
                fake.is_stopped = false;
            }
        }
        assert_eq!(start.round, self.round);
        assert!(
            self.queued[start.job].not_before <= at(now),
            "it starts before it may"
        );
        assert!(
            self.running.iter().all(|runs| runs.slot != start.slot),
            "a slot is used twice"
        );
        for edge in self.edges_of(start.job) {
            let is_barred = |left: &Left| {
                left.barred_by.is_some() && (left.job, left.round) == (edge.job, self.round)
            };
            let is_barred = || self.scheduler.left().iter().any(is_barred);
            let over = self.over[edge.job].or_else(|| is_barred().then_some(true));
            assert!(over.is_some(), "it starts before what it waits for is over");
            assert!(
                !(edge.must_pass && over == Some(true)),
                "it starts though what must pass before it failed"
            );
        }
        self.running.push(Runs {
            end: now + self.jobs[start.job].1.ticks,
            slot: start.slot,
            job: start.job,
            granted: start.granted,
            spec: self.queued[start.job].clone(),
        });
        assert!(
            self.running.len() == 1 || !self.scheduler.is_short_of_memory(),
            "it starts beside others while memory is short"
        );
        self.check();
    }

    /// The edges of a job that count: those that close no cycle.
    fn edges_of(&self, job: usize) -> Vec<After> {
        let ids: Vec<usize> = (0..self.jobs.len()).collect();
        let sorted = |(id, (_, fake)): (usize, &(usize, Fake))| {
            let mut after: Vec<usize> = fake.spec.after.iter().map(|edge| edge.job).collect();
            after.sort_unstable();
            after.dedup();
            (id, after)
        };
        let edges: HashMap<usize, Vec<usize>> = self.jobs.iter().enumerate().map(sorted).collect();
        let cut = closing(&ids, &edges);
        let mut after = self.jobs[job].1.spec.after.clone();
        after.retain(|edge| !cut.contains(&(job, edge.job)));
        after
    }

    fn end(&mut self, now: u32, runs: &Runs) {
        let (group, fake) = &mut self.jobs[runs.job];
        if fake.failures > 0 {
            fake.failures -= 1;
            let again = JobSpec {
                last: fake.fails_alone || fake.is_stopped,
                not_before: at(if fake.wait == 0 { 0 } else { now + fake.wait }),
                after: Vec::new(),
                ..fake.spec.clone()
            };
            self.queued[runs.job] = again.clone();
            self.scheduler.finished(runs.slot, false, &[again]);
        } else {
            self.ends[runs.job] += 1;
            self.last_after = self.last_after.saturating_sub(1);
            if self.last_after == 0 {
                self.scheduler.last_round();
            }
            if let Some((group, after)) = &mut self.stops {
                *after = after.saturating_sub(1);
                if *after == 0 {
                    self.scheduler.stop_group(*group);
                }
            }
            let fails = self.groups[*group].fails || fake.fails;
            self.over[runs.job] = Some(fails);
            self.scheduler.finished(runs.slot, fails, &[]);
        }
    }

    /// Stops the youngest while more memory is taken than there is, as `min-free-memory` does; it is run again.
    fn relieve(&mut self) {
        let Some(most) = self.memory else { return };
        loop {
            let taken: u64 = self
                .running
                .iter()
                .map(|runs| self.jobs[runs.job].1.memory)
                .sum();
            self.scheduler.short_of_memory(taken > most);
            if taken <= most {
                return;
            }
            let (running, jobs) = (&self.running, &self.jobs);
            // Some can't be stopped just now, as those that are being made ready.
            let can_stop = |slot| {
                let mut running = running.iter();
                running.any(|runs| runs.slot == slot && jobs[runs.job].1.ticks != 3)
            };
            let Some(slot) = self.scheduler.youngest(can_stop) else {
                let others = running.iter().filter(|runs| can_stop(runs.slot)).count();
                assert!(
                    running.len() < 2 || others == 0,
                    "somebody could be stopped"
                );
                return;
            };
            let index = self.running.iter().position(|runs| runs.slot == slot);
            let stopped = self.running.swap_remove(index.unwrap());
            let fake = &mut self.jobs[stopped.job].1;
            assert!(!fake.is_stopped, "what was stopped runs alone from then on");
            fake.is_stopped = true;
            let again = JobSpec {
                last: true,
                after: Vec::new(),
                ..stopped.spec.clone()
            };
            self.queued[stopped.job] = again.clone();
            self.scheduler.finished(stopped.slot, false, &[again]);
        }
    }

    fn check(&self) {
        let running = &self.running;
        let slots = |runs: &Runs| runs.spec.slots.clamp(1, self.cap);
        assert!(
            running.iter().map(slots).sum::<usize>() <= self.cap,
            "the run's slots are passed"
        );
        for (index, group) in self.groups.iter().enumerate() {
            let mine: Vec<&Runs> = running
                .iter()
                .filter(|runs| self.jobs[runs.job].0 == index)
                .collect();
            let taken = mine
                .iter()
                .map(|runs| runs.spec.slots.clamp(1, group.workers));
            assert!(
                taken.sum::<usize>() <= group.workers,
                "a group's cap is passed"
            );
            assert!(
                mine.len() <= 1 || mine.iter().all(|runs| !runs.spec.serial),
                "a serial job is not alone"
            );
        }
        assert!(
            running.len() <= 1
                || running
                    .iter()
                    .all(|runs| !runs.spec.exclusive && !runs.spec.last),
            "an exclusive job is not alone"
        );
        if let Some(most) = self.memory {
            let thought: u64 = running.iter().map(|runs| runs.spec.memory).sum();
            assert!(thought <= most || running.len() == 1, "memory is passed");
        }
        for (index, one) in running.iter().enumerate() {
            for wish in one.spec.uses.iter().filter(|(_, number)| *number > 0) {
                let granted = one.granted.iter().find(|(pool, _)| *pool == wish.0);
                assert_eq!(granted.map(|(_, names)| names.len()), Some(wish.1));
            }
            for other in &running[index + 1..] {
                for lock in &one.spec.locks {
                    let clash = other.spec.locks.iter().any(|held| {
                        held.name == lock.name
                            && (held.mode == LockMode::Write || lock.mode == LockMode::Write)
                    });
                    assert!(!clash, "a lock is held twice");
                }
                let names = |runs: &Runs| -> Vec<String> {
                    let lists = runs.granted.iter().flat_map(|(_, names)| names.clone());
                    lists.collect()
                };
                let theirs = names(other);
                assert!(
                    names(one).iter().all(|name| !theirs.contains(name)),
                    "a name is granted twice"
                );
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

    #[test]
    fn caps_locks_and_solitude_hold_and_every_job_ends_once(
        groups in groups(),
        cap in 1_usize..6,
        memory in prop::option::of(1_u64..12),
        order in prop::collection::vec(0_usize..4, 1..9),
        rounds in 1_u32..4,
        last_after in prop::option::of(1_usize..30),
        stops in prop::option::weighted(0.3, (0_usize..3, 1_usize..20)),
    ) {
        let mut simulation = Simulation::new(&groups, cap, memory, rounds);
        simulation.last_after = last_after.unwrap_or(usize::MAX);
        simulation.stops = stops.filter(|(group, _)| *group < groups.len());
        simulation.run(&order);
        for group in 0..groups.len() {
            prop_assert_eq!(simulation.scheduler.next(group), Next::Done);
        }
        let round = simulation.scheduler.round();
        let can_run = simulation.ends.iter().any(|ends| *ends > 0);
        let may_end = last_after.is_some() || simulation.stops.is_some() || !can_run;
        prop_assert!(round == rounds || may_end, "rounds are left out");
        let left = simulation.scheduler.left();
        for (job, (group, _)) in simulation.jobs.iter().enumerate() {
            let ended = simulation.ends[job];
            let mut unrun: Vec<u32> = left.iter().filter(|left| left.job == job).map(|left| left.round).collect();
            prop_assert_eq!(ended + u32::try_from(unrun.len()).unwrap(), round, "once in each round");
            let may_be_left = groups[*group].needs || simulation.scheduler.is_group_stopped(*group);
            let mine = left.iter().filter(|left| left.job == job);
            let is_barred = mine.clone().all(|left| left.barred_by.is_some());
            prop_assert!(unrun.is_empty() || may_be_left || is_barred, "only a group that needs another, or is stopped, is left out");
            for by in mine.filter_map(|left| left.barred_by) {
                let edges = simulation.edges_of(job);
                prop_assert!(edges.iter().any(|edge| edge.job == by && edge.must_pass), "it is barred by a job that must pass");
            }
            unrun.dedup();
            prop_assert_eq!(ended + u32::try_from(unrun.len()).unwrap(), round, "or told as left out once");
        }
    }
}

/// As many jobs as the first group of an endless supply has started when the waiting one starts, at most.
const PATIENCE: usize = 40;

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn nothing_starves_beside_groups_that_never_run_out(
        waits in spec(),
        supply in prop::collection::vec(spec(), 1..20),
        cap in 1_usize..6,
        workers in 1_usize..5,
        memory in prop::option::of(1_u64..12),
    ) {
        let endless = |ids: usize| (0..3).map(move |id| JobSpec { id: ids + id, ..JobSpec::default() });
        let groups = vec![
            GroupSpec { workers, jobs: vec![JobSpec { id: 0, ..waits }], ..GroupSpec::default() },
            GroupSpec { workers: 3, jobs: endless(1).collect(), ..GroupSpec::default() },
            GroupSpec { workers: 3, jobs: endless(1).collect(), ..GroupSpec::default() },
        ];
        let limits = Limits { slots: cap, memory, pools: pools() };
        let mut scheduler = Scheduler::new(groups, limits);
        let mut running: Vec<usize> = Vec::new();
        let mut next_of_supply = supply.iter().cycle();
        let mut starts = 0;
        'run: loop {
            // The greedy ones always ask first.
            for group in [1, 2, 0] {
                let lanes = 3;
                for _ in 0..lanes {
                    if let Next::Run(start) = scheduler.next(group) {
                        if group == 0 {
                            break 'run;
                        }
                        starts += 1;
                        running.push(start.slot);
                    }
                }
            }
            prop_assert!(starts < PATIENCE, "it has waited for {} others", starts);
            prop_assert!(!running.is_empty(), "nothing runs and nothing starts");
            let slot = running.remove(0);
            let spec = next_of_supply.next().unwrap();
            // What is run again is of the same group, so the supply never ends.
            scheduler.finished(slot, false, &[JobSpec { id: 1, ..spec.clone() }]);
        }
    }
}

fn jobs(ids: std::ops::Range<usize>) -> Vec<JobSpec> {
    ids.map(|id| JobSpec {
        id,
        ..JobSpec::default()
    })
    .collect()
}

fn scheduler(groups: Vec<GroupSpec>, slots: usize) -> Scheduler {
    let limits = Limits {
        slots,
        ..Limits::default()
    };
    Scheduler::new(groups, limits)
}

fn left(scheduler: &Scheduler) -> Vec<(usize, Option<usize>)> {
    let left = scheduler.left().into_iter();
    left.map(|left| (left.job, left.blocked_by)).collect()
}

fn run(job: usize, slot: usize) -> Next {
    in_round(job, slot, 1)
}

fn in_round(job: usize, slot: usize, round: u32) -> Next {
    Next::Run(Start {
        job,
        round,
        slot,
        granted: Vec::new(),
    })
}

#[test]
fn after_a_stop_nothing_starts_and_the_rest_is_left() {
    let group = GroupSpec {
        workers: 2,
        jobs: jobs(0..3),
        ..GroupSpec::default()
    };
    let mut scheduler = scheduler(vec![group], 4);
    assert_eq!(scheduler.next(0), run(0, 0));
    scheduler.stop();
    assert_eq!(scheduler.next(0), Next::Done);
    scheduler.finished(0, true, &[]);
    assert_eq!(left(&scheduler), [(1, None), (2, None)]);
}

#[test]
fn a_group_whose_need_failed_never_runs() {
    let first = GroupSpec {
        workers: 1,
        jobs: jobs(0..1),
        ..GroupSpec::default()
    };
    let second = GroupSpec {
        workers: 1,
        needs: vec![0],
        jobs: jobs(1..2),
        ..GroupSpec::default()
    };
    let mut scheduler = scheduler(vec![first, second], 4);
    assert_eq!(scheduler.next(0), run(0, 0));
    assert_eq!(scheduler.next(1), Next::Wait);
    scheduler.finished(0, true, &[]);
    assert_eq!(scheduler.next(1), Next::Done);
    assert_eq!(left(&scheduler), [(1, Some(0))]);
}

#[test]
fn a_writer_is_not_overtaken_by_readers_for_ever() {
    let mut list = jobs(0..3);
    list[0].locks = vec![lock(0, true)];
    list[1].locks = vec![lock(0, false)];
    list[2].locks = vec![lock(0, true)];
    let group = GroupSpec {
        workers: 3,
        jobs: list,
        ..GroupSpec::default()
    };
    let mut scheduler = scheduler(vec![group], 3);
    assert_eq!(scheduler.next(0), run(0, 0));
    assert_eq!(
        scheduler.next(0),
        Next::Wait,
        "the second reader waits behind the writer"
    );
    scheduler.finished(0, false, &[]);
    assert_eq!(scheduler.next(0), run(1, 0));
}

#[test]
fn what_wants_none_of_the_locks_that_others_wait_for_overtakes_them() {
    let mut list = jobs(0..4);
    for job in &mut list[..3] {
        job.locks = vec![lock(0, false)];
    }
    let group = GroupSpec {
        workers: 3,
        jobs: list,
        ..GroupSpec::default()
    };
    let mut scheduler = scheduler(vec![group], 3);
    assert_eq!(scheduler.next(0), run(0, 0));
    assert_eq!(scheduler.next(0), run(3, 1));
    assert_eq!(scheduler.next(0), Next::Wait);
    scheduler.finished(0, false, &[]);
    assert_eq!(scheduler.next(0), run(1, 0));
}

#[test]
fn what_is_run_again_goes_first_and_a_last_try_goes_last() {
    let group = GroupSpec {
        workers: 2,
        jobs: jobs(0..3),
        ..GroupSpec::default()
    };
    let mut scheduler = scheduler(vec![group], 2);
    assert_eq!(scheduler.next(0), run(0, 0));
    assert_eq!(scheduler.next(0), run(1, 1));
    let again = JobSpec {
        id: 7,
        ..JobSpec::default()
    };
    let last = JobSpec {
        id: 8,
        last: true,
        ..JobSpec::default()
    };
    scheduler.finished(0, false, &[last, again]);
    assert_eq!(scheduler.next(0), run(7, 0));
    scheduler.finished(1, false, &[]);
    assert_eq!(scheduler.next(0), run(2, 1));
    scheduler.finished(1, false, &[]);
    assert_eq!(scheduler.next(0), Next::Wait, "the last one runs alone");
    scheduler.finished(0, false, &[]);
    assert_eq!(scheduler.next(0), run(8, 0));
}

#[test]
fn what_waits_for_its_time_takes_up_nothing_and_then_goes_first() {
    let mut list = jobs(0..3);
    list[0].locks = vec![lock(0, false)];
    list[1].locks = vec![lock(0, false)];
    let group = GroupSpec {
        workers: 1,
        jobs: list.clone(),
        ..GroupSpec::default()
    };
    let needs = GroupSpec {
        workers: 1,
        needs: vec![0],
        jobs: jobs(9..10),
        ..GroupSpec::default()
    };
    let mut scheduler = scheduler(vec![group, needs], 1);
    assert_eq!(scheduler.next(0), run(0, 0));
    let again = JobSpec {
        id: 7,
        not_before: at(5),
        ..list[0].clone()
    };
    scheduler.finished(0, false, &[again]);
    assert_eq!(scheduler.next_due(), Some(at(5)));
    assert_eq!(
        scheduler.next(0),
        run(1, 0),
        "its lock and its slot are free"
    );
    scheduler.pass_to(at(5));
    scheduler.finished(0, false, &[]);
    assert_eq!(scheduler.next(0), run(7, 0), "its time has come");
    let later = JobSpec {
        id: 8,
        not_before: at(9),
        ..JobSpec::default()
    };
    scheduler.finished(0, false, &[later]);
    assert_eq!(scheduler.next(0), run(2, 0));
    scheduler.finished(0, false, &[]);
    assert_eq!(scheduler.next(0), Next::Wait, "it is not over yet");
    assert_eq!(scheduler.waits(0).what, WaitFor::Backoff);
    assert_eq!(scheduler.next(1), Next::Wait, "neither for who needs it");
    assert!(!scheduler.is_drained(0));
    scheduler.stop();
    assert_eq!(scheduler.next(0), Next::Done);
    assert_eq!(left(&scheduler), [(9, None), (8, None)]);
}

#[test]
fn who_needs_a_group_that_may_yet_fail_waits_until_it_is_closed() {
    let groups = || {
        let group = |needs, id| GroupSpec {
            workers: 1,
            needs,
            jobs: jobs(id..id + 1),
            ..GroupSpec::default()
        };
        vec![group(Vec::new(), 0), group(vec![0], 1)]
    };
    for fails in [false, true] {
        let mut scheduler = scheduler(groups(), 2);
        scheduler.keep_open(0);
        assert_eq!(scheduler.next(0), run(0, 0));
        scheduler.finished(0, false, &[]);
        assert_eq!(scheduler.next(0), Next::Done);
        assert_eq!(scheduler.next(1), Next::Wait);
        assert_eq!(scheduler.waits(1).group, Some(0));
        if fails {
            scheduler.fail(0);
        }
        scheduler.close(0);
        let next = if fails { Next::Done } else { run(1, 0) };
        assert_eq!(scheduler.next(1), next);
    }
    // It stays open for the next round, for which nobody waits but in the last one.
    let specs = groups();
    let again = specs.iter().map(|spec| (spec.jobs.clone(), false));
    let again = again.collect();
    let mut scheduler = scheduler(specs, 2).with_rounds(Some(2), again);
    scheduler.keep_open(0);
    for round in [1, 2] {
        assert_eq!(scheduler.next(0), in_round(0, 0, round));
        scheduler.finished(0, false, &[]);
        if round == 2 {
            assert_eq!(scheduler.next(1), Next::Wait);
            assert_eq!(scheduler.next(0), Next::Done);
            scheduler.close(0);
        }
        assert_eq!(scheduler.next(1), in_round(1, 0, round));
        scheduler.finished(0, false, &[]);
    }
    assert_eq!(scheduler.next(1), Next::Done);
}

#[test]
fn names_are_granted_from_pools_and_given_back() {
    let mut list = jobs(0..3);
    for job in &mut list {
        job.uses = vec![("gpu".to_owned(), 1)];
    }
    let group = GroupSpec {
        workers: 3,
        jobs: list,
        ..GroupSpec::default()
    };
    let limits = Limits {
        slots: 3,
        memory: None,
        pools: vec![Pool {
            name: "gpu".into(),
            members: vec!["0".into(), "1".into()],
        }],
    };
    let mut scheduler = Scheduler::new(vec![group], limits);
    let granted = |next: Next| match next {
        Next::Run(start) => start.granted[0].1.clone(),
        other => panic!("{other:?}"),
    };
    assert_eq!(granted(scheduler.next(0)), ["0"]);
    assert_eq!(granted(scheduler.next(0)), ["1"]);
    assert_eq!(scheduler.next(0), Next::Wait);
    scheduler.finished(1, false, &[]);
    assert_eq!(granted(scheduler.next(0)), ["1"]);
}

#[test]
fn while_memory_is_short_nothing_starts_unless_nothing_runs() {
    let group = GroupSpec {
        workers: 3,
        jobs: jobs(0..3),
        ..GroupSpec::default()
    };
    let mut scheduler = scheduler(vec![group], 3);
    scheduler.short_of_memory(true);
    assert_eq!(scheduler.next(0), run(0, 0));
    assert_eq!(
        scheduler.youngest(|_| true),
        None,
        "there would be nothing left"
    );
    assert_eq!(scheduler.next(0), Next::Wait);
    scheduler.short_of_memory(false);
    assert_eq!(scheduler.next(0), run(1, 1));
    assert_eq!(scheduler.youngest(|_| true), Some(1));
    assert_eq!(scheduler.youngest(|slot| slot != 1), Some(0));
}

#[test]
fn memory_that_others_give_back_is_there_for_jobs() {
    let heavy = |id| JobSpec {
        id,
        memory: 4,
        ..JobSpec::default()
    };
    let group = GroupSpec {
        workers: 3,
        jobs: (0..3).map(heavy).collect(),
        ..GroupSpec::default()
    };
    let limits = Limits {
        slots: 3,
        memory: Some(5),
        ..Limits::default()
    };
    let mut scheduler = Scheduler::new(vec![group], limits);
    assert_eq!(scheduler.next(0), run(0, 0));
    assert_eq!(scheduler.next(0), Next::Wait);
    assert!(!scheduler.may_take(4), "what runs has taken of it");
    assert_eq!(scheduler.next(0), Next::Wait);
    assert!(scheduler.may_take(8));
    assert_eq!(scheduler.next(0), run(1, 1));
    assert_eq!(scheduler.next(0), Next::Wait);
}

fn after(job: usize, must_pass: bool) -> After {
    After { job, must_pass }
}

/// Jobs 0 to 3: 1 needs 0 to pass, 2 comes after both however they end, 3 stands alone.
fn fixture() -> Vec<JobSpec> {
    let mut list = jobs(0..4);
    list[1].after = vec![after(0, true)];
    list[2].after = vec![after(0, false), after(1, false)];
    list
}

#[test]
fn a_job_waits_for_the_jobs_that_come_before_it() {
    let group = GroupSpec {
        workers: 4,
        jobs: fixture(),
        ..GroupSpec::default()
    };
    let mut scheduler = scheduler(vec![group], 4);
    assert_eq!(scheduler.next(0), run(0, 0));
    assert_eq!(scheduler.next(0), run(3, 1));
    assert_eq!(scheduler.next(0), Next::Wait);
    assert_eq!(scheduler.waits(0).what, WaitFor::After);
    assert!(!scheduler.is_drained(0));
    scheduler.finished(1, false, &[]);
    scheduler.finished(0, false, &[]);
    assert_eq!(scheduler.next(0), run(1, 0));
    assert_eq!(scheduler.next(0), Next::Wait);
    scheduler.finished(0, true, &[]);
    assert_eq!(scheduler.next(0), run(2, 0), "it may end in any way");
    scheduler.finished(0, false, &[]);
    assert_eq!(scheduler.next(0), Next::Done);
    assert_eq!(left(&scheduler), []);
}

#[test]
fn what_must_pass_and_fails_bars_what_waits_for_it_and_nothing_else() {
    let mut list = fixture();
    // One that needs what is barred is barred as well.
    list[3].after = vec![after(1, true)];
    let group = GroupSpec {
        workers: 4,
        jobs: list,
        ..GroupSpec::default()
    };
    let mut scheduler = scheduler(vec![group], 4);
    assert_eq!(scheduler.next(0), run(0, 0));
    assert_eq!(scheduler.next(0), Next::Wait);
    scheduler.finished(0, true, &[]);
    assert_eq!(scheduler.next(0), run(2, 0), "it cleans up");
    assert_eq!(scheduler.next(0), Next::Wait);
    scheduler.finished(0, false, &[]);
    assert_eq!(scheduler.next(0), Next::Done);
    let barred = scheduler.left().into_iter();
    let barred: Vec<_> = barred.map(|left| (left.job, left.barred_by)).collect();
    assert_eq!(barred, [(1, Some(0)), (3, Some(1))]);
}

#[test]
fn a_job_is_over_when_all_that_runs_in_its_place_is() {
    let group = GroupSpec {
        workers: 4,
        jobs: fixture()[..2].to_vec(),
        ..GroupSpec::default()
    };
    for fails in [false, true] {
        let mut scheduler = scheduler(vec![group.clone()], 4);
        assert_eq!(scheduler.next(0), run(0, 0));
        // It broke off: one test has failed and is tried again, the rest runs on.
        scheduler.finished(0, false, &jobs(7..9));
        assert_eq!(scheduler.next(0), run(7, 0));
        assert_eq!(scheduler.next(0), run(8, 1));
        scheduler.finished(0, fails, &[]);
        assert_eq!(scheduler.next(0), Next::Wait);
        scheduler.finished(1, false, &[]);
        let next = if fails { Next::Done } else { run(1, 0) };
        assert_eq!(scheduler.next(0), next);
    }
}

#[test]
fn edges_count_anew_in_each_round() {
    let list = fixture()[..2].to_vec();
    let group = GroupSpec {
        workers: 2,
        jobs: list.clone(),
        ..GroupSpec::default()
    };
    let scheduler = scheduler(vec![group], 2);
    let mut scheduler = scheduler.with_rounds(Some(2), vec![(list, false)]);
    assert_eq!(scheduler.next(0), in_round(0, 0, 1));
    scheduler.finished(0, true, &[]);
    assert_eq!(scheduler.next(0), in_round(0, 0, 2));
    assert_eq!(scheduler.next(0), Next::Wait);
    scheduler.finished(0, false, &[]);
    assert_eq!(scheduler.next(0), in_round(1, 0, 2));
    scheduler.finished(0, false, &[]);
    assert_eq!(scheduler.next(0), Next::Done);
    let left = scheduler.left();
    assert_eq!(left.len(), 1);
    assert_eq!((left[0].job, left[0].round), (1, 1));
}

#[test]
fn an_edge_that_closes_a_cycle_or_leads_nowhere_holds_nobody_up() {
    let mut list = jobs(0..3);
    list[0].after = vec![after(2, true)];
    list[1].after = vec![after(0, true), after(99, true), after(1, false)];
    list[2].after = vec![after(1, true)];
    let group = GroupSpec {
        workers: 1,
        jobs: list,
        ..GroupSpec::default()
    };
    let mut scheduler = scheduler(vec![group], 1);
    let mut order = Vec::new();
    while let Next::Run(start) = scheduler.next(0) {
        order.push(start.job);
        scheduler.finished(start.slot, false, &[]);
    }
    assert_eq!(order, [1, 2, 0]);
}
