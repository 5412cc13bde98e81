//! What `ARCHITECTURE.md` says of tests: a table that names one that is not there proves nothing.

use std::fs;
use std::path::{Path, PathBuf};

/// The heading over the table of what happens when something breaks.
const TABLE: &str = "## When something breaks";

/// Where files lie that the table names, in the order in which they are looked for.
const FOLDERS: [&str; 3] = ["pipeline/tests/it", "spillway/tests", ""];

/// Returns the tests that a row's last cell names, each with its file: `` `file.rs`: `test`, `test`; `file.rs`: .. ``.
fn named(cell: &str) -> Vec<(&str, &str)> {
    let mut named = Vec::new();
    for part in cell.split(';') {
        let mut quoted = part.split('`').skip(1).step_by(2);
        let Some(file) = quoted.next() else { continue };
        named.extend(quoted.map(|test| (file, test)));
    }
    named
}

fn found(root: &Path, file: &str) -> Option<PathBuf> {
    FOLDERS.iter().map(|folder| root.join(folder).join(file)).find(|path| path.is_file())
}

/// Says whether `source` has the function `test`, and an attribute that makes it a test.
fn has_test(source: &str, test: &str) -> bool {
    let lines: Vec<&str> = source.lines().map(str::trim).collect();
    let head = format!("fn {test}(");
    lines.iter().enumerate().filter(|(_, line)| line.contains(&head)).any(|(index, _)| {
        let attributes = lines[..index].iter().rev().take_while(|line| line.starts_with("#[")).copied();
        attributes.into_iter().any(|line| line.starts_with("#[test]") || line.starts_with("#[tokio::test"))
    })
}

#[test]
fn each_row_of_what_breaks_names_a_test_that_is_there() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let text = fs::read_to_string(root.join("ARCHITECTURE.md")).expect("ARCHITECTURE.md");
    let (_, table) = text.split_once(TABLE).expect("the table's heading");
    let rows: Vec<&str> =
        table.lines().skip_while(|line| !line.starts_with('|')).take_while(|l| !l.is_empty()).collect();
    assert!(rows.len() > 30, "the table is read: {} rows", rows.len());
    let mut wrong = Vec::new();
    for row in &rows[2..] {
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [what, _, shown_by] = cells[..] else { panic!("three cells: {row}") };
        let tests = named(shown_by);
        if tests.is_empty() {
            wrong.push(format!("{what}: no test is named"));
        }
        for (file, test) in tests {
            match found(&root, file).map(|path| fs::read_to_string(path).expect("a source in UTF-8")) {
                None => wrong.push(format!("{what}: there is no {file}")),
                Some(source) if !has_test(&source, test) => wrong.push(format!("{what}: {file} has no test {test}")),
                Some(_) => {}
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
