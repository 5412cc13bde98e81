//! Pages of a list of videos: where this one begins and those before it did, as it stands in the URL.

use std::fmt;

use jiff::Timestamp;
use pipeline::id::VideoId;

use crate::fault::Fault;

/// The most pages back that are remembered; before them is the first one.
const MOST: usize = 30;
/// Separates the places of pages in the URL.
const BETWEEN: char = '~';

/// A place in a list: that of the video of this time and id.
pub type Place = (Timestamp, VideoId);

/// Where a page begins.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Start {
    /// In the list of which group of tenants, from 0: see [`super::merge`].
    pub group: usize,
    /// After which of its videos.
    pub after: Option<Place>,
}

impl fmt::Display for Start {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.after {
            Some((at, video)) => write!(to, "{}.{}.{video}", self.group, at.as_microsecond()),
            None => write!(to, "{}", self.group),
        }
    }
}

impl Start {
    fn parse(text: &str) -> Option<Self> {
        let (group, after) = match text.split_once('.') {
            Some((group, after)) => (group, Some(after.split_once('.')?)),
            None => (text, None),
        };
        let after = match after {
            Some((at_us, video)) => Some((Timestamp::from_microsecond(at_us.parse().ok()?).ok()?, video.parse().ok()?)),
            None => None,
        };
        Some(Self { group: group.parse().ok()?, after })
    }
}

/// Where pages begin: those before this one, and this one; none of them is the first.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Pages(Vec<String>);

impl Pages {
    /// Reads what stands in the URL.
    pub fn read(text: &str) -> Self {
        Self(text.split(BETWEEN).filter(|page| !page.is_empty()).map(str::to_owned).collect())
    }

    /// Returns where the page begins.
    ///
    /// # Errors
    /// When that is not of a page of ours.
    pub fn start(&self) -> Result<Start, Fault> {
        let refused = || Fault::Refused("There is no such page; begin with the first one.".to_owned());
        self.0.last().map_or(Ok(Start::default()), |text| Start::parse(text).ok_or_else(refused))
    }

    /// Goes on to the page that begins at `start`.
    pub fn and(&self, start: Start) -> Self {
        let mut pages = self.0.clone();
        pages.push(start.to_string());
        let forgotten = pages.len().saturating_sub(MOST);
        Self(pages.split_off(forgotten))
    }

    /// Goes back to the page before, if there is one.
    pub fn before(&self) -> Option<Self> {
        let (_, before) = self.0.split_last()?;
        Some(Self(before.to_vec()))
    }
}

impl fmt::Display for Pages {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(&self.0.join(&BETWEEN.to_string()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_before_are_remembered_up_to_a_number() {
        let at = |second| Start { group: 1, after: Some((Timestamp::from_second(second).unwrap(), VideoId::random())) };
        let mut pages = Pages::default();
        for second in 0..100 {
            pages = Pages::read(&pages.and(at(second)).to_string());
        }
        assert_eq!(pages.0.len(), MOST);
        assert!(pages.start().is_ok_and(|start| start.group == 1));
    }

    #[test]
    fn what_is_no_page_of_ours_is_refused() {
        for wrong in ["1.2", "0.1.x", "-1"] {
            assert!(matches!(Pages::read(wrong).start(), Err(Fault::Refused(_))), "{wrong}");
        }
        assert_eq!((Pages::read("").start().unwrap(), Pages::default().before()), (Start::default(), None));
    }
}
