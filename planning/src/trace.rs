//! Counts by time, as somebody else's load came: CSV with the header `seconds,arrivals`.

use std::error::Error;
use std::str::FromStr;

use anyhow::{Context, Result, ensure};

const HEADER: &str = "seconds,arrivals";

/// A line of a trace.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Row<Count> {
    /// Its number, from 1.
    pub line: usize,
    /// When its stretch of time begins, in seconds.
    pub at_s: f64,
    /// How many came in it.
    pub count: Count,
}

/// Reads the rows, two at the least; empty lines are passed over. How times and counts are to follow each other is for the
/// caller to see.
///
/// # Errors
/// With the line, when the text is something else.
pub fn rows<Count>(text: &str) -> Result<Vec<Row<Count>>>
where
    Count: FromStr<Err: Error + Send + Sync + 'static>,
{
    let mut lines = text.lines();
    ensure!(lines.next().map(str::trim) == Some(HEADER), "the first line is to be {HEADER}");
    let mut rows = Vec::new();
    for (number, text) in lines.enumerate().filter(|(_, text)| !text.trim().is_empty()) {
        let line = number + 2;
        let (at, count) = text.split_once(',').with_context(|| format!("line {line}: two numbers are wanted"))?;
        let at_s = at.trim().parse().with_context(|| format!("line {line}: seconds"))?;
        let count = count.trim().parse().with_context(|| format!("line {line}: arrivals"))?;
        rows.push(Row { line, at_s, count });
    }
    ensure!(rows.len() > 1, "a trace has two lines of numbers at least");
    Ok(rows)
}
