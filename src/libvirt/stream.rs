//! A volume's bytes out of a daemon and into a daemon, holes kept, with bounded memory.
//!
//! libvirt's client takes what a download sends as fast as the network brings it and queues it without bound, so a
//! volume is read in parts, each a download of its own: what can be queued is one part. Uploading needs no such care:
//! a daemon stops reading when its own queue is full.

use std::sync::Arc;

use virt::stream::Stream;
use virt_sys as sys;

use super::connection::Connection;
use super::error::CallError;
use super::ffi::{self, Received};
use super::volume::Volume;

/// Bytes of one download, which is what libvirt's client may have to hold.
const PART: u64 = 8 * 1024 * 1024;

/// Bytes handed on at once; libvirt's packets are hardly larger.
const PIECE: usize = 256 * 1024;

/// The first version whose daemon takes several holes in one upload without hanging.
const TAKES_HOLES: u64 = 10_001_000;

/// A hole shorter than this is sent as zeros where the daemon takes no holes.
const SHORT_HOLE: u64 = 4 * 1024 * 1024;

/// A part of an image, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    /// These bytes.
    Data(Vec<u8>),
    /// So many bytes that were never written and read as zeros.
    Hole(u64),
}

/// Reads a volume from its first to its last byte.
pub(super) struct Reader {
    connection: Arc<Connection>,
    volume: Volume,
    stream: Option<Stream>,
    at: u64,
    part_end: u64,
    length: u64,
}

impl Reader {
    /// Of the first `length` bytes of the file or device.
    pub(super) fn new(connection: &Arc<Connection>, volume: Volume, length: u64) -> Self {
        Self {
            connection: Arc::clone(connection),
            volume,
            stream: None,
            at: 0,
            part_end: 0,
            length,
        }
    }

    /// The next part; `None` after the last byte.
    pub(super) fn next(&mut self) -> Result<Option<Piece>, CallError> {
        loop {
            if self.at >= self.length {
                return self.end_part().map(|()| None);
            }
            if self.at >= self.part_end {
                self.end_part()?;
                self.start_part()?;
            }
            if let Some(piece) = self.receive()? {
                return Ok(Some(piece));
            }
        }
    }

    fn start_part(&mut self) -> Result<(), CallError> {
        let length = PART.min(self.length - self.at);
        let stream = self.connection.call(|connect| Stream::new(connect, 0))?;
        let flags = sys::VIR_STORAGE_VOL_DOWNLOAD_SPARSE_STREAM;
        self.connection.call(|_| {
            self.volume
                .handle()
                .download(&stream, self.at, length, flags)
        })?;
        self.part_end = self.at + length;
        self.stream = Some(stream);
        Ok(())
    }

    fn end_part(&mut self) -> Result<(), CallError> {
        match self.stream.take() {
            Some(stream) => self.connection.work(|_| stream.finish()),
            None => Ok(()),
        }
    }

    /// What comes next in this part; `None` where the stream ended without a byte more than there had to be.
    fn receive(&mut self) -> Result<Option<Piece>, CallError> {
        let host = &self.connection.host;
        let Some(stream) = self.stream.as_ref() else {
            return Err(CallError::ours(
                host,
                "a download ended before its last byte",
            ));
        };
        let left = self.part_end - self.at;
        let mut buffer = vec![0; PIECE];
        let (piece, length) = match self
            .connection
            .call(|_| ffi::receive(stream, &mut buffer))?
        {
            Received::Data(count) => {
                buffer.truncate(count);
                (Piece::Data(buffer), count as u64)
            }
            Received::Hole => {
                // A hole may reach past the part that was asked for.
                let length = self
                    .connection
                    .call(|_| ffi::receive_hole(stream))?
                    .min(left);
                (Piece::Hole(length), length)
            }
            Received::End => {
                let why = format!("the image ended at byte {} of {}", self.at, self.length);
                return Err(CallError::ours(host, why));
            }
        };
        if length > left {
            let why = format!("a download sent more than asked for at byte {}", self.at);
            return Err(CallError::ours(host, why));
        }
        self.at += length;
        Ok((length > 0).then_some(piece))
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            ffi::abort_stream(stream);
        }
    }
}

/// Fills a new volume from its first byte on.
pub(super) struct Writer<'a> {
    connection: Arc<Connection>,
    volume: &'a Volume,
    takes_holes: bool,
    stream: Option<Stream>,
    at: u64,
}

impl<'a> Writer<'a> {
    /// Into this volume, which holds nothing but zeros.
    pub(super) fn new(connection: &Arc<Connection>, volume: &'a Volume) -> Result<Self, CallError> {
        Ok(Self {
            connection: Arc::clone(connection),
            volume,
            takes_holes: connection.version()? >= TAKES_HOLES,
            stream: None,
            at: 0,
        })
    }

    /// Writes what comes next.
    pub(super) fn write(&mut self, piece: &Piece) -> Result<(), CallError> {
        match piece {
            Piece::Data(data) => self.data(data),
            Piece::Hole(length) if self.takes_holes => {
                let connection = Arc::clone(&self.connection);
                let stream = self.stream()?;
                connection.call(|_| ffi::send_hole(stream, *length))?;
                self.at += length;
                Ok(())
            }
            Piece::Hole(length) if *length < SHORT_HOLE => {
                let zeros = [0; 16 * 1024];
                let mut left = usize::try_from(*length).unwrap_or_default();
                while left > 0 {
                    let count = left.min(zeros.len());
                    self.data(zeros.get(..count).unwrap_or_default())?;
                    left -= count;
                }
                Ok(())
            }
            // The volume is all zeros, so what is to be zero is passed over: the next upload starts behind it.
            Piece::Hole(length) => {
                self.end()?;
                self.at += length;
                Ok(())
            }
        }
    }

    /// Waits until the daemon has written everything.
    pub(super) fn finish(mut self) -> Result<(), CallError> {
        self.end()
    }

    fn data(&mut self, data: &[u8]) -> Result<(), CallError> {
        let connection = Arc::clone(&self.connection);
        let stream = self.stream()?;
        connection.call(|_| ffi::send(stream, data))?;
        self.at += data.len() as u64;
        Ok(())
    }

    fn stream(&mut self) -> Result<&Stream, CallError> {
        let stream = match self.stream.take() {
            Some(open) => open,
            None => self.opened()?,
        };
        Ok(self.stream.insert(stream))
    }

    fn opened(&self) -> Result<Stream, CallError> {
        let stream = self.connection.call(|connect| Stream::new(connect, 0))?;
        let flags = if self.takes_holes {
            sys::VIR_STORAGE_VOL_UPLOAD_SPARSE_STREAM
        } else {
            0
        };
        self.connection
            .call(|_| self.volume.handle().upload(&stream, self.at, 0, flags))?;
        Ok(stream)
    }

    fn end(&mut self) -> Result<(), CallError> {
        match self.stream.take() {
            Some(stream) => self.connection.work(|_| stream.finish()),
            None => Ok(()),
        }
    }
}

impl Drop for Writer<'_> {
    fn drop(&mut self) {
        if let Some(stream) = self.stream.take() {
            ffi::abort_stream(stream);
        }
    }
}
