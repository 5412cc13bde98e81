//! What the pages answer where nobody works: their JSON as it is described, what they cost while nothing happens, the command
//! lines that they print, and kept load tests.

use std::path::Path;

use ::loadtest::client::Answer;
use ::loadtest::drive::Sent;
use ::loadtest::fleet::{Decided, Fleet, Workers};
use ::loadtest::limits::limits;
use ::loadtest::machine::Machine;
use ::loadtest::measures::{Measures, Seen};
use ::loadtest::mix::Arrival;
use ::loadtest::report::kept::Kept;
use ::loadtest::report::{About, Report};
use ::loadtest::schedule::Curve;
use ::loadtest::story::Story;
use ::loadtest::verdict::{Terms, judge};
use futures::future::join_all;
use jiff::Timestamp;
use reqwest::StatusCode;
use serde_json::{Value, json};
use tokio::time::timeout;

use crate::described::is_described;
use crate::dev::SPILLWAY;
use crate::pages::{ALONE, BESIDE_API, Dashboard, Ground, LIMIT, token};
use testing::until::until;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn pages_answer_what_is_described_and_no_more_than_has_changed() {
    let ground = Ground::new().await;
    let reports = ground.home.data().join("reports");
    let runs = [keep(&reports, 0), keep(&reports, 3600)];
    let dashboard = Dashboard::start(&ground, ALONE, &["--reports", reports.to_str().expect("a path")]).await;
    nothing_there(&dashboard).await;
    numbers(&dashboard, &runs).await;
    reports_are_read_whole(&dashboard, &runs).await;
    the_dry_run_shows_what_it_goes_by(&dashboard).await;
    refused_to_people(&dashboard).await;
    letters_that_are_not_there(&dashboard, &token(&dashboard.page("/").await)).await;
    an_idle_page_is_sent_once(&dashboard).await;
    let folder = Path::new(SPILLWAY).parent().expect("a folder");
    commands_can_be_run(&dashboard, folder, &["/workers", "/letters?stage=cut&state=all", "/autoscaler?stage=cut"])
        .await;
    drop(dashboard);
    let dashboard = Dashboard::start(&ground, BESIDE_API, &[]).await;
    commands_can_be_run(&dashboard, folder, &["/videos"]).await;
}

/// Keeps a small run that began so many seconds after another, as `spillway loadtest` does, and returns its name.
fn keep(folder: &Path, seconds: i64) -> String {
    let begun_at = Timestamp::from_second(1_795_514_400 + seconds).expect("a moment");
    let at_ms = |second: i64| begun_at.as_millisecond() + second * 1000;
    let arrival = Arrival { number: 0, at_s: 0.0, sender: 0, priority: false, by_url: false, kind: 0 };
    let answer = Answer::Accepted("v".to_owned());
    let sent = vec![Sent { arrival, planned_ms: at_ms(0), late_s: 0.0, answered_s: 0.1, answer }];
    let stories = vec![Story {
        id: "v".to_owned(),
        created_ms: at_ms(0),
        ended_ms: Some(at_ms(60)),
        state: "done".to_owned(),
        queue_wait_s: Some(5.0),
        first_segment_s: Some(9.0),
        processing_s: Some(50.0),
        total_s: Some(60.0),
        busy_s: 40.0,
        units: 9,
        clips: 3,
        ..Story::default()
    }];
    let fleet = |second: i64, slots: u32| Fleet {
        at_ms: at_ms(second),
        stages: [("cut".to_owned(), Workers { slots, busy: 1, ..Workers::default() })].into(),
        wanted: [("cut".to_owned(), 2)].into(),
        ..Fleet::default()
    };
    let fleets = vec![fleet(0, 1), fleet(30, 2), fleet(60, 2)];
    let (stage, reason) = ("cut".to_owned(), "more wait".to_owned());
    let changes = vec![Decided { at_ms: at_ms(5), stage, had: 1, wanted: 2, reason }];
    let machine = vec![Machine { at_ms: at_ms(10), busy_cores: 1.0, ..Machine::default() }];
    let measures = Measures::of(Seen {
        planned: 1,
        sent: &sent,
        stories: &stories,
        fleets: &fleets,
        changes: &changes,
        machine: &machine,
        time_scale: 1.0,
    });
    let targets = judge(&measures, Terms::default());
    let limits = limits((at_ms(0), at_ms(60)), &machine, 2, &fleets, None);
    let about = About {
        spillway: "spillway of a test".to_owned(),
        schedule: "users-1".to_owned(),
        seed: 3,
        begun_at,
        server: "http://127.0.0.1:8080/".to_owned(),
        emulated: None,
        max_workers: None,
        time_scale: 1.0,
        material: "a file".to_owned(),
        cores: 2,
        processor: "a processor".to_owned(),
    };
    let curve = Curve::default();
    let report = Report { about, curve, measures, targets, limits, sent, stories, fleets, changes, machine };
    let file = Kept::open(folder.to_owned()).and_then(|kept| kept.keep(&report, "<p>its page")).expect("it is kept");
    file.file_stem().and_then(|name| name.to_str()).expect("a name").to_owned()
}

/// Every page has its numbers for programs, as they are described, and what cannot be read is told as what is refused.
async fn numbers(dashboard: &Dashboard, [a, b]: &[String; 2]) {
    let pages = ["/", "/new", "/videos", "/queues", "/letters", "/workers", "/autoscaler", "/autoscaler/decisions"];
    let others = ["/capacity", "/loadtests", "/cost", "/autoscaler/pin?stage=STAGE&fixed=2"];
    let pages = pages.into_iter().chain(others).map(|path| (path, path.replace("STAGE", "cut")));
    let named = [
        ("/queues/STAGE", "/queues/cut".to_owned()),
        ("/loadtests/NAME", format!("/loadtests/{a}")),
        ("/loadtests/compare?a=NAME&b=NAME", format!("/loadtests/compare?a={a}&b={b}")),
    ];
    for (described, path) in pages.chain(named) {
        let page = dashboard.json(&path).await;
        assert_eq!(page["bar"]["queued"], 0, "{path}: {page}");
        is_described(described, &page);
    }
    let wrong =
        ["/letters/cut/a/b", "/workers/drain", "/live", "/videos?id=x", "/videos?colour=red", "/capacity?users=-1"];
    for path in wrong {
        let asked = dashboard.client.get(dashboard.url(path)).header("accept", "application/json");
        let answer = asked.send().await.expect("an answer");
        let (status, kind) = (answer.status(), answer.headers()["content-type"].to_str().expect("text").to_owned());
        assert!(status.is_client_error() && kind == "application/problem+json", "{path}: {status} {kind}");
        let problem: Value = answer.json().await.expect("JSON");
        assert_eq!(problem["code"], "refused", "{path}: {problem}");
    }
    // A watched video that is gone does not end the stream without a word.
    let gone = "/live?view=video/default/7f724280-50f9-4848-b9a7-e441770f049d";
    stream(dashboard, gone, |said| said.contains("it may have been deleted")).await;
}

/// Reads a stream until what was said is enough.
async fn stream(dashboard: &Dashboard, path: &str, is_enough: impl Fn(&str) -> bool) -> String {
    let mut stream = dashboard.client.get(dashboard.url(path)).send().await.expect("an answer");
    let mut said = String::new();
    while !is_enough(&said) {
        let piece = timeout(LIMIT, stream.chunk()).await.expect("in time").expect("a stream");
        said.push_str(&String::from_utf8_lossy(&piece.expect("the stream goes on")));
    }
    said
}

/// Nothing that a report keeps has another name, or is left out, where the dashboard reads it.
async fn reports_are_read_whole(dashboard: &Dashboard, runs: &[String]) {
    for run in runs {
        let page = dashboard.json(&format!("/loadtests/{run}")).await;
        let measures = page["measures"].as_array().expect("measures");
        let unknown: Vec<&Value> = measures.iter().filter(|measure| measure["value"].is_null()).collect();
        assert!(measures.len() > 20 && unknown.is_empty(), "{unknown:?}");
        assert_eq!((&page["about"]["seed"], &page["about"]["cores"]), (&3.into(), &2.into()));
        let told = |list: &str, field: &str| {
            let list = page[list].as_array().expect("a list");
            !list.is_empty() && list.iter().all(|one| one[field].as_str() != Some(""))
        };
        assert!(told("targets", "outcome") && told("targets", "wanted") && told("limits", "seen"), "{page}");
        let plots = page["plots"].as_array().expect("plots");
        assert!(plots.iter().all(|plot| plot["x"].as_array().is_some_and(|x| !x.is_empty())), "{page}");
    }
    let listed = dashboard.json("/loadtests").await;
    let run = &listed["runs"][0];
    assert!(run["trouble"].is_null() && run["met"].is_number() && run["queue_wait_p95_s"].is_number(), "{listed}");
}

/// What is not given in the dry run is what its field shows in its place.
async fn the_dry_run_shows_what_it_goes_by(dashboard: &Dashboard) {
    let page = dashboard.page("/autoscaler").await;
    let usual = planning::policy::Policy::default();
    for (field, value) in [("coverage", usual.coverage), ("down", usual.down_window_s)] {
        let (_, rest) = page.split_once(&format!("name=\"{field}\"")).expect("a field");
        let (tag, _) = rest.split_once('>').expect("its end");
        assert!(tag.contains(&format!("placeholder=\"{value}\"")), "{tag}");
    }
}

/// To people, what is refused stays where it was given, or a page leads back there.
async fn refused_to_people(dashboard: &Dashboard) {
    for (path, kept) in [("/videos?id=xyz", "value=\"xyz\""), ("/capacity?users=99999999", "value=\"99999999\"")] {
        let answer = dashboard.client.get(dashboard.url(path)).send().await.expect("an answer");
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY, "{path}");
        let page = answer.text().await.expect("a page");
        assert!(page.contains(kept) && page.contains("role=\"alert\""), "{page}");
    }
    let form = dashboard.client.get(dashboard.url("/capacity?users=5&videos=20&priority=&seeds=1&lengths="));
    let answer = form.header("accept", "text/html").send().await.expect("an answer");
    assert_eq!(answer.status(), StatusCode::SEE_OTHER);
    assert_eq!(answer.headers()["location"], "/capacity?users=5&videos=20&seeds=1");
    let asked = dashboard.client.get(dashboard.url("/autoscaler?wait=0"));
    let asked = asked.header("referer", dashboard.url("/autoscaler?stage=cut"));
    let page = asked.send().await.expect("an answer").text().await.expect("a page");
    assert!(page.contains("href=\"/autoscaler?stage=cut\""), "{page}");
}

/// Letters that nobody knows are neither settled nor sent to work.
async fn letters_that_are_not_there(dashboard: &Dashboard, token: &str) {
    let ask = async |path: &str| dashboard.client.get(dashboard.url(path)).send().await.expect("an answer").status();
    assert_eq!(ask("/letters/cut/0/7").await, StatusCode::NOT_FOUND);
    for action in ["replay", "discard"] {
        let asked = dashboard.client.post(dashboard.url("/letters/act")).header("accept", "application/json");
        let asked = asked.body(format!("csrf={token}&action={action}&id=cut/0/7"));
        let asked = asked.header("content-type", "application/x-www-form-urlencoded");
        let done: Value = asked.send().await.expect("an answer").json().await.expect("JSON");
        assert_eq!((&done["letters"][0]["id"], &done["letters"][0]["became"]), (&"cut/0/7".into(), &"gone".into()));
    }
}

/// What there is not is told in a page to people, and as a problem to programs.
async fn nothing_there(dashboard: &Dashboard) {
    let ask = async |path: &str, accept: &str| {
        let asked = dashboard.client.get(dashboard.url(path)).header("accept", accept);
        let answer = asked.send().await.expect("an answer");
        (answer.status(), answer.text().await.expect("text"))
    };
    let (status, page) = ask("/nothing/here", "text/html").await;
    assert!(status == StatusCode::NOT_FOUND && page.contains("There is no page at this address."), "{page}");
    let (status, problem) = ask("/nothing", "application/json").await;
    assert!(status == StatusCode::NOT_FOUND && problem.contains("not_found"), "{problem}");
    let (status, described) = ask("/openapi.json", "application/json").await;
    assert!(status == StatusCode::OK && described.contains("/v1/videos"), "{described}");
}

/// While nothing happens, no part of a page is sent a second time, though all of it grows older.
async fn an_idle_page_is_sent_once(dashboard: &Dashboard) {
    // The first looks find what is there, and a further one at which rate it comes.
    until("all is heard and seen", LIMIT, async || {
        let (page, queues) = (dashboard.json("/").await, dashboard.json("/queues").await);
        let services = dashboard.json("/cost").await["now"]["services"].clone();
        let has_rates = |queue: &Value| {
            let lanes = queue["lanes"].as_array().expect("lanes");
            !lanes.is_empty() && lanes.iter().all(|lane| lane["arriving_per_s"].is_number())
        };
        let is_whole = queues["now"]["stages"].as_array().expect("stages").iter().all(has_rates);
        let is_heard = services != json!([]);
        (is_whole && is_heard && page["bar"]["is_stale"] == false && page["now"]["wrong"] == json!([])).then_some(())
    })
    .await;
    let views = ["overview", "queues", "queues/cut", "letters", "workers", "autoscaler", "cost"];
    let is_enough = |said: &str| said.matches("event: tick").count() > 3;
    let watched = views.map(async |view| (view, stream(dashboard, &format!("/live?view={view}"), is_enough).await));
    for (view, said) in join_all(watched).await {
        let events = said.split("\n\n").filter(|event| event.contains("data:"));
        let parts: Vec<&str> = events.filter(|event| !event.contains("event:")).collect();
        assert!(parts[0].contains("id=\"bar\"") && parts[0].contains("hx-swap-oob"), "{view}: {}", parts[0]);
        // What is sent again differs from what was sent before, and in sizes alone.
        let later: Vec<&str> = parts[1..].iter().map(|part| part.trim_start_matches("data: ")).collect();
        let is_new = parts.iter().zip(&later).all(|(before, part)| !before.ends_with(part));
        let is_same = later.iter().all(|part| without_sizes(parts[0]).ends_with(&without_sizes(part)));
        assert!(is_new && is_same, "{view}: {parts:#?}");
    }
}

/// Leaves out how large things are: the disk and the memory of the machine are not this test's alone.
fn without_sizes(said: &str) -> String {
    let words: Vec<&str> = said.split_inclusive(['>', ' ']).collect();
    words.windows(2).filter(|pair| !pair[1].contains("iB<")).map(|pair| pair[0]).collect()
}

/// What pages print to be copied works as it is, on a host whose brokers and API are not where the command line looks by
/// itself.
async fn commands_can_be_run(dashboard: &Dashboard, folder: &Path, pages: &[&str]) {
    for path in pages {
        let page = dashboard.page(path).await;
        let copied = page.split("data-copy=\"").skip(1).filter_map(|rest| rest.split('"').next());
        let copied: Vec<String> = copied.map(unescaped).collect();
        assert!(!copied.is_empty() && copied.iter().all(|line| line.starts_with("spillway ")), "{path}: {copied:?}");
        for line in copied {
            let mut shell = testing::processes::command("sh");
            let old = std::env::var("PATH").unwrap_or_default();
            shell.args(["-c", &line]).env("PATH", format!("{}:{old}", folder.display()));
            let output = shell.output().expect("sh is installed");
            assert!(output.status.success(), "{line}: {output:?}");
        }
    }
}

/// Reads text out of an attribute.
fn unescaped(text: &str) -> String {
    let marks = [("&#39;", "'"), ("&#34;", "\""), ("&#60;", "<"), ("&#62;", ">"), ("&#38;", "&")];
    marks.iter().fold(text.to_owned(), |text, (escaped, mark)| text.replace(escaped, mark))
}
