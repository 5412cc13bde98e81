//! `spillway watch`: follows videos until they end.

use std::process::ExitCode;
use std::sync::Arc;

use serde_json::{Value, json};
use tokio::task::JoinSet;

use crate::client::{Api, Board, EXIT_CODES, Error, ServerArgs, Times, Verdict, follow};

/// Follows what happens to videos until they end.
#[derive(clap::Args, Clone, Debug)]
#[command(after_help = EXIT_CODES)]
pub struct WatchArgs {
    /// Ids of the videos.
    #[arg(required_unless_present = "all", value_name = "ID")]
    videos: Vec<String>,
    /// Follow every video that has not ended.
    #[arg(long, conflicts_with = "videos")]
    all: bool,
    /// Where the server is.
    #[command(flatten)]
    server: ServerArgs,
    /// Print one JSON object a line: event, finished, failed.
    #[arg(long)]
    json: bool,
}

/// Runs the subcommand.
///
/// # Errors
/// When the HTTP client cannot be set up; what goes wrong with a video is printed and in the exit code.
pub async fn run(args: WatchArgs) -> anyhow::Result<ExitCode> {
    let api = Api::new(args.server.server.clone(), args.server.key.as_ref())?;
    let ids = match args.all {
        false => args.videos.clone(),
        true => match api.unfinished().await {
            Ok(videos) => videos.into_iter().map(|video| video.id).collect(),
            Err(error) => {
                let verdict = Verdict::of_error(&error);
                tell_error(args.json, "all", error);
                return Ok(verdict.into());
            }
        },
    };
    if ids.is_empty() && !args.json {
        eprintln!("no video is under way");
    }
    let board = Arc::new(Board::new(args.json, 0));
    let mut following = JoinSet::new();
    for id in ids {
        let (api, board, json) = (api.clone(), board.clone(), args.json);
        following.spawn(async move { one(&api, &board, json, &id).await });
    }
    let verdicts = following.join_all().await;
    board.close();
    Ok(verdicts.into_iter().max().unwrap_or(Verdict::Done).into())
}

async fn one(api: &Api, board: &Board, json: bool, id: &str) -> Verdict {
    let mut times = Times::default();
    let hear = |event: &Value| {
        times.hear(event);
        board.hear(id, event);
        if json {
            println!("{}", json!({"type": "event", "video": id, "event": event}));
        } else if let Some(line) = line(event) {
            board.say(&format!("{id}: {line}"));
        }
    };
    // A server that goes away is waited for; one that is not there from the start is told at once.
    let followed = match api.video(id).await {
        Ok(_) => follow(api, id, hear).await,
        Err(error) => Err(error),
    };
    match followed {
        Ok(state) => {
            if json {
                println!("{}", json!({"type": "finished", "video": id, "state": state}));
            } else {
                board.say(&format!("{id}: {state}\n{}", times.table()));
            }
            Verdict::of_state(&state)
        }
        Err(error) => {
            let verdict = Verdict::of_error(&error);
            tell_error(json, id, error);
            verdict
        }
    }
}

fn tell_error(json: bool, what: &str, error: Error) {
    let code = error.code().to_owned();
    let text = format!("{:#}", anyhow::Error::from(error));
    if json {
        println!("{}", json!({"type": "failed", "video": what, "code": code, "message": text}));
    } else {
        eprintln!("{what}: {text}");
    }
}

/// Returns what a person wants to read of an event; units are in the bars.
fn line(event: &Value) -> Option<String> {
    let text = |name: &str| event[name].as_str().unwrap_or_default();
    let error = |name: &str| event["error"][name].as_str().unwrap_or_default();
    Some(match event["type"].as_str()? {
        "created" => format!("accepted {}", text("name")),
        "ready" => {
            format!("{} s long, {}x{}, lane {}", event["duration_s"], event["width"], event["height"], text("lane"))
        }
        "unit_retried" => format!("{} tries {} again", text("stage"), text("unit")),
        "unit_failed" => format!("{} gave {} up: {}", error("stage"), text("unit"), error("message")),
        "unit_replayed" => format!("{} works on {} again: it is replayed", text("stage"), text("unit")),
        "reopened" => "goes on after its end".to_owned(),
        "clip_ready" => format!("clip ready, {} to {} s", event["clip"]["start_s"], event["clip"]["end_s"]),
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(event: Value, expected: Option<&str>) {
        assert_eq!(line(&event).as_deref(), expected);
    }

    #[test]
    fn lines_are_for_people() {
        let error = json!({"stage": "cut", "code": "stuck", "message": "It made no progress."});
        let failed = json!({"type": "unit_failed", "unit": "clip/1", "error": error});
        check(failed, Some("cut gave clip/1 up: It made no progress."));
        check(json!({"type": "created", "name": "talk.mp4"}), Some("accepted talk.mp4"));
        let clip = json!({"type": "clip_ready", "clip": {"start_s": 1.5, "end_s": 20.0}});
        check(clip, Some("clip ready, 1.5 to 20.0 s"));
        check(json!({"type": "unit_done"}), None);
    }
}
