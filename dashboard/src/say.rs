//! Numbers and times in words, the same on every page.

use jiff::Timestamp;

/// What is shown where nothing is known.
pub const UNKNOWN: &str = "–";

/// Says a time span: `0.4 s`, `12 s`, `3 min 20 s`, `2 h 5 min`, `3 d 4 h`.
pub fn span(seconds: f64) -> String {
    if !seconds.is_finite() {
        return UNKNOWN.to_owned();
    }
    let whole = seconds.round() as i64;
    match whole {
        i64::MIN..10 => format!("{seconds:.1} s"),
        10..60 => format!("{whole} s"),
        60..3600 => format!("{} min {} s", whole / 60, whole % 60),
        3600..86_400 => format!("{} h {} min", whole / 3600, whole % 3600 / 60),
        _ => format!("{} d {} h", whole / 86_400, whole % 86_400 / 3600),
    }
}

/// Says a time span that may not be known.
pub fn maybe_span(seconds: Option<f64>) -> String {
    seconds.map_or_else(|| UNKNOWN.to_owned(), span)
}

/// Says a count with its thousands apart: `12 345` with a narrow space.
pub fn count(number: impl Into<i128>) -> String {
    let digits = number.into().to_string();
    let (sign, digits) = digits.split_at(usize::from(digits.starts_with('-')));
    let mut said = String::from(sign);
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            said.push('\u{202f}');
        }
        said.push(digit);
    }
    said
}

/// Says how many of something there are: `1 unit`, `3 units`.
pub fn many(number: usize, one: &str) -> String {
    if number == 1 { format!("1 {one}") } else { format!("{} {one}s", count(number as i128)) }
}

/// Says a number with as many digits as help: `0.0157`, `3.4`, `12 345`.
pub fn number(value: f64) -> String {
    match value.abs() {
        0.0 => "0".to_owned(),
        small if small < 0.1 => format!("{value:.4}"),
        middle if middle < 100.0 && value.fract() != 0.0 => format!("{value:.1}"),
        _ => count(value.round() as i64),
    }
}

/// Says a number that may not be known.
pub fn maybe_number(value: Option<f64>) -> String {
    value.map_or_else(|| UNKNOWN.to_owned(), number)
}

/// Says a size in bytes: `1.5 GiB`.
pub fn bytes(bytes: u64) -> String {
    let units = ["KiB", "MiB", "GiB", "TiB"];
    let mut size = bytes as f64;
    let mut unit = "B";
    for next in units {
        if size < 1024.0 {
            break;
        }
        size /= 1024.0;
        unit = next;
    }
    if unit == "B" { format!("{bytes} B") } else { format!("{size:.1} {unit}") }
}

/// Says a price of little: `$0.0157`.
pub fn price(dollars: Option<f64>) -> String {
    dollars.map_or_else(|| UNKNOWN.to_owned(), |dollars| format!("${dollars:.4}"))
}

/// Says a share: `83 %`.
pub fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| UNKNOWN.to_owned(), |share| format!("{:.0} %", share * 100.0))
}

/// A moment on a page: seconds in UTC for all to read; the script shows it in the viewer's zone, with UTC on hover.
pub fn moment(at: Timestamp) -> String {
    at.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Says who works: its stage and what tells it apart, without most of what is random.
pub fn worker(id: &str) -> &str {
    let random = id.rfind('-').map_or(0, |dash| dash + 1);
    id.get(..random + 8).unwrap_or(id)
}

/// Returns microseconds as seconds.
pub fn seconds(us: i64) -> f64 {
    us as f64 / 1e6
}

/// Returns how long it is from one moment to another, in seconds, both in milliseconds since the Unix epoch. Clocks of two
/// machines may differ: what would be less than nothing is nothing.
pub fn between_s(from_ms: i64, to_ms: i64) -> f64 {
    (to_ms - from_ms).max(0) as f64 / 1e3
}

/// Returns the moment `at_ms` after the Unix epoch.
pub fn at(at_ms: i64) -> Timestamp {
    Timestamp::from_millisecond(at_ms).unwrap_or(Timestamp::UNIX_EPOCH)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_counts_and_sizes_read_well() {
        let spans = [0.04, 9.4, 59.6, 200.0, 7500.0, 273_600.0].map(span);
        assert_eq!(spans, ["0.0 s", "9.4 s", "1 min 0 s", "3 min 20 s", "2 h 5 min", "3 d 4 h"]);
        assert_eq!(
            [count(0), count(999), count(12_345), count(-1_234_567)],
            ["0", "999", "12\u{202f}345", "-1\u{202f}234\u{202f}567"]
        );
        assert_eq!([bytes(512), bytes(1536), bytes(3 << 30)], ["512 B", "1.5 KiB", "3.0 GiB"]);
        assert_eq!(span(f64::NAN), UNKNOWN);
        assert_eq!(["cut-b75b24b0c20b4725", "cut-1", "w"].map(worker), ["cut-b75b24b0", "cut-1", "w"]);
        assert_eq!([between_s(1500, 4000), between_s(4000, 1500)], [2.5, 0.0]);
    }
}
