//! What a list of videos is asked for: filters, the page, or an id; all of it stands in the URL.

use std::str::FromStr;

use jiff::{SignedDuration, Timestamp};
use pipeline::failure::Code;
use pipeline::id::{TenantId, VideoId};
use pipeline::lane::Lane;
use pipeline::store::{State, VideoFilter};
use serde::Serialize;
use url::form_urlencoded::Serializer;

use crate::fault::Fault;

/// How old videos may be: the name in the URL, in words, and in seconds.
const AGES: [(&str, &str, i64); 3] =
    [("1h", "last hour", 3_600), ("24h", "last day", 86_400), ("7d", "last 7 days", 7 * 86_400)];
/// The most pages back that are remembered; before them is the first one.
const MOST_PAGES: usize = 30;
/// Separates the places of pages in the URL.
const BETWEEN: char = '~';

/// Where a page begins: after the video of this time and id.
pub type Place = (Timestamp, VideoId);

/// What is asked for; empty is everything.
#[derive(Clone, PartialEq, Debug, Default, Serialize)]
pub struct Asked {
    /// A state's name.
    state: String,
    /// A lane's name.
    lane: String,
    /// A tenant.
    tenant: String,
    /// How old a video may be: `1h`, `24h` or `7d`.
    age: String,
    /// The code that it ended with.
    error: String,
    /// An id that is searched for.
    pub id: String,
    /// Where this page and those before it begin.
    #[serde(skip)]
    page: Vec<String>,
    #[serde(skip)]
    done: String,
}

/// A filter that is offered.
pub struct Field {
    /// Its name in the URL.
    pub name: &'static str,
    /// What it is called.
    pub label: &'static str,
    /// What it may be; the first is everything.
    pub choices: Vec<Choice>,
}

/// What a filter may be.
pub struct Choice {
    /// In the URL.
    pub value: String,
    /// In words.
    pub label: String,
    /// Whether it is what is asked for.
    pub is_chosen: bool,
}

impl Asked {
    /// Reads the pairs of a query.
    ///
    /// # Errors
    /// When one is not known.
    pub fn read(pairs: &[(String, String)]) -> Result<Self, Fault> {
        let mut asked = Self::default();
        for (name, value) in pairs {
            let value = value.trim().to_owned();
            match name.as_str() {
                "state" => asked.state = value,
                "lane" => asked.lane = value,
                "tenant" => asked.tenant = value,
                "age" => asked.age = value,
                "error" => asked.error = value,
                "id" => asked.id = value,
                "page" => asked.page = value.split(BETWEEN).filter(|p| !p.is_empty()).map(str::to_owned).collect(),
                "done" => asked.done = value,
                _ => {
                    let known = "state, lane, tenant, age, error, id, page";
                    return Err(Fault::Refused(format!("Videos are not filtered by {name:?}, but by {known}.")));
                }
            }
        }
        Ok(asked)
    }

    /// Says whether everything is asked for.
    pub fn is_open(&self) -> bool {
        let Self { state, lane, tenant, age, error, id, .. } = self;
        [state, lane, tenant, age, error, id].into_iter().all(String::is_empty)
    }

    /// Returns the id that is searched for.
    ///
    /// # Errors
    /// When it is none.
    pub fn video(&self) -> Result<Option<VideoId>, Fault> {
        let refused = |_| {
            let example = "7f724280-50f9-4848-b9a7-e441770f049d";
            Fault::Refused(format!("That is not the id of a video; ids look like {example}."))
        };
        given(&self.id).map(str::parse).transpose().map_err(refused)
    }

    /// Returns whose videos are asked for.
    ///
    /// # Errors
    /// When the name is none that a tenant can have.
    pub fn tenant(&self) -> Result<Option<TenantId>, Fault> {
        let refused = |_| Fault::Refused("No tenant can have that name.".to_owned());
        given(&self.tenant).map(str::parse).transpose().map_err(refused)
    }

    /// Returns which videos are asked for at `now`.
    ///
    /// # Errors
    /// When a value is not admitted.
    pub fn filter(&self, now: Timestamp) -> Result<VideoFilter, Fault> {
        let wrong = |name: &str, may: &str| Fault::Refused(format!("{name} is not one there is; there are {may}."));
        let state = given(&self.state)
            .map(|name| State::ALL.into_iter().find(|state| state.as_str() == name))
            .map(|found| found.ok_or_else(|| wrong("The state", &State::ALL.map(State::as_str).join(", "))));
        let lane = given(&self.lane)
            .map(Lane::from_name)
            .map(|found| found.ok_or_else(|| wrong("The lane", &Lane::ALL.map(Lane::as_str).join(", "))));
        let age = given(&self.age)
            .map(|name| AGES.into_iter().find(|age| age.0 == name))
            .map(|found| found.ok_or_else(|| wrong("The age", &AGES.map(|age| age.0).join(", "))));
        let from = age.transpose()?.map(|age| now - SignedDuration::from_secs(age.2));
        let error = given(&self.error).map(str::to_owned);
        Ok(VideoFilter { state: state.transpose()?, lane: lane.transpose()?, error, from, ..VideoFilter::default() })
    }

    /// Returns where the page begins.
    ///
    /// # Errors
    /// When that is not of a page of ours.
    pub fn place(&self) -> Result<Option<Place>, Fault> {
        let read = |text: &String| {
            let (at_us, video) = text.split_once('.')?;
            Some((Timestamp::from_microsecond(at_us.parse().ok()?).ok()?, VideoId::from_str(video).ok()?))
        };
        let refused = || Fault::Refused("There is no such page; begin with the first one.".to_owned());
        self.page.last().map(|text| read(text).ok_or_else(refused)).transpose()
    }

    /// Returns where the next page is, which begins at `place`.
    pub fn next(&self, place: Place) -> String {
        let mut pages = self.page.clone();
        pages.push(format!("{}.{}", place.0.as_microsecond(), place.1));
        let forgotten = pages.len().saturating_sub(MOST_PAGES);
        self.path(&pages[forgotten..])
    }

    /// Returns where the page before is, if there is one.
    pub fn previous(&self) -> Option<String> {
        let (_, before) = self.page.split_last()?;
        Some(self.path(before))
    }

    /// Says what was just done.
    pub fn done(&self) -> Option<&'static str> {
        (self.done == "deleted").then_some("The video was deleted. Its files follow within moments.")
    }

    /// Returns the filters with what each may be.
    pub fn fields(&self, tenants: &[TenantId]) -> Vec<Field> {
        let field = |name, label, any: &str, chosen: &str, values: Vec<(String, String)>| {
            let all = [(String::new(), any.to_owned())].into_iter().chain(values);
            let choice = |(value, label): (String, String)| Choice { is_chosen: value == chosen, value, label };
            Field { name, label, choices: all.map(choice).collect() }
        };
        let same = |name: &str| (name.to_owned(), name.to_owned());
        let states = State::ALL.map(|state| same(state.as_str())).to_vec();
        let lanes = Lane::ALL.map(|lane| same(lane.as_str())).to_vec();
        let ages = AGES.map(|(value, label, _)| (value.to_owned(), label.to_owned())).to_vec();
        let mut errors: Vec<_> = Code::ALL.map(|code| same(code.as_str())).to_vec();
        if !self.error.is_empty() && !errors.iter().any(|(value, _)| *value == self.error) {
            errors.push(same(&self.error));
        }
        let mut fields = vec![
            field("state", "State", "any", &self.state, states),
            field("lane", "Lane", "any", &self.lane, lanes),
            field("age", "Age", "all", &self.age, ages),
            field("error", "Error", "any or none", &self.error, errors),
        ];
        if tenants.len() > 1 || !self.tenant.is_empty() {
            let mut names: Vec<_> = tenants.iter().map(|tenant| same(tenant.as_str())).collect();
            if !self.tenant.is_empty() && !names.iter().any(|(value, _)| *value == self.tenant) {
                names.push(same(&self.tenant));
            }
            fields.insert(2, field("tenant", "Tenant", "all", &self.tenant, names));
        }
        fields
    }

    /// Returns the path of the list at the last of `pages`.
    fn path(&self, pages: &[String]) -> String {
        let pages = pages.join(&BETWEEN.to_string());
        let pairs = [
            ("state", &self.state),
            ("lane", &self.lane),
            ("tenant", &self.tenant),
            ("age", &self.age),
            ("error", &self.error),
            ("page", &pages),
        ];
        let mut query = Serializer::new(String::new());
        for (name, value) in pairs {
            if !value.is_empty() {
                query.append_pair(name, value);
            }
        }
        let query = query.finish();
        if query.is_empty() { "/videos".to_owned() } else { format!("/videos?{query}") }
    }
}

fn given(text: &str) -> Option<&str> {
    (!text.is_empty()).then_some(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn asked(query: &str) -> Result<Asked, Fault> {
        Asked::read(&url::form_urlencoded::parse(query.as_bytes()).into_owned().collect::<Vec<_>>())
    }

    #[test]
    fn filters_combine_and_live_in_the_url() {
        let asked = asked("state=failed&lane=batch&tenant=acme&age=1h&error=damaged&id=").unwrap();
        let now = Timestamp::from_second(10_000).unwrap();
        let filter = asked.filter(now).unwrap();
        assert_eq!((filter.state, filter.lane), (Some(State::Failed), Some(Lane::Batch)));
        assert_eq!((filter.error.as_deref(), filter.from), (Some("damaged"), Timestamp::from_second(6400).ok()));
        let chosen = |field: &Field| field.choices.iter().position(|choice| choice.is_chosen);
        assert_eq!(
            asked.fields(&["acme".parse().unwrap()]).iter().map(chosen).collect::<Vec<_>>(),
            [Some(5), Some(4), Some(1), Some(1), Some(4)]
        );
        let next = asked.next((now, VideoId::from_str("7f724280-50f9-4848-b9a7-e441770f049d").unwrap()));
        assert!(next.starts_with("/videos?state=failed&lane=batch&tenant=acme&age=1h&error=damaged&page=1"), "{next}");
    }

    #[test]
    fn pages_lead_on_and_back_to_the_first() {
        let video = VideoId::random();
        let at = |second| (Timestamp::from_second(second).unwrap(), video);
        let query = |path: String| path.split_once('?').unwrap().1.to_owned();
        let second = asked(&query(asked("").unwrap().next(at(2)))).unwrap();
        let third = asked(&query(second.next(at(3)))).unwrap();
        assert_eq!(third.place().unwrap(), Some(at(3)));
        assert_eq!(asked(&query(third.previous().unwrap())).unwrap(), second);
        assert_eq!((second.previous(), asked("").unwrap().previous()), (Some("/videos".to_owned()), None));
        let mut far = second;
        for second in 0..100 {
            far = asked(&query(far.next(at(second)))).unwrap();
        }
        assert_eq!(far.page.len(), MOST_PAGES);
    }

    #[test]
    fn what_is_not_admitted_is_refused_in_words() {
        for wrong in ["state=lost", "lane=fast", "age=1y"] {
            assert!(matches!(asked(wrong).unwrap().filter(Timestamp::UNIX_EPOCH), Err(Fault::Refused(_))), "{wrong}");
        }
        assert!(asked("colour=red").is_err());
        assert!(asked("page=1.2").unwrap().place().is_err());
        assert!(asked("id=<script>").unwrap().video().is_err());
        assert!(asked("tenant=A B").unwrap().tenant().is_err());
    }
}
