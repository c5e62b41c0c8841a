//! Which of the known names was meant by one that is not known.

use strsim::damerau_levenshtein;

/// Longer names are not compared: the time grows with the square of their length.
const LONGEST_COMPARED: usize = 100;

/// The name that is nearest to `name`, if one is near enough to have been meant, or to have been cut short.
pub fn nearest<'a>(name: &str, names: impl Iterator<Item = &'a str>) -> Option<&'a str> {
    let fold = |text: &str| text.to_lowercase().replace('-', "_");
    let folded = fold(name);
    if folded.len() > LONGEST_COMPARED {
        return None;
    }
    names
        .filter_map(|candidate| {
            let other = fold(candidate);
            let distance = damerau_levenshtein(&folded, &other);
            let cut = folded.len() >= 4 && other.starts_with(&folded);
            let near = cut || distance <= 1.max(candidate.chars().count() / 3);
            near.then_some((distance, candidate))
        })
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}
