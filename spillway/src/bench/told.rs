//! What a video's events tell of its way: when it began, when its units waited and worked, when it ended.

use jiff::Timestamp;
use serde_json::Value;

/// The stages whose units keep a core busy.
const HEAVY: [&str; 3] = ["transcribe", "analyze", "cut"];
/// The stages that take a video's segments.
const SEGMENTS: [&str; 2] = ["transcribe", "analyze"];

/// A finished unit; times in milliseconds since the Unix epoch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Unit {
    stage: String,
    queued_ms: i64,
    started_ms: i64,
    finished_ms: i64,
}

/// What was told of a video; times in milliseconds since the Unix epoch.
#[derive(Clone, Debug, Default)]
pub struct Told {
    /// When it was accepted.
    pub created_ms: Option<i64>,
    /// When its first clip was ready.
    pub first_clip_ms: Option<i64>,
    /// When it ended.
    pub ended_ms: Option<i64>,
    /// Its finished units.
    pub units: Vec<Unit>,
    /// Start and end of its clips in the source, in seconds.
    pub clips: Vec<(f64, f64)>,
    /// Attempts that failed.
    pub retries: u32,
}

impl Told {
    /// Takes an event; `None` when it is not as it should be.
    pub fn hear(&mut self, event: &Value) -> Option<()> {
        let at_ms = time(event, "at")?;
        match event["type"].as_str()? {
            "created" => self.created_ms = Some(at_ms),
            "ended" => self.ended_ms = Some(at_ms),
            "unit_retried" => self.retries += 1,
            "clip_ready" => {
                self.first_clip_ms.get_or_insert(at_ms);
                self.clips.push((event["clip"]["start_s"].as_f64()?, event["clip"]["end_s"].as_f64()?));
            }
            "unit_done" => self.units.push(Unit {
                stage: event["stage"].as_str()?.to_owned(),
                queued_ms: time(event, "queued_at")?,
                started_ms: time(event, "started_at")?,
                finished_ms: time(event, "finished_at")?,
            }),
            _ => {}
        }
        Some(())
    }

    /// Returns when the first segment's work began.
    pub fn first_segment_ms(&self) -> Option<i64> {
        self.of(&SEGMENTS).map(|unit| unit.started_ms).min()
    }

    /// Returns when the last unit that keeps a core busy began.
    pub fn last_start_ms(&self) -> Option<i64> {
        self.of(&HEAVY).map(|unit| unit.started_ms).max()
    }

    fn of(&self, stages: &[&str]) -> impl Iterator<Item = &Unit> {
        self.units.iter().filter(|unit| stages.contains(&unit.stage.as_str()))
    }

    /// Returns how long units waited that found their stage idle, no other one of it waiting or at work, in milliseconds.
    /// `join` is left out: it tells only when a window is complete.
    pub fn idle_hops_ms(&self) -> Vec<f64> {
        let units = || self.units.iter().enumerate().filter(|(_, unit)| unit.stage != "join");
        let found_idle = |(place, unit): &(usize, &Unit)| {
            let at_ms = unit.queued_ms;
            !units().any(|(other, there)| {
                other != *place && there.stage == unit.stage && there.queued_ms <= at_ms && at_ms < there.finished_ms
            })
        };
        units().filter(found_idle).map(|(_, unit)| (unit.started_ms - unit.queued_ms).max(0) as f64).collect()
    }
}

fn time(event: &Value, name: &str) -> Option<i64> {
    Some(event[name].as_str()?.parse::<Timestamp>().ok()?.as_millisecond())
}

/// Returns the value below which the given share (0 to 1) of `values` lies, by the nearest rank.
pub fn percentile(values: &[f64], share: f64) -> Option<f64> {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let rank = (share * sorted.len() as f64).ceil() as usize;
    sorted.get(rank.saturating_sub(1)).copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn unit(stage: &str, queued_ms: i64, started_ms: i64, finished_ms: i64) -> Unit {
        Unit { stage: stage.to_owned(), queued_ms, started_ms, finished_ms }
    }

    #[test]
    fn only_units_that_found_their_stage_idle_are_hops() {
        let units = vec![
            unit("analyze", 0, 5, 100),
            unit("analyze", 50, 101, 150),
            unit("analyze", 200, 207, 300),
            unit("cut", 60, 62, 90),
            unit("join", 10, 10, 10),
        ];
        let told = Told { units, ..Told::default() };
        assert_eq!(told.idle_hops_ms(), [5.0, 7.0, 2.0]);
        assert_eq!((told.first_segment_ms(), told.last_start_ms()), (Some(5), Some(207)));
    }

    #[test]
    fn events_are_understood() {
        let mut told = Told::default();
        for event in [
            json!({"type": "created", "at": "1970-01-01T00:00:01Z"}),
            json!({"type": "unit_done", "at": "1970-01-01T00:00:05Z", "stage": "cut", "queued_at": "1970-01-01T00:00:02Z",
                "started_at": "1970-01-01T00:00:03Z", "finished_at": "1970-01-01T00:00:04Z"}),
            json!({"type": "clip_ready", "at": "1970-01-01T00:00:06Z", "clip": {"start_s": 1.5, "end_s": 3.0}}),
            json!({"type": "ended", "at": "1970-01-01T00:00:07Z", "state": "done"}),
        ] {
            assert_eq!(told.hear(&event), Some(()), "{event}");
        }
        assert_eq!(told.units, [unit("cut", 2000, 3000, 4000)]);
        assert_eq!((told.created_ms, told.first_clip_ms, told.ended_ms), (Some(1000), Some(6000), Some(7000)));
        assert_eq!(told.clips, [(1.5, 3.0)]);
        assert_eq!(told.hear(&json!({"type": "unit_done"})), None);
    }

    #[test]
    fn percentiles_are_values_that_were_seen() {
        let values = [5.0, 1.0, 4.0, 2.0, 3.0];
        assert_eq!([0.0, 0.5, 0.95, 1.0].map(|share| percentile(&values, share)), [1.0, 3.0, 5.0, 5.0].map(Some));
        assert_eq!(percentile(&[], 0.5), None);
    }
}
