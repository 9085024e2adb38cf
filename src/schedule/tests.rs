//! The scheduler under a virtual clock: random groups, caps, locks, serials, exclusives, retries and failures.

use proptest::prelude::*;

use super::*;
use crate::manifest::model::LockMode;

/// A job of the simulation: its specification, its duration, and how often it fails before it passes.
#[derive(Clone, Debug)]
struct Fake {
    spec: JobSpec,
    ticks: u32,
    failures: u32,
}

fn fake() -> impl Strategy<Value = Fake> {
    let locks = prop::collection::vec((0_u8..3, any::<bool>()), 0..3);
    (0_u8..10, 0_u8..14, locks, 1_u32..6, 0_u32..3).prop_map(
        |(serial, exclusive, locks, ticks, failures)| {
            let mut locks: Vec<Lock> = locks
                .into_iter()
                .map(|(name, read)| Lock {
                    name: name.to_string(),
                    mode: if read {
                        LockMode::Read
                    } else {
                        LockMode::Write
                    },
                })
                .collect();
            locks.sort_by(|a, b| a.name.cmp(&b.name));
            locks.dedup_by(|a, b| a.name == b.name);
            Fake {
                spec: JobSpec {
                    id: 0,
                    serial: serial == 0,
                    exclusive: exclusive == 0,
                    locks,
                },
                ticks,
                failures,
            }
        },
    )
}

/// Groups: workers, whether each needs the one before it, whether it fails for good, its jobs.
fn groups() -> impl Strategy<Value = Vec<(usize, bool, bool, Vec<Fake>)>> {
    let group = (
        1_usize..5,
        prop::bool::weighted(0.3),
        prop::bool::weighted(0.1),
        prop::collection::vec(fake(), 0..14),
    );
    prop::collection::vec(group, 1..5)
}

struct Simulation {
    scheduler: Scheduler,
    jobs: Vec<(usize, Fake)>,
    ends: Vec<u32>,
    /// (end, slot, job)
    running: Vec<(u32, usize, usize)>,
}

impl Simulation {
    fn new(groups: &[(usize, bool, bool, Vec<Fake>)], cap: usize) -> Self {
        let mut jobs = Vec::new();
        let mut specs = Vec::new();
        for (index, (workers, needs, _, fakes)) in groups.iter().enumerate() {
            let mut list = Vec::new();
            // The plan puts what runs alone last.
            let mut fakes = fakes.clone();
            fakes.sort_by_key(|fake| (fake.spec.exclusive, fake.spec.serial));
            for mut fake in fakes {
                fake.spec.id = jobs.len();
                list.push(fake.spec.clone());
                jobs.push((index, fake));
            }
            specs.push(GroupSpec {
                workers: *workers,
                needs: if *needs && index > 0 {
                    vec![index - 1]
                } else {
                    Vec::new()
                },
                jobs: list,
                failed: false,
            });
        }
        Self {
            scheduler: Scheduler::new(specs, cap),
            ends: vec![0; jobs.len()],
            jobs,
            running: Vec::new(),
        }
    }

    fn run(&mut self, groups: &[(usize, bool, bool, Vec<Fake>)], cap: usize) {
        let mut now = 0;
        loop {
            for group in 0..groups.len() {
                while let Next::Run(job, slot) = self.scheduler.next(group) {
                    assert_eq!(self.jobs[job].0, group);
                    assert!(
                        self.running.iter().all(|(_, taken, _)| *taken != slot),
                        "a slot is used twice"
                    );
                    self.running.push((now + self.jobs[job].1.ticks, slot, job));
                    self.check(groups, cap);
                }
            }
            let Some(end) = self.running.iter().map(|(end, ..)| *end).min() else {
                return;
            };
            now = end;
            while let Some(index) = self.running.iter().position(|(end, ..)| *end == now) {
                let (_, slot, job) = self.running.swap_remove(index);
                let (group, fake) = &mut self.jobs[job];
                if fake.failures > 0 {
                    fake.failures -= 1;
                    let again = vec![fake.spec.clone()];
                    self.scheduler.finished(slot, false, again);
                } else {
                    self.ends[job] += 1;
                    self.scheduler.finished(slot, groups[*group].2, Vec::new());
                }
            }
        }
    }

    fn check(&self, groups: &[(usize, bool, bool, Vec<Fake>)], cap: usize) {
        let running: Vec<_> = self
            .running
            .iter()
            .map(|(_, _, job)| &self.jobs[*job])
            .collect();
        assert!(running.len() <= cap, "the run's cap is passed");
        for (index, (workers, ..)) in groups.iter().enumerate() {
            let mine: Vec<_> = running
                .iter()
                .filter(|(group, _)| *group == index)
                .collect();
            assert!(mine.len() <= *workers, "a group's cap is passed");
            assert!(
                mine.len() <= 1 || mine.iter().all(|(_, fake)| !fake.spec.serial),
                "a serial job is not alone"
            );
        }
        assert!(
            running.len() <= 1 || running.iter().all(|(_, fake)| !fake.spec.exclusive),
            "an exclusive job is not alone"
        );
        for (index, (_, one)) in running.iter().enumerate() {
            for (_, other) in &running[index + 1..] {
                for lock in &one.spec.locks {
                    let clash = other.spec.locks.iter().any(|held| {
                        held.name == lock.name
                            && (held.mode == LockMode::Write || lock.mode == LockMode::Write)
                    });
                    assert!(!clash, "a lock is held twice");
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    #[test]
    fn caps_locks_and_solitude_hold_and_every_job_ends_once(groups in groups(), cap in 1_usize..6) {
        let mut simulation = Simulation::new(&groups, cap);
        simulation.run(&groups, cap);
        let left: Vec<_> = simulation.scheduler.left().into_iter().map(|(job, _)| job).collect();
        for (job, (group, _)) in simulation.jobs.iter().enumerate() {
            let ended = simulation.ends[job];
            if left.contains(&job) {
                prop_assert_eq!(ended, 0);
                prop_assert!(groups[*group].1, "only a group that needs another is left out");
            } else {
                prop_assert_eq!(ended, 1);
            }
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

#[test]
fn after_a_stop_nothing_starts_and_the_rest_is_left() {
    let group = GroupSpec {
        workers: 2,
        jobs: jobs(0..3),
        ..GroupSpec::default()
    };
    let mut scheduler = Scheduler::new(vec![group], 4);
    assert_eq!(scheduler.next(0), Next::Run(0, 0));
    scheduler.stop();
    assert_eq!(scheduler.next(0), Next::Done);
    scheduler.finished(0, true, Vec::new());
    assert_eq!(scheduler.left(), [(1, None), (2, None)]);
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
    let mut scheduler = Scheduler::new(vec![first, second], 4);
    assert_eq!(scheduler.next(0), Next::Run(0, 0));
    assert_eq!(scheduler.next(1), Next::Wait);
    scheduler.finished(0, true, Vec::new());
    assert_eq!(scheduler.next(1), Next::Done);
    assert_eq!(scheduler.left(), [(1, Some(0))]);
}

#[test]
fn a_writer_is_not_overtaken_by_readers_for_ever() {
    let lock = |mode| {
        vec![Lock {
            name: "db".into(),
            mode,
        }]
    };
    let mut list = jobs(0..3);
    list[0].locks = lock(LockMode::Read);
    list[1].locks = lock(LockMode::Write);
    list[2].locks = lock(LockMode::Read);
    let group = GroupSpec {
        workers: 3,
        jobs: list,
        ..GroupSpec::default()
    };
    let mut scheduler = Scheduler::new(vec![group], 3);
    assert_eq!(scheduler.next(0), Next::Run(0, 0));
    assert_eq!(
        scheduler.next(0),
        Next::Wait,
        "the second reader waits behind the writer"
    );
    scheduler.finished(0, false, Vec::new());
    assert_eq!(scheduler.next(0), Next::Run(1, 0));
}
