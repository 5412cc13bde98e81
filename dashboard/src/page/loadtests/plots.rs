//! Curves of runs.

use std::collections::BTreeSet;

use super::report::{Fleet, Report, Story, Workers};
use crate::plot::{Kind, Line, Plot, grid};

/// The most points of a line.
const POINTS: usize = 240;
const SCHEDULE: &str = "seconds of the schedule";

/// Draws a run.
pub fn of(report: &Report) -> Vec<Plot> {
    let mut plots = vec![videos(report), slots(report), waiting(report), times(report)];
    if !report.machine.is_empty() {
        plots.push(cpu(report));
    }
    plots
}

/// Draws how long videos waited and took in two runs.
pub fn both(a: &Report, b: &Report) -> Vec<Plot> {
    let side_by_side = |id, title: &str, of: fn(&Story) -> Option<f64>| {
        Plot::shares(id, title, &[("first", sorted(a, of)), ("second", sorted(b, of))])
    };
    vec![
        side_by_side("plot-wait", "Videos whose queue wait was at most so long", |story| story.queue_wait_s),
        side_by_side("plot-processing", "Videos whose processing took at most so long", |story| story.processing_s),
    ]
}

fn videos(report: &Report) -> Plot {
    let moments = |times: Vec<i64>| {
        let mut moments: Vec<f64> = times.into_iter().map(|at_ms| report.at_s(at_ms)).collect();
        moments.sort_by(f64::total_cmp);
        moments
    };
    let arrived = moments(report.sent.iter().filter_map(|sent| sent.planned_ms).collect());
    let ended = moments(report.stories.iter().filter_map(|story| story.ended_ms).collect());
    let last = arrived.last().copied().unwrap_or(0.0).max(ended.last().copied().unwrap_or(0.0));
    let x = grid(last, POINTS);
    let counted =
        |moments: &[f64]| x.iter().map(|at| Some(moments.partition_point(|moment| moment <= at) as f64)).collect();
    let (arrived, ended) = (counted(&arrived), counted(&ended));
    Plot::over("plot-videos", "Videos that arrived and ended", "videos", SCHEDULE, x)
        .with(Line::new("arrived", Kind::Line, arrived))
        .with(Line::new("ended", Kind::Line, ended))
}

fn slots(report: &Report) -> Plot {
    let fleets = thinned(&report.fleets);
    let x = fleets.iter().map(|fleet| report.at_s(fleet.at_ms)).collect();
    // Gatherers have slots too; those that are scaled are the ones that something was wanted of.
    let of = |pick: fn(&Workers) -> f64| {
        let sum = |fleet: &&Fleet| {
            let scaled = fleet.stages.iter().filter(|(stage, _)| fleet.wanted.contains_key(*stage));
            Some(scaled.map(|(_, workers)| pick(workers)).sum())
        };
        fleets.iter().map(sum).collect::<Vec<_>>()
    };
    let wanted = fleets.iter().map(|fleet| Some(fleet.wanted.values().sum())).collect();
    Plot::over("plot-slots", "Slots of all stages", "slots", SCHEDULE, x)
        .with(Line::new("wanted", Kind::Step, wanted))
        .with(Line::new("open", Kind::Step, of(|workers| workers.slots)))
        .with(Line::new("busy", Kind::Line, of(|workers| workers.busy)))
        .with(Line::new("starting", Kind::Step, of(|workers| workers.starting)))
}

fn waiting(report: &Report) -> Plot {
    let fleets = thinned(&report.fleets);
    let x = fleets.iter().map(|fleet| report.at_s(fleet.at_ms)).collect();
    let stages: BTreeSet<&String> = report.fleets.iter().flat_map(|fleet| fleet.wanted.keys()).collect();
    let mut plot = Plot::over("plot-waiting", "Records that wait or are worked on", "records", SCHEDULE, x);
    for stage in stages {
        let lag = |fleet: &&Fleet| Some(fleet.lag.get(stage).map_or(0.0, |lanes| lanes.values().sum()));
        plot = plot.with(Line::new(stage.clone(), Kind::Line, fleets.iter().map(lag).collect()));
    }
    plot
}

fn times(report: &Report) -> Plot {
    Plot::shares(
        "plot-times",
        "Videos that took at most so long",
        &[
            ("queue wait", sorted(report, |story| story.queue_wait_s)),
            ("processing", sorted(report, |story| story.processing_s)),
            ("acceptance to the end", sorted(report, |story| story.total_s)),
        ],
    )
}

fn cpu(report: &Report) -> Plot {
    let machine = thinned(&report.machine);
    let x = machine.iter().map(|seen| report.at_s(seen.at_ms)).collect();
    let busy = machine.iter().map(|seen| Some(seen.busy_cores)).collect();
    let plot = Plot::over("plot-cpu", "CPU of the machine that sent", "cores", SCHEDULE, x);
    let plot = plot.with(Line::new("busy", Kind::Line, busy));
    match report.about.cores {
        Some(cores) => plot.with_level("all cores", f64::from(cores)),
        None => plot,
    }
}

/// Returns times of a run's videos in seconds of its schedule, the shortest first.
fn sorted(report: &Report, of: fn(&Story) -> Option<f64>) -> Vec<f64> {
    let mut seconds: Vec<f64> = report.stories.iter().filter_map(of).map(|seconds| seconds * report.scale()).collect();
    seconds.sort_by(f64::total_cmp);
    seconds
}

fn thinned<T>(all: &[T]) -> Vec<&T> {
    all.iter().step_by(all.len().div_ceil(POINTS).max(1)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn curves_count_what_came_and_ended_in_the_time_of_the_schedule() {
        let json = r#"{"about":{"schedule":"s","begun_at":"1970-01-01T00:00:00Z","time_scale":5.0},
            "sent":[{"planned_ms":0},{"planned_ms":1000},{}],
            "stories":[{"ended_ms":2000,"queue_wait_s":1.0},{"queue_wait_s":3.0}]}"#;
        let report = Report::read(json.as_bytes()).unwrap();
        let plots = of(&report);
        let videos = &plots[0];
        assert_eq!((videos.x.len(), videos.x.last().copied()), (POINTS, Some(10.0)));
        assert_eq!((videos.lines[0].y[0], videos.lines[0].y[POINTS - 1]), (Some(1.0), Some(2.0)));
        assert_eq!((videos.lines[1].y[0], videos.lines[1].y[POINTS - 1]), (Some(0.0), Some(1.0)));
        let times = &plots[3];
        assert_eq!(times.x.last(), Some(&15.0));
        assert_eq!(times.lines[0].y[POINTS / 2], Some(50.0));
        assert!(plots[1].is_empty() && plots[2].is_empty() && times.lines[1].y.iter().all(Option::is_none));
    }
}
