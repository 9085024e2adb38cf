//! What a job has for itself while it runs: names of pools.

use std::collections::BTreeMap;
use std::ffi::OsString;

use crate::manifest::config::GroupConfig;
use crate::manifest::resolve::POOL_SEPARATOR;
use crate::runner::list::resource_variable;

/// By pool that its group names: the names that the job has of it, with commas between; empty where it has none.
pub type Granted = Vec<(String, OsString)>;

/// What templates and variables say of the names that the scheduler grants to a job.
pub fn granted(group: &GroupConfig, names: &[(String, Vec<String>)]) -> Granted {
    let pools = group.pools().map(|pool| {
        let own = names.iter().find(|(name, _)| name == pool);
        let own = own.map_or(&[][..], |(_, members)| members);
        (
            pool.to_owned(),
            own.join(&POOL_SEPARATOR.to_string()).into(),
        )
    });
    pools.collect()
}

/// The variables that tell a job of them.
pub fn variables<'a>(
    granted: impl Iterator<Item = &'a (String, OsString)>,
) -> impl Iterator<Item = (String, &'a OsString)> {
    granted.map(|(pool, names)| (resource_variable(pool), names))
}

/// The same for whoever reads of the run.
pub fn told(granted: &[(String, OsString)]) -> BTreeMap<String, String> {
    let some = granted.iter().filter(|(_, names)| !names.is_empty());
    some.map(|(pool, names)| (pool.clone(), names.to_string_lossy().into_owned()))
        .collect()
}
