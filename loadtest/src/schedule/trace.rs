//! A trace: counts by time, as somebody else's load came.

use std::path::Path;

use anyhow::{Context, Result, ensure};

use super::{Bucket, Curve};

const HEADER: &str = "seconds,arrivals";

/// Reads a trace: a header, then the start of each stretch in seconds and how many came in it.
///
/// # Errors
/// With the line, when the file is something else.
pub(super) fn read(path: &Path) -> Result<Curve> {
    parse(&std::fs::read_to_string(path)?)
}

fn parse(text: &str) -> Result<Curve> {
    let mut lines = text.lines();
    ensure!(lines.next().map(str::trim) == Some(HEADER), "the first line is to be {HEADER}");
    let mut rows: Vec<(f64, u64)> = Vec::new();
    for (number, line) in lines.enumerate().filter(|(_, line)| !line.trim().is_empty()) {
        let row = || Some(line.split_once(',')?).map(|(at, count)| (at.trim().parse(), count.trim().parse()));
        let (at, count) = row().with_context(|| format!("line {}: two numbers are wanted", number + 2))?;
        let at_s: f64 = at.with_context(|| format!("line {}: seconds", number + 2))?;
        let count = count.with_context(|| format!("line {}: arrivals", number + 2))?;
        let follows = rows.last().is_none_or(|(before, _)| *before < at_s);
        ensure!(at_s.is_finite() && at_s >= 0.0 && follows, "line {}: seconds are to grow", number + 2);
        rows.push((at_s, count));
    }
    ensure!(rows.len() > 1, "a trace has two lines of numbers at least");
    let last = rows[rows.len() - 1].0 - rows[rows.len() - 2].0;
    let ends = rows.iter().skip(1).map(|(at_s, _)| *at_s).chain([rows[rows.len() - 1].0 + last]);
    let bucket = |((start_s, count), end_s): (&(f64, u64), f64)| Bucket {
        start_s: *start_s,
        width_s: end_s - start_s,
        count: *count,
    };
    Ok(Curve { buckets: rows.iter().zip(ends).map(bucket).collect() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trace_is_its_counts() {
        let curve = parse("seconds,arrivals\n0,3\n60,0\n120,2\n").unwrap();
        let plain: Vec<_> = curve.buckets.iter().map(|b| (b.start_s, b.width_s, b.count)).collect();
        assert_eq!(plain, [(0.0, 60.0, 3), (60.0, 60.0, 0), (120.0, 60.0, 2)]);
    }

    #[test]
    fn what_is_no_trace_says_where() {
        for (text, words) in [
            ("time,count\n0,1\n", "first line"),
            ("seconds,arrivals\n0,1\n", "two lines"),
            ("seconds,arrivals\n0,1\nx,2\n", "line 3"),
            ("seconds,arrivals\n0,1\n60\n", "line 3"),
            ("seconds,arrivals\n60,1\n0,2\n", "line 3"),
            ("seconds,arrivals\n0,1\n60,-2\n", "line 3"),
        ] {
            let error = format!("{:#}", parse(text).unwrap_err());
            assert!(error.contains(words), "{text:?}: {error}");
        }
    }
}
