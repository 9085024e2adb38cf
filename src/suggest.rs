//! "Did you mean …": the known name that is nearest to one that is not known.

/// The longest word that something is suggested for: nobody slips at a longer one, and comparing costs its square.
const LONGEST: usize = 120;

/// How many candidates are looked at.
const MOST: usize = 5_000;

/// How many names a message lists.
const MOST_LISTED: usize = 30;

/// The candidate most like `word`, if one is near enough to be what was meant.
pub fn nearest<'a>(word: &str, candidates: impl IntoIterator<Item = &'a str>) -> Option<&'a str> {
    if word.len() > LONGEST {
        return None;
    }
    let lower = word.to_lowercase();
    candidates
        .into_iter()
        .take(MOST)
        // Nothing that is much longer or shorter can be near enough.
        .filter(|candidate| {
            candidate.len() <= LONGEST
                && candidate.len().abs_diff(word.len()) <= candidate.len().max(word.len()) / 3 + 1
        })
        .map(|candidate| {
            let distance = strsim::damerau_levenshtein(&lower, &candidate.to_lowercase());
            (distance, candidate)
        })
        // A third of the letters may differ: `tmeout` is `timeout`, `foo` is not `for`-anything.
        .filter(|(distance, candidate)| {
            *distance <= (candidate.chars().count().max(word.chars().count()) / 3).max(1)
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// `: did you mean "x"?`, or nothing.
pub fn did_you_mean<'a>(
    word: &str,
    candidates: impl IntoIterator<Item = &'a str>,
) -> Option<String> {
    nearest(word, candidates).map(|name| format!("did you mean `{name}`?"))
}

/// Names in a sentence, the first few of them.
pub fn listed<'a>(names: impl IntoIterator<Item = &'a str>) -> String {
    let mut names = names.into_iter();
    let first: Vec<&str> = names.by_ref().take(MOST_LISTED).collect();
    let more = names.next().map_or("", |_| ", \u{2026}");
    first.join(", ") + more
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_a_stranger_is_not() {
        let known = ["timeout", "workers", "chunk-size"];
        assert_eq!(nearest("tiemout", known), Some("timeout"));
        assert_eq!(nearest("chunk_size", known), Some("chunk-size"));
        assert_eq!(nearest("Workers", known), Some("workers"));
        assert_eq!(nearest("colour", known), None);
    }
}
