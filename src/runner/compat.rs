//! Variables that other tools taught people, as those tools document them.

use std::ffi::OsString;
use std::path::Path;

use crate::manifest::model::Compat;

/// The variables of `compat` for a worker.
#[must_use]
pub fn variables(
    compat: &[Compat],
    slot: usize,
    workers: usize,
    run: &str,
    tmp: &Path,
) -> Vec<(OsString, OsString)> {
    let mut env: Vec<(&str, OsString)> = Vec::new();
    for compat in compat {
        match compat {
            Compat::Xdist => env.extend([
                ("PYTEST_XDIST_WORKER", format!("gw{slot}").into()),
                ("PYTEST_XDIST_WORKER_COUNT", workers.to_string().into()),
                ("PYTEST_XDIST_TESTRUNUID", run.into()),
            ]),
            Compat::ParallelTests => {
                let number = if slot == 0 {
                    String::new()
                } else {
                    (slot + 1).to_string()
                };
                env.push(("TEST_ENV_NUMBER", number.into()));
                env.push(("PARALLEL_TEST_GROUPS", workers.to_string().into()));
            }
            Compat::Jest => env.push(("JEST_WORKER_ID", (slot + 1).to_string().into())),
            Compat::Bazel => env.push(("TEST_TMPDIR", tmp.into())),
        }
    }
    env.into_iter()
        .map(|(name, value)| (name.into(), value))
        .collect()
}
