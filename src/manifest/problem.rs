//! What is wrong with a manifest, and how it is shown: the line, a caret under the very words, what to do about it.

use std::fmt;
use std::ops::Range;

use annotate_snippets::{AnnotationKind, Group, Level, Renderer, Snippet};

use super::source::{Source, Spans};

/// Where a problem is.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub enum Place {
    /// A key, by JSON pointer.
    Key(String),
    /// A value, by JSON pointer.
    Value(String),
    /// A range of the text itself, in bytes.
    Text(Range<usize>),
}

/// One thing that is wrong.
#[derive(Clone, Debug)]
pub struct Problem {
    /// Where.
    pub place: Place,
    /// What, in one sentence.
    pub message: String,
    /// A word under the caret.
    pub label: String,
    /// What to do about it, a line each.
    pub help: Vec<String>,
}

impl Problem {
    /// A problem at a place.
    #[must_use]
    pub fn new(place: Place, message: impl Into<String>) -> Self {
        Self {
            place,
            message: message.into(),
            label: String::new(),
            help: Vec::new(),
        }
    }

    /// A problem with a key.
    #[must_use]
    pub fn key(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Place::Key(pointer.into()), message)
    }

    /// A problem with a value.
    #[must_use]
    pub fn value(pointer: impl Into<String>, message: impl Into<String>) -> Self {
        Self::new(Place::Value(pointer.into()), message)
    }

    /// Sets the words under the caret.
    #[must_use]
    pub fn label(mut self, label: impl Into<String>) -> Self {
        self.label = label.into();
        self
    }

    /// Adds a line of help.
    #[must_use]
    pub fn help(mut self, help: impl Into<Option<String>>) -> Self {
        self.help.extend(help.into());
        self
    }
}

/// How many are shown: nobody reads more, and a hostile file has a million.
pub const MOST_SHOWN: usize = 100;

/// Everything that is wrong with one manifest, in the order of its text.
#[derive(Debug)]
pub struct Problems {
    source: Source,
    list: Vec<(Range<usize>, Problem)>,
}

impl Problems {
    /// Finds where each problem stands and sorts them.
    #[must_use]
    pub fn new(source: &Source, spans: &Spans<'_>, problems: Vec<Problem>) -> Self {
        let mut list: Vec<_> = problems
            .into_iter()
            .map(|problem| (within(&source.text, spans.range(&problem.place)), problem))
            .collect();
        list.sort_by_key(|(range, _)| range.start);
        Self {
            source: source.clone(),
            list,
        }
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.list.len()
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    /// Renders them all, with colours or without.
    #[must_use]
    pub fn render(&self, colour: bool) -> String {
        let renderer = if colour {
            Renderer::styled()
        } else {
            Renderer::plain()
        };
        let path = self.source.path.to_string_lossy();
        let mut text = String::new();
        let (mut counted, mut line) = (0, 1);
        for (range, problem) in self.list.iter().take(MOST_SHOWN) {
            // Only the lines themselves: the renderer reads all that it is given, for each problem anew.
            let whole = &self.source.text;
            let from = whole[..range.start].rfind('\n').map_or(0, |at| at + 1);
            let to = whole[range.end..]
                .find('\n')
                .map_or(whole.len(), |at| range.end + at);
            // They are in order, so no part of the text is counted twice.
            line += whole[counted..from].matches('\n').count();
            counted = from;
            let annotation = AnnotationKind::Primary.span(range.start - from..range.end - from);
            let annotation = if problem.label.is_empty() {
                annotation
            } else {
                annotation.label(problem.label.as_str())
            };
            let snippet = Snippet::source(&whole[from..to])
                .line_start(line)
                .path(path.as_ref())
                .annotation(annotation);
            let mut group = Group::with_title(Level::ERROR.primary_title(problem.message.as_str()))
                .element(snippet);
            for help in &problem.help {
                group = group.element(Level::HELP.message(help.as_str()));
            }
            text.push_str(&renderer.render(&[group]));
            text.push_str("\n\n");
        }
        text + &match self.list.len() {
            1 => format!("one problem in {path}"),
            n if n <= MOST_SHOWN => format!("{n} problems in {path}"),
            _ => format!(
                "more than {MOST_SHOWN} problems in {path}, the first {MOST_SHOWN} are shown"
            ),
        }
    }
}

impl fmt::Display for Problems {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.render(false))
    }
}

impl std::error::Error for Problems {}

/// Keeps a range inside the text, on character boundaries and on its first line, so that a table's problem marks its head.
fn within(text: &str, range: Range<usize>) -> Range<usize> {
    let floor = |mut at: usize| {
        at = at.min(text.len());
        while !text.is_char_boundary(at) {
            at -= 1;
        }
        at
    };
    let start = floor(range.start);
    let end = floor(range.end).max(start);
    let line = text[start..end].find('\n').map_or(end, |n| start + n);
    start..line
}
