//! Whether runs are a whole: each test that one of them has listed is to run in exactly one, and if it is not so, why.
//!
//! Pure: it knows how the runs began, and nothing of their results.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::fmt;

use indexmap::IndexMap;

use super::console::{count, some_of};
use crate::event::{GroupStarted, ShardStarted};

/// How many tests are named; reports have them all.
const MOST_NAMED: usize = 20;

/// How a run began.
#[derive(Clone, Copy, Debug)]
pub struct Beginning<'a> {
    /// What a person calls it.
    pub name: &'a str,
    /// Its groups, with the tests that it was to run.
    pub groups: &'a [GroupStarted],
    /// What it is of a whole.
    pub shard: Option<&'a ShardStarted>,
}

/// What keeps runs from being a whole; empty where they are one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Gaps {
    /// The tests that ran in none of them, by group.
    pub none: IndexMap<String, Vec<String>>,
    /// The tests that ran in more than one, with the names of these.
    pub twice: IndexMap<String, Vec<String>>,
    /// What may have caused it, each with what to do about it.
    pub causes: Vec<String>,
}

/// How often a run has a test, and of which group that is: in its own hands, and in all.
#[derive(Clone, Copy, Default)]
struct Count<'a> {
    group: &'a str,
    own: usize,
    all: usize,
}

impl<'a> Beginning<'a> {
    fn tests(&self) -> IndexMap<&'a str, Count<'a>> {
        let mut tests: IndexMap<&str, Count<'_>> = IndexMap::new();
        for group in self.groups {
            for id in &group.ids {
                let count = tests.entry(id).or_default();
                count.group = &group.name;
                count.own += 1;
                count.all += 1;
            }
        }
        for (group, ids) in self.shard.iter().flat_map(|shard| &shard.elsewhere) {
            for id in ids {
                let count = tests.entry(id).or_default();
                count.group = group;
                count.all += 1;
            }
        }
        tests
    }
}

impl Gaps {
    /// What keeps these runs from being a whole.
    #[must_use]
    pub fn of(runs: &[Beginning<'_>]) -> Self {
        let tests: Vec<_> = runs.iter().map(Beginning::tests).collect();
        let mut together: IndexMap<&str, Count<'_>> = IndexMap::new();
        for (id, count) in tests.iter().flatten() {
            let sum = together.entry(id).or_default();
            sum.group = count.group;
            sum.own += count.own;
            sum.all = sum.all.max(count.all);
        }
        let mut gaps = Self::default();
        for (id, count) in &together {
            if count.own < count.all {
                let none = gaps.none.entry(count.group.to_owned()).or_default();
                none.push((*id).to_owned());
            } else if count.own > count.all {
                let is_own = |tests: &IndexMap<&str, Count<'_>>| {
                    tests.get(id).is_some_and(|count| count.own > 0)
                };
                let own = runs.iter().zip(&tests).filter(|(_, tests)| is_own(tests));
                let names = own.map(|(run, _)| run.name.to_owned()).collect();
                gaps.twice.insert((*id).to_owned(), names);
            }
        }
        if !gaps.is_empty() {
            gaps.causes = causes(runs, &tests);
        }
        gaps
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.none.is_empty() && self.twice.is_empty()
    }
}

impl fmt::Display for Gaps {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let none: Vec<String> = self.none.values().flatten().cloned().collect();
        let twice = self.twice.iter();
        let twice: Vec<String> = twice
            .map(|(id, runs)| format!("{id} in {}", runs.join(" and ")))
            .collect();
        let tell = |list: &[String], in_how_many: &str| {
            (!list.is_empty()).then(|| {
                format!(
                    "{} ran in {in_how_many} of these runs ({})",
                    count(list.len(), "test"),
                    some_of(list, MOST_NAMED)
                )
            })
        };
        let both = [tell(&none, "none"), tell(&twice, "more than one")];
        let both: Vec<String> = both.into_iter().flatten().collect();
        f.write_str(&both.join(", "))
    }
}

/// What the runs' beginnings say of why they are no whole.
fn causes(runs: &[Beginning<'_>], tests: &[IndexMap<&str, Count<'_>>]) -> Vec<String> {
    let mut causes = Vec::new();
    let shards = || runs.iter().filter_map(|run| Some((run.name, run.shard?)));
    let Some((first_name, first)) = shards().next() else {
        return vec![
            "none of these runs is a shard: merge runs that have no test in common".to_owned(),
        ];
    };
    if let Some((name, other)) = shards().find(|(_, shard)| shard.of != first.of) {
        causes.push(format!(
            "{first_name} is one of {} shards, {name} one of {}: merge shards of one division",
            first.of, other.of
        ));
        return causes;
    }
    if let Some(run) = runs.iter().find(|run| run.shard.is_none()) {
        causes.push(format!("{} is no shard: leave it out", run.name));
    }
    let mut by_number: BTreeMap<usize, Vec<&str>> = BTreeMap::new();
    for (name, shard) in shards() {
        by_number.entry(shard.number).or_default().push(name);
    }
    // What a file says may be any number: no more are looked for than are named.
    let mut missing: Vec<String> = (1..=first.of)
        .filter(|number| !by_number.contains_key(number))
        .map(|number| format!("{number}/{}", first.of))
        .take(MOST_NAMED + 1)
        .collect();
    if missing.len() > MOST_NAMED {
        "…".clone_into(&mut missing[MOST_NAMED]);
    }
    if !missing.is_empty() {
        causes.push(format!(
            "no run is shard {}: merge that too",
            missing.join(", ")
        ));
    }
    for (number, names) in by_number.iter().filter(|(_, names)| names.len() > 1) {
        causes.push(format!(
            "{} are each shard {number}/{}: leave out all but one",
            names.join(" and "),
            first.of
        ));
    }
    if let Some(cause) = other_listing(runs, tests) {
        causes.push(cause);
    } else if let Some((name, _)) =
        shards().find(|(_, shard)| (&shard.by, &shard.history) != (&first.by, &first.history))
    {
        causes.push(format!(
            "{first_name} and {name} were divided by different histories: begin all shards with the same one, \
             `orchestrate history import FILE` where there is no .fastest/history.db yet"
        ));
    }
    causes
}

/// Where shards have not listed the same.
fn other_listing(runs: &[Beginning<'_>], tests: &[IndexMap<&str, Count<'_>>]) -> Option<String> {
    let all: HashMap<&str, &str> = runs
        .iter()
        .zip(tests)
        .filter(|(run, _)| run.shard.is_some())
        .flat_map(|(run, tests)| tests.keys().map(|id| (*id, run.name)))
        .collect();
    let shards = runs.iter().zip(tests);
    let mut shards = shards.filter(|(run, _)| run.shard.is_some());
    let (run, tests) = shards.find(|(_, tests)| tests.len() < all.len())?;
    let has: HashSet<&str> = tests.keys().copied().collect();
    let mut unknown: Vec<_> = all.iter().filter(|(id, _)| !has.contains(*id)).collect();
    unknown.sort();
    let (id, by) = unknown.first()?;
    Some(format!(
        "{by} has listed {id}, {} has not: shards need the same commit, options and tools",
        run.name
    ))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::model::Order;

    struct Began {
        name: String,
        groups: Vec<GroupStarted>,
        shard: Option<ShardStarted>,
    }

    /// A run of a group `g`: shard, its tests, those of others, and a digest.
    fn run(name: &str, shard: (usize, usize), own: &str, others: &str, history: &str) -> Began {
        let ids = |text: &str| -> Vec<String> {
            text.split_whitespace()
                .map(|id| format!("g::{id}"))
                .collect()
        };
        Began {
            name: name.to_owned(),
            groups: vec![GroupStarted {
                name: "g".into(),
                tests: 0,
                workers: 1,
                order: Order::Smart,
                needs: Vec::new(),
                session: None,
                because: None,
                one_process: None,
                ids: ids(own),
            }],
            shard: (shard.1 > 0).then(|| ShardStarted {
                number: shard.0,
                of: shard.1,
                by: "time".into(),
                history: history.into(),
                elsewhere: [("g".to_owned(), ids(others))].into(),
            }),
        }
    }

    fn gaps(runs: &[Began]) -> Gaps {
        let runs = runs.iter().map(|run| Beginning {
            name: &run.name,
            groups: &run.groups,
            shard: run.shard.as_ref(),
        });
        Gaps::of(&runs.collect::<Vec<_>>())
    }

    /// What is in none, what in more than one, and the causes.
    fn told(runs: &[Began]) -> (String, String, String) {
        let gaps = gaps(runs);
        let none: Vec<_> = gaps.none.values().flatten().cloned().collect();
        let twice: Vec<_> = gaps
            .twice
            .iter()
            .map(|(id, names)| format!("{id} in {}", names.join("+")))
            .collect();
        (none.join(" "), twice.join(" "), gaps.causes.join("\n"))
    }

    #[test]
    fn shards_of_one_division_are_a_whole() {
        let runs = [
            run("a", (1, 3), "1 2", "3", "x"),
            run("b", (2, 3), "3", "1 2", "x"),
            run("c", (3, 3), "", "1 2 3", "x"),
        ];
        assert_eq!(gaps(&runs), Gaps::default());
        // One that has no test may as well be left out, and so may another history that comes to the same.
        assert!(gaps(&runs[..2]).is_empty());
        let other = [
            run("a", (1, 2), "1 2", "3", "x"),
            run("b", (2, 2), "3", "1 2", "y"),
        ];
        assert!(gaps(&other).is_empty());
        // Runs of different groups on different machines are a whole too.
        let plain = [run("a", (0, 0), "1", "", ""), run("b", (0, 0), "2", "", "")];
        assert!(gaps(&plain).is_empty());
    }

    #[test]
    fn what_ran_in_none_or_in_two_is_named_with_what_to_do() {
        let (none, twice, why) = told(&[
            run("a", (1, 2), "1 2", "3", "x"),
            run("b", (2, 2), "2", "1 3", "y"),
        ]);
        assert_eq!((none.as_str(), twice.as_str()), ("g::3", "g::2 in a+b"));
        assert!(
            why.starts_with("a and b were divided by different histories: begin all"),
            "{why}"
        );
        let (none, _, why) = told(&[run("a", (1, 3), "1", "2 3", "x")]);
        assert_eq!(none, "g::2 g::3");
        assert_eq!(why, "no run is shard 2/3, 3/3: merge that too");
        let (_, twice, why) = told(&[
            run("a", (1, 1), "1", "", "x"),
            run("b", (1, 1), "1", "", "x"),
        ]);
        assert_eq!(twice, "g::1 in a+b");
        assert_eq!(why, "a and b are each shard 1/1: leave out all but one");
        let (.., why) = told(&[
            run("a", (1, 2), "1 2", "3 4", "x"),
            run("b", (2, 2), "3", "1 2", "y"),
        ]);
        assert!(why.starts_with("a has listed g::4, b has not: "), "{why}");
        let (.., why) = told(&[
            run("a", (1, 2), "1", "2", "x"),
            run("b", (2, 3), "", "1 2", "x"),
        ]);
        assert!(
            why.starts_with("a is one of 2 shards, b one of 3: "),
            "{why}"
        );
        let (.., why) = told(&[
            run("a", (1, 1), "1", "", "x"),
            run("b", (0, 0), "1", "", ""),
        ]);
        assert_eq!(why, "b is no shard: leave it out");
        let (.., why) = told(&[run("a", (0, 0), "1", "", ""), run("b", (0, 0), "1", "", "")]);
        assert!(why.starts_with("none of these runs is a shard: "), "{why}");
    }
}
