//! Results as JSON lines: `{"event":"started","id":…}` and `{"event":"finished","id":…,"outcome":…}`.

use std::collections::HashMap;
use std::time::Duration;

use serde::Deserialize;

use super::{Told, Verdict};
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

pub fn read(report: &[u8], items: &[Item]) -> Told {
    let index: HashMap<&str, usize> = items
        .iter()
        .enumerate()
        .map(|(index, item)| (item.id.as_str(), index))
        .collect();
    let mut told = Told {
        verdicts: vec![None; items.len()],
        started: Some(Vec::new()),
        warnings: Vec::new(),
    };
    // The last line may be torn where the process died: what can't be read is not a result.
    for record in report
        .split(|byte| *byte == b'\n')
        .filter_map(|line| serde_json::from_slice(line).ok())
    {
        match record {
            Record::Started { id, .. } => {
                if let (Some(index), Some(started)) = (index.get(id.as_str()), &mut told.started) {
                    started.push(*index);
                }
            }
            Record::Finished {
                id,
                outcome,
                seconds,
                message,
                output,
            } => match index.get(id.as_str()) {
                Some(index) => {
                    told.verdicts[*index] = Some(Verdict {
                        outcome,
                        seconds,
                        message: message.filter(|text| !text.is_empty()),
                        output: Some(output.unwrap_or_default()),
                    });
                }
                None => told
                    .warnings
                    .push(format!("{id} was reported ({outcome}), but never listed")),
            },
        }
    }
    told
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
