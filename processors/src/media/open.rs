//! Opens containers for reading.
//!
//! FFmpeg decodes frames while it looks at streams, with no limit on their size unless each stream is given one;
//! the safe binding has no way to, so the two steps are taken here.

use std::io::{self, Read, Seek, SeekFrom};
use std::ptr;

use ffmpeg::ffi;
use ffmpeg::format::context::{Input, StreamIo};
use ffmpeg::util::interrupt;
use ffmpeg::{Dictionary, Error, Packet, media};
use ffmpeg_next as ffmpeg;
use pipeline::outbox::Pulse;
use tokio_util::sync::CancellationToken;

use super::{MAX_PIXELS, initialize};

/// Opens a container through `reader` with one of `demuxers` and no other. Reading stops when `pulse` does, with
/// [`Error::Exit`].
///
/// # Errors
/// FFmpeg's, when the bytes are of no such container or cannot be read.
pub fn open(reader: impl Read + Seek + Send + 'static, demuxers: &str, pulse: &Pulse) -> Result<Input, Error> {
    let mut input = open_container(reader, demuxers, pulse)?;
    learn_streams(&mut input)?;
    Ok(input)
}

/// Reads a container's header. Nothing is decoded yet, and some of its streams may not be known yet.
pub(crate) fn open_container(
    reader: impl Read + Seek + Send + 'static,
    demuxers: &str,
    pulse: &Pulse,
) -> Result<Input, Error> {
    initialize();
    let stop = pulse.stop().clone();
    let mut io = StreamIo::from_read_seek(Stoppable { reader, stop: stop.clone() })?;
    let interrupt = interrupt::new(Box::new(move || stop.is_cancelled()));
    let mut options = Dictionary::new();
    options.set("format_whitelist", demuxers);
    // SAFETY: the context is new; `io` and the interrupt's guard outlive it, because the wrapper owns all three.
    // When opening fails FFmpeg frees the context, and leaves `io` to its owner because of the flag.
    unsafe {
        let mut context = ffi::avformat_alloc_context();
        if context.is_null() {
            return Err(Error::Other { errno: libc::ENOMEM });
        }
        (*context).pb = io.as_mut_ptr();
        (*context).flags |= ffi::AVFMT_FLAG_CUSTOM_IO;
        (*context).interrupt_callback = interrupt.interrupt;
        let mut options = options.disown();
        let opened = ffi::avformat_open_input(&raw mut context, ptr::null(), ptr::null_mut(), &raw mut options);
        drop(Dictionary::own(options));
        match opened {
            0 => Ok(Input::wrap_with_custom_io_and_interrupt(context, io, interrupt.guard)),
            error => Err(Error::from(error)),
        }
    }
}

/// Reads on until the streams are known; frames larger than [`MAX_PIXELS`] are not decoded for it.
pub(crate) fn learn_streams(input: &mut Input) -> Result<(), Error> {
    if input.nb_streams() == 0 {
        meet_streams(input)?;
    }
    let limited = |_| {
        let mut options = Dictionary::new();
        options.set("max_pixels", &MAX_PIXELS.to_string());
        options.set("threads", "1");
        // SAFETY: ownership goes to the array below, which frees every entry.
        unsafe { options.disown() }
    };
    let mut options: Vec<*mut ffi::AVDictionary> = (0..input.nb_streams()).map(limited).collect();
    // SAFETY: the context is open, and the array has an entry for each of its streams.
    let learned = unsafe { ffi::avformat_find_stream_info(input.as_mut_ptr(), options.as_mut_ptr()) };
    for entry in &mut options {
        // SAFETY: each entry is a dictionary or null, and is freed once.
        unsafe { ffi::av_dict_free(entry) };
    }
    if learned < 0 { Err(Error::from(learned)) } else { Ok(()) }
}

/// FLV names no streams in its header: reads packets until there is picture, then goes back.
fn meet_streams(input: &mut Input) -> Result<(), Error> {
    const PACKETS: usize = 256;
    for _ in 0..PACKETS {
        let mut packet = Packet::empty();
        match packet.read(input) {
            Err(Error::Exit) => return Err(Error::Exit),
            Err(_) => break,
            Ok(()) => {}
        }
        if input.streams().any(|s| s.parameters().medium() == media::Type::Video) {
            break;
        }
    }
    input.seek(0, ..)
}

/// Stops reading when it is told to.
struct Stoppable<R> {
    reader: R,
    stop: CancellationToken,
}

impl<R: Read> Read for Stoppable<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.stop.is_cancelled() {
            // The binding passes an error's number on to FFmpeg as it is, so this arrives as `Error::Exit`.
            return Err(io::Error::from_raw_os_error(-ffi::AVERROR_EXIT));
        }
        self.reader.read(buffer)
    }
}

impl<R: Seek> Seek for Stoppable<R> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.reader.seek(to)
    }
}
