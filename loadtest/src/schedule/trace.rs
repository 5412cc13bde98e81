//! A trace: counts by time, as somebody else's load came.

use std::path::Path;

use anyhow::{Result, ensure};
use planning::trace::{Row, rows};

use super::{Bucket, Curve};

/// Reads a trace: a header, then the start of each stretch in seconds and how many came in it.
///
/// # Errors
/// With the line, when the file is something else.
pub(super) fn read(path: &Path) -> Result<Curve> {
    parse(&std::fs::read_to_string(path)?)
}

fn parse(text: &str) -> Result<Curve> {
    let rows = rows::<u64>(text)?;
    for (place, Row { line, at_s, .. }) in rows.iter().enumerate() {
        let follows = place.checked_sub(1).is_none_or(|before| rows[before].at_s < *at_s);
        ensure!(at_s.is_finite() && *at_s >= 0.0 && follows, "line {line}: seconds are to grow");
    }
    let last = rows[rows.len() - 1].at_s - rows[rows.len() - 2].at_s;
    let ends = rows.iter().skip(1).map(|row| row.at_s).chain([rows[rows.len() - 1].at_s + last]);
    let bucket =
        |(row, end_s): (&Row<u64>, f64)| Bucket { start_s: row.at_s, width_s: end_s - row.at_s, count: row.count };
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
