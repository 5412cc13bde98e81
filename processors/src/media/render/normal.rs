//! Makes every frame upright, progressive, 8 bit 4:2:0 and limited range. Most are already and pass untouched.

use ffmpeg::color::{Primaries, Range, Space, TransferCharacteristic};
use ffmpeg::format::Pixel;
use ffmpeg::{Rational, Rescale, frame};
use ffmpeg_next as ffmpeg;

use super::graph::Graph;
use super::{During, Error, Plan};

const MICRO: Rational = Rational(1, 1_000_000);

/// Frames this long before the start are not worth filtering; the deinterlacer looks at one neighbour.
const EARLY_US: i64 = 300_000;

/// Tone mapping from HDR (PQ, HLG) to what every screen shows.
const TONE_MAP: &str = "zscale=transfer=linear:primaries=bt709:npl=203,format=gbrpf32le,\
    tonemap=tonemap=hable:desat=0,zscale=transfer=bt709:matrix=bt709:range=limited,format=yuv420p";

/// Turns decoded frames into ones the camera can shoot.
pub struct Normalizer {
    interlaced: bool,
    rotation_degrees: u32,
    start_us: i64,
    /// How much of the source's resolution the clip can show at the most, 1 for all of it.
    needed: f64,
    chain: Option<(Kind, Graph)>,
}

/// What decides which filters a frame needs.
#[derive(Clone, Copy, PartialEq)]
struct Kind {
    format: Pixel,
    width: u32,
    height: u32,
    full_range: bool,
    bottom_up: bool,
    space: Space,
    transfer: TransferCharacteristic,
}

impl Normalizer {
    /// Makes the normalizer of a plan's source.
    pub fn new(plan: &Plan) -> Self {
        let scale =
            |f: &pipeline::event::Framing| (f64::from(plan.width) / f.width).max(f64::from(plan.height) / f.height);
        let needed = plan.framings.iter().map(scale).fold(0.0, f64::max);
        Self {
            interlaced: plan.media.interlaced,
            rotation_degrees: plan.media.rotation_degrees % 360,
            start_us: plan.start_us,
            needed: if needed > 0.0 { needed.min(1.0) } else { 1.0 },
            chain: None,
        }
    }

    /// Takes the frame presented at `at_us`; returns those that are ready, with their times.
    pub fn normalize(&mut self, mut frame: frame::Video, at_us: i64) -> Result<Vec<(frame::Video, i64)>, Error> {
        if at_us < self.start_us - EARLY_US {
            return Ok(Vec::new());
        }
        let kind = Kind::of(&frame);
        if !self.interlaced && self.rotation_degrees == 0 && kind.is_plain() {
            return Ok(vec![(frame, at_us)]);
        }
        let mut ready = Vec::new();
        if self.chain.as_ref().is_some_and(|(of, _)| *of != kind) {
            ready = self.flush()?;
        }
        if self.chain.is_none() {
            let graph = Graph::new(&frame, MICRO, &self.filters(&kind)).during("open picture filters")?;
            self.chain = Some((kind, graph));
        }
        if let Some((kind, graph)) = &mut self.chain {
            frame.set_pts(Some(at_us));
            graph.push(&mut frame).during("filter picture")?;
            pull(graph, kind, &mut ready);
        }
        Ok(ready)
    }

    /// Returns what the filters still hold.
    pub fn flush(&mut self) -> Result<Vec<(frame::Video, i64)>, Error> {
        let mut ready = Vec::new();
        if let Some((kind, mut graph)) = self.chain.take() {
            graph.close().during("flush picture filters")?;
            pull(&mut graph, &kind, &mut ready);
        }
        Ok(ready)
    }

    fn filters(&self, kind: &Kind) -> String {
        let mut chain = Vec::new();
        if self.interlaced {
            chain.push("bwdif=mode=send_frame:deint=all".to_owned());
        }
        if kind.is_hdr() {
            // Tone mapping works in floats: first drop the pixels nobody will see.
            if self.needed < 1.0 {
                chain.push(format!("scale=w=trunc(iw*{n}/2)*2:h=trunc(ih*{n}/2)*2:flags=area", n = self.needed));
            }
            chain.push(TONE_MAP.to_owned());
        } else if !kind.is_plain() {
            let matrix = if kind.becomes_709() { ":out_color_matrix=bt709" } else { "" };
            chain.push(format!("scale=flags=bicubic:out_range=limited{matrix},format=yuv420p"));
        }
        match self.rotation_degrees {
            90 => chain.push("transpose=clock".to_owned()),
            180 => chain.push("hflip,vflip".to_owned()),
            270 => chain.push("transpose=cclock".to_owned()),
            _ => {}
        }
        chain.push("format=yuv420p".to_owned());
        chain.join(",")
    }
}

impl Kind {
    fn of(frame: &frame::Video) -> Self {
        let jpeg = matches!(frame.format(), Pixel::YUVJ420P | Pixel::YUVJ422P | Pixel::YUVJ444P | Pixel::YUVJ440P);
        Self {
            format: frame.format(),
            width: frame.width(),
            height: frame.height(),
            full_range: jpeg || frame.color_range() == Range::JPEG,
            bottom_up: (0..frame.planes()).any(|plane| frame.stride(plane) > i32::MAX as usize),
            space: frame.color_space(),
            transfer: frame.color_transfer_characteristic(),
        }
    }

    /// Says whether the frame can be shot as it is.
    fn is_plain(&self) -> bool {
        self.format == Pixel::YUV420P && !self.full_range && !self.bottom_up && !self.becomes_709()
    }

    fn is_hdr(&self) -> bool {
        matches!(self.transfer, TransferCharacteristic::SMPTE2084 | TransferCharacteristic::ARIB_STD_B67)
    }

    /// Says whether its colours are re-coded: those of RGB and of wide gamut video have no place in the output.
    fn becomes_709(&self) -> bool {
        let wide = matches!(self.space, Space::BT2020NCL | Space::BT2020CL | Space::RGB | Space::YCGCO);
        let rgb = self.format.descriptor().is_some_and(|d| d.name().contains("rgb") || d.name().contains("bgr"))
            || matches!(self.format, Pixel::GBRP | Pixel::PAL8);
        wide || rgb || self.is_hdr()
    }
}

/// Takes every frame that is ready out of `graph`.
fn pull(graph: &mut Graph, kind: &Kind, ready: &mut Vec<(frame::Video, i64)>) {
    let time_base = graph.time_base();
    loop {
        let mut frame = frame::Video::empty();
        if graph.pull(&mut frame).is_err() {
            return;
        }
        let Some(ticks) = frame.pts() else { continue };
        frame.set_color_range(Range::MPEG);
        if kind.becomes_709() {
            frame.set_color_space(Space::BT709);
            frame.set_color_primaries(Primaries::BT709);
            frame.set_color_transfer_characteristic(TransferCharacteristic::BT709);
        }
        ready.push((frame, ticks.rescale(time_base, MICRO)));
    }
}
