//! Two images in pieces, however they are cut, into the place where they first differ.

use super::stream::Piece;

/// The offset of the first byte that differs, or where the shorter one ends; `None` where they are the same. Each
/// function gives the next piece of its side.
pub(super) fn first_difference<E>(
    mut next_of_one: impl FnMut() -> Result<Option<Piece>, E>,
    mut next_of_other: impl FnMut() -> Result<Option<Piece>, E>,
) -> Result<Option<u64>, E> {
    let (mut one, mut other) = (Side::default(), Side::default());
    let mut at = 0;
    loop {
        one.refill(&mut next_of_one)?;
        other.refill(&mut next_of_other)?;
        let length = one.left().min(other.left());
        if length == 0 {
            let both_ended = one.left() == other.left();
            return Ok((!both_ended).then_some(at));
        }
        if let Some(offset) = difference(one.advance(length), other.advance(length)) {
            return Ok(Some(at + offset));
        }
        at += length;
    }
}

/// A piece and how much of it is compared already.
#[derive(Default)]
struct Side {
    piece: Option<Piece>,
    done: u64,
}

impl Side {
    fn refill<E>(&mut self, next: &mut impl FnMut() -> Result<Option<Piece>, E>) -> Result<(), E> {
        while self.left() == 0 {
            let Some(piece) = next()? else {
                return Ok(());
            };
            self.piece = Some(piece);
            self.done = 0;
        }
        Ok(())
    }

    fn left(&self) -> u64 {
        match &self.piece {
            Some(Piece::Data(data)) => data.len() as u64 - self.done,
            Some(Piece::Hole(length)) => length - self.done,
            None => 0,
        }
    }

    /// The next bytes of this piece, at most what is left; `None` for zeros that are nowhere stored.
    fn advance(&mut self, length: u64) -> Option<&[u8]> {
        let begin = self.done;
        self.done += length;
        match &self.piece {
            Some(Piece::Data(data)) => {
                let begin = usize::try_from(begin).unwrap_or_default();
                let end = begin + usize::try_from(length).unwrap_or_default();
                Some(data.get(begin..end).unwrap_or_default())
            }
            _ => None,
        }
    }
}

/// The first place where two stretches of the same length differ; `None` in place of bytes means zeros.
fn difference(one: Option<&[u8]>, other: Option<&[u8]>) -> Option<u64> {
    let position = match (one, other) {
        (None, None) => None,
        (Some(bytes), None) | (None, Some(bytes)) => bytes.iter().position(|byte| *byte != 0),
        (Some(one), Some(other)) if one == other => None,
        (Some(one), Some(other)) => one.iter().zip(other).position(|(a, b)| a != b),
    };
    position.map(|offset| offset as u64)
}

#[cfg(test)]
mod tests {
    use std::convert::Infallible;

    use proptest::prelude::*;

    use super::*;

    fn compared(one: Vec<Piece>, other: Vec<Piece>) -> Option<u64> {
        let (mut one, mut other) = (one.into_iter(), other.into_iter());
        let result: Result<_, Infallible> =
            first_difference(|| Ok(one.next()), || Ok(other.next()));
        match result {
            Ok(at) => at,
            Err(never) => match never {},
        }
    }

    fn cut(bytes: &[u8], lengths: &[usize]) -> Vec<Piece> {
        let mut pieces = Vec::new();
        let mut rest = bytes;
        for length in lengths.iter().cycle() {
            if rest.is_empty() {
                return pieces;
            }
            let (now, later) = rest.split_at((*length).min(rest.len()));
            let zero = now.iter().all(|byte| *byte == 0);
            pieces.push(if zero {
                Piece::Hole(now.len() as u64)
            } else {
                Piece::Data(now.to_vec())
            });
            rest = later;
        }
        pieces
    }

    proptest! {
        #[test]
        fn the_same_bytes_are_equal_however_they_arrive_in_pieces(
            bytes in prop::collection::vec(0_u8..2, 0..200),
            one in prop::collection::vec(1_usize..20, 1..6),
            other in prop::collection::vec(1_usize..20, 1..6),
        ) {
            prop_assert_eq!(compared(cut(&bytes, &one), cut(&bytes, &other)), None);
        }

        #[test]
        fn the_first_byte_that_differs_is_found(
            bytes in prop::collection::vec(0_u8..2, 1..200),
            place in any::<prop::sample::Index>(),
            one in prop::collection::vec(1_usize..20, 1..6),
            other in prop::collection::vec(1_usize..20, 1..6),
        ) {
            let mut changed = bytes.clone();
            let place = place.index(bytes.len());
            changed[place] ^= 1;
            prop_assert_eq!(compared(cut(&bytes, &one), cut(&changed, &other)), Some(place as u64));
        }
    }

    #[test]
    fn an_image_that_is_the_beginning_of_another_is_not_the_same() {
        let short = vec![Piece::Hole(4), Piece::Hole(0)];
        let long = vec![Piece::Hole(4), Piece::Data(vec![0])];
        assert_eq!(compared(short, long), Some(4));
    }
}
