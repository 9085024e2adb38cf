//! The order in which jobs are handed out: what failed last time, then what takes longest, so that no straggler comes last.
//! What runs alone comes after the rest, since it would only hold the others up.

use std::cmp::Reverse;
use std::time::Duration;

use super::{Memory, PlannedJob, full_id};

/// Sorts a group's jobs; equals stay in the order of the listing.
pub fn sort(jobs: &mut [PlannedJob], group: &str, memory: &dyn Memory) {
    jobs.sort_by_cached_key(|job| {
        let past = || {
            job.items
                .iter()
                .map(|item| memory.recall(&full_id(group, &item.id)))
        };
        let failed = past().flatten().any(|past| past.failed);
        let duration: Duration = past().flatten().map(|past| past.duration).sum();
        // An unknown test might be long, so it goes before what is known to be short.
        let unknown = past().any(|past| past.is_none());
        let alone = (job.settings.exclusive, job.settings.serial);
        (alone, Reverse(failed), Reverse(duration), Reverse(unknown))
    });
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use super::*;
    use crate::manifest::config::TestSettings;
    use crate::plan::{Item, Past};

    struct Known(HashMap<&'static str, Past>);

    impl Memory for Known {
        fn recall(&self, id: &str) -> Option<Past> {
            self.0.get(id).copied()
        }
    }

    #[test]
    fn failed_then_longest_then_listed_then_alone() {
        let job = |id: &str, serial: bool| PlannedJob {
            items: vec![Item::plain(id.into())],
            settings: TestSettings {
                timeout: None,
                grace: Duration::ZERO,
                retries: 0,
                exclusive: false,
                serial,
                locks: Vec::new(),
                expect: None,
            },
        };
        let past = |millis: u64, failed: bool| Past {
            duration: Duration::from_millis(millis),
            failed,
            memory: 0,
        };
        let memory = Known(HashMap::from([
            ("g::short", past(1, false)),
            ("g::long", past(100, false)),
            ("g::bad", past(5, true)),
            ("g::alone", past(900, true)),
        ]));
        let mut jobs =
            ["alone", "short", "new", "long", "bad", "new2"].map(|id| job(id, id == "alone"));
        sort(&mut jobs, "g", &memory);
        let ids: Vec<_> = jobs.iter().map(|job| job.items[0].id.as_str()).collect();
        assert_eq!(ids, ["bad", "long", "short", "new", "new2", "alone"]);
    }
}
