//! `spillway submit`: sends videos, waits for their clips and saves them.

mod options;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

use self::options::OptionArgs;
use crate::client::{
    Api, Board, ClipReply, EXIT_CODES, Error, Saved, ServerArgs, Times, Verdict, VideoReply, follow, save_clips,
};

/// How many files are uploaded at once: more would only share the same line.
const UPLOADS_AT_ONCE: usize = 3;

/// Submits videos and, with --wait, follows them to their clips.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXIT_CODES)]
pub struct SubmitArgs {
    /// Video files, or http(s) URLs that the server fetches.
    #[arg(required = true, value_name = "FILE|URL")]
    inputs: Vec<String>,
    /// Where the server is.
    #[command(flatten)]
    server: ServerArgs,
    /// Show progress until the videos ended, then print their clips and the time of each stage.
    #[arg(long)]
    wait: bool,
    /// Save the clips (mp4, vtt, jpg) in this folder; implies --wait.
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Print one JSON object a line: submitted, event, clip, stage, finished, failed.
    #[arg(long)]
    json: bool,
    /// How the clips are to be made.
    #[command(flatten)]
    options: OptionArgs,
}

/// What all inputs share.
struct Session {
    api: Api,
    board: Board,
    args: SubmitArgs,
    stems: BTreeMap<String, usize>,
    uploads: Semaphore,
}

/// Runs the subcommand.
///
/// # Errors
/// When the HTTP client cannot be set up; what goes wrong with a video is printed and in the exit code.
pub async fn run(args: SubmitArgs) -> anyhow::Result<ExitCode> {
    let mut stems = BTreeMap::new();
    let mut upload_bytes = 0;
    for input in &args.inputs {
        *stems.entry(stem(input)).or_default() += 1;
        if !is_url(input) {
            upload_bytes += tokio::fs::metadata(input).await.map_or(0, |m| m.len());
        }
    }
    let session = Arc::new(Session {
        api: Api::new(args.server.server.clone(), args.server.key.as_ref())?,
        board: Board::new(args.json, upload_bytes),
        stems,
        uploads: Semaphore::new(UPLOADS_AT_ONCE),
        args,
    });
    let mut videos = JoinSet::new();
    for (number, input) in session.args.inputs.iter().cloned().enumerate() {
        let session = session.clone();
        videos.spawn(async move { (number, session.one(&input).await) });
    }
    let mut ends: Vec<(usize, Outcome)> = videos.join_all().await;
    ends.sort_by_key(|(number, _)| *number);
    session.board.close();
    let mut worst = Verdict::Done;
    for (number, end) in ends {
        worst = worst.max(session.tell(&session.args.inputs[number], end));
    }
    Ok(worst.into())
}

/// What became of an input.
enum Outcome {
    /// It was accepted, and nobody waits.
    Accepted,
    /// It ended.
    Ended(Box<Ended>),
    /// It could not be sent or followed.
    Lost(Error),
}

/// A video that ended.
struct Ended {
    video: VideoReply,
    times: Times,
    clips: Vec<ClipReply>,
    saved: Vec<Saved>,
    /// Why not all was saved.
    not_saved: Option<anyhow::Error>,
}

impl Session {
    async fn one(self: &Arc<Self>, input: &str) -> Outcome {
        let submitted = match self.submit(input).await {
            Ok(video) => video,
            Err(error) => return Outcome::Lost(error),
        };
        let (id, lane) = (&submitted.id, &submitted.lane);
        self.board.say(&format!("{input}: accepted as {id} (lane {lane})"));
        self.print(json!({"type": "submitted", "input": input, "video": id, "state": submitted.state, "lane": lane}));
        if !self.args.wait && self.args.out.is_none() {
            if !self.args.json {
                println!("{id}");
            }
            return Outcome::Accepted;
        }
        self.wait(input, id).await.unwrap_or_else(Outcome::Lost)
    }

    async fn submit(self: &Arc<Self>, input: &str) -> Result<VideoReply, Error> {
        let options = self.args.options.pairs();
        if is_url(input) {
            return self.api.submit_url(input, &options).await;
        }
        let _turn = self.uploads.acquire().await.map_err(|e| Error::Broken(e.into()))?;
        let session = self.clone();
        self.api.upload(Path::new(input), &options, move |bytes| session.board.sent(bytes)).await
    }

    async fn wait(&self, input: &str, id: &str) -> Result<Outcome, Error> {
        let mut times = Times::default();
        let state = follow(&self.api, id, |event| {
            times.hear(event);
            self.board.hear(id, event);
            if event["type"] == "clip_ready" {
                let (from, to) = (&event["clip"]["start_s"], &event["clip"]["end_s"]);
                self.board.say(&format!("{input}: clip ready, {from} to {to} s"));
            }
            self.print(json!({"type": "event", "video": id, "event": event}));
        })
        .await?;
        let mut video = match self.api.video(id).await {
            // Deleted by somebody meanwhile.
            Err(Error::Refused(refusal)) if refusal.status == 404 => {
                VideoReply { id: id.to_owned(), state: state.clone(), lane: String::new(), error: None }
            }
            found => found?,
        };
        video.state = state;
        let clips = match video.state.as_str() {
            "done" | "partial" => self.api.clips(id).await?,
            _ => Vec::new(),
        };
        let (saved, not_saved) = match &self.args.out {
            Some(folder) => save_clips(&self.api, &clips, folder, &self.name(input, id)).await,
            None => (Vec::new(), None),
        };
        Ok(Outcome::Ended(Box::new(Ended { video, times, clips, saved, not_saved })))
    }

    /// Returns what clips are called: the input's name, with the video's id where two inputs have the same.
    fn name(&self, input: &str, id: &str) -> String {
        let stem = stem(input);
        if self.stems.get(&stem).is_some_and(|count| *count > 1) {
            return format!("{stem}-{}", id.get(..8).unwrap_or(id));
        }
        stem
    }

    /// Prints what became of an input and judges it.
    fn tell(&self, input: &str, outcome: Outcome) -> Verdict {
        match outcome {
            Outcome::Accepted => Verdict::Done,
            Outcome::Lost(error) => {
                let (verdict, code) = (Verdict::of_error(&error), error.code().to_owned());
                self.tell_failure(input, &code, &error.into());
                verdict
            }
            Outcome::Ended(ended) => {
                let Ended { video, times, clips, saved, not_saved } = *ended;
                let verdict = Verdict::of_state(&video.state);
                self.tell_end(input, &video, &times, &clips, &saved);
                let Some(error) = not_saved else { return verdict };
                self.tell_failure(input, "not_saved", &error);
                verdict.max(Verdict::Failed)
            }
        }
    }

    fn tell_end(&self, input: &str, video: &VideoReply, times: &Times, clips: &[ClipReply], saved: &[Saved]) {
        let error = video.error.as_ref().map(|e| json!({"code": e.code, "stage": e.stage, "message": e.message}));
        for (number, clip) in clips.iter().enumerate() {
            let why: Vec<&str> = clip.reasons.iter().map(|reason| reason.text.as_str()).collect();
            self.print(json!({
                "type": "clip", "video": video.id, "id": clip.id, "start_s": clip.start_s, "end_s": clip.end_s,
                "score": clip.score, "why": why, "links": {"video": clip.links.video}, "files": saved.get(number),
            }));
        }
        for stage in times.stages() {
            self.print(json!({"type": "stage", "video": video.id, "times": stage}));
        }
        self.print(
            json!({"type": "finished", "input": input, "video": video.id, "state": video.state, "error": error}),
        );
        if self.args.json {
            return;
        }
        println!("{input}: {} ({})", video.state, video.id);
        if let Some(error) = &video.error {
            println!("  {}: {} ({})", error.stage, error.message, error.code);
        }
        for (number, clip) in clips.iter().enumerate() {
            let file = saved.get(number).and_then(|s| s.video.as_ref()).map(|p| p.display().to_string());
            let place = file.or(clip.links.video.clone()).unwrap_or_default();
            println!("  {place}  {:.2} to {:.2} s  score {:.3}", clip.start_s, clip.end_s, clip.score);
            for reason in &clip.reasons {
                println!("      {}", reason.text);
            }
        }
        print!("{}", times.table());
    }

    fn tell_failure(&self, input: &str, code: &str, error: &anyhow::Error) {
        let text = format!("{error:#}");
        if self.args.json {
            println!("{}", json!({"type": "failed", "input": input, "code": code, "message": text}));
        } else {
            eprintln!("{input}: {text}");
        }
    }

    fn print(&self, line: Value) {
        if self.args.json {
            println!("{line}");
        }
    }
}

fn is_url(input: &str) -> bool {
    input.starts_with("http://") || input.starts_with("https://")
}

/// Returns what is left of an input without folders and extension, safe as the beginning of a file name.
fn stem(input: &str) -> String {
    let path = if is_url(input) { input.split(['?', '#']).next().unwrap_or_default() } else { input };
    let stem = Path::new(path).file_stem().map(|s| s.to_string_lossy().into_owned()).unwrap_or_default();
    let plain: String =
        stem.chars().map(|c| if c.is_control() || "\\/:*?\"<>|".contains(c) { '_' } else { c }).collect();
    if plain.is_empty() { "video".to_owned() } else { plain }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stems_are_names_of_files() {
        assert_eq!(stem("/a/My talk.final.mp4"), "My talk.final");
        assert_eq!(stem("https://host/v/talk.mp4?x=/y.z"), "talk");
        assert_eq!(stem("https://host/a%2Fb:c.mp4"), "a%2Fb_c");
        assert_eq!(stem(".."), "video");
    }
}
