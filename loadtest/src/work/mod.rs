//! Workers that only take time: the stages whose work is heavy, with the same inputs and outputs as the real ones, so that
//! everything around them is real. What takes time is drawn from a [`Spec`].

mod cut;
mod fetch;
mod moments;
mod segments;
mod split;

pub use cut::Cut;
pub use fetch::Fetch;
pub use moments::Moments;
pub use segments::{Analyze, Transcribe};
pub use split::Split;

use std::sync::Arc;
use std::time::Duration;

use pipeline::event::{Envelope, Event, Happened, Job, MediaInfo, Outgoing, Payload, Place, VideoEvent};
use pipeline::failure::{Code, Failure};
use pipeline::outbox::Pulse;
use pipeline::payload::Carrier;
use serde::{Deserialize, Serialize};
use tokio::time::Instant;

use crate::spec::Spec;

/// How often a stage that only waits shows that it is alive.
const BEAT: Duration = Duration::from_millis(250);

/// What all emulated stages share. Cheap to clone.
#[derive(Clone)]
pub struct Ground {
    spec: Arc<Spec>,
    carrier: Carrier,
}

/// What an emulated stage says: any message of the flow.
#[derive(Clone, Debug, PartialEq)]
pub struct Said(Envelope);

impl Said {
    fn event(event: &impl Event) -> Self {
        Self(Envelope::of(event))
    }

    fn happened(job: &Job, what: Happened) -> Self {
        Self::event(&VideoEvent::new(job, jiff::Timestamp::now(), what))
    }
}

impl Outgoing for Said {
    fn envelope(&self) -> Envelope {
        self.0.clone()
    }
}

/// What travels in the place of a segment's bytes.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
struct Piece {
    /// The share of the video's work of this kind, 0 to 1.
    share: f64,
}

impl Piece {
    fn payload(self) -> Payload {
        let bytes = serde_json::to_vec(&self).unwrap_or_default();
        Payload { place: Some(Place::Inline(bytes.into())) }
    }
}

impl Ground {
    /// Makes the ground of stages that emulate `spec`; their outputs go where `carrier` puts them.
    pub fn new(spec: Spec, carrier: Carrier) -> Self {
        Self { spec: Arc::new(spec), carrier }
    }

    /// Lasts as long as `seconds` of the old system do here.
    async fn work(&self, seconds: f64, pulse: &Pulse) -> Result<(), Failure> {
        let end = Instant::now() + self.spec.real(seconds);
        loop {
            pulse.beat()?;
            let now = Instant::now();
            if now >= end {
                return Ok(());
            }
            tokio::select! {
                () = tokio::time::sleep_until(end.min(now + BEAT)) => {}
                () = pulse.stop().cancelled() => {}
            }
        }
    }

    async fn piece(&self, payload: &Payload) -> Result<Piece, Failure> {
        let bytes = self.carrier.open(payload).await?;
        serde_json::from_slice(&bytes).map_err(|error| Failure::reject(Code::MessageUnreadable, error))
    }
}

/// Describes a video of `length_s` seconds and `bytes` bytes.
fn media(length_s: f64, bytes: u64) -> MediaInfo {
    MediaInfo {
        demuxer: "mov,mp4,m4a,3gp,3g2,mj2".to_owned(),
        duration_us: (length_s * 1e6) as i64,
        audio_stream: Some(1),
        width: 1280,
        height: 720,
        coded_width: 1280,
        coded_height: 720,
        frame_rate: 30.0,
        video_codec: "h264".to_owned(),
        audio_codec: "aac".to_owned(),
        bytes,
        ..MediaInfo::default()
    }
}

#[cfg(test)]
mod tests;
