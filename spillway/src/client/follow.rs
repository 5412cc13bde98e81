//! Follows a video's events to their end, whatever happens to the connection.

use std::time::{Duration, Instant};

use anyhow::anyhow;
use serde_json::Value;

use super::api::{Api, Error};
use super::sse::Parser;

/// How long a server may be away before it is given up.
const AWAY: Duration = Duration::from_secs(60);
/// The server says something at least each 15 seconds.
const SILENCE: Duration = Duration::from_secs(45);
/// How soon a broken connection is opened again; doubles.
const FIRST_PAUSE: Duration = Duration::from_millis(250);

/// Calls `hear` with each event of the video, once and in order, until it ended; returns its final state.
///
/// # Errors
/// When the server refuses, or is away for a minute.
pub async fn follow(api: &Api, video: &str, hear: impl FnMut(&Value)) -> Result<String, Error> {
    follow_within(AWAY, api, video, hear).await
}

async fn follow_within(away: Duration, api: &Api, video: &str, mut hear: impl FnMut(&Value)) -> Result<String, Error> {
    let mut place = Place { last: None, alive_at: Instant::now() };
    let mut pause = FIRST_PAUSE;
    loop {
        let before = place.last.clone();
        let broken = match one_connection(api, video, &mut place, &mut hear).await {
            Ok(Some(state)) => return Ok(state),
            Ok(None) => anyhow!("the event stream ended"),
            Err(Error::Refused(refusal)) if refusal.status < 500 => return Err(Error::Refused(refusal)),
            Err(error) => error.into(),
        };
        if place.last != before {
            pause = FIRST_PAUSE;
        }
        if place.alive_at.elapsed() > away {
            return Err(Error::Unreachable(broken));
        }
        tokio::time::sleep(pause).await;
        pause = Duration::from_secs(5).min(pause * 2);
    }
}

/// How far a stream was followed.
struct Place {
    /// The id of the last event.
    last: Option<String>,
    /// When the server last showed that it is there: a video may be silent for as long as it is worked on.
    alive_at: Instant,
}

/// Reads one connection to its end; returns the final state if that was told.
async fn one_connection(
    api: &Api,
    video: &str,
    place: &mut Place,
    hear: &mut impl FnMut(&Value),
) -> Result<Option<String>, Error> {
    let mut response = api.events(video, place.last.as_deref()).await?;
    place.alive_at = Instant::now();
    if response.status() == reqwest::StatusCode::NO_CONTENT {
        return Ok(Some(api.video(video).await?.state));
    }
    let mut parser = Parser::default();
    let broken = |e: anyhow::Error| Error::Broken(e.context("read events"));
    loop {
        let chunk = tokio::time::timeout(SILENCE, response.chunk()).await.map_err(|e| broken(e.into()))?;
        let Some(chunk) = chunk.map_err(|e| broken(e.into()))? else { return Ok(None) };
        place.alive_at = Instant::now();
        for event in parser.push(&chunk) {
            let data: Value = serde_json::from_str(&event.data).map_err(|e| broken(e.into()))?;
            if data["type"] == "closed" {
                return Ok(data["state"].as_str().map(str::to_owned));
            }
            hear(&data);
            place.last = event.id.or(place.last.take());
        }
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpListener;

    use super::*;

    const HEAD: &str = "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nConnection: close\r\n\r\n";

    #[tokio::test]
    async fn a_silent_video_and_a_broken_connection_are_no_server_that_is_away() {
        const AWAY: Duration = Duration::from_secs(1);
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        let serving = tokio::spawn(async move {
            // First nothing but comments, for longer than a server may be away; then an end; then the rest.
            for (comments, last) in [(8, ""), (0, "data: {\"type\":\"closed\",\"state\":\"done\"}\n\n")] {
                let (mut socket, _) = listener.accept().await.expect("a connection");
                let mut request = [0; 1024];
                let _ = socket.read(&mut request).await.expect("a request");
                socket.write_all(HEAD.as_bytes()).await.expect("writes");
                for _ in 0..comments {
                    tokio::time::sleep(AWAY / 5).await;
                    socket.write_all(b": still here\n\n").await.expect("writes");
                }
                socket.write_all(last.as_bytes()).await.expect("writes");
            }
        });
        let api = Api::new(address.parse().expect("a URL"), None).expect("a client");
        let state = follow_within(AWAY, &api, "v", |_| {}).await.expect("a state");
        assert_eq!(state, "done");
        serving.await.expect("serves");
    }

    #[tokio::test]
    async fn a_server_that_is_away_is_given_up() {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = format!("http://{}", listener.local_addr().expect("an address"));
        drop(listener);
        let api = Api::new(address.parse().expect("a URL"), None).expect("a client");
        let result = follow_within(Duration::from_millis(100), &api, "v", |_| {}).await;
        assert!(matches!(result, Err(Error::Unreachable(_))), "{result:?}");
    }
}
