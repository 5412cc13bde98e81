//! What a plan comes to, in words: the same in tables, pages and the dashboard.

use super::answer::{Answer, BAND_SEEDS, Band, Rival};
use super::breaking::Breaking;
use super::carrying::Carries;
use super::runs::Scaling;
use super::scenario::Scenario;
use crate::cost::StageCost;

/// Returns the sentence that says what comes.
pub fn heading(answer: &Answer) -> String {
    let (scenario, mix) = (&answer.scenario, &answer.scenario.mix);
    format!(
        "{}: {} videos a day of {:.1} min on average, start-up {:.0} s, at most {} workers a stage, {} partitions a lane",
        scenario.name,
        whole(answer.videos_per_day),
        mix.mean_s() / 60.0,
        scenario.machines.startup_s,
        scenario.limits.max_workers,
        scenario.limits.partitions
    )
}

/// Says what stands in brackets.
pub fn bands(answer: &Answer) -> String {
    let ends = |seeds: u32| match seeds {
        0 | 1 => "one seed".to_owned(),
        BAND_SEEDS.. => format!("5 to 95 % of {seeds} seeds"),
        _ => format!("min to max of {seeds} seeds"),
    };
    let peak = |rival: Option<&Rival>| rival.map_or(0, |rival| rival.seeds);
    let whole = answer.rivals.first().map_or(0, |ours| ours.whole_seeds);
    format!(
        "In brackets: of the busiest hour's waits, work and workers {} for spillway and {} for the others; of use, changes, \
         workers and cost of the whole time {}",
        ends(peak(answer.rivals.first())),
        ends(peak(answer.rivals.get(1))),
        ends(whole)
    )
}

/// Returns what is told of a way of scaling, a column each: name, waits, waits too long, work, use, changes, cost.
pub fn cells(rival: &Rival) -> [String; 10] {
    let told = |band: Band, share: f64| {
        // What was not done by the end of the simulation has not shown all of its time.
        let more = if rival.unfinished > 1.0 - share { "> " } else { "" };
        if band.high <= 0.0 && rival.unfinished >= 1.0 { "-".to_owned() } else { format!("{more}{}", times(band)) }
    };
    [
        rival.scaling.name().to_owned(),
        told(rival.queue_wait_p50_s, 0.5),
        told(rival.queue_wait_p95_s, 0.95),
        percent(rival.waited_too_long.mid),
        told(rival.processing_p50_s, 0.5),
        told(rival.processing_p95_s, 0.95),
        between(rival.utilisation, percent),
        if rival.scaling == Scaling::Old { "-".to_owned() } else { banded(rival.changes_per_day) },
        between(rival.cost_per_video, |price| format!("${price:.4}")),
        between(rival.cost_per_month, money),
    ]
}

/// Returns what all of a scenario rests on: name, value, source.
pub fn sources(scenario: &Scenario) -> Vec<(String, String, String)> {
    let (prices, bytes, mix) = (&scenario.prices, &scenario.bytes, &scenario.mix);
    let cost = |cost: &StageCost| {
        let of = if cost.stage == "cut" { "s of clip" } else { "s of video" };
        (cost.stage.to_owned(), format!("{:.4} s/{of}", cost.busy_s_per_media_s), cost.source.clone())
    };
    let mut rows: Vec<_> = scenario.costs.stages.iter().map(cost).collect();
    let variation = format!("{:.2}", scenario.costs.variation);
    let mut add = |name: &str, value: String, source: &str| rows.push((name.to_owned(), value, source.to_owned()));
    let dollars = |price: f64| format!("${price:.4}");
    add("a unit's time varies by", variation, "assumed: standard deviation over mean, lognormal");
    add("a worker, an hour", dollars(prices.worker_hour), &prices.source);
    add("what always runs, an hour", dollars(prices.base_hour), "the same");
    add("a GB stored, a month", dollars(prices.storage_gb_month), "the same");
    add("a video in the old system", dollars(prices.old_video), "the same");
    add("source video", format!("{:.0} kB/s", bytes.source_per_s / 1000.0), &bytes.source);
    add("clips", format!("{:.0} kB/s", bytes.clip_per_s / 1000.0), "the same");
    let clips = format!("{} of {:.0} s a video", mix.clips, mix.clip_s);
    add("clips", clips, "given, or assumed");
    let keeps = format!("{:.0} d, {:.0} months", bytes.keep_sources_days, bytes.keep_clips_months);
    add("sources and clips are kept", keeps, "--keep-sources of ingest; clips stay until deleted");
    let growth = format!("{:.0} % a month", 100.0 * scenario.limits.growth_per_month);
    add("growth", growth, "given, or assumed");
    rows
}

/// Says when something breaks.
pub fn when(breaking: &Breaking) -> String {
    match (breaking.limit, breaking.days, breaking.carries) {
        (None, ..) => "no limit".to_owned(),
        (_, Some(days), _) if days <= 0.0 => "now".to_owned(),
        (_, Some(days), _) => format!("in {days:.0} d"),
        (_, None, Some(Carries::AtLeast(times))) => format!("above {times:.0} x"),
        (_, None, _) => "> 10 years".to_owned(),
    }
}

/// Says how much is used of what there is, or how much of the load of `answer` it carries.
pub fn used(answer: &Answer, breaking: &Breaking) -> String {
    let Some(limit) = breaking.limit else { return format!("{} {}", whole(breaking.used), breaking.unit) };
    let has = format!("{} {}", amount(limit), breaking.unit);
    let load = |times: f64| format!("{} videos a day, {times:.2} x this load", whole(times * answer.videos_per_day));
    match breaking.carries {
        None => format!("{} of {has}", amount(breaking.used)),
        Some(Carries::UpTo(times)) if times <= 0.0 => format!("{has} carry no such load"),
        Some(Carries::UpTo(times)) => format!("{has} carry {}", load(times)),
        Some(Carries::AtLeast(times)) => format!("{has} carry {} and more", load(times)),
    }
}

/// Says which values the ends of a band over `seeds` are, the lower and the upper.
pub const fn ends_named(seeds: u32) -> (&'static str, &'static str) {
    if seeds < BAND_SEEDS { ("min", "max") } else { ("5 %", "95 %") }
}

/// Writes a number as a whole one, but for one of less than ten that is none.
fn amount(value: f64) -> String {
    if value < 10.0 && value.fract() != 0.0 { format!("{value:.2}") } else { whole(value) }
}

/// Writes a band as its middle and ends.
pub fn banded(band: Band) -> String {
    between(band, whole)
}

/// Writes a band as its middle and ends, each as `write` does; the middle alone where the ends read the same.
pub fn between(band: Band, write: impl Fn(f64) -> String) -> String {
    let [low, mid, high] = [band.low, band.mid, band.high].map(write);
    if low == high { mid } else { format!("{mid} ({low}-{high})") }
}

/// Writes a band of times: in seconds, in hours where that is easier to read.
pub fn times(band: Band) -> String {
    const HOUR_S: f64 = 3600.0;
    if band.mid < 2.0 * HOUR_S {
        return format!("{} s", banded(band)).replace(") s", " s)").replacen(" (", " s (", 1);
    }
    between(band, |seconds| format!("{:.1} h", seconds / HOUR_S))
}

/// Writes a share.
pub fn percent(share: f64) -> String {
    let percent = 100.0 * share;
    if (0.05..9.95).contains(&percent) { format!("{percent:.1} %") } else { format!("{percent:.0} %") }
}

/// Writes an amount of money.
pub fn money(amount: f64) -> String {
    format!("${}", whole(amount))
}

/// Writes a whole number with its thousands parted.
pub fn whole(value: f64) -> String {
    let digits = format!("{:.0}", value.abs());
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place) % 3 == 0 {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::runs::Effort;

    #[test]
    fn a_band_says_what_it_is_by_its_seeds() {
        let mut answer = crate::plan::answer::answer(&Scenario::of_users(1, 1), &Effort::all(1)).unwrap();
        let mut said = |ours: u32, others: u32| {
            (answer.rivals[0].seeds, answer.rivals[1].seeds, answer.rivals[0].whole_seeds) = (ours, others, others);
            bands(&answer)
        };
        let words = said(20, 4);
        assert!(
            words.contains("5 to 95 % of 20 seeds for spillway and min to max of 4 seeds for the others"),
            "{words}"
        );
        assert!(words.ends_with("min to max of 4 seeds"), "{words}");
        assert!(said(19, 1).contains("min to max of 19 seeds for spillway and one seed for"));
    }

    #[test]
    fn numbers_are_written_to_be_read() {
        assert_eq!([0.4, 999.0, 1000.0, 1_234_567.0].map(whole), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0.0, 0.0012, 0.5, 1.0].map(percent), ["0 %", "0.1 %", "50 %", "100 %"]);
        assert_eq!([19, 20].map(ends_named), [("min", "max"), ("5 %", "95 %")]);
        let values: Vec<f64> = (1..=20).map(f64::from).collect();
        let band = |values: &[f64]| (Band::of(values).low, Band::of(values).high);
        assert_eq!((band(&values[..19]), band(&values)), ((1.0, 19.0), (1.0, 19.0)), "of 20 the most is left out");
        assert_eq!(banded(Band { low: 1.0, mid: 2.0, high: 3.0 }), "2 (1-3)");
        assert_eq!(banded(Band { low: 2.0, mid: 2.0, high: 2.2 }), "2");
        assert_eq!(times(Band { low: 1.0, mid: 2.0, high: 3.0 }), "2 s (1-3 s)");
        assert_eq!(times(Band { low: 7.0, mid: 7.0, high: 7.0 }), "7 s");
        assert_eq!(times(Band { low: 9e3, mid: 9e3, high: 18e3 }), "2.5 h (2.5 h-5.0 h)");
    }
}
