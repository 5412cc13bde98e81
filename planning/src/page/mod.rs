//! A page that needs nothing else: style and pictures are in it, for light and dark, and nothing is fetched.

mod chart;

use std::fmt::Write as _;

pub use chart::{Chart, Line, escaped};

/// The style of every page.
pub const STYLE: &str = include_str!("style.css");

/// Returns the page called `title` around `body`, which is HTML.
pub fn page(title: &str, body: &str) -> String {
    let title = escaped(title);
    format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title>\
         <meta name=\"viewport\" content=\"width=device-width\"><style>{STYLE}</style></head><body><h1>{title}</h1>\
         {body}</body></html>\n"
    )
}

/// Returns a table of `rows` under `heads`; cells are text, those after the first `words` columns are numbers.
pub fn table(heads: &[&str], words: usize, rows: &[Vec<String>]) -> String {
    let class = |column: usize| if column < words { "" } else { " class=\"n\"" };
    let mut html = String::from("<table><tr>");
    for (column, head) in heads.iter().enumerate() {
        let _ = write!(html, "<th{}>{}", class(column), escaped(head));
    }
    html += "</tr>";
    for row in rows {
        html += "<tr>";
        for (column, cell) in row.iter().enumerate() {
            let _ = write!(html, "<td{}>{}", class(column), escaped(cell));
        }
        html += "</tr>";
    }
    html + "</table>"
}
