//! Claims: the locks, slots and order that a listing states for a test, in addition to the settings of the manifest.
//!
//! The order is stated in two ways. `after` names tests that must be over first, however they end. Fixtures are names: a test
//! that sets one up runs before all tests that use it and must pass, or they do not run; a test that cleans one up runs after
//! all of these, however they end. This is CTest's model (<https://cmake.org/cmake/help/latest/prop_test/FIXTURES_REQUIRED.html>).

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::Deserialize;

use super::{Item, Known};
use crate::manifest::config::TestSettings;
use crate::manifest::model::Lock;
use crate::schedule::closing;

/// See the module. The keys of a JSON-lines listing have these names.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(default, rename_all = "kebab-case")]
pub struct Claims {
    /// Locks that it holds.
    pub locks: Vec<Lock>,
    /// Nothing else of the run runs meanwhile.
    pub exclusive: bool,
    /// Nothing else of its group runs meanwhile.
    pub serial: bool,
    /// How many of the run's slots it takes up.
    pub slots: Option<usize>,
    /// The ids of tests that must be over before it starts.
    pub after: Vec<String>,
    /// The fixtures that it uses.
    pub fixtures: Vec<String>,
    /// The fixtures that it sets up.
    pub sets_up: Vec<String>,
    /// The fixtures that it cleans up.
    pub cleans_up: Vec<String>,
    /// What it costs beside the other tests of its group, in any unit, for a run that knows no durations.
    pub cost: Option<f64>,
}

impl Claims {
    /// Adds them to the settings of a test.
    pub fn add_to(&self, settings: &mut TestSettings) {
        settings.exclusive |= self.exclusive;
        settings.serial |= self.serial;
        if let Some(slots) = self.slots {
            settings.slots = slots.max(1);
        }
        for lock in &self.locks {
            if !settings.locks.contains(lock) {
                settings.locks.push(lock.clone());
            }
        }
    }

    /// Whether it has a place in an order.
    fn is_ordered(&self) -> bool {
        let lists = [&self.after, &self.fixtures, &self.sets_up, &self.cleans_up];
        lists.iter().any(|list| !list.is_empty())
    }
}

/// The tests of a group that set fixtures up, clean them up and use them, by their indices.
#[derive(Default)]
struct Fixtures<'a> {
    setups: HashMap<&'a str, Vec<usize>>,
    cleanups: HashMap<&'a str, Vec<usize>>,
    users: HashMap<&'a str, Vec<usize>>,
}

impl<'a> Fixtures<'a> {
    fn of(items: &'a [Item]) -> Self {
        let mut fixtures = Self::default();
        for (index, item) in items.iter().enumerate() {
            let Some(claims) = &item.claims else { continue };
            let lists = [
                (&mut fixtures.setups, &claims.sets_up),
                (&mut fixtures.cleanups, &claims.cleans_up),
                (&mut fixtures.users, &claims.fixtures),
            ];
            for (map, names) in lists {
                for name in names {
                    map.entry(name).or_default().push(index);
                }
            }
        }
        fixtures
    }
}

fn all_of<'f>(map: &'f HashMap<&str, Vec<usize>>, name: &str) -> &'f [usize] {
    map.get(name).map_or(&[], Vec::as_slice)
}

/// The order of the items of a group.
#[derive(Debug, Default)]
pub struct Links {
    /// By item: the items that must be over first, and whether they must pass. They have no cycle.
    pub after: Vec<BTreeMap<usize, bool>>,
    /// Edges that were left out, since they close a cycle: an item and what it was to come after.
    pub cut: Vec<(usize, usize)>,
}

impl Links {
    /// The order that these items state. What is not among them is left out.
    #[must_use]
    pub fn of(items: &[Item]) -> Self {
        let is_ordered = |item: &Item| {
            item.claims
                .as_ref()
                .is_some_and(|claims| claims.is_ordered())
        };
        if !items.iter().any(is_ordered) {
            return Self::default();
        }
        let fixtures = Fixtures::of(items);
        let mut by_id: HashMap<&str, usize> = HashMap::new();
        for (index, item) in items.iter().enumerate() {
            by_id.entry(&item.id).or_insert(index);
        }
        let after = items.iter().enumerate().map(|(index, item)| {
            let mut after: BTreeMap<usize, bool> = BTreeMap::new();
            let Some(claims) = &item.claims else {
                return after;
            };
            let named = claims.after.iter().filter_map(|id| by_id.get(id.as_str()));
            after.extend(named.map(|at| (*at, false)));
            for name in &claims.cleans_up {
                let earlier = all_of(&fixtures.users, name).iter();
                let earlier = earlier.chain(all_of(&fixtures.setups, name));
                after.extend(earlier.map(|at| (*at, false)));
            }
            for name in &claims.fixtures {
                let setups = all_of(&fixtures.setups, name).iter();
                after.extend(setups.map(|at| (*at, true)));
            }
            after.remove(&index);
            after
        });
        let mut after: Vec<_> = after.collect();
        let edges = after.iter().enumerate();
        let edges: HashMap<usize, Vec<usize>> = edges
            .map(|(index, after)| (index, after.keys().copied().collect()))
            .collect();
        let nodes: Vec<usize> = (0..items.len()).collect();
        let cut = closing(&nodes, &edges);
        for (from, to) in &cut {
            after[*from].remove(to);
        }
        Self { after, cut }
    }

    /// What an item comes after.
    pub fn of_item(&self, index: usize) -> impl Iterator<Item = (usize, bool)> {
        let after = self.after.get(index).into_iter().flatten();
        after.map(|(at, must_pass)| (*at, *must_pass))
    }

    /// Whether each item has a place in the order: it comes after another, or another after it.
    #[must_use]
    pub fn ordered(&self) -> Vec<bool> {
        let mut ordered = vec![false; self.after.len()];
        for (index, after) in self.after.iter().enumerate() {
            for at in after.keys() {
                (ordered[index], ordered[*at]) = (true, true);
            }
        }
        ordered
    }
}

/// What is said of an order that has a cycle: each edge that is not kept.
#[must_use]
pub fn cycles(items: &[Item]) -> Vec<String> {
    let links = Links::of(items);
    let cut = links.cut.iter();
    let told = cut.map(|(from, to)| {
        let (from, to) = (&items[*from].id, &items[*to].id);
        format!(
            "the order of its tests has a cycle: {from} comes after {to}, which comes after {from}; \
             {from} does not wait for {to}"
        )
    });
    told.collect()
}

/// Adds the fixtures of the items that are selected: what sets one up, and what cleans it up. `may_add` says which items may be
/// added.
pub fn add_fixtures(items: &[Item], selected: &mut [bool], may_add: impl Fn(usize) -> bool) {
    let fixtures = Fixtures::of(items);
    let mut open: Vec<usize> = (0..items.len()).filter(|at| selected[*at]).collect();
    let mut seen: BTreeSet<&str> = BTreeSet::new();
    while let Some(index) = open.pop() {
        // A test that is skipped needs no fixture.
        let claims = items[index].claims.as_ref();
        let Some(claims) = claims.filter(|_| items[index].known.is_none()) else {
            continue;
        };
        for name in &claims.fixtures {
            if !seen.insert(name) {
                continue;
            }
            let setups = all_of(&fixtures.setups, name).iter();
            for at in setups.chain(all_of(&fixtures.cleanups, name)) {
                if !selected[*at] && may_add(*at) {
                    selected[*at] = true;
                    open.push(*at);
                }
            }
        }
    }
}

/// Bars the items that use a fixture of which a setup cannot be listed.
pub fn bar(items: &mut [Item]) {
    loop {
        let fixtures = Fixtures::of(items);
        let is_lost = |at: &usize| {
            let known = &items[*at].known;
            matches!(known, Some(Known::Broken(_) | Known::Barred(_)))
        };
        let users = items
            .iter()
            .enumerate()
            .filter(|(_, item)| item.known.is_none());
        let barred = users.filter_map(|(index, item)| {
            let mut names = item.claims.iter().flat_map(|claims| &claims.fixtures);
            let lost = names.find_map(|name| {
                let mut setups = all_of(&fixtures.setups, name).iter();
                setups.find(|at| is_lost(at))
            })?;
            Some((index, items[*lost].id.clone()))
        });
        let barred: Vec<(usize, String)> = barred.collect();
        if barred.is_empty() {
            return;
        }
        for (index, lost) in barred {
            let why = format!("{lost} must pass first, and could not be listed");
            items[index].known = Some(Known::Barred(why));
        }
    }
}

/// Tests that are bound together: by their order, by an affinity, or since a runner can only run them all at once. By item, the
/// smallest id of those that it is bound to by an order; none where there is no order.
#[must_use]
pub fn bound(items: &[Item]) -> Vec<Option<&str>> {
    let links = Links::of(items);
    if links.after.is_empty() {
        return vec![None; items.len()];
    }
    let mut root: Vec<usize> = (0..items.len()).collect();
    let mut others: HashMap<(bool, &str), usize> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        for (at, _) in links.of_item(index) {
            join(&mut root, index, at);
        }
        let is_whole = item.launch.as_ref().is_some_and(|launch| launch.whole);
        let names = [
            is_whole.then_some((true, item.module.as_str())),
            item.affinity.as_deref().map(|name| (false, name)),
        ];
        for name in names.into_iter().flatten() {
            let first = *others.entry(name).or_insert(index);
            join(&mut root, index, first);
        }
    }
    let ordered = links.ordered();
    let mut names: HashMap<usize, (bool, &str)> = HashMap::new();
    for (index, item) in items.iter().enumerate() {
        let (is_ordered, name) = names
            .entry(find(&mut root, index))
            .or_insert((false, &item.id));
        *is_ordered |= ordered[index];
        *name = (*name).min(&item.id);
    }
    let name = |index| {
        let (is_ordered, name) = names.get(&find(&mut root, index)).copied()?;
        is_ordered.then_some(name)
    };
    (0..items.len()).map(name).collect()
}

/// The root of a tree of things that are joined.
fn find(root: &mut [usize], mut index: usize) -> usize {
    while root[index] != index {
        root[index] = root[root[index]];
        index = root[index];
    }
    index
}

fn join(root: &mut [usize], one: usize, other: usize) {
    let (one, other) = (find(root, one), find(root, other));
    root[one.max(other)] = one.min(other);
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn item(id: &str, claims: &str) -> Item {
        Item {
            claims: Some(Arc::new(serde_json::from_str(claims).unwrap())),
            ..Item::plain(id.to_owned())
        }
    }

    fn suite() -> Vec<Item> {
        vec![
            item("use", r#"{"fixtures":["db"]}"#),
            item("also", r#"{"fixtures":["db"],"after":["use"]}"#),
            item("drop", r#"{"cleans-up":["db"]}"#),
            item("make", r#"{"sets-up":["db"],"fixtures":["disk"]}"#),
            item("disk", r#"{"sets-up":["disk"]}"#),
            item("alone", r#"{"locks":["x"],"slots":2}"#),
        ]
    }

    #[test]
    fn fixtures_and_names_are_an_order() {
        let links = Links::of(&suite());
        let after: Vec<Vec<(usize, bool)>> = (0..6).map(|at| links.of_item(at).collect()).collect();
        assert_eq!(after[0], [(3, true)]);
        assert_eq!(after[1], [(0, false), (3, true)]);
        assert_eq!(after[2], [(0, false), (1, false), (3, false)]);
        assert_eq!(after[3], [(4, true)]);
        assert_eq!((after[4].len(), after[5].len()), (0, 0));
        assert_eq!(links.ordered(), [true, true, true, true, true, false]);
        assert!(links.cut.is_empty() && cycles(&suite()).is_empty());
    }

    #[test]
    fn a_cycle_is_cut_and_told() {
        let items = [
            item("a", r#"{"after":["b"]}"#),
            item("b", r#"{"after":["a","b"]}"#),
        ];
        let links = Links::of(&items);
        assert_eq!(links.cut, [(1, 0)]);
        assert_eq!(links.of_item(0).collect::<Vec<_>>(), [(1, false)]);
        let told = cycles(&items);
        assert!(told[0].contains("b does not wait for a"), "{told:?}");
    }

    #[test]
    fn a_selected_test_brings_its_fixtures_and_not_what_it_only_comes_after() {
        let items = suite();
        let with = |at: usize, may_add: &dyn Fn(usize) -> bool| {
            let mut selected = vec![false; items.len()];
            selected[at] = true;
            add_fixtures(&items, &mut selected, may_add);
            let names = items.iter().zip(selected).filter(|(_, selected)| *selected);
            names.map(|(item, _)| item.id.clone()).collect::<Vec<_>>()
        };
        assert_eq!(with(1, &|_| true), ["also", "drop", "make", "disk"]);
        assert_eq!(with(1, &|at| at != 3), ["also", "drop"]);
        assert_eq!(with(5, &|_| true), ["alone"]);
        assert_eq!(with(2, &|_| true), ["drop"]);
    }

    #[test]
    fn what_uses_a_fixture_of_which_a_setup_is_broken_is_barred() {
        let mut items = suite();
        items[4].known = Some(Known::Broken("no".into()));
        bar(&mut items);
        let barred = |item: &Item| matches!(item.known, Some(Known::Barred(_)));
        let barred: Vec<bool> = items.iter().map(barred).collect();
        assert_eq!(barred, [true, true, false, true, false, false]);
    }

    #[test]
    fn what_has_an_order_is_bound_together() {
        let suite = suite();
        let (bound_all, also) = (bound(&suite), Some("also"));
        assert_eq!(bound_all, [also, also, also, also, also, None]);
        assert_eq!(bound(&suite[5..]), [None]);
    }
}
