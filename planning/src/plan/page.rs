//! The answers as one page with plots.

use std::fmt::Write as _;

use super::answer::{Answer, Curve, Rival};
use super::runs::Scaling;
use super::words::{banded, bands, between, cells, heading, percent, sources, used, when};
use crate::cost::VIDEO_MAY_COST;
use crate::page::{self, Chart, Line, escaped};

/// The part of the busiest hours that is drawn, in seconds from their start.
const DRAWN_S: (f64, f64) = (-600.0, 3600.0);

/// Returns the page.
pub fn page(answers: &[Answer]) -> String {
    let mut body = String::from(
        "<p>Simulated with the policy that scales the live system, over its lanes, partitions and start-up times. Waits are \
         those of the videos that come in the busiest hour: the time in queues until the first segment is begun; work lasts \
         from the first worker to the end.</p>",
    );
    for answer in answers {
        body += &section(answer);
    }
    if let Some(answer) = answers.first() {
        let rows: Vec<Vec<String>> =
            sources(&answer.scenario).into_iter().map(|(name, value, source)| vec![name, value, source]).collect();
        let _ =
            write!(body, "<h2>Where the numbers come from</h2>{}", page::table(&["what", "value", "source"], 3, &rows));
    }
    page::page("Capacity", &body)
}

fn section(answer: &Answer) -> String {
    let mut html = format!(
        "<h2>{}</h2><p>{}.</p><p>{}.</p>",
        escaped(&answer.scenario.name),
        escaped(&heading(answer)),
        escaped(&bands(answer))
    );
    let heads = [
        "",
        "wait p50",
        "wait p95",
        "over 120 s",
        "work p50",
        "work p95",
        "use",
        "changes a day",
        "a video",
        "a month",
    ];
    let rows: Vec<Vec<String>> = answer.rivals.iter().map(|rival| cells(rival).to_vec()).collect();
    html += &page::table(&heads, 1, &rows);
    let stages = answer.rivals.iter().take(1).flat_map(|ours| &ours.stages).map(|stage| {
        vec![
            stage.stage.clone(),
            banded(stage.peak_workers),
            between(stage.mean_workers, |workers| format!("{workers:.1}")),
            between(stage.utilisation, percent),
        ]
    });
    html += "<h3>Workers</h3>";
    html += &page::table(&["stage", "in the peak", "all day", "use"], 1, &stages.collect::<Vec<_>>());
    let breaking = answer
        .breaking
        .iter()
        .map(|breaking| vec![when(breaking), breaking.what.clone(), used(answer, breaking), breaking.then.clone()]);
    html += "<h3>What breaks first</h3>";
    html += &page::table(&["when", "what", "how far", "then"], 4, &breaking.collect::<Vec<_>>());
    html += "<section class=\"charts\">";
    for chart in charts(answer) {
        html += &chart.html();
    }
    html + "</section>"
}

fn charts(answer: &Answer) -> Vec<Chart<'static>> {
    let new = || answer.rivals.iter().filter(|rival| rival.scaling != Scaling::Old);
    let drawn = |curve: Option<&Curve>| -> Curve {
        curve.into_iter().flatten().copied().filter(|(at_s, _)| (DRAWN_S.0..=DRAWN_S.1).contains(at_s)).collect()
    };
    let workers = new().map(|rival| Line::steps(rival.scaling.name(), drawn(rival.workers.first()))).collect();
    let waiting = new().map(|rival| Line::steps(rival.scaling.name(), drawn(rival.waiting.first()))).collect();
    let shares = |rival: &Rival| Some(Line::shares(rival.scaling.name(), rival.waits_s.first()?));
    let waits = new().filter_map(shares).collect();
    let across = "seconds from the start of the busiest hour";
    vec![
        Chart { title: "Workers of all stages", across, up: "workers", lines: workers, levels: Vec::new() },
        Chart { title: "Units that wait", across, up: "units", lines: waiting, levels: Vec::new() },
        Chart {
            title: "Waits until the first segment",
            across: "seconds",
            up: "% of the busiest hour's videos",
            lines: waits,
            levels: Vec::new(),
        },
        costs(answer),
    ]
}

/// Draws what videos cost for the load, with the old system's price as a level.
fn costs(answer: &Answer) -> Chart<'static> {
    Chart {
        title: "Cost of a video",
        across: "videos a day",
        up: "a video",
        lines: vec![Line::through("spillway", answer.cost_by_load())],
        levels: vec![
            (answer.scenario.prices.old_video, "old system".to_owned()),
            (VIDEO_MAY_COST, "target".to_owned()),
        ],
    }
}
