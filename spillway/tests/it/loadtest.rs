//! `spillway loadtest --emulate`, from its command line to its report.

use std::time::Duration;

use serde_json::Value;

use crate::dev::command;

/// Everything that a run starts, does and ends takes no longer, on a machine that does much else.
const LIMIT: Duration = Duration::from_secs(120);

#[test]
fn emulated_videos_all_end_and_the_report_says_so() {
    let folder = tempfile::tempdir().expect("a folder");
    let [json, html] = ["run.json", "run.html"].map(|name| folder.path().join(name));
    let mut call = command();
    call.args(["loadtest", "users-6", "--emulate", "--time-scale", "50", "--max-workers", "20", "--startup", "20s"]);
    call.args(["--seed", "3", "--patience", "1h"]).arg("--json").arg(&json).arg("--html").arg(&html);
    call.env("XDG_DATA_HOME", folder.path()).env_remove("SPILLWAY_REPORTS");
    let begun = std::time::Instant::now();
    let ran = call.output().expect("start spillway");
    let said = String::from_utf8_lossy(&ran.stdout);
    let complaints = String::from_utf8_lossy(&ran.stderr);
    assert!(begun.elapsed() < LIMIT, "it took {:?}", begun.elapsed());
    // Times on a busy machine may miss their targets, but nothing may be missing.
    assert!(matches!(ran.status.code(), Some(0 | 1)) && json.exists(), "{said}\n{complaints}");
    let report: Value = serde_json::from_slice(&std::fs::read(&json).expect("the report")).expect("JSON");
    let measures = &report["measures"];
    for (name, count) in [("planned", 6), ("accepted", 6), ("done", 6), ("lost", 0), ("duplicates", 0), ("unsent", 0)] {
        assert_eq!(measures[name], count, "{name}: {said}\n{complaints}");
    }
    assert!(measures["clips"].as_u64() >= Some(6) && measures["queue_wait"]["count"] == 6, "{measures}");
    assert!(!report["changes"].as_array().expect("decisions").is_empty(), "nothing was decided: {complaints}");
    assert!(said.contains("seed 3") && said.contains("accepted and lost"), "{said}");
    let kept = std::fs::read_dir(folder.path().join("spillway/reports")).expect("reports are kept");
    let mut kept: Vec<_> = kept.map(|entry| entry.expect("a report").path()).collect();
    kept.sort();
    let kinds: Vec<_> = kept.iter().filter_map(|file| file.extension()).collect();
    assert_eq!(kinds, ["html", "json"], "{kept:?}");
    let same = |kept, written| std::fs::read(kept).expect("a file") == std::fs::read(written).expect("a file");
    assert!(same(&kept[0], &html) && same(&kept[1], &json), "{kept:?}");
    assert!(said.contains(&format!("kept: {}", kept[1].display())), "{said}");
    assert!(std::fs::read_to_string(&html).expect("the page").contains("<svg"));
}
