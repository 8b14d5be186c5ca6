//! An unknown word to the known one that was probably meant.

use super::value::one_of;

/// The most similar of the known words, if one is similar enough to be a slip.
pub(super) fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    let word = word.to_lowercase();
    let mut best: Option<(f64, &str)> = None;
    for candidate in known {
        // kvm3 is not a slip of kvm1 but another one of its kind.
        if without_digits(candidate) == without_digits(&word) && candidate.to_lowercase() != word {
            continue;
        }
        let score = strsim::normalized_damerau_levenshtein(&word, &candidate.to_lowercase());
        // Two of five letters may be wrong; more is another word.
        if score >= 0.6 && best.is_none_or(|(so_far, _)| score > so_far) {
            best = Some((score, candidate));
        }
    }
    best.map(|(_, candidate)| candidate)
}

fn without_digits(word: &str) -> String {
    let letters = word.chars().filter(|letter| !letter.is_ascii_digit());
    letters.collect::<String>().to_lowercase()
}

/// The help for an unknown word: the one that was probably meant, or all that are known.
pub(super) fn or_list(word: &str, known: &[&str]) -> String {
    match nearest(word, known.iter().copied()) {
        Some(name) => format!("did you mean `{name}`?"),
        None => format!("possible here: {}", one_of(known)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_is_recognised_and_another_word_is_not() {
        let known = ["kvm1", "kvm2", "storage"];
        assert_eq!(nearest("kmv1", known), Some("kvm1"));
        assert_eq!(nearest("STORAGE", known), Some("storage"));
        assert_eq!(nearest("db", known), None);
        assert_eq!(nearest("kvm3", known), None);
    }
}
