//! `needs`: names that exist, and no circle.

use std::collections::HashMap;

use super::Document;
use crate::manifest::config::{GroupConfig, GroupName};
use crate::manifest::problem::{MOST_SHOWN, Problem};
use crate::manifest::source::join;
use crate::suggest::did_you_mean;

/// Checks the `needs` of all groups.
pub fn check(document: &Document<'_>, groups: &[GroupConfig], problems: &mut Vec<Problem>) {
    let Some(written) = &document.manifest.groups else {
        return;
    };
    let names = || written.keys().map(String::as_str);
    for group in groups {
        let pointer = join("/groups", group.name.as_str()) + "/needs";
        for (index, needed) in group.needs.iter().enumerate() {
            if problems.len() > MOST_SHOWN {
                return;
            }
            if !written.contains_key(needed.as_str()) {
                let place = join(&pointer, &index.to_string());
                problems.push(
                    Problem::value(place, format!("there is no group `{needed}` to need"))
                        .label("unknown group")
                        .help(did_you_mean(needed.as_str(), names())),
                );
            }
        }
    }
    // One circle is enough to mend: its members would all tell the same.
    if let Some(circle) = circle(groups) {
        let pointer = join("/groups", circle[0]) + "/needs";
        let told = circle.join(" -> ");
        problems.push(
            Problem::value(pointer, format!("groups need each other: {told}"))
                .label("none of them could ever start")
                .help("take one `needs` out".to_owned()),
        );
    }
}

#[derive(Clone, Copy, PartialEq)]
enum State {
    New,
    OnTheWay,
    Done,
}

/// A way from a group back to itself, if there is one: a search in depth, each group once, whatever hangs together.
fn circle(groups: &[GroupConfig]) -> Option<Vec<&str>> {
    let index: HashMap<&GroupName, usize> = groups
        .iter()
        .enumerate()
        .map(|(index, group)| (&group.name, index))
        .collect();
    let mut state = vec![State::New; groups.len()];
    for start in 0..groups.len() {
        // The way to where the search is, with the groups that each one on it needs and that are still to be looked at.
        let mut way = Vec::new();
        let mut at_hand = Some(start);
        loop {
            if let Some(group) = at_hand.take().filter(|group| state[*group] == State::New) {
                state[group] = State::OnTheWay;
                way.push((group, groups[group].needs.iter()));
            }
            let Some((last, needs)) = way.last_mut() else {
                break;
            };
            let Some(needed) = needs.next() else {
                state[*last] = State::Done;
                way.pop();
                continue;
            };
            at_hand = index.get(needed).copied();
            if at_hand.is_some_and(|group| state[group] == State::OnTheWay) {
                let begin = way.iter().position(|(group, _)| Some(*group) == at_hand)?;
                let mut circle: Vec<usize> = way[begin..].iter().map(|(group, _)| *group).collect();
                // Told from the group that comes first in the file.
                let first = (0..circle.len()).min_by_key(|at| circle[*at])?;
                circle.rotate_left(first);
                circle.push(circle[0]);
                return Some(
                    circle
                        .into_iter()
                        .map(|group| groups[group].name.as_str())
                        .collect(),
                );
            }
        }
    }
    None
}
