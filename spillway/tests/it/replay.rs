//! `spillway autoscale --replay`, as another program would use it: it writes what it sees and reads what to do.

use std::io::{BufRead, BufReader, Read, Write};
use std::process::Stdio;
use std::sync::mpsc;
use std::time::Duration;

use serde_json::Value;

use crate::dev::command;

/// How long an answer may take: it comes at once, or only with the end of the input.
const PATIENCE: Duration = Duration::from_secs(60);

/// A stage at which so many records wait, with one worker of seven at the most.
fn seen(at: u32, waiting: u32) -> String {
    let lane = serde_json::json!({"lane": "standard", "partitions": 40, "end_offset_total": waiting, "committed_total": 0,
        "arrived_total": waiting, "head_age_s": 1.0});
    let stage = serde_json::json!({"stage": "cut", "lanes": [lane], "workers": {"ready": 1, "busy": 1, "starting": [],
        "draining": 0}, "replicas": 1, "min_replicas": 1, "max_replicas": 7, "slots_per_worker": 1, "slots_busy": 1,
        "wait_slo_s": 60, "done_total": 0, "busy_seconds_total": 0, "work_done_media_s_total": 0});
    serde_json::json!({"at": at, "stages": [stage]}).to_string()
}

#[test]
fn a_line_is_answered_before_the_next_and_one_that_cannot_be_read_ends_it() {
    let mut command = command();
    command.args(["autoscale", "--replay", "--service-time", "cut=60s"]);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut replay = command.spawn().expect("start spillway");
    let mut input = replay.stdin.take().expect("its input");
    let output = BufReader::new(replay.stdout.take().expect("its output"));
    let (say, said) = mpsc::channel();
    let reading =
        std::thread::spawn(move || output.lines().map_while(Result::ok).for_each(|line| drop(say.send(line))));
    for (at, waiting, expected) in [(0, 0, 1), (5, 500, 7)] {
        writeln!(input, "{}", seen(at, waiting)).expect("it reads");
        let line = said.recv_timeout(PATIENCE).expect("it answers before there is more");
        let decision: Value = serde_json::from_str(&line).expect("a decision");
        assert_eq!((&decision["at"], &decision["stages"][0]["replicas"]), (&f64::from(at).into(), &expected.into()));
    }
    writeln!(input, "\nnone").expect("it reads");
    let status = replay.wait().expect("it ends");
    reading.join().expect("its output ends");
    let mut error = String::new();
    replay.stderr.take().expect("its errors").read_to_string(&mut error).expect("text");
    assert_eq!((status.code(), said.try_recv().ok()), (Some(2), None));
    let expected = "spillway: line 4 cannot be read as an observation: expected ident (column 2)\n";
    assert_eq!(error, expected, "the empty line counts");
}
