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
        /// How many results of tests inside it came before, where it holds tests.
        results: Option<usize>,
    },
    /// The job is over.
    End {
        /// How many results came before.
        results: usize,
    },
    /// What a later version may send.
    #[serde(other)]
    Other,
}

/// Reads a report. A line that cannot be read is an error, and so is another number of results than the runner says it sent.
pub fn read(report: &[u8], holds: bool, items: &[Item]) -> Told {
    let mut reading = Reading::new(holds, items);
    let mut lines = report.split(|byte| *byte == b'\n').peekable();
    let mut number = 0;
    while let Some(line) = lines.next() {
        number += 1;
        match serde_json::from_slice(line) {
            Ok(record) => reading.take(record),
            Err(_) if line.trim_ascii().is_empty() => {}
            Err(error) => {
                let why = format!("line {number} of its report cannot be read: {error}");
                if lines.peek().is_none() {
                    // It has no end, as it is where the process died while it wrote.
                    reading.told.torn = Some(why);
                } else {
                    reading.told.wrong.push((None, why));
                }
            }
        }
    }
    reading.told
}

/// A report as far as it was read.
struct Reading<'a> {
    holds: bool,
    items: &'a [Item],
    index: HashMap<&'a str, usize>,
    told: Told,
    /// How many results were read.
    results: usize,
    /// By item: how many results of tests inside it were read.
    inside: Vec<usize>,
}

impl<'a> Reading<'a> {
    fn new(holds: bool, items: &'a [Item]) -> Self {
        let ids = items.iter().map(|item| item.id.as_str());
        let index = ids.enumerate().map(|(index, id)| (id, index)).collect();
        let told = Told {
            started: Some(Vec::new()),
            ..Told::of(items)
        };
        Self {
            holds,
            items,
            index,
            told,
            results: 0,
            inside: vec![0; items.len()],
        }
    }

    /// The item that a test is, or is in: `a.js` holds `a.js::adds::two`. In the second case, where the test's own name begins.
    fn find(&self, id: &str) -> Option<(usize, Option<usize>)> {
        let place = |id: &str| {
            let as_given = || self.index.get(as_given(id)?);
            self.index.get(id).or_else(as_given).copied()
        };
        let mut ends = id.match_indices("::").filter(|_| self.holds);
        let exact = place(id).map(|index| (index, None));
        exact.or_else(|| ends.find_map(|(end, _)| Some((place(&id[..end])?, Some(end + 2)))))
    }

    fn take(&mut self, record: Record) {
        match record {
            Record::Started { id, .. } => {
                if let (Some((index, _)), Some(started)) = (self.find(&id), &mut self.told.started)
                    && !(self.holds && started.contains(&index))
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
                results,
            } => {
                let verdict = Verdict {
                    outcome,
                    seconds,
                    message: message.filter(|text| !text.is_empty()),
                    // Of one that ran alone, what the job printed will do.
                    output: output.or_else(|| (self.items.len() != 1).then(String::new)),
                };
                self.finished(&id, verdict, results);
            }
            Record::End { results } => self.count(None, results, self.results),
            Record::Other => {}
        }
    }

    fn finished(&mut self, id: &str, verdict: Verdict, results: Option<usize>) {
        let found = self.find(id);
        if let (Some((index, _)), Some(results)) = (found, results) {
            self.count(Some(index), results, self.inside[index]);
        }
        self.results += 1;
        match found {
            Some((index, None)) => self.told.verdicts[index] = Some(verdict),
            inside => {
                if let Some((index, _)) = inside {
                    self.inside[index] += 1;
                }
                let name = inside.and_then(|(_, from)| id.get(from?..));
                let case = Case {
                    name: name.unwrap_or(id).to_owned(),
                    item: inside.map(|(index, _)| index),
                    verdict,
                };
                self.told.add(true, self.items, case);
            }
        }
    }

    /// Compares how many results a runner says it sent with those that are there.
    fn count(&mut self, item: Option<usize>, sent: usize, read: usize) {
        if sent != read {
            let why = miscounted(sent, read);
            self.told.wrong.push((item, why));
        }
    }
}

/// What is wrong with a report that has another number of results than its runner says.
pub fn miscounted(sent: usize, read: usize) -> String {
    let noun = if read == 1 { "result" } else { "results" };
    format!("its report has {read} {noun}, and its runner sent {sent}")
}

/// The id of a file that is named as its runner was given it: `./a` is `a`.
fn as_given(name: &str) -> Option<&str> {
    name.strip_prefix("./")
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
        _ => None,
    }
}
