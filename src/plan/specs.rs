//! A plan as the scheduler sees it.

use super::{Known, Plan};
use crate::manifest::config::{GroupConfig, GroupName, TestSettings};
use crate::schedule::{After, GroupSpec, JobSpec};

/// A job as the scheduler sees it.
#[must_use]
pub fn spec(settings: &TestSettings, id: usize, memory: u64) -> JobSpec {
    JobSpec {
        id,
        serial: settings.serial,
        exclusive: settings.exclusive,
        slots: settings.slots,
        locks: settings.locks.clone(),
        uses: settings.uses.clone(),
        memory,
        ..JobSpec::default()
    }
}

/// What a job comes after, by the numbers of all jobs: those of its group begin at `first`.
pub fn after(edges: &[After], first: usize) -> Vec<After> {
    let edges = edges.iter().map(|edge| After {
        job: first + edge.job,
        ..*edge
    });
    edges.collect()
}

/// The groups that a group needs, by their indices. One without selected tests has nothing to pass, and is not among them.
pub fn needs<'a>(
    group: &GroupConfig,
    all: &(impl Iterator<Item = &'a GroupConfig> + Clone),
) -> Vec<usize> {
    let index = |name: &GroupName| all.clone().position(|known| known.name == *name);
    group.needs.iter().filter_map(index).collect()
}

impl Plan {
    /// The groups with their jobs, which are numbered through.
    #[must_use]
    pub fn specs(&self) -> Vec<GroupSpec> {
        let mut first = 0;
        let all = self.groups.iter().map(|group| &*group.config);
        let specs = self.groups.iter().map(|group| {
            let numbers = first..;
            first += group.jobs.len();
            let jobs = group.jobs.iter().zip(numbers.clone());
            let is_broken = |known: &Option<Known>| matches!(known, Some(Known::Broken(_)));
            GroupSpec {
                workers: group.workers,
                needs: needs(&group.config, &all),
                jobs: jobs
                    .map(|(job, number)| JobSpec {
                        after: after(&job.after, numbers.start),
                        ..spec(&job.settings, number, job.memory)
                    })
                    .collect(),
                failed: group.known.iter().any(|item| is_broken(&item.known)),
            }
        });
        specs.collect()
    }
}
