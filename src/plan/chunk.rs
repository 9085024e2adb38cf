//! Chunks: which items share a job.
//!
//! Items share one only if their settings are the same and, unless the group says otherwise, their module. Where starting a
//! job is cheap each item has its own. Where it is dear there are as few jobs as there are workers, and a module is cut only
//! where it is larger than a worker's share: so a suite in one file overlaps too.

use std::time::Duration;

use indexmap::IndexMap;

use super::{Item, Memory, PlannedJob, full_id};
use crate::manifest::config::{GroupConfig, TestSettings};
use crate::manifest::model::{ChunkBy, ChunkSize};

/// What a test is thought to take that never ran.
const UNKNOWN: Duration = Duration::from_millis(10);
/// Below this, starting a job costs so little that chunks gain nothing.
const CHEAP: Duration = Duration::from_millis(50);
/// The most items of a job, so that its arguments stay far below the kernel's limit of 128 KiB an argument and 2 MiB in all.
const MOST_BYTES: usize = 512 * 1024;
/// The same where they are one argument.
const MOST_BYTES_OF_ONE: usize = 64 * 1024;

/// Cuts a group's items into jobs.
pub fn chunks(
    config: &GroupConfig,
    items: Vec<Item>,
    workers: usize,
    memory: &dyn Memory,
) -> Vec<PlannedJob> {
    let mut alike: Vec<(TestSettings, IndexMap<String, Vec<Item>>)> = Vec::new();
    for item in items {
        let settings = config.settings_of(&item);
        // What must run alone gets a job of its own kind, so few kinds: a linear search is enough.
        let index = alike.iter().position(|(known, _)| *known == settings);
        let index = index.unwrap_or_else(|| {
            alike.push((settings, IndexMap::new()));
            alike.len() - 1
        });
        let modules = &mut alike[index].1;
        modules.entry(item.module.clone()).or_default().push(item);
    }
    let mut jobs = Vec::new();
    for (settings, modules) in alike {
        let modules = modules.into_values();
        let (whole, modules): (Vec<_>, Vec<_>) = modules.partition(|items| runs_whole(items));
        let lists = match config.chunk_size {
            ChunkSize::Items(most) => by_number(config.chunk_by, modules, most as usize),
            ChunkSize::Auto if config.start_cost() < CHEAP => {
                by_number(ChunkBy::Module, modules, 1)
            }
            ChunkSize::Auto => {
                let workers = if settings.serial || settings.exclusive {
                    1
                } else {
                    workers
                };
                let weigh = |item: &Item| weight(config, item, memory);
                by_share(config.chunk_by, modules, workers, &weigh)
            }
        };
        let most = match config.runner.item_separator {
            Some(_) => MOST_BYTES_OF_ONE,
            None => MOST_BYTES,
        };
        let lists = lists
            .into_iter()
            .flat_map(|items| within_limit(items, most));
        jobs.extend(lists.chain(whole).map(|items| PlannedJob {
            items,
            settings: settings.clone(),
        }));
    }
    jobs
}

fn runs_whole(items: &[Item]) -> bool {
    items
        .iter()
        .any(|item| item.launch.as_ref().is_some_and(|launch| launch.whole))
}

fn weight(config: &GroupConfig, item: &Item, memory: &dyn Memory) -> Duration {
    let id = full_id(config.name.as_str(), &item.id);
    memory.recall(&id).map_or(UNKNOWN, |past| {
        past.duration.max(Duration::from_micros(100))
    })
}

fn by_number(by: ChunkBy, modules: Vec<Vec<Item>>, most: usize) -> Vec<Vec<Item>> {
    let modules = match by {
        ChunkBy::Module => modules,
        ChunkBy::Any => vec![modules.into_iter().flatten().collect()],
    };
    modules
        .into_iter()
        .flat_map(|module| {
            let mut rest = module.into_iter().peekable();
            let mut lists = Vec::new();
            while rest.peek().is_some() {
                lists.push(rest.by_ref().take(most).collect());
            }
            lists
        })
        .collect()
}

/// One packed bin a worker: the largest pieces first, each into the bin that has least (LPT, Graham 1969).
fn by_share(
    by: ChunkBy,
    modules: Vec<Vec<Item>>,
    workers: usize,
    weigh: &dyn Fn(&Item) -> Duration,
) -> Vec<Vec<Item>> {
    let total: Duration = modules.iter().flatten().map(weigh).sum();
    let share = total / u32::try_from(workers).unwrap_or(u32::MAX).max(1);
    let mut pieces: Vec<(Duration, Vec<Item>)> = Vec::new();
    for module in modules {
        let mut piece = Vec::new();
        let mut size = Duration::ZERO;
        for item in module {
            let add = weigh(&item);
            if !piece.is_empty() && size + add > share {
                pieces.push((size, std::mem::take(&mut piece)));
                size = Duration::ZERO;
            }
            size += add;
            piece.push(item);
        }
        pieces.push((size, piece));
    }
    if by == ChunkBy::Module {
        return pieces.into_iter().map(|(_, items)| items).collect();
    }
    // Sorting is stable, so equal pieces stay in the order of the listing.
    pieces.sort_by_key(|(size, _)| std::cmp::Reverse(*size));
    let mut bins: Vec<(Duration, Vec<Item>)> = vec![(Duration::ZERO, Vec::new()); workers];
    for (size, items) in pieces {
        if let Some(bin) = bins.iter_mut().min_by_key(|(full, _)| *full) {
            bin.0 += size;
            bin.1.extend(items);
        }
    }
    bins.retain(|(_, items)| !items.is_empty());
    bins.into_iter().map(|(_, items)| items).collect()
}

/// Cuts a chunk where its arguments would pass a limit of the kernel.
fn within_limit(items: Vec<Item>, most: usize) -> Vec<Vec<Item>> {
    let mut lists = vec![Vec::new()];
    let mut bytes = 0;
    for item in items {
        let size = item.argument.len() + 1 + size_of::<usize>();
        if bytes + size > most && bytes > 0 {
            lists.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(last) = lists.last_mut() {
            last.push(item);
        }
    }
    lists.retain(|list| !list.is_empty());
    lists
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn modules(sizes: &[usize]) -> Vec<Vec<Item>> {
        let item = |module: usize, index: usize| Item {
            module: format!("m{module}"),
            ..Item::plain(format!("m{module}::t{index}"))
        };
        sizes
            .iter()
            .enumerate()
            .map(|(module, size)| (0..*size).map(|index| item(module, index)).collect())
            .collect()
    }

    fn sorted(lists: &[Vec<Item>]) -> Vec<String> {
        let mut ids: Vec<_> = lists.iter().flatten().map(|item| item.id.clone()).collect();
        ids.sort();
        ids
    }

    #[test]
    fn one_file_is_cut_so_that_it_overlaps() {
        let lists = by_share(ChunkBy::Any, modules(&[40]), 4, &|_| UNKNOWN);
        let sizes: Vec<_> = lists.iter().map(Vec::len).collect();
        assert_eq!(sizes, [10, 10, 10, 10]);
    }

    #[test]
    fn small_modules_stay_whole() {
        let lists = by_share(ChunkBy::Any, modules(&[3, 3, 3, 3]), 2, &|_| UNKNOWN);
        assert_eq!(lists.len(), 2);
        for list in lists {
            assert_eq!(list.len(), 6);
            assert!(list[..3].iter().all(|item| item.module == list[0].module));
        }
    }

    proptest! {
        #[test]
        fn chunks_partition_the_items(
            sizes in prop::collection::vec(1_usize..20, 1..12),
            workers in 1_usize..9,
            most in 1_usize..9,
            any in any::<bool>(),
        ) {
            let by = if any { ChunkBy::Any } else { ChunkBy::Module };
            let all = sorted(&modules(&sizes));
            let numbered = by_number(by, modules(&sizes), most);
            prop_assert_eq!(sorted(&numbered), all.clone());
            prop_assert!(numbered.iter().all(|list| !list.is_empty() && list.len() <= most));
            let shared = by_share(by, modules(&sizes), workers, &|_| UNKNOWN);
            prop_assert_eq!(sorted(&shared), all.clone());
            if any {
                prop_assert!(shared.len() <= workers);
            } else {
                prop_assert!(shared.iter().all(|list| list.iter().all(|item| item.module == list[0].module)));
            }
            let cut: Vec<_> = shared.into_iter().flat_map(|list| within_limit(list, 100)).collect();
            prop_assert_eq!(sorted(&cut), all);
        }
    }
}
