//! GoogleTest's XML (<https://google.github.io/googletest/advanced.html#generating-an-xml-report>): JUnit's elements, where a
//! test is `classname.name`. It is written when the program ends, so a crash leaves none.

use super::{Case, Told, junit};
use crate::plan::Item;

pub fn read(report: &[u8], holds: bool, items: &[Item]) -> Told {
    let mut told = Told::of(items);
    // What nobody listed is of the program that the items are of: `build/a_test::`.
    let program = items.first().and_then(|first| {
        let own = first.argument.to_str()?;
        first.id.strip_suffix(own)
    });
    let program = program.unwrap_or_default();
    let (cases, is_whole) = junit::cases(report);
    for case in cases {
        // What fails outside of any test has a suite and no name.
        let name = [case.class.as_str(), &case.name].join(".");
        let name = name.trim_end_matches('.').to_owned();
        let spelt = items
            .iter()
            .position(|item| item.id == name || *item.argument == *name);
        let inside = holds && spelt.is_none() && items.len() == 1;
        let case = Case {
            item: spelt.or(inside.then_some(0)),
            name: match spelt {
                None if !inside => format!("{program}{name}"),
                _ => name,
            },
            verdict: case.verdict(),
        };
        if inside && is_whole {
            let passed = super::Verdict::new(crate::outcome::Outcome::Passed, None);
            told.verdicts[0].get_or_insert(passed);
        }
        told.add(inside, items, case);
    }
    if !is_whole && !report.is_empty() {
        told.incomplete = Some("its report is cut off".to_owned());
    }
    told
}
