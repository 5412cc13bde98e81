//! Starts the API for one test, and plays the part of the workers.

use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::time::Duration;

use clap::Parser;
use ingest::{App, IngestArgs};
use jiff::Timestamp;
use pipeline::admin::{self, Checks};
use pipeline::blob::{Blobs, Location};
use pipeline::event::{Clip, Envelope, Event, Happened, Job, Options, VideoEvent, VideoSource};
use pipeline::failure::Failure;
use pipeline::id::{TenantId, VideoId};
use pipeline::lane::Lane;
use pipeline::outbox::{Collected, Sink};
use pipeline::store::{self, LogEntry, NewVideo, SharedStore, State, VideoState};
use reqwest::{Client, Response};
use serde_json::Value;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

#[derive(Parser)]
struct Args {
    #[command(flatten)]
    ingest: IngestArgs,
}

/// Returns what an operator sets with `flags`.
pub fn args(flags: &[&str]) -> IngestArgs {
    Args::parse_from(std::iter::once("ingest").chain(flags.iter().copied())).ingest
}

/// A broker that can be away.
#[derive(Default)]
pub struct Broker {
    pub collected: Collected,
    pub away: AtomicBool,
    /// Does not answer at all.
    pub silent: AtomicBool,
}

#[async_trait::async_trait]
impl Sink for Broker {
    async fn publish(&self, envelope: Envelope) -> Result<(), Failure> {
        if self.silent.load(Ordering::SeqCst) {
            std::future::pending::<()>().await;
        }
        if self.away.load(Ordering::SeqCst) {
            return Err(Failure::Unavailable(anyhow::anyhow!("away")));
        }
        self.collected.publish(envelope).await
    }

    async fn flush(&self) -> Result<(), Failure> {
        Ok(())
    }
}

/// The API, running.
pub struct Server {
    pub url: String,
    pub client: Client,
    pub app: App,
    pub broker: Arc<Broker>,
    pub blobs_folder: PathBuf,
    pub stop: CancellationToken,
    next_seq: AtomicI64,
    _stops: DropGuard,
    _folder: tempfile::TempDir,
}

impl Server {
    pub async fn start(flags: &[&str]) -> Self {
        let folder = tempfile::tempdir().expect("a folder");
        let blobs_folder = folder.path().join("blobs");
        let blobs = Blobs::open(&Location::Folder(blobs_folder.clone())).expect("a blob store");
        let store = store::open_file(&folder.path().join("db")).expect("a store");
        let broker = Arc::new(Broker::default());
        let stop = CancellationToken::new();
        let app = App::new(store, blobs, broker.clone(), &args(flags), stop.clone()).expect("an API");
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = ingest::router(app.clone(), admin::router(Checks::default()));
        tokio::spawn(ingest::serve_on(listener, router, Duration::from_secs(5), stop.clone()));
        Self {
            url,
            client: Client::new(),
            app,
            broker,
            blobs_folder,
            next_seq: AtomicI64::new(7),
            _stops: stop.clone().drop_guard(),
            stop,
            _folder: folder,
        }
    }

    /// Serves another process's API, and returns where.
    pub async fn beside(&self, app: App) -> String {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let url = format!("http://{}", listener.local_addr().expect("an address"));
        let router = ingest::router(app, admin::router(Checks::default()));
        tokio::spawn(ingest::serve_on(listener, router, Duration::from_secs(5), self.stop.clone()));
        url
    }

    pub fn store(&self) -> &SharedStore {
        &self.app.store
    }

    pub async fn get(&self, path: &str) -> Response {
        self.client.get(format!("{}{path}", self.url)).send().await.expect("an answer")
    }

    pub async fn json(&self, path: &str) -> Value {
        let response = self.get(path).await;
        assert_eq!(response.status(), 200, "{path}");
        response.json().await.expect("JSON")
    }

    pub async fn post(&self, path: &str, body: impl Into<reqwest::Body>) -> Response {
        self.client.post(format!("{}{path}", self.url)).body(body).send().await.expect("an answer")
    }

    /// Submits some bytes and returns the id they got.
    pub async fn submit(&self, body: &'static str) -> VideoId {
        let response = self.post("/v1/videos", body).await;
        assert_eq!(response.status(), 202);
        let video: Value = response.json().await.expect("JSON");
        video["id"].as_str().expect("an id").parse().expect("an id")
    }

    /// Returns the files in the blob folder, also unfinished ones.
    pub fn files(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        let mut folders = vec![self.blobs_folder.clone()];
        while let Some(folder) = folders.pop() {
            for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
                match entry.file_type() {
                    Ok(kind) if kind.is_dir() => folders.push(entry.path()),
                    _ => found.push(entry.path()),
                }
            }
        }
        found
    }

    /// Logs what happened to a video, as `record` does.
    pub async fn log(&self, video: VideoId, what: Happened, state: &VideoState) -> i64 {
        let known = self.store().video(&TenantId::default_tenant(), video).await.expect("a store").expect("a video");
        let clip: Option<Clip> = match &what {
            Happened::ClipReady(clip) => Some(clip.clone()),
            _ => None,
        };
        let seq = self.next_seq.fetch_add(3, Ordering::SeqCst);
        let event = VideoEvent::new(&known.new.job, Timestamp::now(), what);
        self.store().log(&LogEntry { seq, event }, state, clip.as_ref()).await.expect("logs");
        seq
    }

    /// Makes a video that ended after `units`. Behind the API's back: what it read before it would use again for a while.
    pub async fn finished(&self, duration_s: f64, units: impl IntoIterator<Item = Happened>) {
        let (tenant, video) = (TenantId::default_tenant(), VideoId::random());
        let new = NewVideo {
            job: Job::new(&tenant, video, Lane::Express, Options::default()),
            source: VideoSource::Url("http://host/a.mp4".to_owned()),
            name: String::new(),
            created_at: Timestamp::now(),
            request_hash: String::new(),
        };
        self.store().create_video(&new).await.expect("a store");
        let mut state = VideoState { duration_s: Some(duration_s), ..VideoState::default() };
        for unit in units {
            self.log(video, unit, &state).await;
        }
        state.state = State::Done;
        self.log(video, Happened::Ended(Default::default()), &state).await;
    }

    /// Takes what was published so far as messages of one type.
    pub fn published<E: Event>(&self) -> Vec<E> {
        let all = self.broker.collected.take();
        let of_type = all.iter().filter(|envelope| envelope.topic == E::TOPIC);
        of_type.map(|envelope| E::read(&envelope.body).expect("a message")).collect()
    }
}

/// Checks that `response` is a problem with this status and code, and returns it.
#[track_caller]
pub fn problem(status: u16, code: &str, response: Response) -> impl Future<Output = Value> {
    let place = std::panic::Location::caller();
    let code = code.to_owned();
    async move {
        let found = response.status().as_u16();
        let kind = response.headers().get("content-type").and_then(|v| v.to_str().ok()).map(str::to_owned);
        let text = response.text().await.expect("a body");
        assert_eq!(found, status, "{place}: {text}");
        assert_eq!(kind.as_deref(), Some("application/problem+json"), "{place}: {text}");
        let body: Value = serde_json::from_str(&text).expect("JSON");
        assert_eq!(body["code"], code, "{place}: {text}");
        assert_eq!(body["status"], status, "{place}");
        assert!(body["detail"].as_str().is_some_and(|d| !d.is_empty()), "{place}");
        body
    }
}
