//! Reads an object from a thread that may block, as FFmpeg does.

use std::io;
use std::sync::Arc;

use bytes::Bytes;
use object_store::path::Path;
use object_store::{ObjectStore, ObjectStoreExt};

use crate::event::BlobRef;

/// How much a [`Reader`] fetches at once, in bytes.
const WINDOW: u64 = 1 << 20;

/// Reads an object by range, a window at a time; blocks the calling thread.
pub struct Reader {
    objects: Arc<dyn ObjectStore>,
    path: Path,
    length: u64,
    at: u64,
    window: Bytes,
    window_start: u64,
    runtime: tokio::runtime::Handle,
}

impl io::Read for Reader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at >= self.length || buffer.is_empty() {
            return Ok(0);
        }
        let inside = self.window_start..self.window_start + self.window.len() as u64;
        if !inside.contains(&self.at) {
            let range = self.at..(self.at + WINDOW).min(self.length);
            let read = self.runtime.block_on(self.objects.get_range(&self.path, range));
            self.window = read.map_err(|error| self.unreadable(error))?;
            self.window_start = self.at;
        }
        let rest = &self.window[(self.at - self.window_start) as usize..];
        let count = rest.len().min(buffer.len());
        buffer[..count].copy_from_slice(&rest[..count]);
        self.at += count as u64;
        Ok(count)
    }
}

impl Reader {
    /// # Panics
    /// When called outside a tokio runtime.
    pub(super) fn new(objects: Arc<dyn ObjectStore>, blob: &BlobRef) -> Self {
        Self {
            objects,
            path: Path::from(blob.key.as_str()),
            length: blob.bytes,
            at: 0,
            window: Bytes::new(),
            window_start: 0,
            runtime: tokio::runtime::Handle::current(),
        }
    }

    /// Keeps what a caller tells apart: whether the object is gone, is shorter than it was, or cannot be reached.
    fn unreadable(&self, error: object_store::Error) -> io::Error {
        let is_shorter = || self.runtime.block_on(self.objects.head(&self.path)).is_ok_and(|m| m.size < self.length);
        match error {
            object_store::Error::NotFound { .. } => io::Error::new(io::ErrorKind::NotFound, error),
            _ if is_shorter() => io::Error::new(io::ErrorKind::UnexpectedEof, error),
            other => io::Error::other(other),
        }
    }
}

impl io::Seek for Reader {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let target = match to {
            io::SeekFrom::Start(n) => Some(n),
            io::SeekFrom::End(n) => self.length.checked_add_signed(n),
            io::SeekFrom::Current(n) => self.at.checked_add_signed(n),
        };
        self.at = target.ok_or(io::ErrorKind::InvalidInput)?;
        Ok(self.at)
    }
}
