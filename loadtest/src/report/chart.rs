//! Line charts as SVG, to stand within a page: no script, no font, nothing fetched. Colours are the page's, by class.

use std::fmt::Write as _;

/// A chart of lines over one axis.
#[derive(Clone, Debug)]
pub struct Chart<'a> {
    /// What it shows.
    pub title: &'a str,
    /// What lies along the bottom, with its unit.
    pub across: &'a str,
    /// What lies along the side, with its unit.
    pub up: &'a str,
    /// The lines.
    pub lines: Vec<Line>,
    /// Values to be marked by a level line, with a word.
    pub levels: Vec<(f64, String)>,
}

/// One line.
#[derive(Clone, Debug)]
pub struct Line {
    /// Its name in the legend.
    pub name: String,
    /// Its points, in order of their first number.
    pub points: Vec<(f64, f64)>,
    /// It stays at a value until the next.
    pub steps: bool,
}

/// How many classes of colour a page has.
pub const COLOURS: usize = 8;

const WIDTH: f64 = 720.0;
const HEIGHT: f64 = 260.0;
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 40.0;
/// More points than pixels show nothing more.
const MOST_POINTS: usize = 720;

impl Line {
    /// Makes a line through points.
    pub fn through(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, steps: false }
    }

    /// Makes a line that stays at each value until the next.
    pub fn steps(name: impl Into<String>, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.into(), points, steps: true }
    }

    /// Makes the line that shows which share of `sorted` values lies below each.
    pub fn shares(name: impl Into<String>, sorted: &[f64]) -> Self {
        let share = |place: usize| 100.0 * (place + 1) as f64 / sorted.len() as f64;
        Self::steps(name, sorted.iter().enumerate().map(|(place, value)| (*value, share(place))).collect())
    }
}

impl Chart<'_> {
    /// Draws it, with its title and legend.
    pub fn html(&self) -> String {
        let points = || self.lines.iter().flat_map(|line| &line.points);
        let mut html = format!("<figure><figcaption>{}</figcaption>", escaped(self.title));
        if points().next().is_none() {
            html += "<p class=\"none\">nothing was seen of it</p></figure>";
            return html;
        }
        let highest = points().map(|point| point.1).fold(0.0, f64::max);
        let levels = self.levels.iter().map(|(value, _)| *value).filter(|value| *value < highest * 4.0);
        let across = Axis::over(points().map(|point| point.0));
        let up = Axis::over(points().map(|point| point.1).chain(levels).chain([0.0]));
        let label = format!("{}: {} over {}", self.title, self.up, self.across);
        let _ = write!(html, "<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\" aria-label=\"{}\">", escaped(&label));
        let x = |value: f64| LEFT + across.place(value) * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - up.place(value) * (HEIGHT - TOP - BOTTOM);
        for tick in up.ticks() {
            let (y, words) = (y(tick), number(tick));
            let _ = write!(html, "<path class=\"grid\" d=\"M{LEFT} {y:.1}H{:.1}\"/>", WIDTH - RIGHT);
            let _ = write!(html, "<text class=\"end\" x=\"{:.1}\" y=\"{:.1}\">{words}</text>", LEFT - 6.0, y + 4.0);
        }
        for tick in across.ticks() {
            let (x, words) = (x(tick), number(tick));
            let _ = write!(html, "<text class=\"mid\" x=\"{x:.1}\" y=\"{:.1}\">{words}</text>", HEIGHT - 24.0);
        }
        let _ = write!(
            html,
            "<text class=\"mid\" x=\"{:.1}\" y=\"{:.1}\">{}</text><text x=\"4\" y=\"10\">{}</text>",
            (LEFT + WIDTH - RIGHT) / 2.0,
            HEIGHT - 6.0,
            escaped(self.across),
            escaped(self.up)
        );
        for (value, words) in self.levels.iter().filter(|(value, _)| up.holds(*value)) {
            let y = y(*value);
            let _ = write!(html, "<path class=\"level\" d=\"M{LEFT} {y:.1}H{:.1}\"/>", WIDTH - RIGHT);
            let _ = write!(html, "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>", LEFT + 4.0, y - 4.0, escaped(words));
        }
        for (place, line) in self.lines.iter().enumerate() {
            let class = place % COLOURS;
            let path = path(&thinned(&line.points), line.steps, x, y);
            let _ = write!(
                html,
                "<path class=\"line c{class}\" d=\"{path}\"><title>{}</title></path>",
                escaped(&line.name)
            );
        }
        html += "</svg><ul class=\"legend\">";
        for (place, line) in self.lines.iter().enumerate() {
            let _ = write!(html, "<li class=\"c{}\">{}</li>", place % COLOURS, escaped(&line.name));
        }
        html + "</ul></figure>"
    }
}

/// Where values lie on an axis.
struct Axis {
    from: f64,
    to: f64,
    step: f64,
}

impl Axis {
    /// Makes an axis that holds `values`, with ends and ticks at round numbers.
    fn over(values: impl Iterator<Item = f64>) -> Self {
        let finite = values.filter(|value| value.is_finite());
        let (low, high) = finite.fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)));
        let (low, high) = if low <= high { (low, high) } else { (0.0, 1.0) };
        let span = if high > low { high - low } else { 1.0 };
        let raw = span / 6.0;
        let tens = 10_f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|times| times * tens).find(|step| *step >= raw);
        let step = step.unwrap_or(10.0 * tens);
        let (from, to) = ((low / step).floor() * step, ((low + span) / step).ceil() * step);
        Self { from, to, step }
    }

    fn place(&self, value: f64) -> f64 {
        (value - self.from) / (self.to - self.from)
    }

    fn holds(&self, value: f64) -> bool {
        (self.from..=self.to).contains(&value)
    }

    fn ticks(&self) -> impl Iterator<Item = f64> {
        let count = ((self.to - self.from) / self.step).round() as u32;
        let (from, step) = (self.from, self.step);
        (0..=count).map(move |tick| from + f64::from(tick) * step)
    }
}

fn path(points: &[(f64, f64)], steps: bool, x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) -> String {
    let mut path = String::new();
    for (place, (at, value)) in points.iter().enumerate() {
        let (at, value) = (x(*at), y(*value));
        let _ = match (place, steps) {
            (0, _) => write!(path, "M{at:.1} {value:.1}"),
            (_, true) => write!(path, "H{at:.1}V{value:.1}"),
            (_, false) => write!(path, "L{at:.1} {value:.1}"),
        };
    }
    path
}

fn thinned(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let every = points.len().div_ceil(MOST_POINTS).max(1);
    let last = points.len().saturating_sub(1);
    let kept = points.iter().enumerate().filter(|(place, _)| place % every == 0 || *place == last);
    kept.map(|(_, point)| *point).collect()
}

/// Writes a number without digits that say nothing.
fn number(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// Makes text stand for itself within a page.
pub fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_hold_their_values_and_tick_at_round_numbers() {
        let axis = Axis::over([3.0, 97.0].into_iter());
        assert_eq!(axis.ticks().collect::<Vec<_>>(), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        for values in [vec![5.0], vec![0.0, 0.0], vec![], vec![f64::NAN, 1e-3, 7e-3], vec![-4.0, 1e6]] {
            let axis = Axis::over(values.iter().copied());
            assert!(values.iter().filter(|v| v.is_finite()).all(|v| axis.holds(*v)), "{values:?}");
            assert!((2..=12).contains(&axis.ticks().count()), "{values:?}");
        }
    }

    #[test]
    fn a_chart_is_a_picture_without_anything_fetched() {
        let lines = vec![Line::through("<a>", vec![(0.0, 1.0), (10.0, 3.0)]), Line::shares("b", &[1.0, 2.0])];
        let levels = vec![(2.0, "target".to_owned())];
        let html = Chart { title: "T & t", across: "s", up: "n", lines, levels }.html();
        assert!(html.contains("T &amp; t") && html.contains("&lt;a&gt;") && html.contains("class=\"level\""), "{html}");
        assert!(!html.contains("http") && !html.contains("NaN"), "{html}");
    }

    #[test]
    fn many_points_are_thinned_and_the_last_stays() {
        let thin = thinned(&(0..10_000).map(|n| (f64::from(n), 1.0)).collect::<Vec<_>>());
        assert!(thin.len() <= MOST_POINTS + 1 && thin.last() == Some(&(9_999.0, 1.0)), "{}", thin.len());
    }
}
