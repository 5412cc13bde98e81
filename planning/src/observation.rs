//! What is seen of the stages at one moment: the input of every decision, a line of JSON each when recorded.

use std::collections::BTreeMap;

use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

use crate::pin::Pin;

/// All stages at one moment.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Observation {
    /// When, in seconds of any clock that only goes forward.
    pub at: f64,
    /// When, by the wall: season's phase. Without it the phase is taken from [`Observation::at`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wall_clock: Option<jiff::Timestamp>,
    /// The stages in the order of the flow: what one finishes arrives at the next.
    pub stages: Vec<Stage>,
    /// Videos that arrived at the first stage since the stream's start, or whose upload is under way and that will soon.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub uploads_started_total: Option<f64>,
    /// What all workers together may cost in an hour, in units of [`Stage::cost_per_worker_hour`].
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub budget_per_hour: Option<f64>,
    /// What a person has fixed, by stage. One in a form that is not known is passed over.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty", deserialize_with = "known_pins")]
    pub pins: BTreeMap<String, Pin>,
    /// What is paused because something that it needs is down: it keeps its scale. One in a form that is not known is
    /// passed over.
    #[serde(default, skip_serializing_if = "Vec::is_empty", deserialize_with = "known_breakers")]
    pub breakers: Vec<Breaker>,
}

/// One stage.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Stage {
    /// Its name: `analyze`.
    pub stage: String,
    /// Its queues.
    pub lanes: Vec<Lane>,
    /// Its workers.
    pub workers: Workers,
    /// Workers that are ready or starting.
    pub replicas: u32,
    /// Fewest workers.
    #[serde(default)]
    pub min_replicas: u32,
    /// Most workers.
    #[serde(default = "no_limit")]
    pub max_replicas: u32,
    /// Units a worker works on at once.
    #[serde(default = "one")]
    pub slots_per_worker: u32,
    /// Units being worked on, those of draining workers too.
    pub slots_busy: f64,
    /// Longest wait before work begins, in seconds, that [`Stage::wait_slo_quantile`] of the records may have.
    #[serde(default = "two_minutes")]
    pub wait_slo_s: f64,
    /// The share of records that are to begin within [`Stage::wait_slo_s`], 0.999 if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wait_slo_quantile: Option<f64>,
    /// Records finished since the stream's start.
    pub done_total: f64,
    /// Time that finished records took, in seconds.
    pub busy_seconds_total: f64,
    /// Media that finished records stood for, in seconds.
    #[serde(default)]
    pub work_done_media_s_total: f64,
    /// Time in which nine of ten new workers are ready, in seconds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub startup_p90_s: Option<f64>,
    /// Units that an outside API still allows within an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quota_left: Option<f64>,
    /// The stages whose finished records arrive here; the stage before it in the list if not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fed_by: Option<Vec<String>>,
    /// Price of one worker for an hour.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cost_per_worker_hour: Option<f64>,
    /// Why all this is what was last seen of it and not what is now, in words; nothing if it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub stale: Option<String>,
}

/// One queue of a stage.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Lane {
    /// Its name: `standard`.
    pub lane: String,
    /// Its partitions.
    pub partitions: u32,
    /// Sum of the partitions' end offsets.
    pub end_offset_total: f64,
    /// Sum of the committed offsets: what lies between is waiting or in work.
    pub committed_total: f64,
    /// Records that arrived since the stream's start.
    #[serde(default)]
    pub arrived_total: f64,
    /// Age of the oldest record that nobody has begun, in seconds; 0 if there is none.
    #[serde(default)]
    pub head_age_s: f64,
    /// Records of it finished since the stream's start. This and the two below are 0 where nobody tells them by lane.
    #[serde(default)]
    pub done_total: f64,
    /// Time that they took, in seconds.
    #[serde(default)]
    pub busy_seconds_total: f64,
    /// Media that they stood for, in seconds.
    #[serde(default)]
    pub work_done_media_s_total: f64,
}

/// Workers of a stage by what they do.
#[derive(Clone, PartialEq, Debug, Default, Serialize, Deserialize)]
pub struct Workers {
    /// Take work, busy or not.
    pub ready: u32,
    /// Have work in hand.
    #[serde(default)]
    pub busy: u32,
    /// Will be ready, one entry each.
    #[serde(default)]
    pub starting: Vec<Starting>,
    /// Finish what is in hand and take no more.
    #[serde(default)]
    pub draining: u32,
}

/// A worker that is starting.
#[derive(Clone, Copy, PartialEq, Debug, Serialize, Deserialize)]
pub struct Starting {
    /// Seconds until it takes work.
    pub ready_in_s: f64,
}

/// A part of the system that is paused.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Breaker {
    /// The stage that it holds up; empty for all.
    #[serde(default)]
    pub stage: String,
    /// Why, in words.
    #[serde(default)]
    pub reason: String,
}

impl Lane {
    /// Returns the records that are waiting or in work.
    pub fn lag_records(&self) -> f64 {
        self.end_offset_total - self.committed_total
    }
}

/// Others write pins and breakers in their own way, and the rest of what they saw is worth a decision all the same.
fn known_pins<'de, D: Deserializer<'de>>(from: D) -> Result<BTreeMap<String, Pin>, D::Error> {
    let Value::Object(pins) = Value::deserialize(from)? else { return Ok(BTreeMap::new()) };
    let pins = pins.into_iter().filter_map(|(stage, pin)| Some((stage, serde_json::from_value(pin).ok()?)));
    Ok(pins.collect())
}

fn known_breakers<'de, D: Deserializer<'de>>(from: D) -> Result<Vec<Breaker>, D::Error> {
    let Value::Array(breakers) = Value::deserialize(from)? else { return Ok(Vec::new()) };
    Ok(breakers.into_iter().filter_map(|breaker| serde_json::from_value(breaker).ok()).collect())
}

fn no_limit() -> u32 {
    u32::MAX
}

fn one() -> u32 {
    1
}

fn two_minutes() -> f64 {
    120.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pins_and_breakers_of_another_form_are_passed_over() {
        let read = |pins: &str, breakers: &str| {
            let text = format!(r#"{{"at":1,"stages":[],"pins":{pins},"breakers":{breakers}}}"#);
            let seen: Observation = serde_json::from_str(&text).unwrap_or_else(|error| panic!("{text}: {error}"));
            (seen.pins.into_iter().collect::<Vec<_>>(), seen.breakers)
        };
        let pin = ("cut".to_owned(), Pin { fixed: Some(4), ..Pin::default() });
        let breaker = Breaker { stage: "cut".to_owned(), reason: "no store".to_owned() };
        let known =
            read(r#"{"cut":{"fixed":4},"analyze":12}"#, r#"["all",{"stage":"cut","reason":"no store"},{"stage":3}]"#);
        assert_eq!(known, (vec![pin], vec![breaker]));
        for other in ["null", "7", r#""none""#, r#"[{"stage":7}]"#, r#"{"cut":{"min":-1}}"#, r#"{"cut":true}"#] {
            assert_eq!(read(other, other), (vec![], vec![]), "{other}");
        }
    }
}
