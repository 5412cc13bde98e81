//! Every unit that one stage has of a video, a page at a time: the waterfall has one row for several of them.

use askama::Template;
use axum::response::Response;
use jiff::Timestamp;
use pipeline::id::{TenantId, VideoId};
use pipeline::stage::StageName;
use serde::Serialize;

use super::known::Known;
use super::unit::Unit;
use super::waterfall::Waterfall;
use super::{nowhere, units_of};
use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::page::videos::Row;
use crate::say;

/// The most units on a page.
const ON_PAGE: usize = 100;

#[derive(Template, Serialize)]
#[template(path = "video_stage.html")]
struct Page {
    #[serde(flatten)]
    frame: Frame,
    /// Where the pages of the video are.
    #[serde(skip)]
    path: String,
    /// The stages that have units of the video, in the order of the flow.
    stages: Vec<&'static str>,
    #[serde(flatten)]
    part: Part,
}

/// The units of one page.
#[derive(Clone, PartialEq, Debug, Serialize)]
struct Part {
    stage: &'static str,
    /// How many units the stage has.
    total: usize,
    /// The page, from 1.
    page: usize,
    /// One row a unit.
    waterfall: Waterfall,
    /// Where the page before is.
    previous: Option<String>,
    /// Where the next one is.
    next: Option<String>,
}

/// Shows a page of the units of `stage`.
///
/// # Errors
/// When there is no such video, or the store is away.
pub async fn show(
    app: &App,
    viewer: Viewer,
    (tenant, video): (TenantId, VideoId),
    stage: StageName,
    page: usize,
) -> Result<Response, Fault> {
    let now = Timestamp::now();
    let known = Known::read(&app.store, &app.logs, &tenant, video).await?.ok_or_else(nowhere)?;
    let units = units_of(&app.seen.read(), &known, video);
    let row = Row::of(&known.video, now);
    let wants = viewer.wants;
    let frame = Frame::new(app, viewer, "/videos", format!("{stage} of {}", row.called()), "bar");
    let path = row.path();
    let mut stages: Vec<&'static str> = units.iter().map(|unit| unit.stage.as_str()).collect();
    stages.dedup();
    let part = Part::of(&units, &path, (row.created_ms, known.until_ms(now)), stage, page);
    answer(wants, &Page { frame, path, stages, part })
}

impl Page {
    fn is_chosen(&self, stage: &&'static str) -> bool {
        self.part.stage == *stage
    }
}

impl Part {
    fn of(units: &[Unit], path: &str, span_ms: (i64, i64), stage: StageName, page: usize) -> Self {
        let own: Vec<Unit> = units.iter().filter(|unit| unit.stage == stage).cloned().collect();
        let pages = own.len().div_ceil(ON_PAGE).max(1);
        let page = page.clamp(1, pages);
        let shown = own.chunks(ON_PAGE).nth(page - 1).unwrap_or_default();
        let waterfall = Waterfall::of_each(shown, path, span_ms.0, span_ms.1);
        let at = |page: usize| format!("{path}?stage={stage}&page={page}");
        Self {
            stage: stage.as_str(),
            total: own.len(),
            page,
            waterfall,
            previous: (page > 1).then(|| at(page - 1)),
            next: (page < pages).then(|| at(page + 1)),
        }
    }

    /// Says which of them are shown.
    fn told(&self) -> String {
        let first = (self.page - 1) * ON_PAGE;
        let last = first + self.waterfall.rows.len();
        if self.total <= ON_PAGE {
            return say::many(self.total, "unit");
        }
        format!(
            "units {} to {} of {}",
            say::count((first + 1) as i128),
            say::count(last as i128),
            say::count(self.total as i128)
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_unit_of_a_long_stage_is_on_one_of_its_pages() {
        let unit =
            |index: usize| Unit { queued_ms: Some(0), ..Unit::new(StageName::Analyze, &format!("video/{index}")) };
        let mut units = vec![Unit::new(StageName::Split, "video")];
        units.extend((0..250).map(unit));
        let part = |page| Part::of(&units, "/videos/t/v", (0, 1000), StageName::Analyze, page);
        let shown: Vec<String> = (1..=3).flat_map(|page| part(page).waterfall.rows).map(|row| row.units).collect();
        assert_eq!(shown, (0..250).map(|index| format!("video/{index}")).collect::<Vec<_>>());
        assert_eq!(
            (part(1).told(), part(3).told()),
            ("units 1 to 100 of 250".to_owned(), "units 201 to 250 of 250".to_owned())
        );
        assert_eq!((part(1).previous, part(3).next), (None, None));
        assert_eq!(part(2).next.as_deref(), Some("/videos/t/v?stage=analyze&page=3"));
        assert_eq!(part(2).previous.as_deref(), Some("/videos/t/v?stage=analyze&page=1"));
        assert_eq!((part(0).page, part(99).page), (1, 3));
        let none = Part::of(&units, "/videos/t/v", (0, 1000), StageName::Cut, 1);
        assert_eq!((none.total, none.waterfall.rows.len(), none.next), (0, 0, None));
    }
}
