//! Follows a video's events to their end, whatever happens to the connection.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use serde_json::Value;

use super::api::{Api, Error};
use super::sse::Parser;

/// How long a server may be away before it is given up.
const PATIENCE: Duration = Duration::from_secs(60);
/// The server says something at least each 15 seconds.
const SILENCE: Duration = Duration::from_secs(45);
/// How soon a broken connection is opened again; doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Calls `hear` with each event of the video, once and in order, until it ended; returns its final state.
///
/// # Errors
/// When the server refuses, or is away for a minute.
pub async fn follow(api: &Api, video: &str, mut hear: impl FnMut(&Value)) -> Result<String, Error> {
    let mut last: Option<String> = None;
    let mut heard_at = Instant::now();
    let mut pause = FIRST_PAUSE;
    loop {
        let before = last.clone();
        let broken = match one_connection(api, video, &mut last, &mut hear).await {
            Ok(Some(state)) => return Ok(state),
            Ok(None) => anyhow!("the event stream ended"),
            Err(Error::Refused(refusal)) if refusal.status < 500 => return Err(Error::Refused(refusal)),
            Err(error) => error.into(),
        };
        if last != before {
            heard_at = Instant::now();
            pause = FIRST_PAUSE;
        }
        if heard_at.elapsed() > PATIENCE {
            return Err(Error::Unreachable(broken));
        }
        tokio::time::sleep(pause).await;
        pause = Duration::from_secs(5).min(pause * 2);
    }
}

/// Reads one connection to its end; returns the final state if that was told.
async fn one_connection(
    api: &Api,
    video: &str,
    last: &mut Option<String>,
    hear: &mut impl FnMut(&Value),
) -> Result<Option<String>, Error> {
    let mut response = api.events(video, last.as_deref()).await?;
    if response.status() == reqwest::StatusCode::NO_CONTENT {
        return Ok(Some(api.video(video).await?.state));
    }
    let mut parser = Parser::default();
    let broken = |e: anyhow::Error| Error::Broken(e.context("read events"));
    loop {
        let chunk = tokio::time::timeout(SILENCE, response.chunk()).await.map_err(|e| broken(e.into()))?;
        let Some(chunk) = chunk.map_err(|e| broken(e.into()))? else { return Ok(None) };
        for event in parser.push(&chunk) {
            let data: Value = serde_json::from_str(&event.data).map_err(|e| broken(e.into()))?;
            if data["type"] == "closed" {
                return Ok(data["state"].as_str().map(str::to_owned));
            }
            hear(&data);
            *last = event.id.or(last.take());
        }
    }
}
