//! Every statement there is, table by table, and what must hold of each.

use super::connection::Query;
use super::{claims, contents, gathers, lists, log, schema, videos};

/// Returns every statement.
pub(super) fn all() -> impl Iterator<Item = &'static Query> {
    [
        schema::STATEMENTS,
        contents::STATEMENTS,
        videos::STATEMENTS,
        lists::STATEMENTS,
        log::STATEMENTS,
        claims::STATEMENTS,
        gathers::STATEMENTS,
    ]
    .into_iter()
    .flatten()
    .copied()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::cql::connection::Kind;

    #[test]
    fn no_statement_scans() {
        for query in all() {
            let text = query.text.to_ascii_uppercase();
            assert!(!text.contains("ALLOW FILTERING"), "{text}");
            assert!(text.starts_with("INSERT") || text.contains(" WHERE "), "no key: {text}");
        }
    }

    #[test]
    fn what_is_conditional_is_never_sent_twice() {
        for query in all() {
            let conditional = query.text.contains(" IF ");
            assert_eq!(conditional, query.kind == Kind::Swap, "{}", query.text);
        }
    }

    #[test]
    fn values_are_bound_and_texts_differ() {
        let mut texts: Vec<&str> = all().map(|query| query.text).collect();
        let all = texts.len();
        texts.sort_unstable();
        texts.dedup();
        assert_eq!(texts.len(), all);
    }
}
