//! Telling apart what is called alike: two tests of one id could not be told apart in the results.

use std::collections::{HashMap, HashSet};

/// Gives each but the first of those that share an id a number, and none an id that another one has already.
pub(crate) fn tell_apart<T>(things: &mut [T], id: impl Fn(&mut T) -> &mut String) {
    let mut taken: HashSet<String> = HashSet::with_capacity(things.len());
    let mut alike = false;
    for thing in &mut *things {
        alike |= !taken.insert(id(thing).clone());
    }
    if !alike {
        return;
    }
    let mut counts: HashMap<String, usize> = HashMap::new();
    for thing in things {
        let name = id(thing);
        let count = counts.entry(name.clone()).or_default();
        *count += 1;
        if *count == 1 {
            continue;
        }
        let mut numbered = format!("{name}#{count}");
        while !taken.insert(numbered.clone()) {
            *count += 1;
            numbered = format!("{name}#{count}");
        }
        *name = numbered;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_ids_are_told_apart_from_each_other_and_from_all_others() {
        let told = |ids: &[&str]| {
            let mut ids: Vec<String> = ids.iter().map(|id| (*id).to_owned()).collect();
            tell_apart(&mut ids, |id| id);
            ids
        };
        assert_eq!(told(&["a", "a", "b"]), ["a", "a#2", "b"]);
        assert_eq!(told(&["a", "a", "a#2"]), ["a", "a#3", "a#2"]);
        assert_eq!(told(&["a#2", "a", "a", "a"]), ["a#2", "a", "a#3", "a#4"]);
        assert_eq!(
            told(&["a#2", "a#2", "a", "a"]),
            ["a#2", "a#2#2", "a", "a#3"]
        );
    }
}
