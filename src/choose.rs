//! Choosing: which of the listed tests run, and whether all that was named is there.

use std::collections::HashMap;
use std::sync::Arc;

use crate::history::Unfinished;
use crate::manifest::config::GroupConfig;
use crate::plan::claims::add_fixtures;
use crate::plan::inside::{self, Choice};
use crate::plan::{Item, Selection, full_id};
use crate::run::RunError;
use crate::suggest::nearest;

/// The tests that were chosen.
pub struct Chosen {
    /// Those of each group.
    pub groups: Vec<(Arc<GroupConfig>, Vec<Item>)>,
    /// The full ids of the others.
    pub unselected: Vec<String>,
    /// The paths that were named and hold no test of a group.
    pub unclaimed: Vec<String>,
    /// What a person should know.
    pub warnings: Vec<String>,
    /// Where nothing is chosen: the words of `-k` and `-m` that no test has, each as a sentence.
    pub absent_words: Vec<String>,
}

/// The groups whose tests were not listed.
#[derive(Clone, Copy, Debug)]
pub struct Unlisted<'a> {
    /// Those that were excluded, by name.
    pub excluded: &'a [&'a str],
    /// Whether others were named, and not these.
    pub is_part: bool,
}

/// What earlier runs have said of tests, by the full ids of items.
pub trait Past {
    /// Which failed or did not run the last time, if any of them has been run.
    fn unfinished(&self, items: Vec<String>) -> Option<HashMap<String, Unfinished>>;

    /// The names of the tests inside them.
    fn inside(&self, items: Vec<String>) -> HashMap<String, Vec<String>>;
}

/// Chooses from all tests of each group.
///
/// # Errors
/// A path or an id that nothing is called; or it is asked for what failed, and nothing has been run.
pub fn choose(
    selection: &Selection,
    unlisted: Unlisted<'_>,
    listed: Vec<(Arc<GroupConfig>, Vec<Item>)>,
    past: &dyn Past,
) -> Result<Chosen, RunError> {
    let mut warnings = Vec::new();
    let mut all: Vec<(&str, &Item)> = Vec::new();
    let mut choices = Vec::new();
    let known = names_inside(selection, &listed, past);
    let none = Vec::new();
    for (group, items) in &listed {
        let name = group.name.as_str();
        let changed = selection.changed.as_ref();
        let is_touched = changed.is_some_and(|changed| changed.touches(&group.inputs));
        for item in items {
            all.push((name, item));
            let names = known.get(&full_id(name, &item.id)).unwrap_or(&none);
            let holds = group.runner.holds_tests.then_some(names.as_slice());
            choices.push(chosen(selection, name, is_touched, item, holds));
        }
    }
    warnings.extend(unknown_inside(selection, &listed, &known));
    let holders: Vec<bool> = listed
        .iter()
        .flat_map(|(group, items)| vec![group.runner.holds_tests; items.len()])
        .collect();
    check_selectors(selection, &all, &holders)?;
    let mut inner: Vec<String> = Vec::new();
    let mut is_excluded = vec![false; all.len()];
    let unclaimed: Vec<String> = selection
        .selectors
        .iter()
        .filter(|selector| selector.is_path())
        .filter(|selector| {
            !all.iter()
                .any(|(group, item)| selector.selects(group, item))
        })
        .map(|selector| selector.written.clone())
        .collect();
    for exclusion in &selection.exclude {
        let mut excluded = exclusion.of(&all);
        for (((group, item), holds), choice) in all.iter().zip(&holders).zip(&mut choices) {
            let named = inside::named_by(&exclusion.name, group, item).filter(|_| *holds);
            let known = known.get(&full_id(group, &item.id));
            let (Some(named), Some(known)) = (named, known) else {
                continue;
            };
            let left = std::mem::replace(choice, Choice::Nothing);
            *choice = left.without(&[named.to_owned()], known);
            inner.push(exclusion.name.written.clone());
        }
        if inner.contains(&exclusion.name.written) {
            excluded.fill(false);
        }
        let written = &exclusion.name.written;
        if !excluded.contains(&true)
            && !inner.contains(written)
            && !unlisted.excluded.contains(&written.as_str())
        {
            // What is there and holds no test can't be meant to hold one.
            let is_mistaken = exclusion.name.place.is_none() && exclusion.pattern.is_none();
            // The tests of groups that were not asked for are not known.
            if is_mistaken && !unlisted.is_part {
                return Err(unknown(Some("--exclude"), written, &all));
            }
            warnings.push(format!("--exclude {written:?} leaves out no test"));
        }
        for (index, excluded) in excluded.into_iter().enumerate() {
            is_excluded[index] |= excluded;
            if excluded {
                choices[index] = Choice::Nothing;
            }
        }
    }
    if selection.failed {
        let ids = all.iter().map(|(group, item)| full_id(group, &item.id));
        let failed = past.unfinished(ids.collect()).ok_or(RunError::NoLastRun)?;
        for (choice, (group, item)) in choices.iter_mut().zip(&all) {
            // A group that can't be listed has no tests whose past could be known.
            let is_unlisted = item.id.is_empty() && item.known.is_some();
            let before = std::mem::replace(choice, Choice::Nothing);
            *choice = match failed.get(&full_id(group, &item.id)) {
                _ if is_unlisted => before,
                Some(Unfinished::Whole) => before,
                Some(Unfinished::Inside(names)) => before.narrowed(Some(names.clone())),
                None => Choice::Nothing,
            };
        }
    }
    let mut is_chosen: Vec<bool> = choices.iter().map(Choice::is_some).collect();
    add_fixtures_of(&listed, &mut is_chosen, &is_excluded);
    for (choice, is_chosen) in choices.iter_mut().zip(is_chosen) {
        if is_chosen && !choice.is_some() {
            *choice = Choice::Whole;
        }
    }
    let absent_words = if choices.iter().any(Choice::is_some) {
        Vec::new()
    } else {
        selection.absent_words(&all)
    };
    let left_out = all
        .iter()
        .zip(&choices)
        .filter(|(_, choice)| !choice.is_some());
    let unselected = left_out.map(|((group, item), _)| full_id(group, &item.id));
    let unselected = unselected.collect();
    let mut choices = choices.into_iter();
    let mut groups = Vec::new();
    for (group, items) in listed {
        let mut left = Vec::new();
        let mut is_widened = false;
        for mut item in items {
            match choices.next() {
                Some(Choice::Whole) => left.push(item),
                Some(Choice::Inside(names)) => {
                    if group.runner.select.is_some() {
                        item.inside = names;
                    } else {
                        is_widened = true;
                    }
                    left.push(item);
                }
                Some(Choice::Nothing) | None => {}
            }
        }
        if is_widened {
            warnings.push(format!(
                "group {}: its runner `{}` has no `select`, so whole files run for the tests that are selected in them",
                group.name, group.runner.name
            ));
        }
        groups.push((group, left));
    }
    Ok(Chosen {
        groups,
        unselected,
        unclaimed,
        warnings,
        absent_words,
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

/// The names of the tests inside the items, where the selection asks for them.
fn names_inside(
    selection: &Selection,
    listed: &[(Arc<GroupConfig>, Vec<Item>)],
    past: &dyn Past,
) -> HashMap<String, Vec<String>> {
    if selection.words.is_none() && selection.exclude.is_empty() {
        return HashMap::new();
    }
    let holders = listed.iter().filter(|(group, _)| group.runner.holds_tests);
    let items = holders.flat_map(|(group, items)| {
        items
            .iter()
            .map(|item| full_id(group.name.as_str(), &item.id))
    });
    let items: Vec<String> = items.collect();
    if items.is_empty() {
        return HashMap::new();
    }
    past.inside(items)
}

/// What a person should know of files whose tests `-k` can't know by name.
fn unknown_inside(
    selection: &Selection,
    listed: &[(Arc<GroupConfig>, Vec<Item>)],
    known: &HashMap<String, Vec<String>>,
) -> Vec<String> {
    let holders = listed
        .iter()
        .filter(|(group, _)| selection.words.is_some() && group.runner.holds_tests);
    let warnings = holders.filter_map(|(group, items)| {
        let name = group.name.as_str();
        let is_unknown = |item: &&Item| !known.contains_key(&full_id(name, &item.id));
        let unknown = items.iter().filter(is_unknown).count();
        (unknown > 0).then(|| {
            format!("group {name}: -k looks only at the paths of {unknown} files: the names of the tests in a file are known once it has run")
        })
    });
    warnings.collect()
}

/// What the selection chooses of an item. `names` are those of the tests inside it that are known, if it may hold any.
fn chosen(
    selection: &Selection,
    group: &str,
    is_touched: bool,
    item: &Item,
    names: Option<&[String]>,
) -> Choice {
    let Some(names) = names else {
        return Choice::of(selection.selects(group, is_touched, item));
    };
    let is_named = |selection: &Selection| selection.selects(group, is_touched, item);
    let mut selectors = selection.selectors.iter();
    let is_whole =
        selection.selectors.is_empty() || selectors.any(|selector| selector.selects(group, item));
    let selectors = selection.selectors.iter();
    let typed: Vec<String> = selectors
        .filter_map(|selector| inside::named_by(selector, group, item))
        .map(str::to_owned)
        .collect();
    let by_name = match (is_whole, typed.is_empty()) {
        (true, _) => Choice::Whole,
        (false, true) => return Choice::Nothing,
        (false, false) => Choice::Inside(typed),
    };
    // The rest of the selection is about files.
    let mut of_files = Selection {
        selectors: Vec::new(),
        ..selection.clone()
    };
    let words = of_files.words.take().filter(|_| !names.is_empty());
    let Some(words) = words else {
        of_files.words.clone_from(&selection.words);
        return if is_named(&of_files) {
            by_name
        } else {
            Choice::Nothing
        };
    };
    if !is_named(&of_files) {
        return Choice::Nothing;
    }
    let matching = inside::matching(&words, item, names);
    if matching.len() == names.len() {
        return by_name;
    }
    by_name.narrowed(Some(matching))
}

/// Every selector that is no path must name something.
fn check_selectors(
    selection: &Selection,
    all: &[(&str, &Item)],
    holders: &[bool],
) -> Result<(), RunError> {
    let mut selectors = selection.selectors.iter();
    let unnamed = selectors.find(|selector| {
        let mut all = all.iter().zip(holders);
        !selector.is_path()
            && !all.any(|((group, item), holds)| {
                selector.selects(group, item)
                    || (*holds && inside::named_by(selector, group, item).is_some())
            })
    });
    let Some(selector) = unnamed else {
        return Ok(());
    };
    let mut error = unknown(None, &selector.written, all);
    if let (RunError::Unknown { hint, .. }, Some(_)) = (&mut error, &selection.changed) {
        *hint = format!("a commit is written as in --changed={}", selector.written);
    }
    Err(error)
}

fn unknown(option: Option<&'static str>, written: &str, all: &[(&str, &Item)]) -> RunError {
    let ids = all.iter().map(|(group, item)| full_id(group, &item.id));
    let files = all
        .iter()
        .filter_map(|(_, item)| Some(item.file.as_ref()?.to_string_lossy().into_owned()));
    let groups = all.iter().map(|(group, _)| (*group).to_owned());
    let known: Vec<String> = groups
        .chain(ids)
        .chain(all.iter().map(|(_, item)| item.id.clone()))
        .chain(files)
        .collect();
    let hint = nearest(written, known.iter().map(String::as_str)).map_or_else(
        || "`orchestrate list` shows all tests".to_owned(),
        |near| format!("did you mean {near:?}?"),
    );
    RunError::Unknown {
        option,
        written: written.to_owned(),
        hint,
    }
}
