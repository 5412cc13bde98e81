//! The bytes of a container, watched: FFmpeg's errors do not tell a damaged file from a blob store that is down.

use std::io::{self, Read, Seek, SeekFrom};
use std::sync::{Arc, Mutex, PoisonError};

use ffmpeg_next as ffmpeg;
use pipeline::failure::{Code, Failure};
use pipeline::outbox::Stopped;

/// Tells a source that is gone, which no waiting brings back, from one that cannot be reached now.
pub(crate) fn unreadable(error: io::Error) -> Failure {
    let gone = matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::UnexpectedEof);
    let error = anyhow::Error::new(error).context("read source");
    if gone { Failure::reject(Code::SourceGone, error) } else { Failure::Unavailable(error) }
}

/// Keeps the first error of a [`Source`], to be asked for when FFmpeg reports something.
#[derive(Clone, Default)]
pub(crate) struct Trouble(Arc<Mutex<Option<io::Error>>>);

impl Trouble {
    fn note(&self, error: &io::Error) {
        let mut first = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(|| io::Error::new(error.kind(), error.to_string()));
    }

    /// Says why reading stopped, if it was not the container's fault.
    ///
    /// # Errors
    /// See [`unreadable`].
    pub(crate) fn check(&self) -> Result<(), Failure> {
        let error = self.0.lock().unwrap_or_else(PoisonError::into_inner).take();
        error.map_or(Ok(()), |error| Err(unreadable(error)))
    }

    /// Turns FFmpeg's `error` into a failure: told to stop, bytes not readable, or `code`.
    pub(crate) fn explain(&self, error: ffmpeg::Error, code: Code) -> Failure {
        if error == ffmpeg::Error::Exit {
            return Stopped.into();
        }
        match self.check() {
            Err(failure) => failure,
            Ok(()) => Failure::reject(code, error),
        }
    }
}

/// A reader that notes its first error in a [`Trouble`].
pub(crate) struct Source<R> {
    inner: R,
    trouble: Trouble,
}

impl<R> Source<R> {
    /// Watches `inner`.
    pub(crate) fn new(inner: R) -> (Self, Trouble) {
        let trouble = Trouble::default();
        (Self { inner, trouble: trouble.clone() }, trouble)
    }
}

impl<R: Read> Read for Source<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.inner.read(buffer).inspect_err(|error| self.trouble.note(error))
    }
}

impl<R: Seek> Seek for Source<R> {
    /// A place that cannot be is a damaged container's doing, so errors here are not trouble.
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.inner.seek(to)
    }
}
