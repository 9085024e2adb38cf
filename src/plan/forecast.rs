//! How a plan is predicted to go: when each job starts, when all is over, and how much sooner that could ever be.
//!
//! The prediction is the very scheduler's, under a virtual clock. What hooks take is not in it, nor what a session takes to load.

use super::Plan;
use super::predict::{Begun, Course, simulate};
use super::workers::started;

/// How a plan is predicted to go.
#[derive(Clone, Debug, PartialEq)]
pub struct Forecast {
    /// When the last job ends, in seconds, with what it costs to start the workers.
    pub seconds: f64,
    /// How long the run takes at the least.
    pub bound: Bound,
    /// The groups, as in the plan.
    pub groups: Vec<GroupForecast>,
}

/// How a group is predicted to go.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct GroupForecast {
    /// When its first job starts, in seconds.
    pub starts: f64,
    /// When its last job ends.
    pub ends: f64,
    /// How long it takes at the least on its own workers.
    pub bound: Bound,
    /// When each of its jobs starts, and in which slot of the run.
    pub jobs: Vec<(f64, usize)>,
}

/// What no order and no chunks can beat: the work divided by the workers, or the longest test, and the start of one chunk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Bound {
    /// So many seconds.
    pub seconds: f64,
    /// The longest test, by its full id, where that and not the work is what bounds.
    pub longest: Option<String>,
}

/// What another number of workers would give.
#[derive(Clone, Debug, PartialEq)]
pub struct Outlook {
    /// The number, in the run and in each group.
    pub workers: usize,
    /// When the last job would end, in seconds.
    pub seconds: f64,
    /// How long the run would take at the least.
    pub bound: Bound,
}

/// What is planned of a group, as far as bounds need it: its tests and what starting one of its chunks costs.
#[derive(Clone, Debug, PartialEq)]
pub struct Load {
    /// What its tests take together.
    pub work: f64,
    /// What the longest takes, and which that is.
    pub longest: (f64, String),
    /// What a start costs.
    pub start: f64,
}

impl Bound {
    /// The bound of some groups' tests on so many workers.
    #[must_use]
    pub fn of(loads: &[Load], workers: usize) -> Self {
        #[expect(clippy::cast_precision_loss, reason = "workers are few")]
        let workers = workers.max(1) as f64;
        let work: f64 = loads.iter().map(|load| load.work).sum();
        let start = loads.iter().map(|load| load.start).reduce(f64::min);
        let mut bound = Self {
            seconds: work / workers + start.unwrap_or(0.0),
            longest: None,
        };
        for load in loads {
            let (seconds, id) = &load.longest;
            let seconds = load.start + seconds;
            if seconds > bound.seconds {
                bound.seconds = seconds;
                bound.longest = Some(id.clone());
            }
        }
        bound
    }
}

/// Jobs that take what they are planned to, and note when they start.
struct Noted<'a> {
    seconds: &'a [f64],
    /// By job: when it starts, its slot, and when it ends.
    places: Vec<(f64, usize, f64)>,
}

impl Course for Noted<'_> {
    fn takes(&mut self, begun: &Begun<'_>) -> f64 {
        let seconds = self.seconds.get(begun.start.job).copied().unwrap_or(0.0);
        if let Some(place) = self.places.get_mut(begun.start.job) {
            *place = (begun.at, begun.start.slot, begun.at + seconds);
        }
        seconds
    }
}

impl Forecast {
    /// How a plan is predicted to go.
    #[must_use]
    pub fn of(plan: &Plan) -> Self {
        let jobs = plan.groups.iter().flat_map(|group| &group.jobs);
        let seconds: Vec<f64> = jobs.map(|job| job.seconds).collect();
        let mut noted = Noted {
            seconds: &seconds,
            places: vec![(0.0, 0, 0.0); seconds.len()],
        };
        let lanes: usize = plan.groups.iter().map(|group| group.workers).sum();
        let end = simulate(plan.specs(), plan.limits(), &mut noted);
        let mut places = noted.places.into_iter();
        let loads: Vec<Load> = plan.groups.iter().map(|group| group.load.clone()).collect();
        let groups = plan.groups.iter().zip(&loads).map(|(group, load)| {
            let places: Vec<_> = places.by_ref().take(group.jobs.len()).collect();
            let starts = places.iter().map(|(start, ..)| *start);
            GroupForecast {
                starts: starts.reduce(f64::min).unwrap_or(0.0),
                ends: places.iter().map(|(.., end)| *end).fold(0.0, f64::max),
                bound: Bound::of(std::slice::from_ref(load), group.workers),
                jobs: places
                    .iter()
                    .map(|(start, slot, _)| (*start, *slot))
                    .collect(),
            }
        });
        let groups = groups.collect();
        Self {
            seconds: end + started(lanes.min(plan.workers)),
            bound: Bound::of(&loads, plan.workers),
            groups,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn load(seconds: &[f64], start: f64) -> Load {
        Load {
            work: seconds.iter().sum(),
            longest: (
                seconds.iter().copied().fold(0.0, f64::max),
                "g::long".to_owned(),
            ),
            start,
        }
    }

    #[test]
    fn the_bound_is_the_work_or_the_longest_test() {
        let is = |bound: &Bound, seconds: f64| (bound.seconds - seconds).abs() < 1e-9;
        let bound = Bound::of(&[load(&[1.0; 4], 0.5), load(&[1.0; 2], 0.1)], 3);
        assert!(is(&bound, 2.1) && bound.longest.is_none(), "{bound:?}");
        let bound = Bound::of(&[load(&[1.0, 1.0, 3.0], 0.5)], 4);
        assert!(is(&bound, 3.5), "{bound:?}");
        assert_eq!(bound.longest.as_deref(), Some("g::long"));
        assert!(is(&Bound::of(&[], 2), 0.0));
    }
}
