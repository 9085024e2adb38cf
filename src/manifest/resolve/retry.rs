//! How long a failed test waits until it is run again.

use super::Resolver;
use crate::manifest::model::{self, BackoffKind};
use crate::manifest::problem::Problem;
use crate::manifest::retry::Backoff;
use crate::manifest::source::join;

impl Resolver<'_> {
    pub(super) fn backoff(&mut self, written: model::Backoff, pointer: &str) -> Backoff {
        let table = match written {
            model::Backoff::Delay(delay) => {
                return Backoff {
                    delay: delay.0,
                    ..Backoff::default()
                };
            }
            model::Backoff::Table(table) => table,
        };
        let doubles = table.kind == BackoffKind::Exponential;
        if let Some(max) = table.max {
            if !doubles {
                self.problems.push(
                    Problem::key(join(pointer, "max"), "a fixed wait never grows")
                        .label("bounds nothing")
                        .help("take it out, or add `kind = \"exponential\"`".to_owned()),
                );
            } else if max.0 < table.delay.0 {
                self.problems.push(
                    Problem::value(
                        join(pointer, "max"),
                        "the longest wait is shorter than the first",
                    )
                    .label("less than `delay`")
                    .help("make `max` longer, or `delay` shorter".to_owned()),
                );
            }
        }
        Backoff {
            delay: table.delay.0,
            doubles,
            max: table.max.map(|max| max.0),
            jitter: table.jitter.unwrap_or(false),
        }
    }
}
