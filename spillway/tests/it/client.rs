//! `spillway submit` and `spillway watch` as a user calls them: what they print, what they save, and each exit code.
//! Partial videos, code 4, are in `letters.rs`, where there are some.

use std::os::unix::process::ExitStatusExt;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use pipeline::id::VideoId;
use pipeline::loopback;
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::dev::{SPILLWAY, command, shared};
use testing::api::Api;
use testing::{media, processes};

/// How clips are made here: one, as cheap as can be.
const CHEAP: [&str; 8] = ["--clips", "1", "--min-clip", "3s", "--max-clip", "4s", "--height", "240"];
/// How soon it must be told that nobody answers; a busy machine is slow.
const AWAY_LIMIT: Duration = Duration::from_secs(20);

/// Returns a video of six seconds that is cheap to work on.
fn tone() -> &'static Path {
    static TONE: OnceLock<PathBuf> = OnceLock::new();
    let input = "-f lavfi -i testsrc2=s=160x90:r=10:d=6 -f lavfi -i sine=f=300:d=6";
    TONE.get_or_init(|| media::make(&format!("{input} -c:v libx264 -preset ultrafast -g 20 -c:a aac"), "tone.mp4"))
}

/// Calls the program for the server at `server`.
async fn call(server: &str, words: &[&str]) -> Output {
    let mut command = command();
    command.args(words).args(["--server", server]).stdin(Stdio::null());
    tokio::task::spawn_blocking(move || command.output()).await.expect("a thread").expect("spillway starts")
}

/// Returns what was printed, and what was said on standard error; the exit code must be `code`.
#[track_caller]
fn said(output: &Output, code: i32) -> (String, String) {
    let (printed, told) = (&output.stdout, &output.stderr);
    let (printed, told) = (String::from_utf8_lossy(printed).into_owned(), String::from_utf8_lossy(told).into_owned());
    assert_eq!(output.status.code(), Some(code), "{printed}{told}");
    (printed, told)
}

/// Reads what was printed as one JSON object a line.
#[track_caller]
fn lines(printed: &str) -> Vec<Value> {
    printed.lines().map(|line| serde_json::from_str(line).unwrap_or_else(|e| panic!("{e}: {line}"))).collect()
}

fn shown(path: &Path) -> &str {
    path.to_str().expect("a path in UTF-8")
}

#[tokio::test]
async fn what_is_accepted_can_be_watched_to_its_end_and_after_it() {
    let server = shared().url();
    let (printed, told) = said(&call(&server, &[&["submit", shown(tone())][..], &CHEAP].concat()).await, 0);
    let id = printed.trim_end();
    assert!(id.parse::<VideoId>().is_ok() && printed.ends_with('\n'), "an id and no more: {printed}");
    assert!(told.contains(&format!("accepted as {id} (lane express)")), "{told}");

    let (_, told) = said(&call(&server, &["watch", id]).await, 0);
    for words in ["accepted tone.mp4", " s long, 160x90, lane express", "clip ready, ", ": done\n", "cut "] {
        assert!(told.contains(words), "no {words:?} in {told}");
    }
    // It has ended: that is told at once.
    let (printed, _) = said(&call(&server, &["watch", "--json", id]).await, 0);
    let lines = lines(&printed);
    let events: Vec<&str> = lines.iter().filter_map(|line| line["event"]["type"].as_str()).collect();
    // The last unit may be told after the end that came of it: these are two processes.
    let steps: Vec<&str> = events.into_iter().filter(|event| *event != "unit_done").collect();
    assert_eq!((steps.first(), steps.last()), (Some(&"created"), Some(&"ended")), "{printed}");
    assert_eq!(lines.last(), Some(&json!({"type": "finished", "video": id, "state": "done"})));
}

#[tokio::test]
async fn clips_of_inputs_with_one_name_are_all_saved_and_what_cannot_be_is_told() {
    let (server, folder) = (shared().url(), TempDir::new().expect("a folder"));
    let inputs = ["one", "two"].map(|name| folder.path().join(name).join("same.mp4"));
    for input in &inputs {
        std::fs::create_dir(input.parent().expect("a folder")).expect("make a folder");
        std::fs::copy(tone(), input).expect("copy");
    }
    let out = folder.path().join("clips/of today");
    let words = ["submit", "--out", shown(&out), shown(&inputs[0]), shown(&inputs[1])];
    let (printed, _) = said(&call(&server, &[&words[..], &CHEAP].concat()).await, 0);
    let ids: Vec<&str> = printed.lines().filter_map(|line| line.split_once("same.mp4: done (")?.1.get(..8)).collect();
    let mut expected: Vec<String> =
        ids.iter().flat_map(|id| ["jpg", "mp4", "vtt"].map(|kind| format!("same-{id}-1.{kind}"))).collect();
    let names = std::fs::read_dir(&out).expect("the folder is made");
    let mut found: Vec<String> = names.map(|e| e.expect("an entry").file_name().into_string().expect("text")).collect();
    expected.sort();
    found.sort();
    assert_eq!((found, ids.len()), (expected, 2), "{printed}");
    assert!(printed.contains("score ") && printed.contains("fetch "), "clips with reasons, and times: {printed}");

    // A file where the folder should be.
    let words = ["submit", "--json", "--out", shown(&inputs[0]), shown(tone())];
    let (printed, _) = said(&call(&server, &[&words[..], &CHEAP].concat()).await, 1);
    let lines = lines(&printed);
    let last = lines.last().expect("a line");
    assert_eq!((&last["type"], &last["code"]), (&json!("failed"), &json!("not_saved")), "{printed}");
    assert!(lines.iter().any(|line| line["type"] == "finished" && line["state"] == "done"), "{printed}");
}

#[tokio::test]
async fn what_fails_or_is_refused_ends_with_1() {
    let (server, folder) = (shared().url(), TempDir::new().expect("a folder"));
    let text = folder.path().join("notes.mp4");
    std::fs::write(&text, "No video at all.\n".repeat(100)).expect("write");
    let (printed, _) = said(&call(&server, &["submit", "--wait", "--json", shown(&text)]).await, 1);
    let lines = lines(&printed);
    let finished = lines.last().expect("a line");
    assert_eq!((&finished["type"], &finished["state"]), (&json!("finished"), &json!("failed")), "{printed}");
    assert_eq!(finished["error"]["code"], "not_a_video", "{printed}");
    let id = finished["video"].as_str().expect("an id");
    let (_, told) = said(&call(&server, &["watch", id]).await, 1);
    assert!(told.contains(&format!("{id}: failed")), "{told}");

    let empty = folder.path().join("empty.mp4");
    std::fs::write(&empty, "").expect("write");
    let (printed, _) = said(&call(&server, &["submit", "--json", shown(&empty)]).await, 1);
    let refused: Value = serde_json::from_str(&printed).expect("one line of JSON");
    assert_eq!((&refused["type"], &refused["code"]), (&json!("failed"), &json!("empty_file")), "{printed}");

    let unknown = VideoId::random().to_string();
    let (printed, told) = said(&call(&server, &["watch", &unknown]).await, 1);
    assert!(printed.is_empty() && told.contains(&unknown) && told.lines().count() == 1, "{printed}{told}");
}

#[tokio::test]
async fn wrong_usage_and_inputs_that_cannot_be_read_end_with_2() {
    let (server, folder) = (shared().url(), TempDir::new().expect("a folder"));
    let missing = folder.path().join("missing.mp4");
    for (words, expected) in [
        (&["submit"][..], "FILE|URL"),
        (&["submit", "--clips", "99", "a.mp4"], "99"),
        (&["submit", "--wibble", "a.mp4"], "--wibble"),
        (&["watch"], "ID"),
        (&["submit", shown(&missing)], "missing.mp4: cannot read the input"),
        (&["submit", shown(folder.path())], "is not a file"),
    ] {
        let (printed, told) = said(&call(&server, words).await, 2);
        assert!(printed.is_empty() && told.contains(expected), "{words:?}: {printed}{told}");
    }
    // The worst of several counts; the others are worked on all the same.
    let words = [&["submit", "--json", shown(&missing), shown(tone())][..], &CHEAP].concat();
    let (printed, _) = said(&call(&server, &words).await, 2);
    let lines = lines(&printed);
    let types: Vec<&Value> = lines.iter().map(|line| &line["type"]).collect();
    assert_eq!(types, ["submitted", "failed"], "{printed}");
    assert_eq!(lines[1]["code"], "unreadable", "{printed}");
}

#[tokio::test]
async fn a_server_that_is_away_ends_with_3() {
    let nobody = format!("http://{}", loopback::free_address().expect("a free port"));
    let id = VideoId::random().to_string();
    for words in
        [&["submit", shown(tone())][..], &["submit", "https://example.com/a.mp4"], &["watch", &id], &["watch", "--all"]]
    {
        let begun = Instant::now();
        let (printed, told) = said(&call(&nobody, words).await, 3);
        assert!(printed.is_empty() && told.contains("cannot reach the server"), "{words:?}: {printed}{told}");
        assert!(begun.elapsed() < AWAY_LIMIT, "{words:?} took {:?}", begun.elapsed());
        let (printed, _) = said(&call(&nobody, &[words, &["--json"]].concat()).await, 3);
        assert_eq!(lines(&printed)[0]["code"], "unreachable", "{words:?}: {printed}");
    }
}

#[tokio::test]
async fn interrupted_it_ends_and_what_was_accepted_goes_on() {
    let (server, folder) = (shared().url(), TempDir::new().expect("a folder"));
    let path = folder.path().join("printed");
    // Whoever runs the tests in the background may have SIGINT ignored, and what it starts inherits that.
    let mut command = processes::command("env");
    command.args(["--default-signal=INT", SPILLWAY, "submit", "--wait", "--json", "--server", &server]);
    command.args(CHEAP).arg(tone());
    command.stdin(Stdio::null()).stdout(std::fs::File::create(&path).expect("a file"));
    let mut child = command.spawn().expect("spillway starts");
    let id = testing::until::until("it is accepted", Duration::from_secs(60), async || {
        let printed = std::fs::read_to_string(&path).expect("read");
        let first: Value = serde_json::from_str(printed.lines().next()?).ok()?;
        Some(first["video"].as_str()?.to_owned())
    })
    .await;
    processes::send(child.id(), Signal::SIGINT);
    let status = tokio::task::spawn_blocking(move || child.wait()).await.expect("a thread").expect("it ends");
    // What a shell calls 130.
    assert_eq!(status.signal(), Some(Signal::SIGINT as i32), "{status}");
    Api::at(shared().address()).done(&id).await;
}
