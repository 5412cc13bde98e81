//! Sends parts of pages again when they change, as server-sent events, and at each tick how old what is shown is. What is
//! sent of a view is written once at each tick, however many watch; points of plots carry their moment as id, so that who was
//! away for a while gets those missed.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream};
use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::watch;

use crate::app::App;
use crate::fault::Fault;
use crate::page;
use crate::part::Part;

/// After how long a browser asks again for a stream that broke off.
const RETRY: Duration = Duration::from_secs(1);
/// The most points that are sent after a pause: the hour that plots show, at one each two seconds.
const MOST_POINTS: usize = 1_800;

/// What is to be followed.
#[derive(Deserialize)]
pub struct Wanted {
    view: String,
    /// The moment of the last point that the page has, in milliseconds since the Unix epoch.
    since: Option<i64>,
}

/// A viewer's place in a stream.
struct Follower {
    app: App,
    view: String,
    ticks: watch::Receiver<i64>,
    after_ms: i64,
    waiting: Vec<Event>,
    /// What was sent; nothing before the first round.
    shown: Option<Shown>,
}

/// What a viewer was sent of each part, by its id.
#[derive(Default)]
struct Shown(HashMap<&'static str, u64>);

impl Shown {
    /// Returns the parts that are not shown like this yet, one after the other.
    fn changed(&mut self, parts: &[Part]) -> String {
        let changed = parts.iter().filter(|part| self.0.insert(part.id, part.mark) != Some(part.mark));
        changed.map(|part| part.html.as_str()).collect()
    }
}

/// What is told at each tick.
#[derive(Serialize)]
struct Tick {
    /// When it is told, in milliseconds since the Unix epoch.
    at_ms: i64,
    /// How old what was seen of the brokers is, in milliseconds; nothing before the first look.
    age_ms: Option<i64>,
}

/// Streams what changes of a view.
///
/// # Errors
/// When there is no such view.
pub async fn follow(
    State(app): State<App>,
    Query(wanted): Query<Wanted>,
    headers: HeaderMap,
) -> Result<Response, Fault> {
    page::check_view(&wanted.view)?;
    let last = headers.get("last-event-id").and_then(|id| id.to_str().ok()?.parse().ok());
    let after_ms = last.or(wanted.since).unwrap_or_else(|| *app.seen.ticks().borrow());
    let ticks = app.seen.ticks();
    let follower = Follower { ticks, view: wanted.view, after_ms, waiting: Vec::new(), shown: None, app };
    Ok(Sse::new(events(follower)).keep_alive(KeepAlive::default()).into_response())
}

fn events(follower: Follower) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(follower, |mut follower| async move {
        loop {
            if let Some(event) = follower.waiting.pop() {
                return Some((Ok(event), follower));
            }
            // The first round does not wait: what the page has may be old already.
            if follower.shown.is_some() {
                let stop = follower.app.stop.clone();
                stop.run_until_cancelled(follower.ticks.changed()).await?.ok()?;
            }
            follower.next().await?;
        }
    })
}

impl Follower {
    /// Writes what is to be sent at this tick, the last first. Nothing ends the stream.
    async fn next(&mut self) -> Option<()> {
        let tick = *self.ticks.borrow_and_update();
        let written = written(&self.app, &self.view, tick).await?;
        let points = points(&self.app, self.after_ms);
        if let Some((last_ms, _)) = points.last() {
            self.after_ms = *last_ms;
        }
        let now = Timestamp::now();
        let told = Tick { at_ms: now.as_millisecond(), age_ms: self.app.seen.read().age_ms(now) };
        self.waiting.push(Event::default().event("tick").json_data(told).ok()?);
        let changed = self.shown.get_or_insert_default().changed(&written);
        if !changed.is_empty() {
            self.waiting.push(Event::default().data(changed).retry(RETRY));
        }
        let point = |(at_ms, json): &(i64, String)| Event::default().event("point").id(at_ms.to_string()).data(json);
        self.waiting.extend(points.iter().rev().map(point));
        Some(())
    }
}

/// Returns what is to be sent of a view at `tick`. What is away or gone is told in it, and the stream goes on.
async fn written(app: &App, view: &str, tick: i64) -> Option<Arc<[Part]>> {
    let written = app.written.at(view, tick, page::parts(app, view)).await;
    written.inspect_err(|fault| tracing::warn!(view, error = %fault, "a view was not written")).ok()
}

fn points(app: &App, after_ms: i64) -> Vec<(i64, String)> {
    let state = app.seen.read();
    let points: Vec<_> = state.history.after(after_ms).collect();
    let missed = points.len().saturating_sub(MOST_POINTS);
    let json = |point: &crate::seen::history::Point| serde_json::to_string(point).unwrap_or_default();
    points[missed..].iter().map(|point| (point.at_ms, json(point))).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_shown_already_is_not_sent_again() {
        let part = |id, html: &str, mark| Part { id, html: html.to_owned(), mark };
        let mut shown = Shown::default();
        assert_eq!(shown.changed(&[part("bar", "a", 1), part("now", "b", 2)]), "ab");
        assert_eq!(shown.changed(&[part("bar", "a", 1), part("now", "b, later", 2)]), "");
        assert_eq!(shown.changed(&[part("bar", "a", 1)]), "", "the other one could not be written");
        assert_eq!(shown.changed(&[part("bar", "c", 3), part("now", "b", 2)]), "c");
        assert_eq!(shown.changed(&[part("bar", "a", 1), part("now", "b", 2)]), "a", "it is as it was before");
    }
}
