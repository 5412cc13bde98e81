//! A part of a page that is sent again when it changes. How long something lasts changes all the time and is no change: it
//! is marked with its begin, from which the browser counts.

use std::hash::{DefaultHasher, Hash, Hasher};

use askama::Template;

use crate::fault::Fault;
use crate::say;

/// What marks a span that the browser counts; its begin follows.
const COUNTED: &str = " data-since-ms=\"";

/// A part of a page, to be put in place of the one with the same id.
#[derive(Clone, Debug)]
pub struct Part {
    /// The id of the element.
    pub id: &'static str,
    /// What replaces its inside, keeping focus and what is open.
    pub html: String,
    /// Differs where the part does in more than what the browser counts.
    pub mark: u64,
}

impl Part {
    /// Writes what replaces the inside of the element `id`.
    ///
    /// # Errors
    /// When it cannot be written, which is a bug.
    pub fn new(id: &'static str, template: &impl Template) -> Result<Self, Fault> {
        Ok(Self::of(id, &template.render().map_err(|error| Fault::Internal(error.into()))?))
    }

    fn of(id: &'static str, inside: &str) -> Self {
        let mut mark = DefaultHasher::new();
        uncounted(inside).for_each(|piece| piece.hash(&mut mark));
        let html = format!("<div id=\"{id}\" hx-swap-oob=\"innerMorph\">{inside}</div>");
        Self { id, html, mark: mark.finish() }
    }
}

/// Returns the pieces of a page between what the browser counts.
fn uncounted(html: &str) -> impl Iterator<Item = &str> {
    html.split(COUNTED).enumerate().flat_map(|(number, piece)| {
        // After the mark come the begin, which stays, and the text up to the next element.
        let (kept, rest) = if number == 0 { (piece, "") } else { piece.split_once('>').unwrap_or((piece, "")) };
        let rest = rest.find('<').map_or("", |end| &rest[end..]);
        [kept, rest]
    })
}

/// Writes a time that lasts since `at_ms`, in milliseconds since the Unix epoch, and has lasted `seconds`: as it is, it goes
/// into a template. A worker says how long something lasts, so that it begins some milliseconds earlier or later each time:
/// whole seconds stay.
pub fn counted(at_ms: i64, seconds: f64) -> String {
    let begin_ms = (at_ms + 500).div_euclid(1000) * 1000;
    format!("<span{COUNTED}{begin_ms}\">{}</span>", say::span(seconds))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_part_differs_by_more_than_what_the_browser_counts() {
        let mark = |at_ms: i64, seconds: f64, rest: &str| {
            let age = counted(at_ms, seconds);
            Part::of("now", &format!("<p>{age} and {age}{rest}</p>")).mark
        };
        let first = mark(1000, 5.0, "");
        assert_eq!(first, mark(1000, 7.0, ""));
        assert_eq!(first, mark(998, 7.0, ""), "a worker told it again");
        assert_ne!(first, mark(2000, 5.0, ""), "it began anew");
        assert_ne!(first, mark(1000, 5.0, "!"));
        assert_ne!(Part::of("now", "a").mark, Part::of("now", "b").mark);
        assert!(Part::of("now", "a").html.contains("id=\"now\" hx-swap-oob=\"innerMorph\">a</div>"));
    }
}
