//! How a plan is told: as tables and as a page.

use planning::plan::answer::{Answer, Band, Bill, Rival, StageUse};
use planning::plan::breaking::Breaking;
use planning::plan::carrying::Carries;
use planning::plan::runs::Scaling;
use planning::plan::scenario::Scenario;
use planning::plan::{page, table};
use planning::stages::STAGES;

fn band(mid: f64) -> Band {
    Band { low: 0.9 * mid, mid, high: 1.2 * mid }
}

/// A rival of made-up numbers: which they are depends on the policy, how they are told does not.
fn rival(scaling: Scaling, times: f64) -> Rival {
    let is_old = scaling == Scaling::Old;
    let stage = |(place, stage): (usize, &str)| StageUse {
        stage: stage.to_owned(),
        peak_workers: band(100.0 * (place as f64 + 1.0)),
        mean_workers: band(4.0 * times),
        utilisation: band(0.25),
    };
    let names: Vec<&str> = if is_old { vec!["all steps"] } else { STAGES.iter().map(|stage| stage.as_str()).collect() };
    let month = 1900.0 * times;
    Rival {
        scaling,
        seeds: if scaling == Scaling::Spillway { 20 } else { 4 },
        whole_seeds: 4,
        queue_wait_p50_s: band(60.0 * times),
        queue_wait_p95_s: band(90.0 * times),
        waited_too_long: band(0.001 * times),
        processing_p50_s: band(120.0 * times),
        processing_p95_s: band(180.0 * times),
        unfinished: if is_old { 0.3 } else { 0.0 },
        stages: names.into_iter().enumerate().map(stage).collect(),
        utilisation: band(0.3 / times),
        changes_per_day: band(500.0 * times),
        cost_per_video: band(month / 120_000.0),
        cost_per_month: band(month),
        bill: Bill {
            workers: month / 2.0,
            base: month / 4.0,
            storage: month / 4.0,
            per_month: month,
            per_video: month / 120_000.0,
            workers_per_video: month / 240_000.0,
        },
        workers: vec![vec![(-600.0, 10.0), (0.0, 300.0), (900.0, 20.0)]],
        waiting: vec![vec![(-600.0, 0.0), (0.0, 500.0), (120.0, 3.0)]],
        waits_s: vec![(0..100).map(|wait_s| f64::from(wait_s) * times).collect()],
    }
}

fn breaking(what: &str, limit: Option<f64>, carries: Option<Carries>, days: Option<f64>) -> Breaking {
    let then = format!("{what} gives way");
    Breaking { what: what.to_owned(), used: 527.0, limit, unit: "of them", carries, days, then }
}

fn answer() -> Answer {
    let times = [1.0, 2.0, 1.5, 0.5, 120.0];
    Answer {
        scenario: Scenario::of_users(500, 4000),
        videos_per_day: 4000.0,
        grain: 1,
        rivals: Scaling::ALL.into_iter().zip(times).map(|(scaling, times)| rival(scaling, times)).collect(),
        breaking: vec![
            breaking("partitions", Some(60.0), Some(Carries::UpTo(0.0)), Some(0.0)),
            breaking("workers", Some(400.0), Some(Carries::UpTo(1.25)), Some(37.0)),
            breaking("brokers' disk", Some(5e5), None, Some(217.0)),
            breaking("budget for an hour", Some(2.5), Some(Carries::AtLeast(8.0)), None),
            breaking("budget for a month", Some(1e9), None, None),
            breaking("quota", None, None, None),
        ],
        unlimited_wait_p95_s: band(70.0),
    }
}

#[test]
fn tables_say_all_of_it() {
    insta::assert_snapshot!(table::text(&[answer()]));
}

#[test]
fn the_page_says_the_same_and_needs_nothing_else() {
    let html = page::page(&[answer()]);
    // Style and curves are drawn elsewhere; a page that fetched something would not be whole.
    assert!(!html.contains("src=") && !html.contains("href="), "it fetches something");
    assert_eq!(html.matches("<svg").count(), 4);
    let body = html.split_once("<body>").expect("a body").1;
    let told = body.split("<section class=\"charts\">").next().unwrap_or_default();
    insta::assert_snapshot!(told.replace("<tr>", "\n<tr>").replace("<h", "\n<h").replace("<p>", "\n<p>"));
}
