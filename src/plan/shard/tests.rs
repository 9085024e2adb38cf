//! Shards of random groups: together they are everything, no two share a test, and nothing that belongs together is parted.

use std::sync::LazyLock;
use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::manifest::Choices;
use crate::manifest::load;
use crate::manifest::source::Source;
use crate::plan::{Known, Launch, Past};

struct Remembered(HashMap<String, u64>);

impl Memory for Remembered {
    fn recall(&self, id: &str) -> Option<Past> {
        let micros = self.0.get(id)?;
        Some(Past {
            duration: Duration::from_micros(*micros),
            ..Past::default()
        })
    }
}

/// Two groups, one with tests that run alone.
fn configs() -> [Arc<GroupConfig>; 2] {
    static CONFIGS: LazyLock<[Arc<GroupConfig>; 2]> = LazyLock::new(load_configs);
    CONFIGS.clone()
}

fn load_configs() -> [Arc<GroupConfig>; 2] {
    let text = "[groups.a]\nrunner = \"pytest\"\nfiles = [\"*.py\"]\nserial = [\"tag:serial\"]\n\
                [groups.b]\nrunner = \"pytest\"\nfiles = [\"*.py\"]\n";
    let source = Source {
        path: "fastest.toml".into(),
        text: text.into(),
    };
    let config = load::load(&source, "/".into(), &Choices::default()).unwrap();
    let groups: Vec<_> = config.groups.into_iter().map(Arc::new).collect();
    groups.try_into().unwrap()
}

/// A test of the listing, as it is drawn: its module, what it belongs to, and what it took.
type Drawn = (usize, Option<usize>, u8, Option<u64>);

fn item(number: usize, (module, affinity, kind, _): &Drawn) -> Item {
    let module = format!("m{module}");
    Item {
        affinity: affinity.map(|name| format!("x{name}")),
        tags: (*kind == 1)
            .then(|| "serial".to_owned())
            .into_iter()
            .collect(),
        known: (*kind == 2).then(|| Known::Skipped(String::new())),
        launch: (*kind == 3).then(|| {
            Arc::new(Launch {
                whole: true,
                ..Launch::default()
            })
        }),
        module: module.clone(),
        ..Item::plain(format!("{module}::t{number}"))
    }
}

fn drawn() -> impl Strategy<Value = Vec<Drawn>> {
    let time = prop_oneof![Just(0), 1_u64..50_000, 1_u64..5_000_000, Just(u64::MAX)];
    let one = (
        0_usize..6,
        prop::option::weighted(0.2, 0_usize..4),
        0_u8..8,
        prop::option::weighted(0.8, time),
    );
    prop::collection::vec(one, 0..60)
}

/// A listing, and what is known of it.
fn listing(lists: &[Vec<Drawn>; 2], has_history: bool) -> (Vec<Selected>, Remembered) {
    let mut known = HashMap::new();
    let mut groups = Vec::new();
    for (config, list) in configs().into_iter().zip(lists) {
        let items: Vec<Item> = list.iter().enumerate().map(|(n, d)| item(n, d)).collect();
        for (item, drawn) in items.iter().zip(list) {
            let id = full_id(config.name.as_str(), &item.id);
            known.extend(drawn.3.filter(|_| has_history).map(|micros| (id, micros)));
        }
        groups.push((config, items));
    }
    (groups, Remembered(known))
}

fn ids(groups: &[Selected]) -> Vec<String> {
    let ids = groups.iter().flat_map(|(group, items)| {
        let name = group.name.as_str();
        items.iter().map(move |item| full_id(name, &item.id))
    });
    ids.collect()
}

/// The ids of each shard.
fn shards(of: usize, groups: &[Selected], memory: &Remembered) -> Vec<Vec<String>> {
    let shards = (1..=of).map(|number| {
        let shard = Shard::new(number, of).unwrap();
        ids(&take(shard, groups.to_vec(), memory).0)
    });
    shards.collect()
}

proptest! {
    #[test]
    fn shards_are_whole_and_disjoint_and_part_nothing_that_belongs_together(
        a in drawn(),
        b in drawn(),
        of in 1_usize..9,
        has_history in any::<bool>(),
        seed in any::<u64>(),
    ) {
        let (mut groups, memory) = listing(&[a, b], has_history);
        let all = ids(&groups);
        let shards = shards(of, &groups, &memory);
        let mut together = shards.concat();
        together.sort();
        let mut sorted = all.clone();
        sorted.sort();
        prop_assert_eq!(&together, &sorted);
        for number in 1..=of {
            let shard = Shard::new(number, of).unwrap();
            let (own, part) = take(shard, groups.clone(), &memory);
            // Who has one shard knows the whole listing, and the same history as all others.
            let mut known: Vec<String> = part.elsewhere.values().flatten().cloned().collect();
            known.extend(ids(&own));
            known.sort();
            prop_assert_eq!(&known, &sorted);
            let first = take(Shard::new(1, of).unwrap(), groups.clone(), &memory).1;
            prop_assert_eq!((part.by, &part.history), (first.by, &first.history));
            let has = |id: &String| shards[number - 1].contains(id);
            for (group, items) in &groups {
                let name = group.name.as_str();
                let mut names: HashMap<String, bool> = HashMap::new();
                for item in items {
                    let id = full_id(name, &item.id);
                    let is_own = has(&id);
                    prop_assert_eq!(*names.entry(super::name(group, item, &id)).or_insert(is_own), is_own);
                }
            }
        }
        // Whatever the order of the listing.
        for (_, items) in &mut groups {
            Random::new(seed).shuffle(items);
        }
        for (mut other, mut own) in super::tests::shards(of, &groups, &memory).into_iter().zip(shards) {
            other.sort();
            own.sort();
            prop_assert_eq!(other, own);
        }
    }

    #[test]
    fn by_time_no_shard_has_much_more_to_do_than_it_must(
        a in drawn(),
        b in drawn(),
        of in 1_usize..9,
    ) {
        let (groups, memory) = listing(&[a, b], true);
        let past = durations(&groups, &memory);
        let atoms = atoms(&groups, &past);
        let numbers = by_time(of, &atoms);
        let load = |number: usize| -> u64 {
            let own = atoms.iter().zip(&numbers).filter(|(_, shard)| **shard == number);
            own.map(|(atom, _)| atom.micros).sum()
        };
        let most = (1..=of).map(load).max().unwrap();
        let total: u64 = atoms.iter().map(|atom| atom.micros).sum();
        let longest = atoms.iter().map(|atom| atom.micros).max().unwrap_or(0);
        // What runs alone is dealt first, so there are up to three lists, each with its own last piece.
        prop_assert!(most <= (total / of as u64 + 3 * longest) / 100 * 101 + 200);
    }

    #[test]
    fn by_hash_a_test_stays_where_it_is_whatever_becomes_of_others(
        list in drawn(),
        of in 1_usize..9,
        gone in any::<prop::sample::Index>(),
    ) {
        let (mut groups, memory) = listing(&[list, Vec::new()], false);
        let before = shards(of, &groups, &memory);
        if groups[0].1.is_empty() {
            return Ok(());
        }
        let at = gone.index(groups[0].1.len());
        let gone = groups[0].1.remove(at);
        let gone = full_id("a", &gone.id);
        for (before, after) in before.into_iter().zip(shards(of, &groups, &memory)) {
            let before: Vec<String> = before.into_iter().filter(|id| *id != gone).collect();
            prop_assert_eq!(before, after);
        }
    }
}

/// Tests of group `a`, by module and duration.
fn of_modules(modules: &[&[u64]]) -> (Vec<Selected>, Remembered) {
    let drawn = modules.iter().enumerate().flat_map(|(module, list)| {
        let one = move |micros: &u64| (module, None, 9, Some(*micros));
        list.iter().map(one)
    });
    listing(&[drawn.collect(), Vec::new()], true)
}

fn modules(shard: &[String]) -> Vec<&str> {
    let mut modules: Vec<&str> = shard.iter().map(|id| &id[3..5]).collect();
    modules.dedup();
    modules
}

#[test]
fn a_module_stays_whole_where_nobody_waits_for_it() {
    let (groups, memory) = of_modules(&[&[100; 10], &[50; 20], &[200; 5], &[10; 100]]);
    for shard in shards(2, &groups, &memory) {
        assert_eq!(modules(&shard).len(), 2, "{shard:?}");
    }
    // One that is longer than a shard is cut.
    let (groups, memory) = of_modules(&[&[100; 90], &[100; 10]]);
    for shard in shards(2, &groups, &memory) {
        assert!((45..=55).contains(&shard.len()), "{shard:?}");
    }
}

#[test]
fn what_runs_alone_is_shared_out_too() {
    let long: Vec<Drawn> = (0..8).map(|_| (0, None, 9, Some(1000))).collect();
    let alone: Vec<Drawn> = (0..4).map(|_| (1, None, 1, Some(100))).collect();
    let (groups, memory) = listing(&[[long, alone].concat(), Vec::new()], true);
    for shard in shards(4, &groups, &memory) {
        let alone = shard.iter().filter(|id| id.contains("m1")).count();
        assert_eq!((shard.len(), alone), (3, 1), "{shard:?}");
    }
}

#[test]
fn a_group_that_is_one_test_is_in_one_shard() {
    let [config, _] = configs();
    let groups = vec![(config, vec![Item::plain(String::new())])];
    let memory = Remembered(HashMap::new());
    assert_eq!(shards(5, &groups, &memory).concat(), ["a"]);
}

#[test]
fn divisions_do_not_change_with_a_version() {
    let list: Vec<Drawn> = (0..12).map(|number| (number % 3, None, 9, None)).collect();
    let (groups, memory) = listing(&[list, Vec::new()], false);
    let sizes: Vec<Vec<usize>> = shards(3, &groups, &memory)
        .iter()
        .map(|shard| shard.iter().map(|id| id[8..].parse().unwrap()).collect())
        .collect();
    assert_eq!(
        sizes,
        [vec![0], vec![1, 2, 3, 6, 7, 8, 9, 11], vec![4, 5, 10]]
    );
    assert_eq!(hash(b"foobar"), 0x8594_4171_f739_67e8);
}

#[test]
fn a_digest_follows_from_what_is_known_and_not_from_the_listing() {
    let digest_of = |list: &[(&str, Option<u64>)]| {
        let list = list.iter().map(|(id, micros)| ((*id).to_owned(), *micros));
        digest(list.collect())
    };
    let both = digest_of(&[("a", Some(1)), ("b", Some(2))]);
    assert_eq!(
        both,
        digest_of(&[("b", Some(2)), ("new", None), ("a", Some(1))])
    );
    assert_ne!(both, digest_of(&[("a", Some(1)), ("b", Some(3))]));
    assert_eq!(both.len(), 16);
}

#[test]
fn shards_are_read_as_they_are_written() {
    let shard = |text: &str| text.parse::<Shard>().map(|shard| shard.to_string());
    assert_eq!(shard("2/5").unwrap(), "2/5");
    assert_eq!(shard(" 1 / 1 ").unwrap(), "1/1");
    for (text, why) in [
        ("", "as in 2/5"),
        ("2", "as in 2/5"),
        ("a/5", "as in 2/5"),
        ("-1/5", "as in 2/5"),
        ("0/5", "from 1/5 to 5/5"),
        ("6/5", "from 1/5 to 5/5"),
        ("0/0", "one shard at least"),
        ("1/10001", "10000 shards at most"),
    ] {
        let error = shard(text).unwrap_err();
        assert!(error.contains(why), "{text:?}: {error}");
    }
}
