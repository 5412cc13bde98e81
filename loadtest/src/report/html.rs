//! A run as one page that needs nothing else: style and pictures are in it.

use std::collections::BTreeSet;
use std::fmt::Write as _;

use super::Report;
use super::compare;
use super::text::mark;
use crate::fleet::WORK;
use crate::quantiles::sorted;
use crate::verdict::Outcome;
use planning::page::{Chart, Line, STYLE, escaped};

/// Returns the page; with an earlier run, both side by side.
pub fn page(report: &Report, before: Option<&Report>) -> String {
    let title = format!("Load test {}", escaped(&report.about.schedule));
    let mut html = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body><h1>{title}</h1>"
    );
    let _ = write!(html, "<p class=\"when\">{}</p>", report.about.begun_at);
    for sentence in report.about.sentences(&report.curve) {
        let _ = write!(html, "<p>{}</p>", escaped(&sentence));
    }
    html += &verdicts(report);
    html += &limits(report);
    if let Some(before) = before {
        html += &side_by_side(before, report);
    }
    html += "<section class=\"charts\">";
    for chart in charts(report) {
        html += &chart.html();
    }
    html += "</section>";
    html += &decisions(report);
    html + "</body></html>\n"
}

fn verdicts(report: &Report) -> String {
    let mut html = String::from("<h2>Targets</h2><table><tr><th><th>target<th>wanted<th>measured</tr>");
    for target in &report.targets {
        let class = match target.outcome {
            Outcome::Met => "met",
            Outcome::Missed => "missed",
            Outcome::Open => "open",
        };
        let _ = write!(
            html,
            "<tr class=\"{class}\"><td>{}<td>{}<td>{}<td>{}</tr>",
            mark(target.outcome),
            escaped(&target.name),
            escaped(&target.wanted),
            escaped(&target.measured)
        );
    }
    html + "</table>"
}

fn limits(report: &Report) -> String {
    let mut html = String::from("<h2>Resources while the load lasted</h2><table><tr><th><th>resource<th>seen</tr>");
    for limit in &report.limits {
        let (class, word) = if limit.reached { ("missed", "limit") } else { ("open", "") };
        let _ = write!(
            html,
            "<tr class=\"{class}\"><td>{word}<td>{}<td>{}</tr>",
            escaped(&limit.resource),
            escaped(&limit.seen)
        );
    }
    html + "</table>"
}

fn side_by_side(before: &Report, now: &Report) -> String {
    let mut html = String::from("<h2>Beside the run before</h2><table><tr><th>measure<th>before<th>now<th>change</tr>");
    for row in compare::rows(before, now) {
        let [first, second] = row.values;
        let change = row.change.map_or(String::new(), |change| format!("{change:+.1} %"));
        let _ = write!(
            html,
            "<tr><td>{}<td class=\"n\">{first}<td class=\"n\">{second}<td class=\"n\">{change}</tr>",
            row.name
        );
    }
    html + "</table>"
}

fn decisions(report: &Report) -> String {
    if report.changes.is_empty() {
        return String::new();
    }
    let mut html = String::from("<h2>Decisions</h2><table><tr><th>s<th>stage<th>slots<th>why</tr>");
    for change in &report.changes {
        let _ = write!(
            html,
            "<tr><td class=\"n\">{:.0}<td>{}<td class=\"n\">{}<td>{}</tr>",
            report.at_s(change.at_ms),
            escaped(&change.stage),
            change.wanted,
            escaped(&change.reason)
        );
    }
    html + "</table>"
}

fn charts(report: &Report) -> Vec<Chart<'_>> {
    let across = "seconds of the schedule";
    let counted = |moments: Vec<f64>| {
        let moments = sorted(moments);
        moments.into_iter().enumerate().map(|(place, at_s)| (at_s, (place + 1) as f64)).collect()
    };
    let arrivals = report.sent.iter().map(|sent| report.at_s(sent.planned_ms)).collect();
    let ends = report.stories.iter().filter_map(|story| Some(report.at_s(story.ended_ms?))).collect();
    let videos = vec![Line::steps("arrived", counted(arrivals)), Line::steps("ended", counted(ends))];
    let total = |of: fn(&crate::fleet::Workers) -> u32| {
        let sum = |fleet: &crate::fleet::Fleet| {
            WORK.iter().filter_map(|stage| fleet.stages.get(stage.as_str())).map(of).sum::<u32>()
        };
        report.fleets.iter().map(|fleet| (report.at_s(fleet.at_ms), f64::from(sum(fleet)))).collect()
    };
    let wanted =
        report.fleets.iter().map(|fleet| (report.at_s(fleet.at_ms), f64::from(fleet.wanted.values().sum::<u32>())));
    let workers = vec![
        Line::steps("wanted", wanted.collect()),
        Line::steps("open", total(|workers| workers.slots)),
        Line::steps("busy", total(|workers| workers.busy)),
        Line::steps("starting", total(|workers| workers.starting)),
    ];
    let times = |of: fn(&crate::story::Story) -> Option<f64>| {
        sorted(report.stories.iter().filter_map(of).map(|seconds| seconds * report.about.time_scale))
    };
    let waits = vec![
        Line::shares("queue wait to the first segment", &times(|story| story.queue_wait_s)),
        Line::shares("processing", &times(|story| story.processing_s)),
        Line::shares("acceptance to the end", &times(|story| story.total_s)),
    ];
    let accepted = sorted(report.sent.iter().filter(|sent| sent.accepted().is_some()).map(|sent| sent.answered_s));
    let chart = |title, across, up, lines| Chart { title, across, up, lines, levels: Vec::new() };
    vec![
        chart("Videos", across, "videos", videos),
        chart("Slots of all stages", across, "slots", workers),
        chart("Busy slots by stage", across, "slots", by_stage(report)),
        chart("Records that wait or are worked on", across, "records", lag(report)),
        chart("How long videos took", "seconds", "% of the videos", waits),
        chart(
            "Acceptance",
            "real seconds from the planned moment",
            "% of the accepted",
            vec![Line::shares("accepted", &accepted)],
        ),
        Chart {
            levels: vec![(report.about.cores as f64, "all cores".to_owned())],
            ..chart("CPU of this machine", across, "cores", cpu(report))
        },
    ]
}

fn by_stage(report: &Report) -> Vec<Line> {
    let line = |stage: &pipeline::stage::StageName| {
        let busy = |fleet: &crate::fleet::Fleet| fleet.stages.get(stage.as_str()).map_or(0, |workers| workers.busy);
        let points = report.fleets.iter().map(|fleet| (report.at_s(fleet.at_ms), f64::from(busy(fleet))));
        Line::steps(stage.to_string(), points.collect())
    };
    WORK.iter().map(line).collect()
}

fn lag(report: &Report) -> Vec<Line> {
    let stages: BTreeSet<&String> = report.fleets.iter().flat_map(|fleet| fleet.lag.keys()).collect();
    let line = |stage: &&String| {
        let of = |fleet: &crate::fleet::Fleet| fleet.lag.get(*stage).map_or(0.0, |lanes| lanes.values().sum());
        Line::steps((*stage).clone(), report.fleets.iter().map(|fleet| (report.at_s(fleet.at_ms), of(fleet))).collect())
    };
    stages.iter().map(line).collect()
}

fn cpu(report: &Report) -> Vec<Line> {
    let points = |of: &dyn Fn(&crate::machine::Machine) -> f64| {
        report.machine.iter().map(|seen| (report.at_s(seen.at_ms), of(seen))).collect::<Vec<_>>()
    };
    let roles: BTreeSet<&String> = report.machine.iter().flat_map(|seen| seen.roles.keys()).collect();
    let mut lines = vec![Line::through("everything", points(&|seen| seen.busy_cores))];
    for role in roles {
        lines.push(Line::through(role.clone(), points(&|seen| seen.roles.get(role).copied().unwrap_or(0.0))));
    }
    lines
}
