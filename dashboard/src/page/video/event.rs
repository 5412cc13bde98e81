//! What happened to a video, in words.

use pipeline::event::{EndState, Ended, Happened, StageTotal};
use pipeline::failure::Code;
use pipeline::stage::StageName;
use pipeline::store::LogEntry;
use serde::Serialize;

use crate::say;

/// Something that happened.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct EventShown {
    /// Its place in the video's log; grows, with gaps.
    pub seq: i64,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
    /// In words; parts of it are hostile text.
    pub text: String,
    /// Whether something went wrong.
    pub is_wrong: bool,
}

impl EventShown {
    /// Puts an entry of a log in words.
    pub fn of(entry: &LogEntry) -> Self {
        let happened = entry.event.happened.as_ref();
        let is_wrong = match happened {
            Some(Happened::UnitRetried(_) | Happened::UnitFailed(_)) => true,
            Some(Happened::Ended(ended)) => ended.state() != EndState::Done,
            _ => false,
        };
        let lane = entry.event.job.lane().as_str();
        let text =
            happened.map_or_else(|| "Something that this version has no words for.".to_owned(), |h| said(h, lane));
        Self { seq: entry.seq, at_ms: entry.event.at_ms, text, is_wrong }
    }

    /// Says when.
    pub fn at(&self) -> String {
        say::moment(say::at(self.at_ms))
    }
}

fn said(happened: &Happened, lane: &str) -> String {
    match happened {
        Happened::Created(created) if created.source == "upload" => {
            let name =
                if created.name.is_empty() { "without a name".to_owned() } else { format!("as {:?}", created.name) };
            format!("Accepted: {} were uploaded {name}.", say::bytes(created.bytes))
        }
        Happened::Created(created) => format!("Accepted, to be fetched from {}", created.source),
        Happened::Ready(media) => format!(
            "Obtained and measured: {} of {}x{}, {}; it goes on in the lane {lane}.",
            say::span(media.duration().as_seconds()),
            media.width,
            media.height,
            say::bytes(media.bytes)
        ),
        Happened::Total(total) => total_said(total),
        Happened::UnitDone(done) => {
            let span = |from_ms: i64, to_ms: i64| say::span(say::between_s(from_ms, to_ms));
            let waited = span(done.queued_ms, done.started_ms);
            let worked = span(done.started_ms, done.finished_ms);
            let (stage, unit) = (done.stage().as_str(), &done.unit);
            let by = if done.worker.is_empty() { String::new() } else { format!(" by {}", say::worker(&done.worker)) };
            let attempt = if done.attempt > 1 { format!(", attempt {}", done.attempt) } else { String::new() };
            format!("{stage} finished {unit}{by}: waited {waited}, worked {worked}{attempt}.")
        }
        Happened::UnitRetried(retried) => format!(
            "{} could not do {} (attempt {}); it is tried again: {}",
            retried.stage().as_str(),
            retried.unit,
            retried.attempt,
            retried.error
        ),
        Happened::UnitFailed(failed) => format!(
            "{} gave {} up: {}. {} {}",
            failed.stage().as_str(),
            failed.unit,
            failed.code,
            advice(&failed.code),
            failed.detail
        ),
        Happened::Analyzed(_) => "The analysis of a window can be read.".to_owned(),
        Happened::ClipReady(clip) => format!(
            "A clip is ready: {:.1} s to {:.1} s of the source, score {:.3}.",
            clip.start_us as f64 / 1e6,
            clip.end_us as f64 / 1e6,
            clip.score
        ),
        Happened::Ended(ended) => end_said(ended),
        Happened::Cancelled(_) => "Cancelled.".to_owned(),
        Happened::Replayed(replay) => {
            format!("{} works on {} again, which it had given up.", replay.stage().as_str(), replay.unit)
        }
        Happened::Reopened(_) => "The video goes on after its end.".to_owned(),
        Happened::Deleted(_) => "Deleted.".to_owned(),
    }
}

fn total_said(total: &StageTotal) -> String {
    let stage = total.stage().as_str();
    let again = if total.round > 0 { " (planned anew)" } else { "" };
    match total.stage() {
        StageName::Cut => {
            format!("Planned in window {}: {}{again}.", total.window, say::many(total.total as usize, "clip"))
        }
        _ => {
            format!("{stage} has {} in window {} so far{again}.", say::many(total.total as usize, "unit"), total.window)
        }
    }
}

fn end_said(ended: &Ended) -> String {
    let share = say::percent(Some(ended.completeness));
    match ended.state() {
        EndState::Done => "Done: all of it was worked on and every clip is there.".to_owned(),
        EndState::Partial => {
            format!("Ended partial, {share} of it was worked on: {}. {}", ended.code, advice(&ended.code))
        }
        EndState::Failed => format!("Failed: {}. {} {}", ended.code, advice(&ended.code), ended.detail),
    }
}

/// Says what a code means and what to do.
fn advice(code: &str) -> &'static str {
    Code::from_name(code).map_or("The reason has no text in this version.", Code::message)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use pipeline::event::{Created, Job, Options, UnitFailed, VideoEvent};
    use pipeline::id::{TenantId, VideoId};
    use pipeline::lane::Lane;

    use super::*;

    fn shown(happened: Happened) -> EventShown {
        let job = Job::new(&TenantId::default_tenant(), VideoId::random(), Lane::Express, Options::default());
        EventShown::of(&LogEntry { seq: 7, event: VideoEvent::new(&job, Timestamp::UNIX_EPOCH, happened) })
    }

    #[test]
    fn what_went_wrong_is_told_with_code_and_advice() {
        let failed = UnitFailed {
            stage: StageName::Fetch as i32,
            unit: "video".to_owned(),
            code: "not_a_video".to_owned(),
            detail: "seen: text".to_owned(),
            ..UnitFailed::default()
        };
        let event = shown(Happened::UnitFailed(failed));
        assert!(event.is_wrong);
        assert_eq!(
            event.text,
            "fetch gave video up: not_a_video. The file is not a video; upload mp4, mov, mkv, webm, ts, avi or flv. seen: text"
        );
    }

    #[test]
    fn an_upload_is_told_with_its_name_quoted() {
        let created =
            Created { name: "a\n<b>.mp4".to_owned(), source: "upload".to_owned(), bytes: 2048, ..Created::default() };
        let event = shown(Happened::Created(created));
        assert_eq!((&*event.text, event.is_wrong), ("Accepted: 2.0 KiB were uploaded as \"a\\n<b>.mp4\".", false));
    }
}
