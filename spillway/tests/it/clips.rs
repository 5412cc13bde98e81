//! A video becomes clips, and the same video the same clips.

use std::path::Path;
use std::process::Output;

use serde_json::{Value, json};

use crate::dev::{command, shared};
use testing::api::{Api, OPTIONS};
use testing::media::{probe, talk};

#[tokio::test]
async fn a_submitted_video_becomes_clips() {
    let dev = shared();
    let folder = tempfile::tempdir().expect("a folder");
    let server = dev.url();
    let submitted = tokio::task::spawn_blocking({
        let out = folder.path().to_owned();
        move || submit(&server, &out)
    });
    let output = submitted.await.expect("submit");
    let said = String::from_utf8(output.stdout).expect("text");
    assert_eq!(output.status.code(), Some(0), "{said}{}", String::from_utf8_lossy(&output.stderr));
    let lines: Vec<Value> = said.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();

    let video = the_only(&lines, "submitted")["video"].as_str().expect("an id").to_owned();
    let finished = the_only(&lines, "finished");
    assert_eq!(
        (&finished["state"], &finished["error"], &finished["video"]),
        (&json!("done"), &Value::Null, &json!(video))
    );
    let stages: Vec<&str> = of_type(&lines, "stage").filter_map(|line| line["times"]["stage"].as_str()).collect();
    assert_eq!(stages, ["fetch", "split", "transcribe", "analyze", "join", "moments", "cut"]);
    let events: Vec<&str> = of_type(&lines, "event").filter_map(|line| line["event"]["type"].as_str()).collect();
    // The last unit may be told after the end that came of it: these are two processes.
    let steps: Vec<&str> = events.into_iter().filter(|event| *event != "unit_done").collect();
    assert_eq!((steps.first(), steps.last()), (Some(&"created"), Some(&"ended")), "{steps:?}");

    let clips: Vec<&Value> = of_type(&lines, "clip").collect();
    assert_eq!(clips.len(), 2, "{said}");
    for clip in clips {
        check_clip(clip);
    }
    let shown = Api::at(dev.address()).done(&video).await;
    assert_eq!((&shown["lane"], &shown["name"]), (&json!("express"), &json!("talk.mp4")));
}

#[tokio::test]
async fn the_same_video_gives_the_same_clips() {
    let dev = shared();
    let api = Api::at(dev.address());
    let (one, other) = (api.upload(talk(), OPTIONS).await, api.upload(talk(), OPTIONS).await);
    api.done(&one).await;
    api.done(&other).await;
    let (one, other) = (api.clips(&one).await, api.clips(&other).await);
    assert_eq!(one.len(), 2);
    // Not `assert_eq`, which would print whole videos.
    for (one, other) in one.iter().zip(&other) {
        assert_eq!(one.plan, other.plan);
    }
    assert!(one == other, "the plan is the same, but the files are not");
}

/// Runs `spillway submit` as a user would.
fn submit(server: &str, out: &Path) -> Output {
    let mut command = command();
    command.args(["submit", "--server", server, "--wait", "--json", "--out"]).arg(out);
    command.args(["--clips", "2", "--min-clip", "3s", "--max-clip", "4s", "--height", "320"]).arg(talk());
    command.output().expect("spillway submit")
}

fn of_type<'a>(lines: &'a [Value], kind: &'a str) -> impl Iterator<Item = &'a Value> {
    lines.iter().filter(move |line| line["type"] == kind)
}

fn the_only<'a>(lines: &'a [Value], kind: &'a str) -> &'a Value {
    let found: Vec<&Value> = of_type(lines, kind).collect();
    assert_eq!(found.len(), 1, "{kind}: {found:?}");
    found[0]
}

/// Checks what is told of a clip, and that its files play anywhere.
fn check_clip(clip: &Value) {
    let length_s = clip["end_s"].as_f64().expect("a time") - clip["start_s"].as_f64().expect("a time");
    assert!((3.0..=4.05).contains(&length_s), "{length_s} s");
    assert!(clip["score"].as_f64().is_some_and(|score| (0.0..=1.0).contains(&score)), "{clip}");
    assert!(clip["why"].as_array().is_some_and(|why| !why.is_empty()), "{clip}");
    let file = |name: &str| Path::new(clip["files"][name].as_str().expect("a file")).to_owned();

    let found = probe(&file("video"));
    let stream = |kind: &str| {
        let streams = found["streams"].as_array().expect("streams");
        streams.iter().find(|s| s["codec_type"] == kind).expect("a stream").clone()
    };
    let (picture, sound) = (stream("video"), stream("audio"));
    for (member, expected) in [
        ("codec_name", json!("h264")),
        ("profile", json!("High")),
        ("pix_fmt", json!("yuv420p")),
        ("height", json!(320)),
    ] {
        assert_eq!(picture[member], expected, "{member}");
    }
    assert_eq!(picture["width"].as_u64().expect("a width") * 16, 320 * 9);
    assert_eq!(sound["codec_name"], "aac");
    let seconds: f64 = found["format"]["duration"].as_str().expect("a length").parse().expect("a number");
    assert!((seconds - length_s).abs() < 0.1, "{seconds} s of {length_s}");
    let bytes = std::fs::read(file("video")).expect("read");
    let place = |kind: &[u8]| bytes.windows(4).position(|window| window == kind).expect("the box is there");
    assert!(place(b"moov") < place(b"mdat"), "it does not play before it is loaded");

    let captions = std::fs::read_to_string(file("captions")).expect("read");
    assert!(captions.starts_with("WEBVTT") && captions.contains("-->"), "{captions}");
    assert_eq!(probe(&file("poster"))["streams"][0]["height"], 320);
}
