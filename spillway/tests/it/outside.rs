//! The world outside: a web server that has a video only once it is mended, and a speech service that fails until then.

use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU16, Ordering};

use axum::Router;
use axum::body::{Body, Bytes};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};

/// Two words at the talk's beginning.
const HEARD: &str = r#"{"text": "What would.", "words": [{"word": "What", "start": 0.1, "end": 0.4},
    {"word": "would", "start": 0.5, "end": 0.9}]}"#;

/// Servers on loopback that end with the test's runtime.
pub struct Outside {
    address: SocketAddr,
    has_video: Arc<AtomicBool>,
    speech_status: Arc<AtomicU16>,
}

impl Outside {
    /// Starts them; nothing works yet.
    pub async fn start(video: &Path) -> Self {
        let video = Bytes::from(std::fs::read(video).expect("read"));
        let has_video = Arc::new(AtomicBool::new(false));
        let speech_status = Arc::new(AtomicU16::new(500));
        let (has, status) = (has_video.clone(), speech_status.clone());
        let talk = move || async move {
            match has.load(Ordering::SeqCst) {
                true => Body::from(video).into_response(),
                false => StatusCode::NOT_FOUND.into_response(),
            }
        };
        // All of the sound is read first: an answer before that may be lost with the connection.
        let transcriptions = move |_sound: Bytes| async move {
            match StatusCode::from_u16(status.load(Ordering::SeqCst)).expect("a status") {
                StatusCode::OK => HEARD.into_response(),
                status => status.into_response() as Response,
            }
        };
        let router =
            Router::new().route("/talk.mp4", get(talk)).route("/v1/audio/transcriptions", post(transcriptions));
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("bind");
        let address = listener.local_addr().expect("address");
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { address, has_video, speech_status }
    }

    /// Returns the address of the video.
    pub fn video_url(&self) -> String {
        format!("http://{}/talk.mp4", self.address)
    }

    /// Returns the base address of the speech service.
    pub fn speech_url(&self) -> String {
        format!("http://{}/v1", self.address)
    }

    /// Lets the video be found, or not.
    pub fn has_video(&self, has: bool) {
        self.has_video.store(has, Ordering::SeqCst);
    }

    /// Lets the speech service answer with `status`, and words if that is 200.
    pub fn speech_answers(&self, status: u16) {
        self.speech_status.store(status, Ordering::SeqCst);
    }
}
