//! What the log of one video tells of its way. Times are real ones, in milliseconds since the Unix epoch, until they are
//! given as durations.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;

/// The stages that take a video's segments.
const SEGMENTS: [&str; 2] = ["transcribe", "analyze"];
/// The stages whose units are worked on in slots.
const WORK: [&str; 6] = ["fetch", "split", "transcribe", "analyze", "moments", "cut"];

/// A video's way from its acceptance to its end.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Story {
    /// Its id.
    pub id: String,
    /// When it was accepted.
    pub created_ms: i64,
    /// When it ended; nothing if the log does not tell of an end.
    pub ended_ms: Option<i64>,
    /// How: `done`, `partial`, `failed`, `cancelled`.
    pub state: String,
    /// The stable name of what went wrong, if something did.
    pub code: Option<String>,
    /// Its lane in the end.
    pub lane: String,
    /// Its length, in seconds.
    pub length_s: Option<f64>,
    /// The time in which it lay in queues until its first segment was begun, in real seconds.
    pub queue_wait_s: Option<f64>,
    /// From its acceptance until its first segment was begun, work of `fetch` and `split` included, in real seconds.
    pub first_segment_s: Option<f64>,
    /// From the moment when a worker first took it up until its end, in real seconds.
    pub processing_s: Option<f64>,
    /// From its acceptance until its end, in real seconds.
    pub total_s: Option<f64>,
    /// Work of slots on it, in real seconds.
    pub busy_s: f64,
    /// Units that were worked on.
    pub units: u32,
    /// Clips that are ready.
    pub clips: u32,
    /// Things that the log tells twice: units done, clips, the end.
    pub duplicates: u32,
    /// Attempts that failed and were made again, and units whose first attempt did not succeed.
    pub retries: u32,
}

/// A finished unit.
#[derive(Clone, Copy, Debug)]
struct Unit {
    queued_ms: i64,
    started_ms: i64,
    finished_ms: i64,
}

impl Unit {
    fn of(event: &Value) -> Option<Self> {
        let [queued_ms, started_ms, finished_ms] =
            ["queued_at", "started_at", "finished_at"].map(|name| time_ms(event, name));
        Some(Self { queued_ms: queued_ms?, started_ms: started_ms?, finished_ms: finished_ms? })
    }
}

impl Story {
    /// Reads the log of the video `id`.
    pub fn of(id: &str, events: &[Value]) -> Self {
        let mut story = Self { id: id.to_owned(), ..Self::default() };
        let mut units: BTreeMap<&str, Vec<Unit>> = BTreeMap::new();
        let mut told = BTreeSet::new();
        let mut told_once = |name: String| if told.insert(name) { 0 } else { 1 };
        for event in events {
            let at_ms = time_ms(event, "at").unwrap_or_default();
            let text = |name: &str| event[name].as_str().unwrap_or_default();
            match text("type") {
                "created" => story.created_ms = at_ms,
                "ready" => {
                    text("lane").clone_into(&mut story.lane);
                    story.length_s = event["duration_s"].as_f64();
                }
                "unit_done" => {
                    let stage = text("stage");
                    story.duplicates += told_once(format!("{stage}/{}", text("unit")));
                    story.retries += u32::from(event["attempt"].as_u64().is_some_and(|attempt| attempt > 1));
                    if let (true, Some(unit)) = (WORK.contains(&stage), Unit::of(event)) {
                        units.entry(stage).or_default().push(unit);
                    }
                }
                "unit_retried" => story.retries += 1,
                "clip_ready" => {
                    story.clips += 1;
                    story.duplicates += told_once(format!("clip/{}", event["clip"]["id"]));
                }
                "ended" => {
                    story.duplicates += told_once("ended".to_owned());
                    story.ended_ms = Some(at_ms);
                    text("state").clone_into(&mut story.state);
                    story.code = event["error"]["code"].as_str().map(str::to_owned);
                }
                "cancelled" => {
                    story.ended_ms = Some(at_ms);
                    "cancelled".clone_into(&mut story.state);
                }
                _ => {}
            }
        }
        story.measure(&units);
        story
    }

    fn measure(&mut self, units: &BTreeMap<&str, Vec<Unit>>) {
        let seconds = |from_ms: i64, to_ms: i64| (to_ms - from_ms).max(0) as f64 / 1000.0;
        let all = || units.values().flatten();
        self.units = all().count() as u32;
        self.busy_s = all().map(|unit| seconds(unit.started_ms, unit.finished_ms)).sum();
        self.total_s = self.ended_ms.map(|ended_ms| seconds(self.created_ms, ended_ms));
        let one = |stage: &str| units.get(stage).and_then(|units| units.first().copied());
        let Some(fetch) = one("fetch") else { return };
        self.processing_s = self.ended_ms.map(|ended_ms| seconds(fetch.started_ms, ended_ms));
        let segments = SEGMENTS.iter().filter_map(|stage| units.get(stage)).flatten();
        let (Some(split), Some(first)) = (one("split"), segments.min_by_key(|unit| unit.started_ms)) else { return };
        self.first_segment_s = Some(seconds(self.created_ms, first.started_ms));
        self.queue_wait_s = Some(
            seconds(self.created_ms, fetch.started_ms)
                + seconds(fetch.finished_ms, split.started_ms)
                + seconds(first.queued_ms, first.started_ms),
        );
    }
}

fn time_ms(event: &Value, name: &str) -> Option<i64> {
    Some(event[name].as_str()?.parse::<Timestamp>().ok()?.as_millisecond())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn at(seconds: f64) -> String {
        Timestamp::from_millisecond((seconds * 1000.0) as i64).unwrap().to_string()
    }

    fn unit(stage: &str, unit: &str, queued: f64, started: f64, finished: f64) -> Value {
        json!({"type": "unit_done", "at": at(finished), "stage": stage, "unit": unit, "attempt": 1,
            "queued_at": at(queued), "started_at": at(started), "finished_at": at(finished)})
    }

    fn log() -> Vec<Value> {
        vec![
            json!({"type": "created", "at": at(10.0)}),
            unit("fetch", "video", 10.0, 12.0, 15.0),
            json!({"type": "ready", "at": at(15.0), "duration_s": 60.0, "lane": "express"}),
            unit("split", "video", 15.0, 15.5, 16.5),
            unit("analyze", "video/0", 16.0, 17.0, 20.0),
            unit("transcribe", "audio/0", 16.5, 18.0, 30.0),
            unit("join", "window/0", 30.0, 30.0, 30.0),
            unit("moments", "window/0", 30.0, 30.0, 31.0),
            unit("cut", "clip/a", 31.0, 32.0, 40.0),
            json!({"type": "clip_ready", "at": at(40.0), "clip": {"id": "a"}}),
            json!({"type": "ended", "at": at(41.0), "state": "done", "error": null}),
        ]
    }

    #[test]
    fn a_story_is_its_waits_and_its_work() {
        let story = Story::of("v", &log());
        // Two seconds for fetch, half a one for split, one for the first segment.
        assert_eq!((story.queue_wait_s, story.first_segment_s), (Some(3.5), Some(7.0)));
        assert_eq!((story.processing_s, story.total_s), (Some(29.0), Some(31.0)));
        assert_eq!((story.busy_s, story.units, story.clips), (28.0, 6, 1));
        assert_eq!((story.duplicates, story.retries, story.state.as_str()), (0, 0, "done"));
    }

    #[test]
    fn what_is_told_twice_is_counted() {
        let mut events = log();
        events.extend([events[4].clone(), events[9].clone(), events[10].clone()]);
        assert_eq!(Story::of("v", &events).duplicates, 3);
    }

    #[test]
    fn a_video_that_never_got_anywhere_has_no_times() {
        let ended = json!({"type": "ended", "at": at(12.0), "state": "failed", "error": {"code": "damaged"}});
        let story = Story::of("v", &[json!({"type": "created", "at": at(10.0)}), ended]);
        assert_eq!((story.queue_wait_s, story.processing_s, story.total_s), (None, None, Some(2.0)));
        assert_eq!(story.code.as_deref(), Some("damaged"));
    }
}
