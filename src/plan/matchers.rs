//! Matchers: which tests `serial`, `match` and `exclude` choose, and those of them that choose none.

use std::borrow::Cow;
use std::path::Path;

use indexmap::IndexMap;

use super::select::begins;
use super::{Item, Known, full_id};
use crate::manifest::config::{By, GroupConfig, Matcher, SerialTests};
use crate::manifest::pattern::Pattern;
use crate::suggest::nearest;

/// The most tests that a message compares with.
const MOST_COMPARED: usize = 2_000;

impl GroupConfig {
    /// Whether one of these is for a test.
    #[must_use]
    pub fn matches(&self, matchers: &[Matcher], item: &Item) -> bool {
        matchers.iter().any(|matcher| self.chooses(matcher, item))
    }

    /// Whether a test is excluded. A group that cannot be listed is not.
    #[must_use]
    pub fn leaves_out(&self, item: &Item) -> bool {
        let is_whole = item.id.is_empty() && matches!(item.known, Some(Known::Broken(_)));
        !is_whole && self.matches(&self.exclude, item)
    }

    /// Whether a matcher is for a test: by its file, relative to the root or to the group's folder, by its id, or by a tag.
    fn chooses(&self, matcher: &Matcher, item: &Item) -> bool {
        match &matcher.by {
            By::Tag(tag) => item.tags.contains(tag),
            By::Id => {
                let written = matcher.written.as_str();
                is_called(self.name.as_str(), item, written)
                    || self.files(item).any(|file| file == Path::new(written))
            }
            By::Pattern(pattern) => {
                let is_file = |file: &Path| pattern.matches(&file.to_string_lossy());
                pattern.matches(&item.id)
                    || self.files(item).any(is_file)
                    || pattern.matches(&full_id(self.name.as_str(), &item.id))
            }
        }
    }

    /// What a test's file is called: relative to the root, and to the group's folder.
    fn files<'i>(&self, item: &'i Item) -> impl Iterator<Item = &'i Path> {
        let file = item.file.as_deref();
        file.into_iter()
            .chain(file.and_then(|file| self.in_folder(file)))
    }

    /// All matchers that choose tests of the group.
    fn matchers_mut(&mut self) -> impl Iterator<Item = &mut Matcher> {
        let serial = match &mut self.serial {
            SerialTests::Matching(matchers) => matchers.as_mut_slice(),
            SerialTests::All(_) => &mut [],
        };
        let overrides = self.overrides.iter_mut();
        let overrides = overrides.flat_map(|entry| &mut entry.matching);
        overrides.chain(serial).chain(&mut self.exclude)
    }

    /// Decides what matchers are that can be read as an id and as a pattern, `test_x[1]`: an id where a test is called so.
    pub fn settle(&mut self, items: &[Item]) {
        let group = self.name.clone();
        for matcher in self.matchers_mut() {
            let is_pattern = matches!(matcher.by, By::Pattern(_));
            let mut all = items.iter();
            if is_pattern && all.any(|item| is_called(group.as_str(), item, &matcher.written)) {
                matcher.by = By::Id;
            }
        }
    }
}

/// Whether a text is a test's id, with the group or without, or the beginning of it up to a `::`.
fn is_called(group: &str, item: &Item, text: &str) -> bool {
    let of_group = text.strip_prefix(group);
    let rest = of_group.and_then(|rest| match rest {
        "" => Some(""),
        rest => rest.strip_prefix("::"),
    });
    rest.is_some_and(|rest| rest.is_empty() || begins(&item.id, rest)) || begins(&item.id, text)
}

/// A matcher that chooses no test.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Miss {
    /// Where it is written.
    pub place: String,
    /// As it is written.
    pub written: String,
    /// Whether it only leaves tests out.
    pub excludes: bool,
    /// What may have been meant, or what there is.
    pub hint: Option<String>,
}

/// Which matchers of a manifest have chosen a test of some group.
#[derive(Default)]
pub struct Matched {
    all: IndexMap<String, State>,
}

struct State {
    miss: Miss,
    is_matched: bool,
    is_known: bool,
}

impl Matched {
    /// Takes in a group with all tests that were listed of it, those included that it excludes. `excluded` are the patterns of
    /// `exclude` that have left out a file before anything was listed.
    pub fn add(&mut self, group: &GroupConfig, items: &[Item], excluded: &[Pattern]) {
        // What can't be listed may hold what is looked for.
        let is_broken = |item: &Item| matches!(item.known, Some(Known::Broken(_)));
        let is_known = !items.iter().any(is_broken);
        let serial = match &group.serial {
            SerialTests::Matching(matchers) => matchers.as_slice(),
            SerialTests::All(_) => &[],
        };
        let matching = group.overrides.iter().flat_map(|entry| &entry.matching);
        let exclude = group.exclude.iter().map(|matcher| (matcher, true));
        let others = matching.chain(serial).map(|matcher| (matcher, false));
        for (matcher, excludes) in others.chain(exclude) {
            let is_matched = items.iter().any(|item| group.chooses(matcher, item))
                || (excludes && has_left_out(group, matcher, excluded));
            let state = self
                .all
                .entry(matcher.place.clone())
                .or_insert_with(|| State {
                    miss: Miss {
                        place: matcher.place.clone(),
                        written: matcher.written.clone(),
                        excludes,
                        hint: None,
                    },
                    is_matched: false,
                    is_known: true,
                });
            state.is_matched |= is_matched;
            state.is_known &= is_known;
            if !is_matched && state.miss.hint.is_none() {
                state.miss.hint = hint(group, matcher, items);
            }
        }
    }

    /// Those that have chosen no test. `is_all` is whether all groups were taken in: a default may be meant for another.
    #[must_use]
    pub fn misses(self, is_all: bool) -> Vec<Miss> {
        let is_own = |place: &str| {
            let mut words = place.split('/').skip(1);
            match words.next() {
                Some("profiles") => words.nth(1) == Some("groups"),
                first => first == Some("groups"),
            }
        };
        let states = self.all.into_values();
        let missed = states.filter(|state| {
            !state.is_matched && state.is_known && (is_all || is_own(&state.miss.place))
        });
        missed.map(|state| state.miss).collect()
    }
}

/// Whether a matcher of `exclude` is one of these patterns.
fn has_left_out(group: &GroupConfig, matcher: &Matcher, excluded: &[Pattern]) -> bool {
    let pattern = Pattern::below(&group.dir, &matcher.written);
    pattern.is_ok_and(|pattern| excluded.contains(&pattern))
}

/// What may have been meant by a matcher, or else what the group's tests are called.
fn hint(group: &GroupConfig, matcher: &Matcher, items: &[Item]) -> Option<String> {
    let items = || items.iter().take(MOST_COMPARED);
    if let By::Tag(tag) = &matcher.by {
        let tags = items().flat_map(|item| item.tags.iter().map(String::as_str));
        return nearest(tag, tags).map(|tag| format!("did you mean \"tag:{tag}\"?"));
    }
    let written = matcher.written.trim_end_matches('/');
    if items().any(|item| group.files(item).any(|file| file.starts_with(written))) {
        return Some(format!("a folder is no pattern: write \"{written}/**\""));
    }
    let within = |item: &&Item| {
        let own = matcher.written.strip_prefix(group.name.as_str());
        let own = own.and_then(|own| own.strip_prefix("::"));
        [own, Some(written)].into_iter().flatten().any(|text| {
            let rest = text.strip_prefix(item.id.as_str());
            !item.id.is_empty() && rest.is_some_and(|rest| rest.starts_with("::"))
        })
    };
    if let Some(item) = items().find(within) {
        let id = &item.id;
        return Some(format!(
            "the runner lists {id:?}, and not what is in it: write {id:?}"
        ));
    }
    let names = items().flat_map(|item| {
        let files = group.files(item).map(Path::to_string_lossy);
        let full = Cow::Owned(full_id(group.name.as_str(), &item.id));
        files.chain([Cow::Borrowed(item.id.as_str()), full])
    });
    let names: Vec<Cow<'_, str>> = names.collect();
    let near = nearest(written, names.iter().map(AsRef::as_ref));
    near.map(|near| format!("did you mean {near:?}?"))
        .or_else(|| {
            let first = items().find(|item| !item.id.is_empty())?;
            Some(format!("a test of the group is called {:?}", first.id))
        })
}
