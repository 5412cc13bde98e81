//! Which bytes of a file a request wants (RFC 9110: ranges and conditions), decided from headers alone.

use std::ops::Range;

use axum::http::{HeaderMap, header};

/// More ranges than this in one request are answered with the whole file.
const MAX_RANGES: usize = 16;

/// What to answer.
#[derive(Debug, PartialEq, Eq)]
pub enum Wanted {
    /// The caller has it already: 304.
    NotModified,
    /// All of it: 200.
    Whole,
    /// One or more parts, each inside the file and not empty: 206.
    Parts(Vec<Range<u64>>),
    /// Nothing of it: 416.
    Unsatisfiable,
}

/// Decides what a GET or HEAD with `headers` wants of a file of `length` bytes with the strong `etag` (with quotes).
pub fn wanted(headers: &HeaderMap, etag: &str, length: u64) -> Wanted {
    if matches_any(headers, header::IF_NONE_MATCH, etag) {
        return Wanted::NotModified;
    }
    let Some(range) = headers.get(header::RANGE).and_then(|v| v.to_str().ok()) else { return Wanted::Whole };
    // A date, a weak tag or another tag means that the caller's parts may be of another file.
    if headers.get(header::IF_RANGE).is_some_and(|v| v.as_bytes() != etag.as_bytes()) {
        return Wanted::Whole;
    }
    parse(range, length)
}

/// Says whether a list of tags has `etag` in it, weakly compared, or is `*`.
fn matches_any(headers: &HeaderMap, name: header::HeaderName, etag: &str) -> bool {
    let lists = headers.get_all(name).into_iter().filter_map(|v| v.to_str().ok());
    let mut tags = lists.flat_map(|list| list.split(',')).map(str::trim);
    tags.any(|tag| tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == etag)
}

/// Reads `bytes=0-99,200-,-5`. What is malformed or of another unit is ignored, as the RFC says.
fn parse(text: &str, length: u64) -> Wanted {
    let Some(specs) = text.trim().strip_prefix("bytes=") else { return Wanted::Whole };
    let mut parts = Vec::new();
    let mut count = 0;
    for spec in specs.split(',').map(str::trim).filter(|s| !s.is_empty()) {
        count += 1;
        match parse_one(spec, length) {
            Ok(Some(part)) => parts.push(part),
            Ok(None) => {}
            Err(Malformed) => return Wanted::Whole,
        }
    }
    match count {
        0 => Wanted::Whole,
        n if n > MAX_RANGES => Wanted::Whole,
        _ if parts.is_empty() => Wanted::Unsatisfiable,
        _ => Wanted::Parts(without_overlaps(parts)),
    }
}

struct Malformed;

/// Returns the part of the file that `spec` means, if any of it is there.
fn parse_one(spec: &str, length: u64) -> Result<Option<Range<u64>>, Malformed> {
    let (first, last) = spec.split_once('-').ok_or(Malformed)?;
    // A number beyond what fits is beyond any file.
    let number = |digits: &str| match digits.bytes().all(|b| b.is_ascii_digit()) && !digits.is_empty() {
        true => Ok(digits.parse().unwrap_or(u64::MAX)),
        false => Err(Malformed),
    };
    let part = match (first.trim(), last.trim()) {
        ("", suffix) => length.saturating_sub(number(suffix)?)..length,
        (first, "") => number(first)?..length,
        (first, last) => {
            let (first, last) = (number(first)?, number(last)?);
            if last < first {
                return Err(Malformed);
            }
            first..last.saturating_add(1).min(length)
        }
    };
    Ok((part.start < part.end).then_some(part))
}

/// Leaves the order as asked, unless parts overlap: then the same bytes asked for again and again would be sent so.
fn without_overlaps(parts: Vec<Range<u64>>) -> Vec<Range<u64>> {
    let mut sorted = parts.clone();
    sorted.sort_by_key(|part| part.start);
    let overlaps = sorted.windows(2).any(|pair| pair[1].start < pair[0].end);
    if !overlaps {
        return parts;
    }
    let mut merged: Vec<Range<u64>> = Vec::new();
    for part in sorted {
        match merged.last_mut() {
            Some(last) if part.start <= last.end => last.end = last.end.max(part.end),
            _ => merged.push(part),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use axum::http::HeaderName;

    const TAG: &str = "\"abc\"";

    #[track_caller]
    fn check(given: &[(HeaderName, &str)], expected: Wanted) {
        let headers = given.iter().map(|(name, value)| (name.clone(), value.parse().expect("a value"))).collect();
        assert_eq!(wanted(&headers, TAG, 100), expected);
    }

    #[test]
    fn ranges_of_every_form() {
        let parts = |text, parts: &[(u64, u64)]| {
            check(&[(header::RANGE, text)], Wanted::Parts(parts.iter().map(|(start, end)| *start..*end).collect()));
        };
        parts("bytes=0-0", &[(0, 1)]);
        parts("bytes=10-", &[(10, 100)]);
        parts("bytes=-5", &[(95, 100)]);
        parts("bytes=-500", &[(0, 100)]);
        parts("bytes=90-1000", &[(90, 100)]);
        parts("bytes=0-99999999999999999999999", &[(0, 100)]);
        parts("bytes=50-59, 0-9", &[(50, 60), (0, 10)]);
        parts("bytes=0-9, 200-300", &[(0, 10)]);
        parts("bytes=0-50, 40-60, 0-99", &[(0, 100)]);
    }

    #[test]
    fn ranges_outside_are_told_and_malformed_ones_ignored() {
        for outside in ["bytes=100-", "bytes=-0", "bytes=200-300, 100-"] {
            check(&[(header::RANGE, outside)], Wanted::Unsatisfiable);
        }
        for odd in ["bytes=", "bytes=a-b", "bytes=5-1", "bytes=--5", "lines=0-1", "bytes=1", "bytes=+1-2"] {
            check(&[(header::RANGE, odd)], Wanted::Whole);
        }
        check(&[(header::RANGE, &format!("bytes={}", "0-0,".repeat(17)))], Wanted::Whole);
    }

    #[test]
    fn conditions_come_first() {
        check(&[(header::IF_NONE_MATCH, "\"x\", W/\"abc\"")], Wanted::NotModified);
        check(&[(header::IF_NONE_MATCH, "*"), (header::RANGE, "bytes=0-1")], Wanted::NotModified);
        check(&[(header::IF_NONE_MATCH, "\"x\"")], Wanted::Whole);
        check(&[(header::IF_RANGE, TAG), (header::RANGE, "bytes=0-1")], Wanted::Parts(std::iter::once(0..2).collect()));
        check(&[(header::IF_RANGE, "\"x\""), (header::RANGE, "bytes=0-1")], Wanted::Whole);
        check(&[(header::IF_RANGE, "W/\"abc\""), (header::RANGE, "bytes=0-1")], Wanted::Whole);
    }
}
