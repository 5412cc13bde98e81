//! The file of tenants.

use std::path::Path;

use ingest::{Sharing, Tenants};

use super::row::{Row, count};

/// Reads the file, if there is to be one: a row for it, or one for each mistake.
pub(super) fn rows(args: &Sharing) -> Vec<Row> {
    args.tenants.as_deref().map(rows_of).unwrap_or_default()
}

fn rows_of(path: &Path) -> Vec<Row> {
    let place = path.display();
    match Tenants::read(path) {
        Ok(tenants) => {
            let found = format!("{}, {}", count(tenants.ids().len(), "tenant"), count(tenants.keys(), "key"));
            vec![Row::right("tenants", place, found)]
        }
        Err(error) => {
            let text = format!("{error:#}");
            // Each mistake has a line of its own, after one that says that there are some.
            let mistakes = text.lines().skip(usize::from(text.contains('\n')));
            let advice = "mend it as docs/overload.md says; until then the API does not start, or goes on as before";
            mistakes.map(|mistake| Row::wrong("tenants", place.to_string(), mistake, advice)).collect()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_mistake_is_a_row() {
        let file = tempfile::NamedTempFile::new().expect("a file");
        let args = Sharing { tenants: Some(file.path().to_owned()), fair_share: 1 };
        std::fs::write(file.path(), "[[tenant]]\nname = \"a\"\nkey_sha256 = []\nweight = 0\n[[tenant]]\n")
            .expect("a file");
        let rows = rows(&args);
        let details: Vec<&str> = rows.iter().filter(|row| !row.ok).map(|row| row.detail.as_str()).collect();
        assert_eq!(details.len(), 2, "{details:?}");
        assert!(details[0].ends_with("tenant \"a\": weight must be from 1 to 1000"), "{details:?}");
        assert!(details[1].ends_with("tenant 2: missing field `name`"), "{details:?}");
        let missing = super::rows(&Sharing { tenants: Some("/nowhere".into()), fair_share: 1 });
        assert!(missing.len() == 1 && !missing[0].ok, "{missing:?}");
        assert!(super::rows(&Sharing { tenants: None, fair_share: 1 }).is_empty());
    }
}
