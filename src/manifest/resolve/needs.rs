//! `needs`: names that exist, and no circle.

use super::Document;
use crate::manifest::config::GroupConfig;
use crate::manifest::problem::Problem;
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
    let circle = groups
        .iter()
        .find_map(|group| Some((group, circle(groups, group)?)));
    if let Some((group, circle)) = circle {
        let pointer = join("/groups", group.name.as_str()) + "/needs";
        problems.push(
            Problem::value(pointer, format!("groups need each other: {circle}"))
                .label("none of them could ever start")
                .help("take one `needs` out".to_owned()),
        );
    }
}

/// The way from a group back to itself, if there is one.
fn circle(groups: &[GroupConfig], start: &GroupConfig) -> Option<String> {
    let mut paths = vec![vec![start]];
    let mut seen = Vec::new();
    while let Some(path) = paths.pop() {
        let last = path.last()?;
        for needed in &last.needs {
            if *needed == start.name {
                let mut names: Vec<_> = path.iter().map(|group| group.name.as_str()).collect();
                names.push(start.name.as_str());
                return Some(names.join(" -> "));
            }
            if seen.contains(&needed) {
                continue;
            }
            seen.push(needed);
            if let Some(next) = groups.iter().find(|group| group.name == *needed) {
                let mut path = path.clone();
                path.push(next);
                paths.push(path);
            }
        }
    }
    None
}
