//! Frames: decodes a piece of picture once and gives each frame in the small sizes that analysis needs.

mod scale;

use std::collections::HashMap;
use std::io::{Read, Seek};

use ffmpeg::codec::{self, discard::Discard, threading};
use ffmpeg::format::context::Input;
use ffmpeg::util::error::EIO;
use ffmpeg::{Dictionary, Packet, Rational, Rescale, decoder, frame, rescale};
use ffmpeg_next as ffmpeg;
use pipeline::event::MediaInfo;
use pipeline::media_time::MediaTime;
use pipeline::outbox::{Pulse, Stopped};

use scale::Scaler;
pub use scale::{Rgb, THUMBNAIL_HEIGHT, THUMBNAIL_WIDTH};

/// Why there are no frames.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The work was told to stop.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The bytes could not be fetched.
    #[error("read the piece")]
    Read(#[source] ffmpeg::Error),
    /// The bytes hold no picture that can be decoded.
    #[error("decode the picture")]
    Undecodable(#[source] ffmpeg::Error),
}

/// The frames of a piece, in order of presentation, one at a time.
pub struct Frames {
    input: Input,
    stream: usize,
    decoder: decoder::Video,
    time_base: Rational,
    origin_us: i64,
    rotation_degrees: u32,
    pulse: Pulse,
    ended: bool,
    current: frame::Video,
    thumbnails: Scaler,
    /// By the size they make, of which there are two at most.
    pictures: HashMap<(usize, usize), Scaler>,
}

impl Frames {
    /// Opens the piece behind `reader` with `demuxer` and no other; `media` says how its picture is to be turned.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn open(
        reader: impl Read + Seek + Send + 'static,
        demuxer: &str,
        media: &MediaInfo,
        pulse: &Pulse,
    ) -> Result<Self, Error> {
        let input = super::open(reader, demuxer, pulse).map_err(|error| explain(error, pulse))?;
        let stream = input.streams().best(ffmpeg::media::Type::Video).map(|stream| stream.index());
        let stream = stream.ok_or(Error::Undecodable(ffmpeg::Error::StreamNotFound))?;
        let (parameters, time_base) = {
            let stream = input.stream(stream).ok_or(Error::Undecodable(ffmpeg::Error::StreamNotFound))?;
            (stream.parameters(), stream.time_base())
        };
        let decoder = decoder(parameters, time_base).map_err(Error::Undecodable)?;
        Ok(Self {
            input,
            stream,
            decoder,
            time_base,
            origin_us: media.origin_us,
            rotation_degrees: media.rotation_degrees,
            pulse: pulse.clone(),
            ended: false,
            current: frame::Video::empty(),
            thumbnails: Scaler::default(),
            pictures: HashMap::new(),
        })
    }

    /// Decodes the next frame and returns its source time; `None` after the last. Damaged packets are passed over.
    ///
    /// # Errors
    /// See [`Error`].
    pub fn advance(&mut self) -> Result<Option<MediaTime>, Error> {
        loop {
            self.pulse.beat()?;
            match self.decoder.receive_frame(&mut self.current) {
                // A frame whose references are missing shows garbage: it would look like a cut.
                Ok(()) if self.current.is_corrupt() => {}
                Ok(()) => {
                    if let Some(timestamp) = self.current.timestamp() {
                        let at_us = timestamp.rescale(self.time_base, rescale::TIME_BASE) - self.origin_us;
                        return Ok(Some(MediaTime::from_us(at_us)));
                    }
                }
                // The decoder has all there is, or a picture of what it was given was lost on the way.
                Err(ffmpeg::Error::Eof) => return Ok(None),
                Err(_) if self.ended => return Ok(None),
                Err(_) => self.feed()?,
            }
        }
    }

    /// Gives the decoder the next packet, or tells it that there is none.
    fn feed(&mut self) -> Result<(), Error> {
        loop {
            // Reading into a packet that holds one already would leak that one.
            let mut packet = Packet::empty();
            match packet.read(&mut self.input) {
                Ok(()) if packet.stream() == self.stream => {
                    // A packet that the decoder refuses is damaged; the next may be whole.
                    let _damaged = self.decoder.send_packet(&packet).is_err();
                    return Ok(());
                }
                Ok(()) => {}
                Err(ffmpeg::Error::Other { errno: EIO }) => {
                    return Err(Error::Read(ffmpeg::Error::Other { errno: EIO }));
                }
                // The end, or damage behind which the container cannot be followed.
                Err(_) => {
                    self.pulse.beat()?;
                    self.ended = true;
                    let _refused = self.decoder.send_eof();
                    return Ok(());
                }
            }
        }
    }

    /// Returns the current frame at [`THUMBNAIL_WIDTH`] by [`THUMBNAIL_HEIGHT`] pixels: three planes, brightness
    /// first. It is not turned, which does not matter to a comparison of two.
    ///
    /// # Errors
    /// When the frame's format cannot be converted.
    pub fn thumbnail(&mut self) -> Result<Vec<u8>, Error> {
        self.thumbnails.thumbnail(&self.current).map_err(Error::Undecodable)
    }

    /// Returns the current frame, turned as a person sees it, at `width` by `height` pixels.
    ///
    /// # Errors
    /// When the frame's format cannot be converted.
    pub fn picture(&mut self, width: usize, height: usize) -> Result<Rgb, Error> {
        let turned = !self.rotation_degrees.is_multiple_of(180);
        let (across, down) = if turned { (height, width) } else { (width, height) };
        let scaler = self.pictures.entry((across, down)).or_default();
        let picture = scaler.rgb(&self.current, across, down).map_err(Error::Undecodable)?;
        Ok(picture.turn(self.rotation_degrees))
    }
}

/// Opens a decoder that works in one thread (segments are what runs in parallel) and leaves out the loop
/// filter: its 20 % of the time smooth block edges that vanish at the sizes looked at here.
fn decoder(parameters: codec::Parameters, time_base: Rational) -> Result<decoder::Video, ffmpeg::Error> {
    let codec = decoder::find(parameters.id()).ok_or(ffmpeg::Error::DecoderNotFound)?;
    let mut context = codec::Context::from_parameters(parameters)?;
    context.set_threading(threading::Config::count(1));
    let mut decoder = context.decoder();
    decoder.set_packet_time_base(time_base);
    decoder.skip_loop_filter(Discard::All);
    let mut options = Dictionary::new();
    options.set("max_pixels", &super::MAX_PIXELS.to_string());
    decoder.open_as_with(codec, options)?.video()
}

/// Tells a container that cannot be read from one that was not fetched, or was not to be opened any more.
fn explain(error: ffmpeg::Error, pulse: &Pulse) -> Error {
    match error {
        _ if pulse.stop().is_cancelled() => Error::Stopped(Stopped),
        ffmpeg::Error::Other { errno: EIO } => Error::Read(error),
        _ => Error::Undecodable(error),
    }
}
