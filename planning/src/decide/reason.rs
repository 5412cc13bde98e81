//! What is done with a stage's scale, in words and numbers.

use super::bounds::Bounds;
use super::coming::Coming;
use crate::observation::Stage;
use crate::rollforward::Outlook;

/// What is done with the scale.
pub(super) enum What<'a> {
    Up,
    Keep,
    /// Because something is down, in these words.
    Held(&'a str),
    /// Only because the bounds say so.
    Bounded,
    Down {
        window_s: f64,
    },
}

/// Says in one sentence what is done and from which numbers.
pub(super) fn explain(
    stage: &Stage,
    bounds: &Bounds,
    coming: &Coming,
    outlook: &Outlook,
    (waiting, wait_s): (f64, f64),
    (there, replicas): (u32, u32),
    what: What<'_>,
) -> String {
    let minute = (60.0 / outlook.step_s).round() as usize;
    let a_minute: f64 = coming.upper.iter().take(minute).sum();
    let [waiting, a_minute, wait_s, target_s] = [waiting, a_minute, wait_s, stage.wait_slo_s].map(whole);
    let facts = format!(
        "{waiting} wait, up to {a_minute} come within a minute ({}), {:.1} s each; with {there} the longest wait would be {wait_s} s of {target_s} s",
        coming.led_by, outlook.service_s
    );
    let limit = if replicas == bounds.most { format!(", at {}", bounds.most_because) } else { String::new() };
    match what {
        What::Up => format!("up {there} -> {replicas}{limit}: {facts}"),
        What::Keep => format!("keep {replicas}{limit}: {facts}"),
        What::Held(words) => format!("held at {replicas}, more or fewer would change nothing: {words}; {facts}"),
        What::Bounded if limit.is_empty() => format!("{there} -> {replicas}, at the minimum: {facts}"),
        What::Bounded => format!("{there} -> {replicas}{limit}: {facts}"),
        What::Down { window_s } => format!("down {there} -> {replicas}: enough for {window_s:.0} s; {facts}"),
    }
}

/// Returns the whole number that `{:.0}` would write: as an integer it is written in a third of the time, and a reason is
/// written for each stage at each tick.
fn whole(value: f64) -> i64 {
    value.round_ties_even() as i64
}
