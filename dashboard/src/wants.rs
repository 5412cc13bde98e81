//! What a client wants to read.

use axum::http::{HeaderMap, header};

/// What a client wants to read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Wants {
    /// A page.
    Html,
    /// The numbers behind it.
    Json,
}

impl Wants {
    /// Reads `Accept`: whichever of the two kinds is named first, a page if none is.
    pub fn of(headers: &HeaderMap) -> Self {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let kinds = accept.split(',').map(|kind| kind.split(';').next().unwrap_or_default().trim());
        let first = kinds.into_iter().find(|kind| matches!(*kind, "application/json" | "text/html"));
        if first == Some("application/json") { Self::Json } else { Self::Html }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kind_named_first_is_what_is_wanted() {
        let wants = |accept: &str| Wants::of(&HeaderMap::from_iter([(header::ACCEPT, accept.parse().unwrap())]));
        assert_eq!(wants("application/json"), Wants::Json);
        assert_eq!(wants("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"), Wants::Html);
        assert_eq!(wants("application/json;q=0.9, text/html"), Wants::Json);
        assert_eq!(wants("*/*"), Wants::Html);
        assert_eq!(Wants::of(&HeaderMap::new()), Wants::Html);
    }
}
