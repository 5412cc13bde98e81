//! Writes one piece of picture as a small file of its own.
//!
//! The file is NUT. It takes every codec the admitted containers carry and keeps timestamps in the stream's own
//! time base, so a frame decoded from a piece has exactly the time it has in the source (compared frame by frame
//! for H.264, HEVC, VP8, VP9, AV1, MPEG-2, MPEG-4, MJPEG, ProRes, FFV1 and others). Matroska rounds to a
//! millisecond, MPEG-TS takes neither VP9 nor AV1 nor ProRes, and fragmented MP4 needs an edit list to start
//! anywhere but at zero. What NUT lacks is room for negative times, hence the shift, and for rotation, which
//! travels in [`pipeline::event::MediaInfo`].

use std::io::{self, Seek, Write};
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use ffmpeg::format::context::{Output, StreamIo};
use ffmpeg::{Dictionary, Packet, Rational, codec};
use ffmpeg_next as ffmpeg;
use tempfile::SpooledTempFile;

/// The demuxer to force for a piece.
pub(crate) const DEMUXER: &str = "nut";

/// Where the bytes of a piece are while it is written.
#[derive(Clone, Debug)]
pub struct Keep {
    /// Up to this size they are in memory, then in a temporary file.
    pub memory_bytes: usize,
    /// The folder of such files.
    pub scratch: PathBuf,
}

/// A piece being written.
pub(crate) struct Writer {
    output: Output,
    spool: Spool,
    from: Rational,
    to: Rational,
    shift_ticks: i64,
    bytes: u64,
}

impl Writer {
    /// Begins a piece of a stream with `parameters` whose packets count in `time_base`. Its bytes are kept as `keep`
    /// says. Every timestamp is moved by `shift_ticks`.
    pub(crate) fn new(
        parameters: &codec::Parameters,
        time_base: Rational,
        shift_ticks: i64,
        keep: &Keep,
    ) -> Result<Self, ffmpeg::Error> {
        // NUT's own tag for the codec; where it has none, the tag of the container it came in says what it is.
        Self::tagged(parameters, 0, time_base, shift_ticks, keep).or_else(|_| {
            // SAFETY: the parameters are alive; the tag is a plain integer.
            let tag = unsafe { (*parameters.as_ptr()).codec_tag };
            Self::tagged(parameters, tag, time_base, shift_ticks, keep)
        })
    }

    fn tagged(
        parameters: &codec::Parameters,
        tag: u32,
        time_base: Rational,
        shift_ticks: i64,
        keep: &Keep,
    ) -> Result<Self, ffmpeg::Error> {
        let spool = Spool(Arc::new(Mutex::new(Spooled {
            file: SpooledTempFile::new_in(keep.memory_bytes, &keep.scratch),
            fault: None,
        })));
        let mut output = ffmpeg::format::output_to_stream(StreamIo::from_write(spool.clone())?, None, Some(DEMUXER))?;
        let mut copy = parameters.clone();
        // SAFETY: `copy` owns its parameters; the tag is a plain integer.
        unsafe { (*copy.as_mut_ptr()).codec_tag = tag };
        let mut stream = output.add_stream(ffmpeg::encoder::find(codec::Id::None))?;
        stream.set_parameters(copy);
        stream.set_time_base(time_base);
        let mut options = Dictionary::new();
        options.set("avoid_negative_ts", "disabled");
        options.set("fflags", "+bitexact");
        // Nobody seeks in a piece, and the index aborts the process over keyframes whose times run backwards.
        options.set("write_index", "0");
        output.write_header_with(options)?;
        let to = output.stream(0).ok_or(ffmpeg::Error::StreamNotFound)?.time_base();
        Ok(Self { output, spool, from: time_base, to, shift_ticks, bytes: 0 })
    }

    /// Adds `packet`, whose presentation time must be known.
    pub(crate) fn write(&mut self, packet: &Packet) -> Result<(), ffmpeg::Error> {
        let mut copy = packet.clone();
        copy.set_stream(0);
        copy.set_position(-1_isize);
        copy.set_pts(packet.pts().map(|ticks| ticks + self.shift_ticks));
        copy.set_dts(packet.dts().map(|ticks| ticks + self.shift_ticks));
        copy.rescale_ts(self.from, self.to);
        self.bytes += packet.size() as u64;
        match copy.write(&mut self.output) {
            // Decoding times out of order: they are not stored, so the muxer may make its own.
            Err(ffmpeg::Error::Other { errno: libc::EINVAL }) => {
                copy.set_dts(None);
                copy.write(&mut self.output).map(drop)
            }
            other => other.map(drop),
        }
    }

    /// Returns how many bytes of packets were added.
    pub(crate) fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Ends the file and returns its bytes, positioned at the start.
    ///
    /// # Errors
    /// When some of it could not be kept: the folder for temporary files is full.
    pub(crate) fn finish(mut self) -> io::Result<SpooledTempFile> {
        let ended = self.output.write_trailer();
        drop(self.output);
        let mut spooled = self.spool.lock();
        if let Some(fault) = spooled.fault.take() {
            return Err(fault);
        }
        ended.map_err(io::Error::other)?;
        let mut file = std::mem::replace(&mut spooled.file, SpooledTempFile::new(0));
        file.rewind()?;
        Ok(file)
    }
}

/// Where the muxer writes; shared, because FFmpeg's context owns its end until it is dropped.
#[derive(Clone)]
struct Spool(Arc<Mutex<Spooled>>);

struct Spooled {
    file: SpooledTempFile,
    /// Why something was not kept. The muxer only says that a packet was refused, as it says of damaged ones.
    fault: Option<io::Error>,
}

impl Spool {
    fn lock(&self) -> std::sync::MutexGuard<'_, Spooled> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Write for Spool {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let mut spooled = self.lock();
        let written = spooled.file.write(bytes);
        written.map_err(|error| {
            let kind = error.kind();
            spooled.fault.get_or_insert(error);
            kind.into()
        })
    }

    fn flush(&mut self) -> io::Result<()> {
        self.lock().file.flush()
    }
}
