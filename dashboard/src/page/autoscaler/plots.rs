//! One stage over the last hour.

use planning::observation::{Lane, Stage};

use super::trial::Trial;
use crate::plot::{Kind, Line, Plot};
use crate::seen::scaling::Tick;

/// The most points of a plot.
const POINTS: usize = 360;

/// Draws what was forecast and came, workers, and what waits at `stage`; nothing of no ticks.
pub fn of(stage: &str, ticks: &[Tick], trial: &Trial) -> Vec<Plot> {
    if ticks.is_empty() {
        return Vec::new();
    }
    let step = ticks.len().div_ceil(POINTS).max(1);
    let mut places: Vec<usize> = (0..ticks.len()).rev().step_by(step).collect();
    places.reverse();
    let drawn = Drawn { stage, ticks, places };
    vec![drawn.forecast(), drawn.workers(), drawn.rivals(trial), drawn.waits()]
}

/// The places that are drawn of the ticks.
struct Drawn<'a> {
    stage: &'a str,
    ticks: &'a [Tick],
    places: Vec<usize>,
}

impl Drawn<'_> {
    fn plot(&self, id: &'static str, title: String, unit: &'static str) -> Plot {
        let at_ms: Vec<i64> = self.places.iter().map(|place| self.ticks[*place].at_ms).collect();
        Plot::over_time(id, title, unit, &at_ms)
    }

    fn line(&self, label: &str, kind: Kind, value: impl Fn(&Stage) -> f64) -> Line {
        let seen = |place: &usize| self.seen(*place).map(&value);
        Line::new(label, kind, self.places.iter().map(seen).collect())
    }

    fn seen(&self, place: usize) -> Option<&Stage> {
        self.ticks[place].seen(self.stage)
    }

    fn decided(
        &self,
        label: &str,
        kind: Kind,
        value: impl Fn(&planning::decision::StageDecision) -> Option<f64>,
    ) -> Line {
        let of = |place: &usize| {
            let decided = self.ticks[*place].recorded.decided.iter().find(|decided| decided.stage == self.stage);
            decided.and_then(&value)
        };
        Line::new(label, kind, self.places.iter().map(of).collect())
    }

    fn forecast(&self) -> Plot {
        let title = format!("{}: records forecast to come while a worker starts, and those that came", self.stage);
        let came: Vec<Option<f64>> = self.places.iter().map(|place| self.came_after(*place)).collect();
        self.plot("plot-forecast", title, "records")
            .with(self.decided("expected", Kind::BandLow, |decided| Some(decided.inputs.as_ref()?.expected)))
            .with(self.decided("at most", Kind::BandHigh, |decided| Some(decided.inputs.as_ref()?.expected_upper)))
            .with(Line::new("came", Kind::Line, came))
    }

    /// Returns how many records came within the time that was looked ahead at a tick; nothing while that is not over, or
    /// where what counts was begun anew.
    fn came_after(&self, place: usize) -> Option<f64> {
        let arrived = |stage: &Stage| stage.lanes.iter().map(|lane| lane.end_offset_total).sum::<f64>();
        let recorded = &self.ticks[place].recorded;
        let decided = recorded.decided.iter().find(|decided| decided.stage == self.stage)?;
        let until = recorded.seen.at + decided.inputs.as_ref()?.horizon_s;
        let later = self.ticks[place..].iter().map(|tick| tick.recorded.seen.at);
        let ends = place + later.take_while(|at| *at < until && *at >= recorded.seen.at).count();
        let end = self.ticks.get(ends).filter(|tick| tick.recorded.seen.at >= until)?;
        // A gap in what was seen would count what came later.
        if end.recorded.seen.at - until > decided.inputs.as_ref()?.horizon_s {
            return None;
        }
        let came = arrived(self.seen(ends)?) - arrived(self.seen(place)?);
        Some(came).filter(|came| *came >= 0.0)
    }

    fn workers(&self) -> Plot {
        self.plot("plot-workers", format!("{}: workers", self.stage), "workers")
            .with(self.decided("target", Kind::Step, |decided| Some(f64::from(decided.replicas))))
            .with(self.line("ready", Kind::Step, |stage| f64::from(stage.workers.ready)))
            .with(self.line("busy", Kind::Line, |stage| f64::from(stage.workers.busy)))
    }

    fn rivals(&self, trial: &Trial) -> Plot {
        let other = trial.stage(self.stage);
        let step = |label: &str, at: &dyn Fn(usize) -> Option<u32>| {
            let y = self.places.iter().map(|place| at(*place).map(f64::from)).collect();
            Line::new(label, Kind::Step, y)
        };
        let keda = |place: usize| self.ticks[place].keda(self.stage);
        self.plot("plot-rivals", format!("{}: what others would have there", self.stage), "workers")
            .with(self.decided("live", Kind::Step, |decided| Some(f64::from(decided.replicas))))
            .with(step("dry run", &|place| other?.dry_run[place]))
            .with(step("KEDA, threshold 10", &|place| Some(keda(place)?.default)))
            .with(step("KEDA, tuned", &|place| Some(keda(place)?.tuned)))
    }

    fn waits(&self) -> Plot {
        let target = self.places.last().and_then(|place| self.seen(*place)).map(|stage| stage.wait_slo_s);
        let plot = self
            .plot("plot-waits", format!("{}: how long the oldest record waits", self.stage), "s")
            .with(self.line("seen", Kind::Line, |stage| {
                stage
                    .lanes
                    .iter()
                    .filter(|lane| Lane::lag_records(lane) > 0.0)
                    .map(|lane| lane.head_age_s)
                    .fold(0.0, f64::max)
            }))
            .with(self.decided("expected with the workers there", Kind::Line, |decided| {
                Some(decided.inputs.as_ref()?.wait_s)
            }));
        match target {
            Some(target) => plot.with_level("target", target),
            None => plot,
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use planning::decision::{Inputs, StageDecision};

    use super::*;
    use crate::seen::scaling::{Keda, made};

    fn tick(at: f64, arrived: f64) -> Tick {
        let lane = Lane { end_offset_total: arrived, ..Lane::default() };
        let inputs = Inputs { horizon_s: 10.0, expected: 3.0, expected_upper: 5.0, ..Inputs::default() };
        let decided = StageDecision { inputs: Some(inputs), ..made::decided("cut", 0) };
        let mut recorded = made::tick([Stage { lanes: vec![lane], ..made::stage("cut") }], [decided]);
        recorded.seen.at = at;
        let keda = Arc::from([Keda { default: arrived as u32, tuned: 30 }]);
        Tick { at_ms: at as i64 * 1000, recorded: Arc::new(recorded), keda }
    }

    #[test]
    fn what_came_is_counted_over_the_time_that_was_looked_ahead() {
        let ticks = [tick(0.0, 1.0), tick(5.0, 4.0), tick(10.0, 8.0), tick(15.0, 9.0)];
        let plots = of("cut", &ticks, &Trial::default());
        let came = plots[0].lines.iter().find(|line| line.label == "came").unwrap();
        assert_eq!(came.y, [Some(7.0), Some(5.0), None, None]);
        let keda = plots[2].lines.iter().find(|line| line.label == "KEDA, threshold 10").unwrap();
        assert_eq!(keda.y, [Some(1.0), Some(4.0), Some(8.0), Some(9.0)]);
        // A new autoscaler has a clock of its own.
        let ticks = [tick(95.0, 1.0), tick(0.0, 4.0), tick(5.0, 5.0), tick(10.0, 8.0)];
        let plots = of("cut", &ticks, &Trial::default());
        assert_eq!(plots[0].lines[2].y, [None, Some(4.0), None, None]);
    }

    #[test]
    fn nothing_is_drawn_of_nothing_and_much_is_thinned() {
        assert!(of("cut", &[], &Trial::default()).is_empty());
        let ticks: Vec<Tick> = (0..1000).map(|place| tick(f64::from(place) * 5.0, 1.0)).collect();
        let plots = of("cut", &ticks, &Trial::default());
        assert!(plots.iter().all(|plot| plot.x.len() <= POINTS && plot.x.last() == Some(&4995.0)));
    }
}
