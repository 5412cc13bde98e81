//! Makes one clip out of a source: one decode, crop and scale of only what is shown, one encode.
//!
//! `source` reads packets from the keyframe before the start · `normal` turns frames upright, 8 bit, limited
//! range · `clock` lays them on an even grid · `camera` crops and scales · `sound` lays samples on the same
//! timeline · `output` encodes and muxes · `check` looks at what went in and what came out · `poster` keeps a
//! still picture.

mod camera;
mod check;
mod clock;
mod graph;
mod normal;
mod output;
mod poster;
mod sound;
mod source;

use std::io::{Read, Seek};
use std::path::{Path, PathBuf};

use ffmpeg::codec::discard::Discard;
use ffmpeg::frame;
use ffmpeg_next as ffmpeg;
use pipeline::event::{Framing, FramingMode, MediaInfo};
use pipeline::failure::Failure;
use pipeline::outbox::{Pulse, Stopped};

pub use check::Faults;

use camera::Camera;
use check::Watch;
use clock::{Clock, Slot};
use graph::Graph;
use normal::Normalizer;
use output::{Colours, Output};
use poster::PosterPicker;
use sound::Sound;
use source::{Item, Source};

use super::source::Source as Watched;

/// Two timestamps of one frame may differ by this much, in microseconds: containers round to a millisecond.
const ROUNDING_US: i64 = 600;

/// How long reading goes on past the end for sound that lags behind the picture in the file, in microseconds.
const SOUND_LAG_US: i64 = 5_000_000;

/// What to make of which part of a source. All times are source times in microseconds.
#[derive(Clone, Debug)]
pub struct Plan {
    /// What was measured of the source.
    pub media: MediaInfo,
    /// The clip begins with the first frame at or after this.
    pub start_us: i64,
    /// It ends before the first frame at or after this.
    pub end_us: i64,
    /// How it is cropped, in order, without gaps.
    pub framings: Vec<Framing>,
    /// Width of the clip in pixels, even.
    pub width: u32,
    /// Height of the clip in pixels, even.
    pub height: u32,
    /// An ASS file to draw into the picture, its times counted from the clip's start.
    pub subtitles: Option<PathBuf>,
    /// How it is encoded.
    pub encoding: Encoding,
}

/// How a clip is encoded.
#[derive(Clone, Debug)]
pub struct Encoding {
    /// x264's preset.
    pub preset: String,
    /// x264's constant rate factor; lower is better and larger.
    pub crf: f64,
    /// Threads of the encoder.
    pub encode_threads: u32,
    /// Threads of the decoder.
    pub decode_threads: u32,
}

/// What was made.
#[derive(Clone, Debug)]
pub struct Rendered {
    /// Frames in the clip.
    pub frames: u64,
    /// Frames a second, as numerator and denominator.
    pub frame_rate: (i32, i32),
    /// Source time of the first frame, in microseconds.
    pub first_us: i64,
    /// Length in microseconds.
    pub duration_us: i64,
    /// A still picture, JPEG.
    pub poster: Vec<u8>,
    /// The whole source at the first frame, a small JPEG.
    pub source: Vec<u8>,
}

/// Why no clip was made.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Told to stop.
    #[error(transparent)]
    Stopped(#[from] Stopped),
    /// The source's bytes could not be read.
    #[error("source unreadable")]
    Unreadable(#[source] Box<Failure>),
    /// The source has no picture in the span.
    #[error("no frame could be decoded between {start_us} and {end_us} us")]
    NoPicture {
        /// Start of the span.
        start_us: i64,
        /// Its end.
        end_us: i64,
    },
    /// The clip did not pass its check.
    #[error("clip failed its check: {0}")]
    Invalid(Faults),
    /// FFmpeg could not do a step.
    #[error("{step}")]
    Step {
        /// What it was doing.
        step: &'static str,
        /// Its error.
        source: ffmpeg::Error,
    },
    /// The scaler could not do a step.
    #[error("crop and scale: {0}")]
    Scale(String),
}

/// Names the step at which FFmpeg failed.
trait During<T> {
    fn during(self, step: &'static str) -> Result<T, Error>;
}

impl<T> During<T> for Result<T, ffmpeg::Error> {
    fn during(self, step: &'static str) -> Result<T, Error> {
        self.map_err(|source| Error::Step { step, source })
    }
}

/// Makes the clip that `plan` describes out of the source behind `reader` and writes it to the file `to` as mp4.
///
/// # Errors
/// See [`Error`]; the file `to` is worthless then.
pub fn render(
    reader: impl Read + Seek + Send + 'static,
    plan: &Plan,
    to: &Path,
    pulse: &Pulse,
) -> Result<Rendered, Error> {
    let (reader, trouble) = Watched::new(reader);
    let made = render_watched(reader, plan, to, pulse);
    // FFmpeg takes bytes that cannot be read for the end or for damage, and its errors for a stop do not say so.
    pulse.beat()?;
    trouble.check().map_err(|failure| Error::Unreadable(Box::new(failure)))?;
    made
}

fn render_watched(
    reader: impl Read + Seek + Send + 'static,
    plan: &Plan,
    to: &Path,
    pulse: &Pulse,
) -> Result<Rendered, Error> {
    let input = super::open(reader, &plan.media.demuxer, pulse).during("open source")?;
    let mut source = Source::open(input, plan)?;
    let mut decoder = source.video_decoder(plan.encoding.decode_threads)?;
    let mut sound = Sound::new(source.audio_decoder()?, plan.start_us);
    let mut picture = Picture::new(plan, source.declared_rate(), to, pulse);
    let mut frame = frame::Video::empty();
    while let Some(item) = source.next(pulse)? {
        match item {
            Item::Video(packet) if !picture.complete => {
                let early = source.time_us(&packet).is_some_and(|t| t < plan.start_us - 500_000);
                decoder.skip_frame(if early { Discard::NonReference } else { Discard::Default });
                // A damaged packet costs its own frames only; what is missing is seen when there is no picture at all.
                if decoder.send_packet(&packet).is_ok() {
                    drain(&mut decoder, &mut frame, &source, &mut picture, &mut sound)?;
                }
            }
            Item::Video(packet) => {
                if source.time_us(&packet).is_some_and(|t| t > plan.end_us + SOUND_LAG_US) {
                    break;
                }
            }
            Item::Audio(packet) => sound.take(&packet, source.audio_time_us(&packet)),
        }
        if picture.complete && sound.reaches(plan.end_us) {
            break;
        }
    }
    if !picture.complete && decoder.send_eof().is_ok() {
        drain(&mut decoder, &mut frame, &source, &mut picture, &mut sound)?;
    }
    picture.finish(&mut sound)
}

/// Hands every frame the decoder has ready to `picture`.
fn drain(
    decoder: &mut ffmpeg::decoder::Video,
    frame: &mut frame::Video,
    source: &Source,
    picture: &mut Picture<'_>,
    sound: &mut Sound,
) -> Result<(), Error> {
    while !picture.complete && decoder.receive_frame(frame).is_ok() {
        picture.pulse.beat()?;
        let Some(at_us) = frame.timestamp().map(|t| source.video_ticks_us(t)) else { continue };
        picture.take(std::mem::replace(frame, frame::Video::empty()), at_us, sound)?;
    }
    Ok(())
}

/// The way of the picture from a decoded frame to the encoder.
struct Picture<'a> {
    plan: &'a Plan,
    to: &'a Path,
    pulse: &'a Pulse,
    normalizer: Normalizer,
    clock: Clock,
    camera: Camera,
    watch: Watch,
    poster: PosterPicker,
    source: Vec<u8>,
    burn: Option<Graph>,
    output: Option<Output>,
    complete: bool,
}

impl<'a> Picture<'a> {
    fn new(plan: &'a Plan, declared_rate: f64, to: &'a Path, pulse: &'a Pulse) -> Self {
        let clock = Clock::new(plan.media.frame_rate, declared_rate, plan.start_us, plan.end_us);
        Self {
            normalizer: Normalizer::new(plan),
            camera: Camera::new(plan),
            watch: Watch::default(),
            poster: PosterPicker::new(clock.expected()),
            source: Vec::new(),
            burn: None,
            output: None,
            complete: false,
            clock,
            plan,
            to,
            pulse,
        }
    }

    /// Takes the decoded frame presented at `at_us`.
    fn take(&mut self, frame: frame::Video, at_us: i64, sound: &mut Sound) -> Result<(), Error> {
        for (frame, at_us) in self.normalizer.normalize(frame, at_us)? {
            self.place(frame, at_us, sound)?;
        }
        Ok(())
    }

    fn place(&mut self, frame: frame::Video, at_us: i64, sound: &mut Sound) -> Result<(), Error> {
        for slot in self.clock.take(frame, at_us) {
            self.show(&slot, sound)?;
        }
        self.complete = self.clock.is_complete();
        Ok(())
    }

    /// Crops, scales and encodes what is shown during `slot`.
    fn show(&mut self, slot: &Slot, sound: &mut Sound) -> Result<(), Error> {
        self.pulse.beat()?;
        if self.output.is_none() {
            let colours = Colours::of(&slot.frame);
            self.output = Some(Output::create(self.to, self.plan, self.clock.rate(), &colours)?);
            self.source = poster::source((*slot.frame).clone(), (self.plan.media.width, self.plan.media.height))?;
            sound.start_at(self.clock.first_us());
        }
        let framing = framing_at(&self.plan.framings, slot.frame_us + ROUNDING_US);
        let (mut shown, view) = self.camera.shoot(&slot.frame, framing, slot.at_us)?;
        self.watch.see(&slot.frame, &view, &shown);
        self.poster.offer(slot.index, &shown, framing.is_some_and(|f| f.mode() == FramingMode::Pad));
        if self.plan.subtitles.is_some() {
            shown = self.burn(shown, slot.index)?;
        }
        let output = self.output.as_mut().expect("made above");
        output.picture(&mut shown, slot.index)?;
        output.sound(sound, slot.index)
    }

    /// Draws the captions into `shown`.
    fn burn(&mut self, mut shown: frame::Video, index: i64) -> Result<frame::Video, Error> {
        shown.set_pts(Some(index));
        let graph = match &mut self.burn {
            Some(graph) => graph,
            none => {
                let file = self.plan.subtitles.as_deref().unwrap_or(Path::new(""));
                let spec = format!("ass=filename={}", graph::escape(&file.to_string_lossy()));
                none.insert(Graph::new(&shown, self.clock.rate().invert(), &spec).during("open caption renderer")?)
            }
        };
        graph.push(&mut shown).during("draw captions")?;
        let mut drawn = frame::Video::empty();
        graph.pull(&mut drawn).during("draw captions")?;
        Ok(drawn)
    }

    /// Ends the clip and checks it.
    fn finish(mut self, sound: &mut Sound) -> Result<Rendered, Error> {
        for (frame, at_us) in self.normalizer.flush()? {
            self.place(frame, at_us, sound)?;
        }
        for slot in self.clock.finish(self.plan.media.duration_us) {
            self.show(&slot, sound)?;
        }
        let Some(output) = self.output else {
            return Err(Error::NoPicture { start_us: self.plan.start_us, end_us: self.plan.end_us });
        };
        let rate = self.clock.rate();
        let frames = output.finish(sound)?;
        let mut faults = self.watch.faults();
        faults.extend(check::inspect(self.to, frames, rate, self.pulse)?);
        if !faults.is_empty() {
            return Err(Error::Invalid(faults));
        }
        Ok(Rendered {
            frames,
            frame_rate: (rate.numerator(), rate.denominator()),
            first_us: self.clock.first_us(),
            duration_us: clock::slot_us(frames as i64, rate),
            poster: self.poster.encode()?,
            source: self.source,
        })
    }
}

/// Finds the framing that holds at `at_us`: the last one begun, or the first.
fn framing_at(framings: &[Framing], at_us: i64) -> Option<&Framing> {
    let begun = framings.partition_point(|f| f.start_us <= at_us);
    framings.get(begun.saturating_sub(1))
}
