//! What `docs/dashboard.md` says of the pages' JSON, against what they answer.

use std::collections::BTreeMap;

use serde_json::Value;

const DOCS: &str = include_str!("../../../docs/dashboard.md");

/// The fields of something, by their names; each with its own, as far as those are told.
#[derive(Default, Debug)]
struct Fields(BTreeMap<String, Fields>);

impl Fields {
    /// Takes in `a.b[c, d{e}]`: a path, and in brackets what lies there, once or in a list. Returns what is left.
    fn take<'a>(&mut self, text: &'a str) -> &'a str {
        let end = text.find(|one: char| !(one.is_ascii_alphanumeric() || "_.".contains(one))).unwrap_or(text.len());
        let (path, mut rest) = text.split_at(end);
        let here = path.split('.').filter(|name| !name.is_empty());
        let here = here.fold(self, |fields, name| fields.0.entry(name.to_owned()).or_default());
        if rest.starts_with(['[', '{']) {
            loop {
                rest = here.take(rest[1..].trim_start());
                if !rest.starts_with(',') {
                    break;
                }
            }
            assert!(rest.starts_with([']', '}']), "it is not closed: {text}");
            rest = &rest[1..];
        }
        rest
    }

    /// Checks that `value` has these fields and no others; what is unknown or empty has none.
    fn check(&self, at: &str, value: &Value) {
        match value {
            Value::Array(all) => all.iter().for_each(|one| self.check(at, one)),
            Value::Object(given) if !self.0.is_empty() => {
                let (told, given_names): (Vec<_>, Vec<_>) = (self.0.keys().collect(), given.keys().collect());
                let missing: Vec<_> = told.iter().filter(|name| !given_names.contains(name)).collect();
                let untold: Vec<_> = given_names.iter().filter(|name| !told.contains(name)).collect();
                assert!(missing.is_empty() && untold.is_empty(), "{at}: described {missing:?}, answered {untold:?}");
                self.0.iter().for_each(|(name, fields)| fields.check(&format!("{at}.{name}"), &given[name]));
            }
            _ => assert!(self.0.is_empty() || value.is_null(), "{at} has no fields: {value}"),
        }
    }
}

/// Returns the code spans of a text.
fn spans(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

/// Returns the fields that the line of `page` tells of.
fn fields_of(page: &str) -> Fields {
    let (_, table) = DOCS.split_once("| page | fields |").expect("the table of fields");
    let rows = table.lines().skip(2).map_while(|line| line.strip_prefix("| ")?.strip_suffix(" |")?.split_once(" | "));
    let names = |cell: &str| spans(cell).any(|span| span == page);
    let (_, cell) =
        rows.into_iter().find(|(paths, _)| names(paths)).unwrap_or_else(|| panic!("{page} is not described"));
    let mut fields = Fields::default();
    // What stands in brackets between the fields says more of one.
    let outside: String = cell.split('(').map(|piece| piece.rsplit(')').next().unwrap_or(piece)).collect();
    for span in spans(&outside) {
        let left = fields.take(span);
        assert!(left.is_empty(), "{page}: {left:?} of {span:?}");
    }
    fields
}

/// Returns the fields told in a code span that begins with `begin`, whatever lines it goes over.
fn fields_told(begin: &str) -> Fields {
    let text = DOCS.split_whitespace().collect::<Vec<_>>().join(" ");
    let mut fields = Fields::default();
    fields.take(spans(&text).find(|span| span.starts_with(begin)).unwrap_or_else(|| panic!("{begin} is not told")));
    fields
}

/// Checks that an answer has the fields that the line of `page` tells of, and the bar.
pub fn is_described(page: &str, answer: &Value) {
    let mut fields = fields_of(page);
    fields.0.extend(fields_told("bar{").0);
    for plot in ["plot", "plots"] {
        if let Some(plot) = fields.0.get_mut(plot) {
            *plot = fields_told("{id, title");
        }
    }
    fields.check(page, answer);
}

#[test]
#[should_panic(expected = "now.b: described [\"c\"], answered [\"d\"]")]
fn a_field_of_another_name_is_found() {
    let mut fields = Fields::default();
    assert_eq!(fields.take("now.a"), "");
    assert_eq!(fields.take("now.b[c, e{f}]"), "");
    fields.check("", &serde_json::json!({"now": {"a": 1, "b": [{"c": 1, "e": null}]}}));
    fields.check("", &serde_json::json!({"now": {"a": 1, "b": [{"d": 1, "e": {"f": 2}}]}}));
}
