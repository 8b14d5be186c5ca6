//! Copying an image byte for byte through this process, and proving that two images are the same.
//!
//! One thread reads while another writes, with a few MiB between them, so a copy takes the time of the slower side.
//! What was copied is proven by what the destination's daemon then finds in it: length, format, virtual size and what
//! it stands on. The contents are not read back: the daemon acknowledges the last byte only after the file is written
//! and closed, and reading all of it again would double the time of every move. [`verify`] does read both.

use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender, bounded};

use super::compare::first_difference;
use super::connection::Connection;
use super::context::Context;
use super::error::CallError;
use super::failure::Failure;
use super::stream::{Piece, Reader, Writer};
use super::usage;
use super::volume::{Pool, Volume};
use super::volume_xml::VolumeFacts;
use crate::hypervisor::{Outcome, Progress};
use crate::model::{Bytes, BytesPerSecond, VolumeRef};
use crate::plan::VolumeSpec;

/// Pieces between reading and writing: at 256 KiB each, 4 MiB.
const PIECES_BETWEEN: usize = 16;

/// How often progress is told and cancelling asked for.
const TELL_EVERY: Duration = Duration::from_millis(250);

/// Copies the image into a volume that it creates, and removes that volume again where it fails.
pub(super) fn copy(
    context: &Context,
    from: &VolumeRef,
    spec: &VolumeSpec,
    bandwidth: Option<BytesPerSecond>,
) -> Result<Outcome, Failure> {
    // Streams that last get connections of their own, so that nobody's short calls stand behind their data.
    let source = context.own(&from.host)?;
    let destination = context.own(&spec.at.host)?;
    let original = Volume::at_hand(&source, from)?;
    let facts = original.facts()?;
    expect_same_shape(from, &facts, spec)?;
    usage::expect_no_writer(&source, &facts.path)?;
    let pool = Pool::fresh(&destination, &spec.at.pool)?;
    pool.expect_room(facts.allocation)?;
    context.expect_not_cancelled()?;
    let made = pool.create(spec, Some(facts.physical))?;
    let meter = Meter::new(context, facts.allocation, bandwidth);
    let reader = Reader::new(&source, original, facts.physical.0);
    let filled = fill(meter, reader, &destination, &made).and_then(|sent| {
        pool.refresh()?;
        made.prove(spec)?;
        let physical = made.facts()?.physical;
        if facts.kind == "file" && physical != facts.physical {
            let (is, wanted) = (physical.0, facts.physical.0);
            let why = format!("{} is {is} bytes long, its original {wanted}", spec.at);
            return Err(Failure::new(why));
        }
        // Nobody may have begun to write to the original while it was read.
        usage::expect_no_writer(&source, &facts.path)?;
        Ok(sent)
    });
    match filled {
        Ok(bytes) => Ok(Outcome {
            bytes,
            downtime: None,
            ..Outcome::default()
        }),
        Err(failure) => Err(remove_by_any_way(context, spec, &made, failure)),
    }
}

/// The connection that carried the copy may be what failed, so removing tries a fresh one too.
fn remove_by_any_way(
    context: &Context,
    spec: &VolumeSpec,
    made: &Volume,
    failure: Failure,
) -> Failure {
    if made.delete().is_ok() {
        return failure;
    }
    let again = Context::insist(|| context.work(&spec.at.host))
        .map_err(Failure::from)
        .and_then(|connection| {
            Ok(Pool::fresh(&connection, &spec.at.pool)?.volume(&spec.at.volume)?)
        });
    match again {
        Ok(Some(volume)) => volume.removed_after(failure),
        Ok(None) => failure,
        Err(error) => failure.and(format!("{} could not be removed: {}", spec.at, error.why())),
    }
}

fn expect_same_shape(
    from: &VolumeRef,
    facts: &VolumeFacts,
    spec: &VolumeSpec,
) -> Result<(), Failure> {
    if facts.format == spec.format && facts.capacity == spec.capacity {
        return Ok(());
    }
    let why = format!(
        "{from} is {} of {} bytes, not {} of {} bytes",
        facts.format, facts.capacity.0, spec.format, spec.capacity.0
    );
    Err(Failure::new(why).with_help("It changed since the plan was made. Plan again."))
}

fn fill(
    mut meter: Meter<'_>,
    mut reader: Reader,
    destination: &Arc<Connection>,
    made: &Volume,
) -> Result<Bytes, Failure> {
    let mut writer = Writer::new(destination, made)?;
    thread::scope(|scope| {
        // Made in here, so that leaving early for whatever reason hangs up on the reader, which is waited for.
        let (sender, pieces) = bounded(PIECES_BETWEEN);
        scope.spawn(move || read_all(&mut reader, &sender));
        loop {
            let Some(piece) = next(meter.context, &pieces)? else {
                writer.finish()?;
                return Ok(meter.done);
            };
            writer.write(&piece)?;
            meter.passed(&piece)?;
        }
    })
}

/// A message from reading to writing: a piece, the end (`None`), or why there is none.
type Message = Result<Option<Piece>, CallError>;

fn read_all(reader: &mut Reader, sender: &Sender<Message>) {
    loop {
        let next = reader.next();
        let more = matches!(next, Ok(Some(_)));
        // Nobody listens any more where the other side has failed or was cancelled.
        if sender.send(next).is_err() || !more {
            return;
        }
    }
}

/// The next piece, with an open ear for cancelling while there is none.
fn next(context: &Context, pieces: &Receiver<Message>) -> Result<Option<Piece>, Failure> {
    loop {
        context.expect_not_cancelled()?;
        match pieces.recv_timeout(TELL_EVERY) {
            Ok(message) => return Ok(message?),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => {
                return Err(Failure::new("reading ended without a result"));
            }
        }
    }
}

/// Tells how far a transfer is, and holds it back where it would be faster than it may.
struct Meter<'a> {
    context: &'a Context<'a>,
    done: Bytes,
    total: Bytes,
    limit: Option<BytesPerSecond>,
    began: Instant,
    told: (Instant, Bytes),
}

impl<'a> Meter<'a> {
    fn new(context: &'a Context<'a>, total: Bytes, limit: Option<BytesPerSecond>) -> Self {
        Self {
            context,
            done: Bytes::ZERO,
            total,
            limit,
            began: Instant::now(),
            told: (Instant::now(), Bytes::ZERO),
        }
    }

    fn passed(&mut self, piece: &Piece) -> Result<(), Failure> {
        if let Piece::Data(data) = piece {
            self.done = self.done.plus(Bytes(data.len() as u64));
        }
        self.tell();
        self.hold_back()
    }

    /// Waits until so many bytes are due at the rate limit, with an open ear for cancelling.
    fn hold_back(&self) -> Result<(), Failure> {
        let Some(limit) = self.limit else {
            return Ok(());
        };
        let due = Duration::from_millis(limit.time_for(self.done).0);
        while let Some(early) = due
            .checked_sub(self.began.elapsed())
            .filter(|early| !early.is_zero())
        {
            self.context.expect_not_cancelled()?;
            thread::sleep(early.min(TELL_EVERY));
        }
        Ok(())
    }

    fn tell(&mut self) {
        let (at, before) = self.told;
        let elapsed = at.elapsed();
        if elapsed < TELL_EVERY {
            return;
        }
        let millis = u64::try_from(elapsed.as_millis())
            .unwrap_or(u64::MAX)
            .max(1);
        let rate = self.done.minus(before).0.saturating_mul(1000) / millis;
        self.context.watch.progress(Progress {
            done: self.done,
            total: self.total.max(self.done),
            rate: Some(BytesPerSecond(rate)),
        });
        self.told = (Instant::now(), self.done);
    }
}

/// Proves that two images have the same bytes, by reading both.
pub(super) fn verify(
    context: &Context,
    from: &VolumeRef,
    to: &VolumeRef,
    bandwidth: Option<BytesPerSecond>,
) -> Result<Outcome, Failure> {
    let (one, other) = (context.own(&from.host)?, context.own(&to.host)?);
    let volumes = [Volume::find(&one, from)?, Volume::find(&other, to)?];
    let facts = [volumes[0].facts()?, volumes[1].facts()?];
    for (connection, facts) in [(&one, &facts[0]), (&other, &facts[1])] {
        usage::expect_no_writer(connection, &facts.path)?;
    }
    let differs = |what: String| {
        Failure::new(format!("{to} is not the same image as {from}: {what}")).with_help(
            "Rename or remove the one that is wrong, then plan again: Domicile will copy the image.",
        )
    };
    let shapes = [0, 1].map(|side: usize| {
        let VolumeFacts {
            format,
            capacity,
            physical,
            ..
        } = &facts[side];
        format!(
            "{format} of {} bytes, {} bytes long",
            capacity.0, physical.0
        )
    });
    if shapes[0] != shapes[1] {
        let [is, wanted] = [&shapes[1], &shapes[0]];
        return Err(differs(format!("it is {is}, not {wanted}")));
    }
    let [first, second] = volumes;
    let length = facts[0].physical.0;
    let readers = [
        Reader::new(&one, first, length),
        Reader::new(&other, second, length),
    ];
    let meter = Meter::new(context, facts[0].allocation, bandwidth);
    match compare(meter, readers)? {
        (_, Some(at)) => Err(differs(format!("they differ at byte {at}"))),
        (bytes, None) => Ok(Outcome {
            bytes,
            downtime: None,
            ..Outcome::default()
        }),
    }
}

/// The bytes read from the first, and where they first differ.
fn compare(mut meter: Meter<'_>, readers: [Reader; 2]) -> Result<(Bytes, Option<u64>), Failure> {
    thread::scope(|scope| {
        let sides = readers.map(|mut reader| {
            let (sender, pieces) = bounded(PIECES_BETWEEN / 2);
            scope.spawn(move || read_all(&mut reader, &sender));
            pieces
        });
        let context = meter.context;
        let [one, other] = &sides;
        let at = first_difference(
            || {
                let piece = next(context, one)?;
                if let Some(piece) = &piece {
                    meter.passed(piece)?;
                }
                Ok(piece)
            },
            || next(context, other),
        )?;
        Ok((meter.done, at))
    })
}
