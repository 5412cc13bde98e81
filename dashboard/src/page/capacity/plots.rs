//! Curves of a plan.

use planning::cost::VIDEO_MAY_COST;
use planning::plan::answer::{Answer, Band, Curve, Rival};
use planning::plan::runs::Scaling;
use planning::plan::words;

use crate::plot::{Kind, Line, Plot, SHARES, grid, share_within};

/// The part of the busiest hours that is drawn, in seconds from their start, and how far apart its points are.
const DRAWN_S: (f64, f64) = (-600.0, 3600.0);
const STEP_S: f64 = 20.0;

/// Draws workers, what waits, waits and cost.
pub fn of(answer: &Answer) -> Vec<Plot> {
    vec![
        over_time(answer, "plot-workers", "Workers of all stages", "workers", |rival| &rival.workers),
        over_time(answer, "plot-waiting", "Units that wait", "units", |rival| &rival.waiting),
        waits(answer),
        cost(answer),
    ]
}

/// The old system's numbers are of another order: they stand in the table.
fn drawn(answer: &Answer) -> impl Iterator<Item = &Rival> {
    answer.rivals.iter().filter(|rival| rival.scaling != Scaling::Old)
}

fn over_time(
    answer: &Answer,
    id: &'static str,
    title: &str,
    unit: &'static str,
    of: fn(&Rival) -> &Vec<Curve>,
) -> Plot {
    let points = ((DRAWN_S.1 - DRAWN_S.0) / STEP_S) as usize;
    let x: Vec<f64> = (0..=points).map(|place| DRAWN_S.0 + place as f64 * STEP_S).collect();
    let mut plot = Plot::over(id, title, unit, "seconds from the start of the busiest hour", x.clone());
    for rival in drawn(answer) {
        let seeds = of(rival).iter().map(|curve| x.iter().map(|at_s| stays(curve, *at_s)).collect());
        plot = banded(plot, rival.scaling.name(), Kind::Step, &seeds.collect::<Vec<_>>());
    }
    plot
}

/// Draws the middle of what each of `seeds` has at each place, and a band from the lower end to the upper where there are
/// several of them.
fn banded(plot: Plot, name: &str, kind: Kind, seeds: &[Vec<Option<f64>>]) -> Plot {
    let bands: Vec<Option<Band>> = (0..plot.x.len()).map(|place| band(seeds, place)).collect();
    let line = |label: String, kind: Kind, of: fn(&Band) -> f64| {
        Line::new(label, kind, bands.iter().map(|band| band.as_ref().map(of)).collect())
    };
    let plot = plot.with(line(name.to_owned(), kind, |band| band.mid));
    if seeds.len() < 2 {
        return plot;
    }
    let (low, high) = words::ends_named(seeds.len() as u32);
    plot.with(line(format!("{name}, {low}"), Kind::BandLow, |band| band.low)).with(line(
        format!("{name}, {high}"),
        Kind::BandHigh,
        |band| band.high,
    ))
}

fn band(seeds: &[Vec<Option<f64>>], place: usize) -> Option<Band> {
    let values: Vec<f64> = seeds.iter().filter_map(|values| values[place]).collect();
    (!values.is_empty()).then(|| Band::of(&values))
}

/// Returns the value at `at_s` of what stays until it changes.
fn stays(points: &[(f64, f64)], at_s: f64) -> Option<f64> {
    let after = points.partition_point(|(changed_s, _)| *changed_s <= at_s);
    Some(points.get(after.checked_sub(1)?)?.1)
}

fn waits(answer: &Answer) -> Plot {
    let longest =
        drawn(answer).flat_map(|rival| &rival.waits_s).filter_map(|seed| seed.last()).copied().fold(0.0, f64::max);
    let x = grid(longest, SHARES);
    let title = "Busiest hour's videos whose first segment waited at most so long";
    let mut plot = Plot::over("plot-waits", title, "%", "seconds", x.clone());
    for rival in drawn(answer) {
        let seeds = rival.waits_s.iter().map(|seed| x.iter().map(|at| share_within(seed, *at)).collect());
        plot = banded(plot, rival.scaling.name(), Kind::Line, &seeds.collect::<Vec<_>>());
    }
    plot
}

fn cost(answer: &Answer) -> Plot {
    let (x, y): (Vec<f64>, Vec<f64>) = answer.cost_by_load().into_iter().unzip();
    Plot::over("plot-cost", "What a video costs with more or fewer of them", "$", "videos a day", x)
        .with(Line::new("spillway", Kind::Line, y.into_iter().map(Some).collect()))
        .with_level("old system", answer.scenario.prices.old_video)
        .with_level("target", VIDEO_MAY_COST)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stays_until_it_changes_has_a_value_everywhere_after_its_first() {
        let points = [(-100.0, 1.0), (0.0, 5.0), (30.0, 2.0)];
        let values: Vec<Option<f64>> = [-200.0, -100.0, -1.0, 0.0, 29.0, 500.0].map(|at| stays(&points, at)).to_vec();
        assert_eq!(values, [None, Some(1.0), Some(1.0), Some(5.0), Some(5.0), Some(2.0)]);
    }

    #[test]
    fn several_seeds_are_a_band_around_their_middle_and_one_is_a_line() {
        let plot = || Plot::over("p", "t", "u", "x", vec![0.0, 1.0]);
        let seeds = [vec![None, Some(3.0)], vec![Some(5.0), Some(1.0)], vec![Some(7.0), Some(2.0)]];
        let drawn = |plot: Plot| plot.lines.into_iter().map(|line| (line.label, line.kind, line.y)).collect::<Vec<_>>();
        let line = |label: &str, kind, y: [f64; 2]| (label.to_owned(), kind, y.map(Some).to_vec());
        assert_eq!(
            drawn(banded(plot(), "ours", Kind::Step, &seeds)),
            [
                line("ours", Kind::Step, [5.0, 2.0]),
                line("ours, min", Kind::BandLow, [5.0, 1.0]),
                line("ours, max", Kind::BandHigh, [7.0, 3.0]),
            ]
        );
        assert_eq!(drawn(banded(plot(), "one", Kind::Line, &seeds[1..2])), [line("one", Kind::Line, [5.0, 1.0])]);
    }
}
