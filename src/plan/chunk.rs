//! Chunks: which items share a job, and the order in which the jobs start.
//!
//! Items share one only if their settings are the same and, unless the group says otherwise, their module; what belongs
//! together (`affinity`) is never parted. How large chunks are is decided by [`pack`], but for runners that say of a job only
//! whether it went well, or that lose a whole job's results with one crash: there each item has its own as long as a start is
//! cheap.

use std::cmp::Reverse;
use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use indexmap::IndexMap;

use super::forecast::Load;
use super::pack::{self, Frame, Piece};
use super::random::Random;
use super::{Item, Launch, Memory, Past, full_id};
use crate::manifest::config::{GroupConfig, TestSettings};
use crate::manifest::model::{ChunkBy, ChunkSize, Order, ResultFormat};

/// What a test is thought to take where none of its group ever ran.
const UNKNOWN: f64 = 0.01;
/// The least that a test is thought to take.
const LEAST: f64 = 0.0001;
/// How far off estimates are, as the deviation of their logarithm: of what ran before, and of what did not.
const KNOWN_SPREAD: f64 = 0.3;
const UNKNOWN_SPREAD: f64 = 1.0;
/// Below this, starting a job costs so little that chunks gain nothing where they lose something.
const CHEAP: Duration = Duration::from_millis(50);
/// The most items of a job, so that its arguments stay far below the kernel's limit of 128 KiB an argument and 2 MiB in all.
const MOST_BYTES: usize = 512 * 1024;
/// The same where they are one argument.
const MOST_BYTES_OF_ONE: usize = 64 * 1024;

/// A group's items with what is known of them, before they are cut.
pub struct Draft<'a> {
    config: &'a GroupConfig,
    items: &'a [Item],
    past: Vec<Option<Past>>,
    /// What each is thought to take.
    seconds: Vec<f64>,
    /// What starting a chunk costs.
    start: f64,
    /// Settings, and the items that have them.
    alike: Vec<(TestSettings, Vec<usize>)>,
    seed: u64,
}

/// A chunk before it is a job: its items by their indices.
#[derive(Clone, Debug)]
pub struct Cut {
    /// The items, in the order in which they run.
    pub items: Vec<usize>,
    /// The settings, by their index.
    pub settings: usize,
    /// What it is thought to take, its start included.
    pub seconds: f64,
    /// The memory it is thought to need.
    pub memory: u64,
}

impl<'a> Draft<'a> {
    /// Looks up what is known of items.
    pub fn new(config: &'a GroupConfig, items: &'a [Item], memory: &dyn Memory, seed: u64) -> Self {
        let name = config.name.as_str();
        let past: Vec<Option<Past>> = items
            .iter()
            .map(|item| memory.recall(&full_id(name, &item.id)))
            .collect();
        let known: Vec<f64> = past
            .iter()
            .flatten()
            .map(|past| past.duration.as_secs_f64().max(LEAST))
            .collect();
        #[expect(clippy::cast_precision_loss, reason = "tests are counted")]
        let unknown = if known.is_empty() {
            UNKNOWN
        } else {
            known.iter().sum::<f64>() / known.len() as f64
        };
        let seconds = past
            .iter()
            .map(|past| past.map_or(unknown, |past| past.duration.as_secs_f64().max(LEAST)));
        let seconds = seconds.collect();
        let mut alike: Vec<(TestSettings, Vec<usize>)> = Vec::new();
        for (index, item) in items.iter().enumerate() {
            let settings = config.settings_of(item);
            if config.one_process.is_some() {
                match alike.first_mut() {
                    Some((all, list)) => {
                        all.join(settings);
                        list.push(index);
                    }
                    None => alike.push((settings, vec![index])),
                }
                continue;
            }
            // What must run alone gets a job of its own kind, so few kinds: a linear search is enough.
            match alike.iter_mut().find(|(known, _)| *known == settings) {
                Some((_, list)) => list.push(index),
                None => alike.push((settings, vec![index])),
            }
        }
        let start = memory.start_cost(name);
        Self {
            start: start.unwrap_or(config.start_cost()).as_secs_f64(),
            config,
            items,
            past,
            seconds,
            alike,
            seed,
        }
    }

    /// How many items it has.
    pub fn len(&self) -> usize {
        self.items.len()
    }

    /// How many of its items have run before.
    pub fn known(&self) -> usize {
        self.past.iter().flatten().count()
    }

    /// What bounds are made of.
    pub fn load(&self) -> Load {
        let longest =
            (0..self.items.len()).max_by(|a, b| self.seconds[*a].total_cmp(&self.seconds[*b]));
        let longest = longest.map(|index| {
            let id = full_id(self.config.name.as_str(), &self.items[index].id);
            (self.seconds[index], id)
        });
        Load {
            work: self.seconds.iter().sum(),
            longest: longest.unwrap_or_default(),
            start: self.start,
        }
    }

    /// The settings of a cut.
    pub fn settings(&self, cut: &Cut) -> &TestSettings {
        &self.alike[cut.settings].0
    }

    /// Cuts the items into chunks for so many workers, in the order in which they start.
    pub fn cut(&self, workers: usize) -> Vec<Cut> {
        if self.config.one_process.is_some() {
            return self.one_process();
        }
        let mut cuts = Vec::new();
        for (number, (settings, items)) in self.alike.iter().enumerate() {
            let (whole, rest): (Vec<usize>, Vec<usize>) =
                items.iter().partition(|index| self.runs_whole(**index));
            let mut chunks = self.chunks(&rest, settings, workers);
            chunks = chunks
                .into_iter()
                .flat_map(|chunk| self.within_limit(&chunk))
                .collect();
            let mut modules: IndexMap<&str, Vec<usize>> = IndexMap::new();
            for index in whole {
                let module = self.items[index].module.as_str();
                modules.entry(module).or_default().push(index);
            }
            chunks.extend(modules.into_values());
            cuts.extend(chunks.into_iter().map(|items| Cut {
                settings: number,
                seconds: self.start + items.iter().map(|index| self.seconds[*index]).sum::<f64>(),
                memory: self.memory(&items),
                items,
            }));
        }
        self.sort(&mut cuts);
        cuts
    }

    /// All items in one chunk, in the order of the listing; where they are of several programs, a chunk for each of these.
    fn one_process(&self) -> Vec<Cut> {
        let mut cuts = Vec::new();
        for (number, (_, items)) in self.alike.iter().enumerate() {
            let mut programs: IndexMap<_, Vec<usize>> = IndexMap::new();
            for index in items {
                let launch = self.items[*index].launch.as_ref().map(Arc::as_ptr);
                programs.entry(launch).or_default().push(*index);
            }
            cuts.extend(programs.into_values().map(|items| Cut {
                settings: number,
                seconds: self.start + items.iter().map(|index| self.seconds[*index]).sum::<f64>(),
                memory: self.memory(&items),
                items,
            }));
        }
        cuts
    }

    fn memory(&self, items: &[usize]) -> u64 {
        let known = items.iter().filter_map(|index| self.past[*index]);
        known.map(|past| past.memory).max().unwrap_or(0)
    }

    fn runs_whole(&self, index: usize) -> bool {
        let launch = self.items[index].launch.as_ref();
        launch.is_some_and(|launch| launch.whole)
    }

    /// Lists of items that have the same settings.
    fn chunks(&self, items: &[usize], settings: &TestSettings, workers: usize) -> Vec<Vec<usize>> {
        if items.is_empty() {
            return Vec::new();
        }
        let pieces = self.pieces(items);
        match self.config.chunk_size {
            ChunkSize::Items(most) => self.by_number(pieces, most as usize),
            ChunkSize::Auto if self.runs_single() => self.by_number(pieces, 1),
            ChunkSize::Auto => {
                let workers = if settings.serial || settings.exclusive {
                    1
                } else {
                    workers
                };
                self.packed(&pieces, workers)
            }
        }
    }

    /// Whether an item gains by a job of its own: the result of a job is that of all its items, or a crash is.
    fn runs_single(&self) -> bool {
        self.config.start_cost() < CHEAP && self.config.runner.results != ResultFormat::Events
    }

    /// What can't be parted: items, or those of one affinity; in the order of the listing, or at random.
    fn pieces(&self, items: &[usize]) -> Vec<Vec<usize>> {
        let mut pieces: Vec<Vec<usize>> = Vec::new();
        let mut together: HashMap<&str, usize> = HashMap::new();
        for index in items {
            let Some(name) = self.items[*index].affinity.as_deref() else {
                pieces.push(vec![*index]);
                continue;
            };
            let piece = *together.entry(name).or_insert_with(|| {
                pieces.push(Vec::new());
                pieces.len() - 1
            });
            pieces[piece].push(*index);
        }
        if self.config.order == Order::Random {
            let mut random = Random::new(self.seed);
            let mut modules = self.parted(pieces);
            random.shuffle(&mut modules);
            for module in &mut modules {
                random.shuffle(module);
            }
            pieces = modules.into_iter().flatten().collect();
        }
        pieces
    }

    /// The module of a piece, and the launch of its items: a job has one launch, whatever `chunk-by` says.
    fn module(&self, piece: &[usize]) -> (&str, Option<*const Launch>) {
        piece.first().map_or(("", None), |index| {
            let item = &self.items[*index];
            (item.module.as_str(), item.launch.as_ref().map(Arc::as_ptr))
        })
    }

    /// Pieces, by what may share a chunk.
    fn parted(&self, pieces: Vec<Vec<usize>>) -> Vec<Vec<Vec<usize>>> {
        let mut modules: IndexMap<_, Vec<Vec<usize>>> = IndexMap::new();
        for piece in pieces {
            let (module, launch) = self.module(&piece);
            let module = match self.config.chunk_by {
                ChunkBy::Module => (module, launch),
                ChunkBy::Any => ("", launch),
            };
            modules.entry(module).or_default().push(piece);
        }
        modules.into_values().collect()
    }

    /// Chunks of so many items at most.
    fn by_number(&self, pieces: Vec<Vec<usize>>, most: usize) -> Vec<Vec<usize>> {
        let mut chunks = Vec::new();
        for module in self.parted(pieces) {
            let mut chunk: Vec<usize> = Vec::new();
            for piece in module {
                if !chunk.is_empty() && chunk.len() + piece.len() > most {
                    chunks.push(std::mem::take(&mut chunk));
                }
                chunk.extend(piece);
            }
            chunks.push(chunk);
        }
        chunks
    }

    /// Chunks of the best shape.
    fn packed(&self, pieces: &[Vec<usize>], workers: usize) -> Vec<Vec<usize>> {
        let mut modules: HashMap<_, usize> = HashMap::new();
        let mut known = 0;
        let mut list = Vec::with_capacity(pieces.len());
        for piece in pieces {
            let next = modules.len();
            let module = *modules.entry(self.module(piece)).or_insert(next);
            let past = piece.iter().map(|index| self.past[*index]);
            let is_known = past.clone().all(|past| past.is_some());
            known += usize::from(is_known);
            list.push(Piece {
                seconds: piece.iter().map(|index| self.seconds[*index]).sum(),
                spread: if is_known {
                    KNOWN_SPREAD
                } else {
                    UNKNOWN_SPREAD
                },
                module,
                failed: past.flatten().any(|past| past.failed),
            });
        }
        let frame = Frame {
            workers,
            start: self.start,
            mixes: self.config.chunk_by == ChunkBy::Any
                && self.items.iter().all(|item| item.launch.is_none()),
            is_ordered: self.config.order != Order::Smart,
            // What a module's fixtures cost is known only by what its tests took.
            keeps_modules: known * 2 < list.len(),
        };
        let shape = pack::best(&list, frame);
        let chunks = shape.chunks.into_iter();
        chunks
            .map(|chunk| {
                let pieces = chunk.into_iter().map(|index| &pieces[index]);
                pieces.flatten().copied().collect()
            })
            .collect()
    }

    /// Cuts a chunk where its arguments would pass a limit of the kernel.
    fn within_limit(&self, chunk: &[usize]) -> Vec<Vec<usize>> {
        let most = match self.config.runner.item_separator {
            Some(_) => MOST_BYTES_OF_ONE,
            None => MOST_BYTES,
        };
        let sizes = chunk
            .iter()
            .map(|index| self.items[*index].argument.len() + 1 + size_of::<usize>());
        within_limit(chunk, &sizes.collect::<Vec<_>>(), most)
    }

    /// What failed last time first, then what takes longest, so that no straggler comes last; of equals, one that never ran
    /// first, since it might be long. What runs alone comes after the rest, since it would only hold the others up.
    fn sort(&self, cuts: &mut [Cut]) {
        let is_smart = self.config.order == Order::Smart;
        cuts.sort_by_cached_key(|cut| {
            let settings = self.settings(cut);
            let alone = (settings.exclusive, settings.serial);
            if !is_smart {
                // By the first item, and not by settings, which chunks were made by.
                let first = match self.config.order {
                    Order::Listed => cut.items.first().copied().unwrap_or(0),
                    _ => 0,
                };
                return (alone, false, Reverse(0), false, first);
            }
            let past = || cut.items.iter().map(|index| self.past[*index]);
            let failed = past().flatten().any(|past| past.failed);
            let is_known = past().all(|past| past.is_some());
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "microseconds have an order"
            )]
            let length = (cut.seconds * 1e6) as u64;
            (alone, !failed, Reverse(length), is_known, 0)
        });
    }
}

fn within_limit(chunk: &[usize], sizes: &[usize], most: usize) -> Vec<Vec<usize>> {
    let mut lists = vec![Vec::new()];
    let mut bytes = 0;
    for (index, size) in chunk.iter().zip(sizes) {
        if bytes + size > most && bytes > 0 {
            lists.push(Vec::new());
            bytes = 0;
        }
        bytes += size;
        if let Some(last) = lists.last_mut() {
            last.push(*index);
        }
    }
    lists.retain(|list| !list.is_empty());
    lists
}

#[cfg(test)]
mod tests;
