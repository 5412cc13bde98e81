//! Curves of a plan.

use planning::plan::answer::{Answer, Rival};
use planning::plan::runs::Scaling;

use crate::plot::{Kind, Line, Plot};

/// The part of the busiest hours that is drawn, in seconds from their start, and how far apart its points are.
const DRAWN_S: (f64, f64) = (-600.0, 3600.0);
const STEP_S: f64 = 20.0;
/// What a video may cost, in dollars.
const TARGET: f64 = 0.05;

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
    of: fn(&Rival) -> &Vec<(f64, f64)>,
) -> Plot {
    let points = ((DRAWN_S.1 - DRAWN_S.0) / STEP_S) as usize;
    let x: Vec<f64> = (0..=points).map(|place| DRAWN_S.0 + place as f64 * STEP_S).collect();
    let mut plot = Plot::over(id, title, unit, "seconds from the start of the busiest hour", x.clone());
    for rival in drawn(answer) {
        let values = x.iter().map(|at_s| stays(of(rival), *at_s)).collect();
        plot = plot.with(Line::new(rival.scaling.name(), Kind::Step, values));
    }
    plot
}

/// Returns the value at `at_s` of what stays until it changes.
fn stays(points: &[(f64, f64)], at_s: f64) -> Option<f64> {
    let after = points.partition_point(|(changed_s, _)| *changed_s <= at_s);
    Some(points.get(after.checked_sub(1)?)?.1)
}

fn waits(answer: &Answer) -> Plot {
    let lines = drawn(answer).map(|rival| (rival.scaling.name(), rival.waits_s.clone())).collect::<Vec<_>>();
    Plot::shares("plot-waits", "Busiest hour's videos whose first segment waited at most so long", &lines)
}

fn cost(answer: &Answer) -> Plot {
    let (x, y): (Vec<f64>, Vec<f64>) = answer.cost_by_load().into_iter().unzip();
    Plot::over("plot-cost", "What a video costs with more or fewer of them", "$", "videos a day", x)
        .with(Line::new("spillway", Kind::Line, y.into_iter().map(Some).collect()))
        .with_level("old system", answer.scenario.prices.old_video)
        .with_level("target", TARGET)
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
}
