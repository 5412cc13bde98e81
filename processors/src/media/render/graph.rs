//! A chain of FFmpeg's picture filters with one way in and one way out.

use ffmpeg::{Rational, filter, frame};
use ffmpeg_next as ffmpeg;

/// The filters, ready for frames of one size and format.
pub struct Graph {
    graph: filter::Graph,
}

impl Graph {
    /// Builds the chain `spec` for frames like `frame` whose times are in `time_base`.
    pub fn new(frame: &frame::Video, time_base: Rational, spec: &str) -> Result<Self, ffmpeg::Error> {
        let name = frame.format().descriptor().ok_or(ffmpeg::Error::InvalidData)?.name();
        let arguments = format!(
            "video_size={}x{}:pix_fmt={name}:time_base={}/{}:pixel_aspect=1/1",
            frame.width(),
            frame.height(),
            time_base.numerator(),
            time_base.denominator()
        );
        let find = |name| filter::find(name).ok_or(ffmpeg::Error::FilterNotFound);
        let mut graph = filter::Graph::new();
        graph.add(&find("buffer")?, "in", &arguments)?;
        graph.add(&find("buffersink")?, "out", "")?;
        graph.output("in", 0)?.input("out", 0)?.parse(spec)?;
        graph.validate()?;
        Ok(Self { graph })
    }

    /// Puts a frame in; its content moves into the chain.
    pub fn push(&mut self, frame: &mut frame::Video) -> Result<(), ffmpeg::Error> {
        self.graph.get("in").ok_or(ffmpeg::Error::FilterNotFound)?.source().add(frame)
    }

    /// Says that no frame follows.
    pub fn close(&mut self) -> Result<(), ffmpeg::Error> {
        self.graph.get("in").ok_or(ffmpeg::Error::FilterNotFound)?.source().flush()
    }

    /// Takes a frame out, if one is ready.
    pub fn pull(&mut self, frame: &mut frame::Video) -> Result<(), ffmpeg::Error> {
        self.graph.get("out").ok_or(ffmpeg::Error::FilterNotFound)?.sink().frame(frame)
    }

    /// Returns the unit of the times of frames that come out.
    pub fn time_base(&mut self) -> Rational {
        self.graph.get("out").map_or(Rational(1, 1_000_000), |mut out| out.sink().time_base())
    }
}

/// Writes `text` so that a filter chain reads it back as one value: once for the option, once for the chain.
pub fn escape(text: &str) -> String {
    let quote = |text: &str, special: &str| {
        text.chars().fold(String::new(), |mut quoted, c| {
            if special.contains(c) {
                quoted.push('\\');
            }
            quoted.push(c);
            quoted
        })
    };
    quote(&quote(text, "\\':"), "\\'[],;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_are_escaped_for_option_and_chain() {
        assert_eq!(escape("/tmp/a.ass"), "/tmp/a.ass");
        assert_eq!(escape("/tmp/a:b"), "/tmp/a\\\\:b");
        assert_eq!(escape("/t,'[x]"), "/t\\,\\\\\\'\\[x\\]");
    }
}
