//! What was found, as a table for people.

use std::fmt::Write;

use super::row::Row;

/// Returns one line a row, and one more below what is wrong, and at last how it stands.
pub(super) fn table(rows: &[Row]) -> String {
    let width = |column: fn(&Row) -> &str| rows.iter().map(|row| column(row).chars().count()).max().unwrap_or(0);
    let (what, place) = (width(|row| row.what), width(|row| &row.place));
    let mut text = String::new();
    for row in rows {
        let verdict = if row.ok { "ok" } else { "WRONG" };
        // Writing to a string never fails.
        let _ = writeln!(text, "{verdict:<5}  {:<what$}  {:<place$}  {}", row.what, row.place, row.detail);
        if let Some(advice) = &row.advice {
            let _ = writeln!(text, "{:5}  -> {advice}", "");
        }
    }
    let wrong = rows.iter().filter(|row| !row.ok).count();
    let verdict = if wrong == 0 { "all is right".to_owned() } else { format!("{wrong} of {} wrong", rows.len()) };
    text + &verdict + "\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_wrong_has_its_advice_below() {
        let rows = [Row::right("brokers", "one:9092", "1 broker"), Row::wrong("store", "sqlite:/x", "is gone", "look")];
        let expected = "\
ok     brokers  one:9092   1 broker
WRONG  store    sqlite:/x  is gone
       -> look
1 of 2 wrong
";
        assert_eq!(table(&rows), expected);
        assert!(table(&rows[..1]).ends_with("\nall is right\n"));
    }
}
