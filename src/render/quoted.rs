//! A sentence of ours to its pieces: words, and what stands between backticks, which is to be typed.

/// A piece of a sentence.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Piece<'t> {
    /// Words.
    Words(&'t str),
    /// What is typed, without its backticks.
    Typed(&'t str),
}

/// The pieces in order. A sentence in which backticks do not come in pairs with something between them, as with a name
/// that has one, is one piece of words.
pub(super) fn pieces(sentence: &str) -> Vec<Piece<'_>> {
    let parts: Vec<&str> = sentence.split('`').collect();
    let is_typed = |place: usize| place % 2 == 1;
    let empty = |(place, part): (usize, &&str)| is_typed(place) && part.trim().is_empty();
    if parts.len().is_multiple_of(2) || parts.iter().enumerate().any(empty) {
        return vec![Piece::Words(sentence)];
    }
    let pieces = parts.into_iter().enumerate().map(|(place, part)| {
        if is_typed(place) {
            Piece::Typed(part)
        } else {
            Piece::Words(part)
        }
    });
    pieces.filter(|piece| *piece != Piece::Words("")).collect()
}

#[cfg(test)]
mod tests {
    use super::Piece::{Typed, Words};
    use super::*;

    #[test]
    fn what_is_typed_stands_between_backticks() {
        assert_eq!(pieces("look at it"), [Words("look at it")]);
        assert_eq!(
            pieces("set `a: b` at it, `--x`"),
            [
                Words("set "),
                Typed("a: b"),
                Words(" at it, "),
                Typed("--x")
            ]
        );
    }

    #[test]
    fn backticks_without_pairs_are_words() {
        for odd in ["a ` b", "`", "``", "a `` b `c`", "`a` `b"] {
            assert_eq!(pieces(odd), [Words(odd)]);
        }
    }
}
