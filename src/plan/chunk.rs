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

use super::claims::Links;
use super::forecast::Load;
use super::pack::{self, Frame, Piece};
use super::random::Random;
use super::{Item, Launch, Memory, Past, full_id};
use crate::manifest::config::{GroupConfig, TestSettings};
use crate::manifest::model::{ChunkBy, ChunkSize, Order, ResultFormat};
use crate::schedule::{After, closing};

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
    /// Settings, and the items that have them and the same place in the order.
    alike: Vec<(TestSettings, Vec<usize>)>,
    /// The order that the items state.
    links: Links,
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
    /// The chunks that must be over first, by their places.
    pub after: Vec<After>,
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
        let guesses = guesses(items, &past, unknown);
        let seconds = past.iter().zip(guesses);
        let seconds = seconds
            .map(|(past, guess)| past.map_or(guess, |past| past.duration.as_secs_f64().max(LEAST)));
        let seconds = seconds.collect();
        let links = Links::of(items);
        let alike = alike(config, items, &links);
        let start = memory.start_cost(name);
        Self {
            start: start.unwrap_or(config.start_cost()).as_secs_f64(),
            config,
            items,
            past,
            seconds,
            alike,
            links,
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
                after: Vec::new(),
            }));
        }
        let edges = self.edges(&cuts);
        let order = self.order(&cuts, &edges);
        let mut places = vec![0; cuts.len()];
        for (place, index) in order.iter().enumerate() {
            places[*index] = place;
        }
        let mut cuts: Vec<Option<Cut>> = cuts.into_iter().map(Some).collect();
        let cuts = order.into_iter().filter_map(|index| {
            let after = edges[index].iter().map(|edge| After {
                job: places[edge.job],
                ..*edge
            });
            Some(Cut {
                after: after.collect(),
                ..cuts[index].take()?
            })
        });
        cuts.collect()
    }

    /// By chunk: the chunks that must be over first. Chunks that are made of several items may close a cycle that the items
    /// do not; it is cut.
    fn edges(&self, cuts: &[Cut]) -> Vec<Vec<After>> {
        if self.links.after.is_empty() {
            return vec![Vec::new(); cuts.len()];
        }
        let mut cut_of = vec![0; self.items.len()];
        for (index, cut) in cuts.iter().enumerate() {
            cut.items.iter().for_each(|item| cut_of[*item] = index);
        }
        let edges = cuts.iter().enumerate().map(|(index, cut)| {
            let after = cut.items.iter().flat_map(|item| self.links.of_item(*item));
            let mut after: Vec<After> = after
                .map(|(item, must_pass)| After {
                    job: cut_of[item],
                    must_pass,
                })
                .filter(|edge| edge.job != index)
                .collect();
            after.sort_unstable_by_key(|edge| (edge.job, !edge.must_pass));
            after.dedup_by_key(|edge| edge.job);
            after
        });
        let mut edges: Vec<Vec<After>> = edges.collect();
        let nodes: Vec<usize> = (0..cuts.len()).collect();
        let targets = |list: &Vec<After>| list.iter().map(|edge| edge.job).collect();
        let by_node: HashMap<usize, Vec<usize>> = edges.iter().map(targets).enumerate().collect();
        for (from, to) in closing(&nodes, &by_node) {
            edges[from].retain(|edge| edge.job != to);
        }
        edges
    }

    /// By chunk: what it takes together with the longest row of chunks that wait for it, in seconds.
    fn rows(cuts: &[Cut], edges: &[Vec<After>]) -> Vec<f64> {
        let mut rows: Vec<f64> = cuts.iter().map(|cut| cut.seconds).collect();
        // How many chunks wait for each one, as far as their rows are not known.
        let mut open = vec![0; cuts.len()];
        for edge in edges.iter().flatten() {
            open[edge.job] += 1;
        }
        let mut known: Vec<usize> = (0..cuts.len()).filter(|index| open[*index] == 0).collect();
        while let Some(index) = known.pop() {
            for edge in &edges[index] {
                rows[edge.job] = rows[edge.job].max(cuts[edge.job].seconds + rows[index]);
                open[edge.job] -= 1;
                if open[edge.job] == 0 {
                    known.push(edge.job);
                }
            }
        }
        rows
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
                after: Vec::new(),
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
            // A process is one test.
            _ if self.config.runner.results == ResultFormat::Ctest => self.by_number(pieces, 1),
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
        let results = self.config.runner.results;
        // GoogleTest's programs are made to run many tests, and a crash is found by running them one by one.
        let is_many = matches!(results, ResultFormat::Events | ResultFormat::GtestXml);
        self.config.start_cost() < CHEAP && !is_many
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

    /// The order in which chunks start. What failed last time first, then what takes longest, together with what waits for it,
    /// so that no straggler comes last; of equals, one that never ran first, since it might be long. What runs alone comes after
    /// the rest, since it would only hold the others up.
    fn order(&self, cuts: &[Cut], edges: &[Vec<After>]) -> Vec<usize> {
        let is_smart = self.config.order == Order::Smart;
        let rows = Self::rows(cuts, edges);
        let mut order: Vec<usize> = (0..cuts.len()).collect();
        order.sort_by_cached_key(|index| {
            let cut = &cuts[*index];
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
            let length = (rows[*index] * 1e6) as u64;
            (alone, !failed, Reverse(length), is_known, 0)
        });
        order
    }
}

/// What items are thought to take that never ran: all the same, or in proportion to the costs that the listing states.
fn guesses(items: &[Item], past: &[Option<Past>], unknown: f64) -> Vec<f64> {
    let cost = |item: &Item| item.claims.as_ref().and_then(|claims| claims.cost);
    let new = items.iter().zip(past).filter(|(_, past)| past.is_none());
    let costs: Vec<f64> = new.filter_map(|(item, _)| cost(item)).collect();
    let sum: f64 = costs.iter().filter(|cost| **cost > 0.0).sum();
    if sum <= 0.0 || !sum.is_finite() {
        return vec![unknown; items.len()];
    }
    #[expect(clippy::cast_precision_loss, reason = "tests are counted")]
    let all = unknown * past.iter().filter(|past| past.is_none()).count() as f64;
    let guess = |item| (cost(item).unwrap_or(0.0) / sum * all).max(LEAST);
    items.iter().map(guess).collect()
}

/// Settings, and the items that may share a chunk as far as these and the order go: they come after the same tests, and none
/// comes after one of them alone.
fn alike(config: &GroupConfig, items: &[Item], links: &Links) -> Vec<(TestSettings, Vec<usize>)> {
    /// The settings, what they come after, and the items.
    type Kind = (TestSettings, Vec<(usize, bool)>, Vec<usize>);
    if config.one_process.is_some() {
        let mut all = items.iter().map(|item| config.settings_of(item));
        let Some(mut settings) = all.next() else {
            return Vec::new();
        };
        all.for_each(|other| settings.join(other));
        return vec![(settings, (0..items.len()).collect())];
    }
    let mut waited_for: HashMap<usize, Vec<usize>> = HashMap::new();
    for index in 0..links.after.len() {
        for (at, _) in links.of_item(index) {
            waited_for.entry(at).or_default().push(index);
        }
    }
    // What a lone test waits for holds no others up, and a test that others wait for is not held up by its neighbours.
    let is_lone = |index: usize| {
        let waiting = waited_for.get(&index).map_or(&[][..], Vec::as_slice);
        let is_end = |at: &usize| {
            let claims = items[*at].claims.as_ref();
            claims.is_some_and(|claims| !claims.cleans_up.is_empty() && claims.after.is_empty())
        };
        !waiting.iter().all(is_end)
    };
    let mut kinds: Vec<Kind> = Vec::new();
    let mut lone: Vec<(TestSettings, Vec<usize>)> = Vec::new();
    for (index, item) in items.iter().enumerate() {
        let settings = config.settings_of(item);
        if is_lone(index) && item.affinity.is_none() {
            lone.push((settings, vec![index]));
            continue;
        }
        let after: Vec<(usize, bool)> = links.of_item(index).collect();
        // What must run alone gets a job of its own kind, so few kinds: a linear search is enough.
        let mut known = kinds.iter_mut();
        match known.find(|(known, order, _)| *known == settings && *order == after) {
            Some((.., list)) => list.push(index),
            None => kinds.push((settings, after, vec![index])),
        }
    }
    let kinds = kinds.into_iter();
    kinds
        .map(|(settings, _, list)| (settings, list))
        .chain(lone)
        .collect()
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
