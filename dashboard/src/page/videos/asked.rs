//! What a list of videos is asked for: filters, the page, or an id; all of it stands in the URL.

use jiff::{SignedDuration, Timestamp};
use pipeline::failure::Code;
use pipeline::id::{TenantId, VideoId};
use pipeline::lane::Lane;
use pipeline::store::{State, VideoFilter};
use serde::Serialize;
use url::form_urlencoded::Serializer;

use super::pages::{Pages, Start};
use crate::fault::Fault;

/// A length of time: its name in the URL, in words, and in seconds.
type Span = (&'static str, &'static str, i64);
/// How old videos may be.
const AGES: [Span; 3] = [("1h", "last hour", 3_600), ("24h", "last day", 86_400), ("7d", "last 7 days", 7 * 86_400)];
/// How long ago they may have ended, likewise; no longer than it is known without the store.
const ENDS: [Span; 2] = [("1h", "within the last hour", 3_600), ("24h", "within the last day", 86_400)];

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
    /// How long ago it may have ended: `1h` or `24h`.
    ended: String,
    /// The code that it ended with.
    error: String,
    /// An id that is searched for.
    pub id: String,
    /// Where this page and those before it begin.
    #[serde(skip)]
    pages: Pages,
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
                "ended" => asked.ended = value,
                "error" => asked.error = value,
                "id" => asked.id = value,
                "page" => asked.pages = Pages::read(&value),
                "done" => asked.done = value,
                _ => {
                    let known = "state, lane, tenant, age, ended, error, id, page";
                    return Err(Fault::Refused(format!("Videos are not filtered by {name:?}, but by {known}.")));
                }
            }
        }
        Ok(asked)
    }

    /// Says whether everything is asked for.
    pub fn is_open(&self) -> bool {
        let Self { state, lane, tenant, age, ended, error, id, .. } = self;
        [state, lane, tenant, age, ended, error, id].into_iter().all(String::is_empty)
    }

    /// Says whether videos are looked for by when they ended.
    pub fn by_end(&self) -> bool {
        !self.ended.is_empty()
    }

    /// Says whether other videos than those of all tenants, newest first, are looked for.
    pub fn is_narrow(&self) -> bool {
        self.by_end() || !self.tenant.is_empty() || !self.id.is_empty()
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
        let state = given(&self.state)
            .map(|name| State::ALL.into_iter().find(|state| state.as_str() == name))
            .map(|found| found.ok_or_else(|| unknown("The state", &State::ALL.map(State::as_str))));
        let lane = given(&self.lane)
            .map(Lane::from_name)
            .map(|found| found.ok_or_else(|| unknown("The lane", &Lane::ALL.map(Lane::as_str))));
        let from = span("The age", &self.age, &AGES)?.map(|age| now - age);
        let error = given(&self.error).map(str::to_owned);
        Ok(VideoFilter { state: state.transpose()?, lane: lane.transpose()?, error, from, ..VideoFilter::default() })
    }

    /// Returns since when videos may have ended that are asked for at `now`, if only such are.
    ///
    /// # Errors
    /// When the value is not admitted.
    pub fn ended_since(&self, now: Timestamp) -> Result<Option<Timestamp>, Fault> {
        Ok(span("The time since it ended", &self.ended, &ENDS)?.map(|ago| now - ago))
    }

    /// Returns where the page begins.
    ///
    /// # Errors
    /// When that is not of a page of ours.
    pub fn start(&self) -> Result<Start, Fault> {
        self.pages.start()
    }

    /// Returns where the next page is, which begins at `start`.
    pub fn next(&self, start: Start) -> String {
        self.path(&self.pages.and(start))
    }

    /// Returns where the page before is, if there is one.
    pub fn previous(&self) -> Option<String> {
        Some(self.path(&self.pages.before()?))
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
        let spans =
            |all: &[Span]| all.iter().map(|(value, label, _)| ((*value).to_owned(), (*label).to_owned())).collect();
        let mut errors: Vec<_> = Code::ALL.map(|code| same(code.as_str())).to_vec();
        if !self.error.is_empty() && !errors.iter().any(|(value, _)| *value == self.error) {
            errors.push(same(&self.error));
        }
        let mut fields = vec![
            field("state", "State", "any", &self.state, states),
            field("lane", "Lane", "any", &self.lane, lanes),
            field("age", "Age", "all", &self.age, spans(&AGES)),
            field("ended", "Ended", "at any time, or not yet", &self.ended, spans(&ENDS)),
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
    fn path(&self, pages: &Pages) -> String {
        let pages = pages.to_string();
        let pairs = [
            ("state", &self.state),
            ("lane", &self.lane),
            ("tenant", &self.tenant),
            ("age", &self.age),
            ("ended", &self.ended),
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

/// Finds the length of time called `name` among `all`, if one is asked for.
fn span(what: &str, name: &str, all: &[Span]) -> Result<Option<SignedDuration>, Fault> {
    let Some(name) = given(name) else { return Ok(None) };
    let found = all.iter().find(|span| span.0 == name).map(|span| SignedDuration::from_secs(span.2));
    let names: Vec<&str> = all.iter().map(|span| span.0).collect();
    found.map(Some).ok_or_else(|| unknown(what, &names))
}

fn unknown(what: &str, there_are: &[&str]) -> Fault {
    Fault::Refused(format!("{what} is not one there is; there are {}.", there_are.join(", ")))
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
            [Some(5), Some(4), Some(1), Some(1), Some(0), Some(4)]
        );
        let next = asked.next(Start { group: 2, after: Some((now, VideoId::random())) });
        assert!(
            next.starts_with("/videos?state=failed&lane=batch&tenant=acme&age=1h&error=damaged&page=2.1"),
            "{next}"
        );
    }

    #[test]
    fn pages_lead_on_and_back_to_the_first() {
        let video = VideoId::random();
        let at = |second| Start { group: 0, after: Some((Timestamp::from_second(second).unwrap(), video)) };
        let query = |path: String| path.split_once('?').unwrap().1.to_owned();
        let second = asked(&query(asked("").unwrap().next(at(2)))).unwrap();
        let third = asked(&query(second.next(at(3)))).unwrap();
        assert_eq!(third.start().unwrap(), at(3));
        assert_eq!(asked(&query(third.previous().unwrap())).unwrap(), second);
        assert_eq!((second.previous(), asked("").unwrap().previous()), (Some("/videos".to_owned()), None));
    }

    #[test]
    fn what_is_not_admitted_is_refused_in_words() {
        for wrong in ["state=lost", "lane=fast", "age=1y"] {
            assert!(matches!(asked(wrong).unwrap().filter(Timestamp::UNIX_EPOCH), Err(Fault::Refused(_))), "{wrong}");
        }
        assert!(asked("colour=red").is_err());
        assert!(asked("ended=7d").unwrap().ended_since(Timestamp::UNIX_EPOCH).is_err());
        assert!(asked("id=<script>").unwrap().video().is_err());
        assert!(asked("tenant=A B").unwrap().tenant().is_err());
    }
}
