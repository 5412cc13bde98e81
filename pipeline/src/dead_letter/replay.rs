//! Sends a dead letter's unit to work again. Whoever dies on the way, and whoever does it twice, does no harm.

use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::time::Instant;

use super::message::openings;
use super::{Letter, Settled, settle};
use crate::id::{TenantId, UnitId, VideoId};
use crate::kafka::{Batch, Header, Post, Producer};
use crate::outbox::Sink;
use crate::stage::StageName;
use crate::store::{Gatherer, SharedStore, State};
use crate::topic::{Spread, Topic};

/// How long a video may take to be opened again.
const OPENED_WITHIN: Duration = Duration::from_secs(20);
/// How often is looked meanwhile.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// What a replay came to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Outcome {
    /// The unit is on its way.
    Replayed,
    /// Nothing is left to do for it; the letter is settled.
    Unneeded(&'static str),
    /// It cannot be replayed; the letter stays open.
    Refused(String),
}

/// Replays `letter`: tells the gatherers that its unit will answer again, waits until its video is open, forgets the unit's claim, publishes the message as it was, and settles the letter. The video is open
/// before there is work on it: what belongs to a rejected video is removed.
///
/// # Errors
/// When broker or store cannot be reached; the letter is open then and may be replayed again.
pub async fn replay(producer: &Producer, store: &SharedStore, letter: &Letter) -> Result<Outcome> {
    // Nobody could tell whose it is when it was given up, so nobody waits for it.
    let Some((tenant, video)) = letter.video() else {
        return replay_unread(producer, letter).await;
    };
    let openings = match openings(letter) {
        Ok(openings) => openings,
        Err(error) => return Ok(Outcome::Refused(format!("{:#}", anyhow!(error)))),
    };
    let Some(found) = store.video(&tenant, video).await? else {
        return Ok(Outcome::Refused("its video was deleted".to_owned()));
    };
    let state = found.state();
    let has_ended = state.is_final();
    match state {
        State::Cancelled => return Ok(Outcome::Refused("its video was cancelled".to_owned())),
        State::Done => return unneeded(producer, letter, "its video is done").await,
        _ if has_ended && was_opened(store, &tenant, video, letter).await? => {
            return unneeded(producer, letter, "it was replayed before").await;
        }
        _ => {}
    }
    for opening in openings {
        producer.publish(opening).await?;
    }
    // What `record` could not write changes nothing of the end.
    if has_ended && letter.id.stage != StageName::Record && !opens(store, &tenant, video).await? {
        let why = "its video was not opened again: its unit has answered meanwhile, or join, deliver or record is not \
                   running";
        return Ok(Outcome::Refused(why.to_owned()));
    }
    store.forget(UnitId::derive(letter.id.stage.as_str(), &tenant, video, letter.header(Header::Unit))).await?;
    send_back(producer, letter, Some(video)).await?;
    settle(producer, letter.id, Settled::Replayed).await?;
    Ok(Outcome::Replayed)
}

/// Replays bytes that could not be read: a newer version may.
async fn replay_unread(producer: &Producer, letter: &Letter) -> Result<Outcome> {
    if Topic::read_by(letter.id.stage).spec().spread == Spread::ByVideo {
        let why = "nobody knows whose message it is, and messages of its topic lie with those of their video";
        return Ok(Outcome::Refused(why.to_owned()));
    }
    send_back(producer, letter, None).await?;
    settle(producer, letter.id, Settled::Replayed).await?;
    Ok(Outcome::Replayed)
}

async fn unneeded(producer: &Producer, letter: &Letter, why: &'static str) -> Result<Outcome> {
    settle(producer, letter.id, Settled::Unneeded).await?;
    Ok(Outcome::Unneeded(why))
}

/// Says whether `deliver` has opened the video because of this letter: whoever replayed it did not live to settle it.
async fn was_opened(store: &SharedStore, tenant: &TenantId, video: VideoId, letter: &Letter) -> Result<bool> {
    let mark = format!("reopened/{}", letter.id);
    Ok(store.gathered_item(Gatherer::Deliver, tenant, video, 0, &mark).await?.is_some())
}

/// Waits until the video is open.
async fn opens(store: &SharedStore, tenant: &TenantId, video: VideoId) -> Result<bool> {
    let deadline = Instant::now() + OPENED_WITHIN;
    loop {
        let found = store.video(tenant, video).await?.ok_or_else(|| anyhow!("the video {video} is gone"))?;
        if !found.state().is_final() {
            return Ok(true);
        }
        if Instant::now() >= deadline {
            return Ok(false);
        }
        tokio::time::sleep(LOOK_EVERY).await;
    }
}

/// Publishes the message as it was, to where it was read from.
async fn send_back(producer: &Producer, letter: &Letter, video: Option<VideoId>) -> Result<()> {
    let topic = Topic::read_by(letter.id.stage);
    let mut headers = letter.headers.clone();
    for header in Header::OF_LETTERS {
        headers.remove(header);
    }
    headers.set(Header::ReplayOf, letter.id.to_string());
    let video = video.filter(|_| topic.spec().spread == Spread::ByVideo);
    let key = video.map(|video| video.to_string());
    let batch = Batch::default();
    let post = Post {
        topic,
        lane: letter.lane(),
        key: key.as_ref().map(String::as_bytes),
        video,
        headers: &headers,
        body: &letter.body,
    };
    producer.post(post, &batch).await?;
    Ok(batch.acknowledged().await?)
}
