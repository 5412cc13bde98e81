//! Makes the row that turns received bytes into a video, and tells the flow of it.

use jiff::Timestamp;
use pipeline::event::{Created as CreatedEvent, Envelope, Happened, Options, VideoEvent, VideoSource, VideoSubmitted};
use pipeline::failure::Failure;
use pipeline::id::{TenantId, VideoId};
use pipeline::store::{Created, NewVideo, Video, VideoState};
use prost::Message;
use sha2::{Digest, Sha256};

use crate::admit::Admission;
use crate::app::App;
use crate::problem::{Kind, Problem};

/// Which video a request is about.
pub struct Identity {
    /// Derived from the key if there is one, else random.
    pub video: VideoId,
    keyed: bool,
}

impl Identity {
    /// Names the video of `tenant` that `key` stands for, or a new one.
    pub fn of(tenant: &TenantId, key: Option<&str>) -> Self {
        match key {
            Some(key) => Self { video: VideoId::from_idempotency_key(tenant, key), keyed: true },
            None => Self { video: VideoId::random(), keyed: false },
        }
    }

    /// Says whether the request brought an `Idempotency-Key`.
    pub fn is_keyed(&self) -> bool {
        self.keyed
    }
}

/// A request whose bytes are safe.
pub struct Submission {
    /// Whose it is.
    pub tenant: TenantId,
    /// Which video it is about.
    pub identity: Identity,
    /// On what terms it was let in.
    pub admission: Admission,
    /// What was asked for.
    pub options: Options,
    /// The tidied name.
    pub name: String,
    /// Where the bytes are.
    pub source: VideoSource,
    /// SHA-256 of the body or URL, for a keyed request.
    pub body_sha256: Option<[u8; 32]>,
}

/// Makes the video unless it is there, and returns it. When this returns the video is safe, published or not.
///
/// # Errors
/// When the key named another request or a video deleted since, or the store is away.
pub async fn accept(app: &App, submission: Submission) -> Result<Video, Problem> {
    let new = new_video(app, &submission);
    // When this fails the row may be there all the same, so the bytes stay; without a row the sweep removes them.
    match app.store.create_video(&new).await? {
        Created::New => {
            let video = Video { new, state: VideoState::default(), cancelled_at: None };
            submission.admission.accepted(app, &video);
            publish_soon(app, &video.new).await;
            Ok(video)
        }
        Created::Existing => {
            remove_source(app, &new.source).await;
            let known = app.store.video(&submission.tenant, submission.identity.video).await?;
            known.ok_or_else(|| {
                Problem::new(Kind::VideoDeleted, "The video of this Idempotency-Key was deleted; use a new key.")
            })
        }
        Created::Conflict => {
            remove_source(app, &new.source).await;
            Err(reused())
        }
    }
}

/// Checks that a request is the one that made `known` under the same key.
///
/// # Errors
/// When it is another.
pub fn check_same(known: &Video, options: &Options, body_sha256: Option<[u8; 32]>) -> Result<(), Problem> {
    let hash = &known.new.request_hash;
    // A row that was re-created from the event log has no hash: nothing contradicts the request.
    if hash.is_empty() || *hash == request_hash(options, body_sha256) { Ok(()) } else { Err(reused()) }
}

fn reused() -> Problem {
    let detail = "This Idempotency-Key was used with another body or other options; use a new key.";
    Problem::new(Kind::IdempotencyKeyReused, detail)
}

fn new_video(app: &App, submission: &Submission) -> NewVideo {
    let bytes = match &submission.source {
        VideoSource::Upload(blob) => Some(blob.bytes),
        VideoSource::Url(_) => None,
    };
    let keyed = submission.identity.keyed;
    let identity = (&submission.tenant, submission.identity.video);
    NewVideo {
        job: submission.admission.job(&app.limits, identity, &submission.options, bytes),
        source: submission.source.clone(),
        name: submission.name.clone(),
        created_at: now(),
        request_hash: if keyed { request_hash(&submission.options, submission.body_sha256) } else { String::new() },
    }
}

/// Returns the time as stores and events keep it, so that the first answer and all later ones say the same.
pub fn now() -> Timestamp {
    let now = Timestamp::now();
    Timestamp::from_millisecond(now.as_millisecond()).unwrap_or(now)
}

/// Hashes what makes two requests the same: the options and the bytes (or the URL).
fn request_hash(options: &Options, body_sha256: Option<[u8; 32]>) -> String {
    let mut hasher = Sha256::new();
    hasher.update(body_sha256.unwrap_or_default());
    hasher.update(options.encode_to_vec());
    hasher.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Removes the bytes of a submission that makes no video.
pub async fn remove_source(app: &App, source: &VideoSource) {
    let VideoSource::Upload(blob) = source else { return };
    if let Err(error) = app.blobs.remove(&blob.key).await {
        // The sweep removes them later.
        tracing::warn!(key = blob.key, error = %format_args!("{:#}", anyhow::Error::from(error)), "copy not removed");
    }
}

/// Publishes within the time an answer may wait; else the sweep does it later.
async fn publish_soon(app: &App, new: &NewVideo) {
    let video = new.job.video();
    match tokio::time::timeout(app.limits.publish_wait, publish_creation(app, new)).await {
        Ok(Ok(())) => {}
        Ok(Err(failure)) => {
            tracing::warn!(%video, error = %format_args!("{:#}", anyhow::Error::from(failure)), "video left to the sweep");
        }
        Err(_) => tracing::warn!(%video, "broker did not answer in time, video left to the sweep"),
    }
}

/// Tells the flow of a new video, and notes that it was told. Doing it twice changes nothing. The video's trace begins
/// here: whoever hears of it goes on with it.
///
/// # Errors
/// When the broker or the store is away.
#[tracing::instrument(name = "submit", skip_all, fields(video = %new.job.video()))]
pub async fn publish_creation(app: &App, new: &NewVideo) -> Result<(), Failure> {
    let (source, bytes, source_key) = match &new.source {
        VideoSource::Upload(blob) => ("upload".to_owned(), blob.bytes, blob.key.clone()),
        VideoSource::Url(url) => (url.clone(), 0, String::new()),
    };
    let (name, request_hash) = (new.name.clone(), new.request_hash.clone());
    let created = CreatedEvent { name, source, bytes, source_key, request_hash };
    let event = VideoEvent::new(&new.job, new.created_at, Happened::Created(created));
    let submitted = VideoSubmitted { job: new.job.clone(), source: Some(new.source.clone()) };
    app.events.publish(Envelope::of(&event)).await?;
    app.events.publish(Envelope::of(&submitted)).await?;
    app.store.mark_published(&new.job.tenant(), new.job.video()).await?;
    Ok(())
}
