//! The pipeline at work: short videos in turn, one video, many at once, nothing.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use pipeline::process_tree::{Sample, Sampler, tree_s_at};
use serde::Serialize;
use tokio::task::JoinSet;

use super::service::Service;
use super::told::{Hop, Told};
use crate::client::{Api, follow};

/// How long the idle pipeline is watched.
const IDLE_WATCHED: Duration = Duration::from_secs(30);

/// A video that went through, and when the client saw what.
#[derive(Debug)]
struct Passed {
    /// When its upload began, in milliseconds since the Unix epoch.
    upload_ms: i64,
    told: Told,
}

/// Options of the API, as in a query.
pub type Pairs = Vec<(&'static str, String)>;

/// One video alone in the pipeline.
#[derive(Clone, Debug, Serialize)]
pub struct One {
    /// From the begin of the upload to the end of the video, in seconds.
    pub wall_s: f64,
    /// From the begin of the upload until a client that follows the events heard of the end, in seconds.
    pub heard_s: f64,
    /// CPU time of all processes, the broker's included, in seconds.
    pub cpu_s: f64,
    /// From the acceptance until the first segment's work began, in seconds.
    pub queue_wait_s: f64,
    /// From the begin of the upload until the first clip was there, in seconds.
    pub first_clip_s: f64,
    /// Share of the cores used, over the whole wall time.
    pub cores_share: f64,
    /// Cores that anything else on this machine used meanwhile.
    pub other_cores: f64,
    /// Start and end of its clips in the source, in seconds.
    pub clips: Vec<(f64, f64)>,
    /// Attempts that failed.
    pub retries: u32,
    /// What units waited that found their stage idle.
    pub idle_hops: Vec<Hop>,
}

/// Many videos at once.
#[derive(Clone, Debug, Serialize)]
pub struct Many {
    /// How many.
    pub videos: usize,
    /// From the begin of the first upload to the end of the last video, in seconds.
    pub wall_s: f64,
    /// CPU time of all processes, the broker's included, in seconds.
    pub cpu_s: f64,
    /// Videos an hour at this rate.
    pub videos_per_hour: f64,
    /// From the begin of the first upload until the last unit began, in seconds.
    pub queued_s: f64,
    /// Share of the cores used in that time.
    pub cores_share: f64,
    /// Cores that anything else on this machine used meanwhile.
    pub other_cores: f64,
    /// Attempts that failed.
    pub retries: u32,
}

/// Returns how many cores the pipeline uses while it has nothing to do.
///
/// # Errors
/// When it has ended.
pub async fn idle_cores(service: &Service) -> Result<f64> {
    let (begun, before) = (Instant::now(), service.tree.cpu_s()?);
    tokio::time::sleep(IDLE_WATCHED).await;
    Ok((service.tree.cpu_s()? - before) / begun.elapsed().as_secs_f64())
}

/// Sends `video` `times` times, each when the one before has ended; returns what units waited that found their stage
/// idle.
///
/// # Errors
/// When one does not end as it should.
pub async fn hops(service: &Service, video: &Path, options: &Pairs, times: usize) -> Result<Vec<Hop>> {
    let mut hops = Vec::new();
    for _ in 0..times {
        hops.extend(pass(service.api.clone(), video.to_owned(), options.clone()).await?.told.idle_hops());
    }
    Ok(hops)
}

/// Sends one video and waits for its end.
///
/// # Errors
/// When it does not end as it should.
pub async fn one(service: &Service, video: &Path, options: &Pairs, cores: usize) -> Result<One> {
    let before = service.tree.sample()?;
    let Passed { upload_ms, told } = pass(service.api.clone(), video.to_owned(), options.clone()).await?;
    let after = service.tree.sample()?;
    let missing = "an event of the video is missing";
    let (ended_ms, created_ms) = (told.ended_ms.context(missing)?, told.created_ms.context(missing)?);
    let wall_s = seconds(upload_ms, ended_ms);
    let cpu_s = after.tree_s - before.tree_s;
    Ok(One {
        wall_s,
        heard_s: seconds(upload_ms, after.at_ms),
        cpu_s,
        queue_wait_s: seconds(created_ms, told.first_segment_ms().context(missing)?),
        first_clip_s: seconds(upload_ms, told.first_clip_ms.context(missing)?),
        cores_share: cpu_s / (wall_s * cores as f64),
        other_cores: other_cores(&before, &after),
        idle_hops: told.idle_hops(),
        clips: told.clips,
        retries: told.retries,
    })
}

/// Sends `count` videos at once, `videos` in turn, and waits for the end of all.
///
/// # Errors
/// When one does not end as it should.
pub async fn many(service: &Service, videos: &[PathBuf], count: usize, options: &Pairs, cores: usize) -> Result<Many> {
    let sampler = Sampler::start(service.tree);
    let mut passing = JoinSet::new();
    for video in videos.iter().cycle().take(count) {
        passing.spawn(pass(service.api.clone(), video.clone(), options.clone()));
    }
    let mut passed = Vec::new();
    while let Some(one) = passing.join_next().await {
        passed.push(one.context("follow a video")??);
    }
    let samples = sampler.finish()?;
    let missing = "an event of a video is missing";
    let begun_ms = passed.iter().map(|p| p.upload_ms).min().context("no video was sent")?;
    let ended_ms = passed.iter().filter_map(|p| p.told.ended_ms).max().context(missing)?;
    let last_start_ms = passed.iter().filter_map(|p| p.told.last_start_ms()).max().context(missing)?;
    let spent = |from: i64, to: i64| Some(tree_s_at(&samples, to)? - tree_s_at(&samples, from)?);
    let (Some(first), Some(last)) = (samples.first(), samples.last()) else { anyhow::bail!("nothing was measured") };
    let wall_s = seconds(begun_ms, ended_ms);
    let queued_s = seconds(begun_ms, last_start_ms);
    let queued_cpu_s = spent(begun_ms, last_start_ms).context("nothing was measured")?;
    Ok(Many {
        videos: passed.len(),
        wall_s,
        cpu_s: last.tree_s - first.tree_s,
        videos_per_hour: passed.len() as f64 * 3600.0 / wall_s,
        queued_s,
        cores_share: queued_cpu_s / (queued_s * cores as f64),
        other_cores: other_cores(first, last),
        retries: passed.iter().map(|p| p.told.retries).sum(),
    })
}

/// Uploads `video` and follows it to its end, which must be a good one.
async fn pass(api: Api, video: PathBuf, options: Pairs) -> Result<Passed> {
    let mut told = Told::default();
    let upload_ms = Timestamp::now().as_millisecond();
    let accepted = api.upload(&video, &options, |_| {}).await?;
    let mut unread = None;
    let state = follow(&api, &accepted.id, |event| {
        if told.hear(event).is_none() {
            unread = Some(event.clone());
        }
    })
    .await?;
    ensure!(unread.is_none(), "an event is not understood: {}", unread.unwrap_or_default());
    ensure!(state == "done", "{} ended as {state}", video.display());
    Ok(Passed { upload_ms, told })
}

fn other_cores(before: &Sample, after: &Sample) -> f64 {
    // The kernel's clocks tick each 10 ms and are not read at one instant, so nothing may come out as a little less.
    ((after.others_s - before.others_s) / seconds(before.at_ms, after.at_ms)).max(0.0)
}

fn seconds(from_ms: i64, to_ms: i64) -> f64 {
    (to_ms - from_ms) as f64 / 1000.0
}
