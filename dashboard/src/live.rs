//! Sends parts of pages again while they change, as server-sent events. What is sent of a view is written once at each tick,
//! however many watch; points of plots carry their moment as id, so that who was away for a while gets those missed.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Query, State};
use axum::http::HeaderMap;
use axum::response::sse::{Event, KeepAlive, Sse};
use axum::response::{IntoResponse, Response};
use futures::stream::{self, Stream};
use serde::Deserialize;
use tokio::sync::watch;

use crate::app::App;
use crate::fault::Fault;
use crate::page;

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
    last: Option<Arc<str>>,
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
    let follower = Follower { ticks, view: wanted.view, after_ms, waiting: Vec::new(), last: None, app };
    Ok(Sse::new(events(follower)).keep_alive(KeepAlive::default()).into_response())
}

fn events(follower: Follower) -> impl Stream<Item = Result<Event, Infallible>> {
    stream::unfold(follower, |mut follower| async move {
        loop {
            if let Some(event) = follower.waiting.pop() {
                return Some((Ok(event), follower));
            }
            // The first round does not wait: what the page has may be old already.
            if follower.last.is_some() {
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
        if self.last.as_ref().is_none_or(|last| **last != *written) {
            self.waiting.push(Event::default().data(&*written).retry(RETRY));
        } else {
            self.waiting.push(Event::default().event("tick").data(tick.to_string()));
        }
        self.last = Some(written);
        let point = |(at_ms, json): &(i64, String)| Event::default().event("point").id(at_ms.to_string()).data(json);
        self.waiting.extend(points.iter().rev().map(point));
        Some(())
    }
}

/// Returns what is to be sent of a view at `tick`. What is away or gone is told in it, and the stream goes on.
async fn written(app: &App, view: &str, tick: i64) -> Option<Arc<str>> {
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
