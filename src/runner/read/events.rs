//! Results as JSON lines: `{"event":"started","id":…}` and `{"event":"finished","id":…,"outcome":…}`.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;

use super::{Case, Told, Verdict};
use crate::outcome::Outcome;
use crate::plan::Item;

#[derive(Deserialize)]
#[serde(tag = "event", rename_all = "kebab-case")]
enum Record {
    Started {
        id: String,
        /// Seconds of the monotonic clock.
        at: Option<f64>,
    },
    Finished {
        id: String,
        outcome: Outcome,
        seconds: Option<f64>,
        message: Option<String>,
        output: Option<String>,
    },
}

pub fn read(report: &[u8], holds: bool, items: &[Item]) -> Told {
    let index: HashMap<&str, usize> = items
        .iter()
        .enumerate()
        .map(|(index, item)| (item.id.as_str(), index))
        .collect();
    // The item that a test is, or is in: `a.js` holds `a.js::adds::two`.
    let place = |id: &str| {
        let as_given = || index.get(as_given(id)?);
        index.get(id).or_else(as_given).copied()
    };
    let find = |id: &str| {
        let exact = place(id).map(|index| (index, None));
        let mut ends = id.match_indices("::").filter(|_| holds);
        exact.or_else(|| ends.find_map(|(end, _)| Some((place(&id[..end])?, Some(end + 2)))))
    };
    let mut told = Told {
        started: Some(Vec::new()),
        ..Told::of(items)
    };
    // The last line may be torn where the process died: what can't be read is not a result.
    for record in report
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
    {
        match record {
            Record::Started { id, .. } => {
                if let (Some((index, _)), Some(started)) = (find(&id), &mut told.started)
                    && !(holds && started.contains(&index))
                {
                    started.push(index);
                }
            }
            Record::Finished {
                id,
                outcome,
                seconds,
                message,
                output,
            } => {
                let verdict = Verdict {
                    outcome,
                    seconds,
                    message: message.filter(|text| !text.is_empty()),
                    // Of one that ran alone, what the job printed will do.
                    output: output.or_else(|| (items.len() != 1).then(String::new)),
                };
                match find(&id) {
                    Some((index, None)) => told.verdicts[index] = Some(verdict),
                    inside => {
                        let case = Case {
                            name: inside
                                .and_then(|(_, from)| id.get(from?..))
                                .unwrap_or(&id)
                                .to_owned(),
                            item: inside.map(|(index, _)| index),
                            verdict,
                        };
                        told.add(true, items, case);
                    }
                }
            }
        }
    }
    told
}

/// The id of a file that is named as its runner was given it: `./a` is `a`.
fn as_given(name: &str) -> Option<&str> {
    name.strip_prefix("./")
}

/// When the last test began, by the monotonic clock, if the report tells.
pub fn last_start(report: &[u8]) -> Option<Duration> {
    report
        .rsplit(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
        .find_map(|record| match record {
            Record::Started { at, .. } => {
                at.and_then(|seconds| Duration::try_from_secs_f64(seconds).ok())
            }
            Record::Finished { .. } => None,
        })
}

/// The item that runs, and when it began by the monotonic clock, if the report tells.
pub fn running(report: &[u8], items: &[Item]) -> Option<(usize, Duration)> {
    let mut lines = report.rsplit(|byte| *byte == b'\n');
    let last = lines.find_map(|line| serde_json::from_slice(line).ok())?;
    match last {
        Record::Started { id, at } => {
            let is_it = |item: &Item| item.id == id || as_given(&id) == Some(&item.id);
            let index = items.iter().position(is_it)?;
            Some((index, Duration::try_from_secs_f64(at?).ok()?))
        }
        Record::Finished { .. } => None,
    }
}
