//! Writing what a guest reads of an image into a new one, by the host's own converter (`qemu-img convert`, which
//! libvirt runs in `virStorageVolCreateXMLFrom`).
//!
//! The converter reads the image and everything below it and leaves out what was never written, was discarded or reads
//! as zeros. It takes none of what an image may hold besides: snapshots, bitmaps, keys. So an image's header is looked
//! at first. That the contents are the same rests on the converter's word, which libvirt passes on as the result of its
//! call; the original stays until the VM is proven at its destination. The call tells no progress and cannot be
//! cancelled: the daemon goes on with it also when we die, and removing the copy waits for its end.

use super::context::Context;
use super::failure::Failure;
use super::stream::{Piece, Reader};
use super::usage;
use super::volume::{Pool, Volume};
use crate::hypervisor::Outcome;
use crate::model::{Bytes, VolumeRef};
use crate::plan::VolumeSpec;

/// Bytes of a qcow2 header up to the end of its feature bits (version 3).
const HEADER: u64 = 104;

/// Writes the compacted copy, and removes it again where it fails.
pub(super) fn compact(
    context: &Context,
    from: &VolumeRef,
    spec: &VolumeSpec,
) -> Result<Outcome, Failure> {
    if from.host != spec.at.host {
        return Err(Failure::new(format!(
            "{from} and {} are not on one host",
            spec.at
        )));
    }
    // The call lasts, and others' short calls are not to stand behind it.
    let connection = context.own(&from.host)?;
    expect_plain(context, from)?;
    let original = Volume::at_hand(&connection, from)?;
    let facts = original.facts()?;
    if facts.capacity != spec.capacity {
        let (is, wanted) = (facts.capacity.0, spec.capacity.0);
        let why = format!("{from} holds {is} bytes, not {wanted}");
        return Err(Failure::new(why).with_help("It changed since the plan was made. Plan again."));
    }
    usage::expect_no_writer(&connection, &facts.path)?;
    let pool = Pool::find(&connection, &spec.at.pool)?;
    context.expect_not_cancelled()?;
    let made = pool.create_from(spec, &original)?;
    // Nobody may have begun to write to the original while it was read.
    match usage::expect_no_writer(&connection, &facts.path).and_then(|()| made.facts()) {
        Ok(copy) if facts.backing.is_none() => {
            let (is, was) = (copy.allocation, facts.allocation);
            context
                .watch
                .note(&format!("{from} occupies {was}, its compacted copy {is}"));
            Ok(Outcome {
                saved: was.minus(is),
                ..Outcome::default()
            })
        }
        Ok(_) => Ok(Outcome::default()),
        Err(failure) => Err(made.removed_after(failure)),
    }
}

/// Refuses an image that holds what a compacted copy would lose.
pub(super) fn expect_plain(context: &Context, at: &VolumeRef) -> Result<(), Failure> {
    let connection = context.work(&at.host)?;
    let volume = Volume::at_hand(&connection, at)?;
    let facts = volume.facts()?;
    let length = facts.physical.min(Bytes(HEADER)).0;
    let mut reader = Reader::new(&connection, volume, length);
    let mut header = Vec::new();
    while let Some(piece) = reader.next()? {
        match piece {
            Piece::Data(data) => header.extend(data),
            Piece::Hole(_) => break,
        }
    }
    match lost(&header) {
        None => Ok(()),
        Some(what) => Err(
            Failure::new(format!("{at} {what}, which a compacted copy would lose"))
                .with_help("Leave `shrink` and `flatten` out for this VM, then plan again."),
        ),
    }
}

/// What a qcow2 image holds besides what a guest reads, as the rest of a sentence about it.
fn lost(header: &[u8]) -> Option<String> {
    let number = |at: usize, length: usize| {
        let bytes = header.get(at..at + length).unwrap_or_default();
        bytes
            .iter()
            .fold(0_u64, |sum, byte| sum << 8 | u64::from(*byte))
    };
    if header.get(..4) != Some(b"QFI\xfb") || header.len() < 72 {
        return Some("is no qcow2 image that can be read".into());
    }
    // Feature bits come with version 3.
    let [incompatible, autoclear] =
        [72, 88].map(|at| if number(4, 4) < 3 { 0 } else { number(at, 8) });
    let snapshots = number(60, 4);
    if snapshots > 0 {
        Some(format!("has {snapshots} internal snapshots"))
    } else if number(32, 4) > 0 {
        Some("is encrypted".into())
    } else if incompatible & 0b110 > 0 {
        Some("is marked as damaged or keeps its data in another file".into())
    } else if autoclear & 1 > 0 {
        Some("has bitmaps of a backup program".into())
    } else {
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The header of an image of version 3 as `qemu-img create` makes it.
    fn header() -> Vec<u8> {
        let mut header = vec![0; 104];
        header[..8].copy_from_slice(b"QFI\xfb\0\0\0\x03");
        header
    }

    #[test]
    fn a_plain_image_loses_nothing() {
        assert_eq!(lost(&header()), None);
    }

    #[test]
    fn what_would_be_lost_is_seen_in_the_header() {
        let marks = [
            (63, 2, "2 internal snapshots"),
            (35, 1, "encrypted"),
            (79, 2, "damaged"),
            (79, 4, "another file"),
            (95, 1, "bitmaps"),
        ];
        for (at, value, told) in marks {
            let mut header = header();
            header[at] = value;
            let lost = lost(&header).unwrap();
            assert!(lost.contains(told), "{lost}");
        }
    }

    #[test]
    fn feature_bits_count_only_where_the_version_has_them() {
        let mut header = header();
        header[7] = 2;
        header[95] = 1;
        assert_eq!(lost(&header), None);
    }

    #[test]
    fn what_is_no_qcow2_image_is_refused() {
        assert!(lost(b"QFI").is_some());
        assert!(lost(&[0; 104]).is_some());
    }
}
