//! Edges between the jobs of a group: a job waits until others are over.
//!
//! A job that is named by an edge is a node. It is over when the job and every job that runs in its place (another try, the
//! rest of a job that broke off) are over. A job whose edge demands that the other passes is barred when that fails: it never
//! runs, and counts as failed for those that wait for it.

use std::collections::{HashMap, HashSet};
use std::hash::BuildHasher;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::JobSpec;

/// An edge: a job that must be over first.
#[derive(
    Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize, JsonSchema,
)]
#[serde(default)]
pub struct After {
    /// The number of that job.
    pub job: usize,
    /// Whether it must have passed. Otherwise it may end in any way.
    #[serde(skip_serializing_if = "super::is_usual")]
    pub must_pass: bool,
}

/// A job that never runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Barred {
    /// The job.
    pub job: usize,
    /// The job that had to pass before it and did not.
    pub by: usize,
}

/// A job that waits for others, with its place in the queue.
#[derive(Clone, Debug)]
struct Waiting {
    group: usize,
    spec: JobSpec,
    place: i64,
    /// How many of its edges are not over.
    missing: usize,
}

#[derive(Clone, Debug, Default)]
struct Node {
    /// How many jobs must end before it is over.
    open: usize,
    failed: bool,
    /// The jobs that wait for it, and whether it must pass for them.
    waiting: Vec<(usize, bool)>,
}

/// What follows from the end of a job.
#[derive(Debug, Default)]
pub struct Released {
    /// Jobs that wait for nothing more, with their groups and their places in the queues.
    pub jobs: Vec<(usize, JobSpec, i64)>,
    /// Jobs that will never run.
    pub barred: Vec<Barred>,
}

/// See the module.
#[derive(Debug, Default)]
pub struct Edges {
    nodes: HashMap<usize, Node>,
    waiting: HashMap<usize, Waiting>,
    /// The node that a job belongs to which runs in place of another.
    node_of: HashMap<usize, usize>,
    barred: Vec<Barred>,
}

impl Edges {
    /// Prepares for the jobs of a group. Returns them without edges to jobs that are not there or that close a cycle.
    pub fn prepare(&mut self, jobs: &[JobSpec]) -> Vec<JobSpec> {
        let mut jobs = jobs.to_vec();
        if jobs.iter().all(|job| job.after.is_empty()) {
            return jobs;
        }
        let known: HashSet<usize> = jobs.iter().map(|job| job.id).collect();
        for job in &mut jobs {
            job.after.retain(|edge| known.contains(&edge.job));
            // Two edges to the same job are one, and the stronger counts.
            job.after
                .sort_unstable_by_key(|edge| (edge.job, !edge.must_pass));
            job.after.dedup_by_key(|edge| edge.job);
        }
        let edges: HashMap<usize, Vec<usize>> = jobs
            .iter()
            .filter(|job| !job.after.is_empty())
            .map(|job| (job.id, job.after.iter().map(|edge| edge.job).collect()))
            .collect();
        let ids: Vec<usize> = jobs.iter().map(|job| job.id).collect();
        let cut: HashSet<(usize, usize)> = closing(&ids, &edges).into_iter().collect();
        for job in &mut jobs {
            let id = job.id;
            job.after.retain(|edge| !cut.contains(&(id, edge.job)));
            for edge in &job.after {
                let node = self.nodes.entry(edge.job).or_default();
                node.open = 1;
                node.waiting.push((id, edge.must_pass));
            }
        }
        jobs
    }

    /// Keeps a job back that has edges.
    pub fn hold(&mut self, group: usize, spec: JobSpec, place: i64) {
        let missing = spec.after.len();
        let id = spec.id;
        self.waiting.insert(
            id,
            Waiting {
                group,
                spec,
                place,
                missing,
            },
        );
    }

    /// A job is over, for which others run: what follows.
    pub fn over(
        &mut self,
        job: usize,
        failed: bool,
        again: impl Iterator<Item = usize>,
    ) -> Released {
        let mut released = Released::default();
        let node = self.node_of.remove(&job).unwrap_or(job);
        let Some(state) = self.nodes.get_mut(&node) else {
            return released;
        };
        state.failed |= failed;
        state.open = state.open.saturating_sub(1);
        for again in again {
            state.open += 1;
            self.node_of.insert(again, node);
        }
        if state.open == 0 {
            self.settle(node, &mut released);
        }
        self.barred.extend(&released.barred);
        released
    }

    /// A node is over: releases and bars what waits for it, and so on.
    fn settle(&mut self, node: usize, released: &mut Released) {
        let mut over = vec![node];
        while let Some(node) = over.pop() {
            let Some(Node {
                failed, waiting, ..
            }) = self.nodes.remove(&node)
            else {
                continue;
            };
            for (job, must_pass) in waiting {
                if failed && must_pass {
                    // It may be barred already, by another.
                    if self.waiting.remove(&job).is_none() {
                        continue;
                    }
                    released.barred.push(Barred { job, by: node });
                    if let Some(state) = self.nodes.get_mut(&job) {
                        state.failed = true;
                        over.push(job);
                    }
                    continue;
                }
                let Some(waiting) = self.waiting.get_mut(&job) else {
                    continue;
                };
                waiting.missing -= 1;
                if waiting.missing == 0
                    && let Some(waiting) = self.waiting.remove(&job)
                {
                    released
                        .jobs
                        .push((waiting.group, waiting.spec, waiting.place));
                }
            }
        }
    }

    /// The jobs that still wait, with their groups, in the order of their numbers.
    pub fn left(&self) -> Vec<(usize, usize)> {
        let waiting = self.waiting.iter();
        let mut left: Vec<_> = waiting.map(|(id, waiting)| (*id, waiting.group)).collect();
        left.sort_unstable();
        left
    }

    /// The jobs that never run, as one that had to pass did not.
    pub fn barred(&self) -> &[Barred] {
        &self.barred
    }

    /// Forgets everything: another round begins.
    pub fn clear(&mut self) {
        *self = Self::default();
    }
}

/// The edges, from and to, without which the rest has no cycle. `edges` are the nodes that each node points to. Which edge of
/// a cycle it is follows from the order of `nodes`.
#[must_use]
pub fn closing<S: BuildHasher>(
    nodes: &[usize],
    edges: &HashMap<usize, Vec<usize>, S>,
) -> Vec<(usize, usize)> {
    let mut closing = Vec::new();
    // Whether a node is on the path that is looked at; one that is here and is not, is done.
    let mut seen: HashMap<usize, bool> = HashMap::new();
    let next = |node: &usize| edges.get(node).map_or(&[][..], Vec::as_slice);
    for start in nodes {
        if seen.contains_key(start) {
            continue;
        }
        seen.insert(*start, true);
        let mut path = vec![(*start, next(start).iter())];
        while let Some((node, rest)) = path.last_mut() {
            let node = *node;
            match rest.next() {
                None => {
                    seen.insert(node, false);
                    path.pop();
                }
                Some(to) => match seen.get(to) {
                    Some(true) => closing.push((node, *to)),
                    Some(false) => {}
                    None => {
                        seen.insert(*to, true);
                        path.push((*to, next(to).iter()));
                    }
                },
            }
        }
    }
    closing
}
