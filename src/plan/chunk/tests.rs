//! Chunks of random groups: whatever is known, they partition the items and part nothing that belongs together.

use std::collections::HashMap;

use proptest::prelude::*;

use super::super::{Claims, NoMemory};
use super::*;
use crate::manifest::Choices;
use crate::manifest::load;
use crate::manifest::source::Source;

struct Known(HashMap<String, Past>, Option<Duration>);

impl Memory for Known {
    fn recall(&self, id: &str) -> Option<Past> {
        self.0.get(id).copied()
    }

    fn start_cost(&self, _: &str) -> Option<Duration> {
        self.1
    }
}

/// A group with these lines in it.
fn group(lines: &str) -> GroupConfig {
    let source = Source {
        path: "fastest.toml".into(),
        text: format!("[groups.g]\n{lines}\n"),
    };
    let config = load::load(&source, "/".into(), &Choices::default()).unwrap();
    config.groups.into_iter().next().unwrap()
}

const PYTEST: &str = "runner = \"pytest\"\nfiles = [\"*.py\"]";

fn items(sizes: &[usize]) -> Vec<Item> {
    let item = |module: usize, index: usize| Item {
        module: format!("m{module}"),
        ..Item::plain(format!("m{module}::t{index}"))
    };
    sizes
        .iter()
        .enumerate()
        .flat_map(|(module, size)| (0..*size).map(move |index| item(module, index)))
        .collect()
}

fn past(seconds: f64, failed: bool) -> Past {
    Past {
        duration: Duration::from_secs_f64(seconds),
        failed,
        memory: 0,
    }
}

fn known(list: &[(&str, Past)]) -> Known {
    let list = list.iter();
    Known(
        list.map(|(id, past)| (format!("g::{id}"), *past)).collect(),
        None,
    )
}

/// The ids of each chunk, in the order in which they start.
fn cut(config: &GroupConfig, items: &[Item], memory: &Known, workers: usize) -> Vec<Vec<String>> {
    let draft = Draft::new(config, items, memory, 7);
    let cuts = draft.cut(workers);
    let ids = |cut: &Cut| {
        let ids = cut.items.iter().map(|index| items[*index].id.clone());
        ids.collect()
    };
    cuts.iter().map(ids).collect()
}

#[test]
fn one_file_is_cut_so_that_it_overlaps() {
    let items = items(&[40]);
    let chunks = cut(&group(PYTEST), &items, &known(&[]), 4);
    assert!(chunks.len() >= 4, "{chunks:?}");
    assert!(chunks.iter().all(|chunk| chunk.len() <= 12), "{chunks:?}");
}

#[test]
fn modules_of_which_nothing_is_known_stay_whole() {
    let items = items(&[3, 3, 3, 3]);
    let chunks = cut(&group(PYTEST), &items, &known(&[]), 2);
    for module in 0..4 {
        let name = format!("m{module}::");
        let with = |chunk: &&Vec<String>| chunk.iter().any(|id| id.starts_with(&name));
        assert_eq!(chunks.iter().filter(with).count(), 1, "{chunks:?}");
    }
}

#[test]
fn failed_then_longest_then_unknown_then_listed_then_alone() {
    let config = group("runner = \"exec\"\nfiles = [\"*\"]\nserial = [\"alone\"]\ntimeout = 0");
    let items: Vec<Item> = ["alone", "short", "new", "long", "bad", "new2", "average"]
        .map(|id| Item::plain(id.to_owned()))
        .into();
    // The average of what is known is 1.5 s, which is what the new ones are thought to take.
    let memory = known(&[
        ("short", past(0.1, false)),
        ("long", past(2.8, false)),
        ("bad", past(0.1, true)),
        ("average", past(1.5, false)),
        ("alone", past(3.0, true)),
    ]);
    let order = cut(&config, &items, &memory, 2).concat();
    assert_eq!(
        order,
        ["bad", "long", "new", "new2", "average", "short", "alone"]
    );
}

#[test]
fn a_listed_order_stays_and_a_random_one_is_that_of_its_seed() {
    let items = items(&[3, 3]);
    let listed: Vec<String> = items.iter().map(|item| item.id.clone()).collect();
    let memory = known(&[("m1::t2", past(9.0, true))]);
    let of = |order: &str| {
        let lines = format!("runner = \"pytest\"\nchunk-size = 2\norder = \"{order}\"");
        cut(&group(&lines), &items, &memory, 2).concat()
    };
    assert_eq!(of("listed"), listed);
    let random = of("random");
    assert_ne!(random, listed);
    assert_eq!(random, of("random"));
    let mut sorted = random;
    sorted.sort();
    assert_eq!(sorted, listed);
}

#[test]
fn an_exit_code_is_not_shared_where_starts_are_cheap() {
    let own = |results: &str| {
        format!(
            "runner = \"own\"\nfiles = [\"*\"]\n[runners.own]\nrun = [\"own\", \"<report>\", \"<items>\"]\nresults = \"{results}\""
        )
    };
    let items = items(&[8, 8]);
    let chunks = |results| cut(&group(&own(results)), &items, &known(&[]), 2);
    assert_eq!(chunks("exit").len(), 16);
    assert_eq!(chunks("junit").len(), 16);
    assert!(chunks("events").len() < 16);
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn chunks_partition_the_items_and_part_nothing_that_belongs_together(
        sizes in prop::collection::vec(1_usize..20, 1..10),
        workers in 1_usize..9,
        size in prop::option::of(1_u32..9),
        by in prop::sample::select(vec!["any", "module"]),
        order in prop::sample::select(vec!["smart", "listed", "random"]),
        start in 0_u64..3000,
        knows in 0_usize..4,
        affinities in prop::collection::vec(0_usize..6, 200),
    ) {
        let size = size.map_or_else(|| "\"auto\"".to_owned(), |size| size.to_string());
        let config = group(&format!("{PYTEST}\nchunk-size = {size}\nchunk-by = \"{by}\"\norder = \"{order}\""));
        let mut items = items(&sizes);
        for (item, affinity) in items.iter_mut().zip(&affinities) {
            // Half of them belong to none.
            item.affinity = (*affinity < 3).then(|| format!("{}-{affinity}", item.module));
        }
        let ran = items.iter().enumerate().filter(|(index, _)| index % 4 < knows);
        let ran = ran.map(|(index, item)| {
            let number = u32::try_from(index).unwrap();
            (format!("g::{}", item.id), past(f64::from(number % 17) / 10.0, number % 11 == 0))
        });
        let memory = Known(ran.collect(), Some(Duration::from_millis(start)));
        let chunks = cut(&config, &items, &memory, workers);
        let mut all: Vec<String> = chunks.concat();
        all.sort();
        let mut listed: Vec<String> = items.iter().map(|item| item.id.clone()).collect();
        listed.sort();
        prop_assert_eq!(all, listed);
        let item = |id: &String| items.iter().find(|item| item.id == *id).unwrap();
        let mut seen: HashMap<String, usize> = HashMap::new();
        for (number, chunk) in chunks.iter().enumerate() {
            prop_assert!(!chunk.is_empty());
            let mut last: HashMap<&str, usize> = HashMap::new();
            for id in chunk {
                if by == "module" {
                    prop_assert_eq!(&item(id).module, &item(&chunk[0]).module);
                }
                let Some(name) = item(id).affinity.clone() else { continue };
                prop_assert_eq!(*seen.entry(name).or_insert(number), number, "parted");
                let at = items.iter().position(|known| known.id == *id).unwrap();
                let name = item(id).affinity.as_deref().unwrap();
                prop_assert!(last.insert(name, at).is_none_or(|before| before < at), "not in their order");
            }
        }
    }

    #[test]
    fn arguments_stay_below_the_limit(sizes in prop::collection::vec(1_usize..60, 1..40)) {
        let chunk: Vec<usize> = (0..sizes.len()).collect();
        let lists = within_limit(&chunk, &sizes, 100);
        prop_assert_eq!(lists.concat(), chunk);
        for list in lists {
            let bytes: usize = list.iter().map(|index| sizes[*index]).sum();
            prop_assert!(list.len() == 1 || bytes <= 100);
        }
    }
}

#[test]
fn a_job_has_one_launch_whatever_chunk_by_says() {
    let config = group("runner = \"go\"\nchunk-by = \"any\"\nchunk-size = 9");
    let mut items = items(&[2, 2]);
    let launches = [Arc::new(Launch::default()), Arc::new(Launch::default())];
    for (index, item) in items.iter_mut().enumerate() {
        item.launch = Some(launches[index % 2].clone());
    }
    let draft = Draft::new(&config, &items, &NoMemory, 7);
    let mut cuts: Vec<_> = draft.cut(4).into_iter().map(|cut| cut.items).collect();
    cuts.sort();
    assert_eq!(cuts, [vec![0, 2], vec![1, 3]]);
    let mut config = config;
    config.run_as_one_process("a reason".into());
    let draft = Draft::new(&config, &items, &NoMemory, 7);
    let cuts: Vec<_> = draft.cut(4).into_iter().map(|cut| cut.items).collect();
    assert_eq!(cuts, [vec![0, 2], vec![1, 3]]);
}

#[test]
fn one_process_runs_all_items_in_the_listings_order_with_the_longest_timeout() {
    let mut config = group(&format!(
        "{PYTEST}\nchunk-size = 1\ntimeout = \"1s\"\noverrides = [{{ match = [\"m1::*\"], timeout = \"9s\" }}]"
    ));
    config.run_as_one_process("a reason".into());
    let items = items(&[2, 2]);
    let memory = known(&[("m1::t1", past(5.0, true))]);
    let draft = Draft::new(&config, &items, &memory, 7);
    let cuts = draft.cut(4);
    assert_eq!(cuts.len(), 1);
    assert_eq!(cuts[0].items, [0, 1, 2, 3]);
    let settings = draft.settings(&cuts[0]);
    assert_eq!(settings.timeout, Some(Duration::from_secs(9)));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 500, ..ProptestConfig::default() })]

    #[test]
    fn chunks_keep_the_order_of_their_items(
        claims in prop::collection::vec(
            (prop::option::of(0_u8..3), prop::option::of(0_u8..3), prop::option::of(0_u8..3), prop::option::of(0_usize..12)),
            1..12,
        ),
        modules in prop::collection::vec(0_usize..3, 12),
        affine in any::<bool>(),
        workers in 1_usize..5,
    ) {
        let names = |name: Option<u8>| Vec::from_iter(name.map(|name| name.to_string()));
        let items: Vec<Item> = claims.iter().enumerate().map(|(index, (uses, sets_up, cleans_up, after))| Item {
            module: format!("m{}", modules[index]),
            affinity: (affine && modules[index] == 0).then(|| "together".to_owned()),
            claims: Some(Arc::new(Claims {
                fixtures: names(*uses),
                sets_up: names(*sets_up),
                cleans_up: names(*cleans_up),
                after: Vec::from_iter(after.map(|after| format!("t{after}"))),
                ..Claims::default()
            })),
            ..Item::plain(format!("t{index}"))
        }).collect();
        let config = group(PYTEST);
        let memory = known(&[]);
        let draft = Draft::new(&config, &items, &memory, 7);
        let cuts = draft.cut(workers);
        let mut all: Vec<usize> = cuts.iter().flat_map(|cut| cut.items.clone()).collect();
        all.sort_unstable();
        prop_assert_eq!(all, (0..items.len()).collect::<Vec<_>>(), "chunks partition the items");
        // Starting each chunk once all that it comes after is over ends with every chunk: there is no cycle.
        let mut over: Vec<usize> = Vec::new();
        while over.len() < cuts.len() {
            let next = (0..cuts.len()).find(|cut| {
                !over.contains(cut) && cuts[*cut].after.iter().all(|edge| over.contains(&edge.job))
            });
            prop_assert!(next.is_some(), "the chunks have a cycle");
            over.extend(next);
        }
        // Without an affinity, chunks are as free of cycles as their items: each edge of these is one of chunks.
        if !affine {
            let links = Links::of(&items);
            let cut_of = |item: usize| cuts.iter().position(|cut| cut.items.contains(&item)).unwrap();
            for item in 0..items.len() {
                for (before, must_pass) in links.of_item(item) {
                    let (own, other) = (cut_of(item), cut_of(before));
                    let edge = cuts[own].after.iter().find(|edge| edge.job == other);
                    prop_assert!(own != other, "a test and one that comes after it share a chunk");
                    prop_assert!(edge.is_some_and(|edge| edge.must_pass || !must_pass), "an edge is missing");
                }
            }
        }
    }
}
