//! `orchestrate show`.

use super::args::{SelectArguments, ShowArguments};
use super::error::CliError;
use super::{exit, open, print};
use crate::manifest::config::Provenance;
use crate::report::Clean;

/// Prints resolved values, each with where it came from.
pub fn show(arguments: &ShowArguments) -> Result<u8, CliError> {
    let select = SelectArguments {
        groups: arguments.group.iter().cloned().collect(),
        profile: arguments.profile.clone(),
        ..SelectArguments::default()
    };
    let config = open::config(&select, &open::Wishes::default())?;
    let mut text = String::new();
    if arguments.group.is_none() {
        table(&mut text, "run", &config.run.provenance);
        if !config.pools.list.is_empty() {
            table(&mut text, "resources", &config.pools.provenance);
        }
    }
    for group in &config.groups {
        if arguments
            .group
            .as_ref()
            .is_none_or(|name| name == group.name.as_str())
        {
            table(
                &mut text,
                &format!("groups.{}", group.name),
                &group.provenance,
            );
            for (index, entry) in group.overrides.iter().enumerate() {
                text.push_str(&format!(
                    "# and override {} for {}\n",
                    index + 1,
                    matchers(&entry.matching)
                ));
            }
        }
    }
    print(Clean::lines(text.trim_start()));
    Ok(exit::SUCCESS)
}

fn matchers(list: &[crate::manifest::config::Matcher]) -> String {
    let words = list.iter().map(|matcher| matcher.written.as_str());
    words.collect::<Vec<_>>().join(", ")
}

fn table(text: &mut String, name: &str, values: &[Provenance]) {
    text.push_str(&format!("\n[{name}]\n"));
    let lines: Vec<_> = values
        .iter()
        .map(|value| (format!("{} = {}", value.key, value.value), &value.origin))
        .collect();
    let width = lines
        .iter()
        .map(|(line, _)| line.chars().count())
        .max()
        .unwrap_or(0)
        .min(50);
    for (line, origin) in lines {
        text.push_str(&format!("{line:width$}  # {origin}\n"));
    }
}
