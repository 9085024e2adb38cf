//! Choosing: which of the listed tests run, and whether all that was named is there.

use std::collections::HashSet;
use std::sync::Arc;

use crate::manifest::config::GroupConfig;
use crate::plan::claims::add_fixtures;
use crate::plan::{Item, Selection, full_id};
use crate::run::RunError;
use crate::suggest::nearest;

/// The tests that were chosen.
pub struct Chosen {
    /// Those of each group.
    pub groups: Vec<(Arc<GroupConfig>, Vec<Item>)>,
    /// The full ids of the others.
    pub unselected: Vec<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
}

/// The groups whose tests were not listed.
#[derive(Clone, Copy, Debug)]
pub struct Unlisted<'a> {
    /// Those that were excluded, by name.
    pub excluded: &'a [&'a str],
    /// Whether others were named, and not these.
    pub is_part: bool,
}

/// Chooses from all tests of each group. `unfinished` says which tests failed last time, if any of them has been run.
///
/// # Errors
/// A path or an id that nothing is called; or it is asked for what failed, and nothing has been run.
pub fn choose(
    selection: &Selection,
    unlisted: Unlisted<'_>,
    listed: Vec<(Arc<GroupConfig>, Vec<Item>)>,
    unfinished: impl FnOnce(Vec<String>) -> Option<HashSet<String>>,
) -> Result<Chosen, RunError> {
    let mut warnings = Vec::new();
    let mut all: Vec<(&str, &Item)> = Vec::new();
    let mut is_chosen = Vec::new();
    for (group, items) in &listed {
        let name = group.name.as_str();
        let changed = selection.changed.as_ref();
        let is_touched = changed.is_some_and(|changed| changed.touches(&group.inputs));
        for item in items {
            all.push((name, item));
            is_chosen.push(selection.selects(name, is_touched, item));
        }
    }
    check_selectors(selection, &all)?;
    let mut is_excluded = vec![false; all.len()];
    for exclusion in &selection.exclude {
        let excluded = exclusion.of(&all);
        let written = &exclusion.name.written;
        if !excluded.contains(&true) && !unlisted.excluded.contains(&written.as_str()) {
            // What is there and holds no test can't be meant to hold one.
            let is_mistaken = exclusion.name.place.is_none() && exclusion.pattern.is_none();
            // The tests of groups that were not asked for are not known.
            if is_mistaken && !unlisted.is_part {
                return Err(unknown(written, &all));
            }
            warnings.push(format!("--exclude {written:?} leaves out no test"));
        }
        for (index, excluded) in excluded.into_iter().enumerate() {
            is_excluded[index] |= excluded;
            is_chosen[index] &= !excluded;
        }
    }
    if selection.failed {
        let ids = all.iter().map(|(group, item)| full_id(group, &item.id));
        let failed = unfinished(ids.collect()).ok_or(RunError::NoLastRun)?;
        for (is_chosen, (group, item)) in is_chosen.iter_mut().zip(&all) {
            // A group that can't be listed has no tests whose past could be known.
            let is_unlisted = item.id.is_empty() && item.known.is_some();
            *is_chosen &= is_unlisted || failed.contains(&full_id(group, &item.id));
        }
    }
    add_fixtures_of(&listed, &mut is_chosen, &is_excluded);
    let left_out = all
        .iter()
        .zip(&is_chosen)
        .filter(|(_, is_chosen)| !**is_chosen);
    let unselected = left_out.map(|((group, item), _)| full_id(group, &item.id));
    let unselected = unselected.collect();
    let mut is_chosen = is_chosen.into_iter();
    let groups = listed
        .into_iter()
        .map(|(group, mut items)| {
            items.retain(|_| is_chosen.next() == Some(true));
            (group, items)
        })
        .collect();
    Ok(Chosen {
        groups,
        unselected,
        warnings,
    })
}

/// Adds the fixtures that chosen tests use, unless they are excluded.
fn add_fixtures_of(
    listed: &[(Arc<GroupConfig>, Vec<Item>)],
    is_chosen: &mut [bool],
    is_excluded: &[bool],
) {
    let mut first = 0;
    for (_, items) in listed {
        let own = first..first + items.len();
        let is_excluded = &is_excluded[own.clone()];
        let own = &mut is_chosen[own];
        add_fixtures(items, own, |index| !is_excluded[index]);
        first += items.len();
    }
}

/// Every selector that is no path must name something.
fn check_selectors(selection: &Selection, all: &[(&str, &Item)]) -> Result<(), RunError> {
    let mut selectors = selection.selectors.iter();
    let unnamed = selectors.find(|selector| {
        let mut all = all.iter();
        !selector.is_path() && !all.any(|(group, item)| selector.selects(group, item))
    });
    unnamed.map_or(Ok(()), |selector| Err(unknown(&selector.written, all)))
}

fn unknown(written: &str, all: &[(&str, &Item)]) -> RunError {
    let ids = all.iter().map(|(group, item)| full_id(group, &item.id));
    let files = all
        .iter()
        .filter_map(|(_, item)| Some(item.file.as_ref()?.to_string_lossy().into_owned()));
    let known: Vec<String> = ids
        .chain(all.iter().map(|(_, item)| item.id.clone()))
        .chain(files)
        .collect();
    let hint = nearest(written, known.iter().map(String::as_str)).map(str::to_owned);
    RunError::Unknown {
        written: written.to_owned(),
        hint,
    }
}
