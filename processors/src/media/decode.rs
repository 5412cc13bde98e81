//! Decoders for hostile streams: bounded frames, one thread.

use ffmpeg::codec::Context;
use ffmpeg::codec::decoder::Opened;
use ffmpeg::{Dictionary, Error, Stream};
use ffmpeg_next as ffmpeg;

use super::MAX_PIXELS;

/// Opens the decoder of a video stream.
pub(crate) fn video(stream: &Stream<'_>) -> Result<ffmpeg::decoder::Video, Error> {
    open(stream)?.video()
}

/// Opens the decoder of a video stream of which only the order of frames is wanted.
pub(crate) fn order_only(stream: &Stream<'_>) -> Result<ffmpeg::decoder::Video, Error> {
    let mut decoder = open(stream)?;
    decoder.skip_loop_filter(ffmpeg::Discard::All);
    decoder.skip_idct(ffmpeg::Discard::All);
    decoder.video()
}

/// Opens the decoder of an audio stream.
pub(crate) fn audio(stream: &Stream<'_>) -> Result<ffmpeg::decoder::Audio, Error> {
    open(stream)?.audio()
}

fn open(stream: &Stream<'_>) -> Result<Opened, Error> {
    let mut decoder = Context::from_parameters(stream.parameters())?.decoder();
    decoder.set_packet_time_base(stream.time_base());
    let codec = ffmpeg::decoder::find(stream.parameters().id()).ok_or(Error::DecoderNotFound)?;
    let mut options = Dictionary::new();
    options.set("max_pixels", &MAX_PIXELS.to_string());
    // More threads hold more frames at once, and the workers' slots use the cores already.
    options.set("threads", "1");
    decoder.open_as_with(codec, options)
}
