//! What travels beside a record's body.

use std::borrow::Cow;

use opentelemetry::propagation::{Extractor, Injector};
use rdkafka::message::{Header as KafkaHeader, OwnedHeaders};
use tracing_opentelemetry::OpenTelemetrySpanExt;

use crate::telemetry;

/// The names of the headers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Header {
    /// When it was published for the first time, in milliseconds since the Unix epoch; a replay keeps it.
    FirstPublished,
    /// Which unit of its video it is.
    Unit,
    /// Dead letters: the stage that gave up.
    Stage,
    /// Dead letters: the [`crate::failure::Code`]'s name.
    Code,
    /// Dead letters: what was seen.
    Detail,
    /// Dead letters: how often it was tried.
    Attempts,
    /// Dead letters: the topic it was read from.
    Topic,
    /// Dead letters: its lane.
    Lane,
    /// Dead letters: the owner.
    Tenant,
    /// Dead letters: the video.
    Video,
    /// Replayed units, and what becomes of them: the dead letter they come from.
    ReplayOf,
    /// Dead letters that settle another one: that one's id.
    Settles,
    /// Dead letters that settle another one: what became of it.
    Settled,
}

impl Header {
    /// Those that a unit gets when it is given up; a replay is without them.
    pub(crate) const OF_LETTERS: [Self; 8] =
        [Self::Stage, Self::Code, Self::Detail, Self::Attempts, Self::Topic, Self::Lane, Self::Tenant, Self::Video];

    /// All of them: the name of a record's header is one of these, mostly, and needs no memory of its own then.
    const ALL: [Self; 13] = [
        Self::FirstPublished,
        Self::Unit,
        Self::Stage,
        Self::Code,
        Self::Detail,
        Self::Attempts,
        Self::Topic,
        Self::Lane,
        Self::Tenant,
        Self::Video,
        Self::ReplayOf,
        Self::Settles,
        Self::Settled,
    ];

    /// Finds the header called `name`.
    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|header| header.as_str() == name)
    }

    /// Returns its name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstPublished => "first-published-ms",
            Self::Unit => "unit",
            Self::Stage => "stage",
            Self::Code => "code",
            Self::Detail => "detail",
            Self::Attempts => "attempts",
            Self::Topic => "topic",
            Self::Lane => "lane",
            Self::Tenant => "tenant",
            Self::Video => "video",
            Self::ReplayOf => "replay-of",
            Self::Settles => "settles",
            Self::Settled => "settled",
        }
    }
}

/// A record's headers, in order.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct Headers(Vec<(Cow<'static, str>, String)>);

impl Headers {
    /// Sets a header, in place of what it was.
    pub fn set(&mut self, header: Header, value: impl Into<String>) {
        self.put(Cow::Borrowed(header.as_str()), value.into());
    }

    /// Returns a header.
    pub fn get(&self, header: Header) -> Option<&str> {
        Extractor::get(self, header.as_str())
    }

    /// Removes a header.
    pub(crate) fn remove(&mut self, header: Header) {
        self.0.retain(|(known, _)| known != header.as_str());
    }

    /// Returns all headers, name and value.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0.iter().map(|(name, value)| (&**name, value.as_str()))
    }

    /// Writes the trace context of the current span, where spans are sent.
    pub(super) fn trace_current_span(&mut self) {
        if !telemetry::sends_spans() {
            return;
        }
        let context = tracing::Span::current().context();
        opentelemetry::global::get_text_map_propagator(|propagator| propagator.inject_context(&context, self));
    }

    /// Makes the trace context of whoever published the record the parent of `span`.
    pub(crate) fn make_parent_of(&self, span: &tracing::Span) {
        let context = opentelemetry::global::get_text_map_propagator(|propagator| propagator.extract(self));
        // Where spans are not sent there is nothing to set.
        let _ = span.set_parent(context);
    }

    pub(super) fn put(&mut self, name: Cow<'static, str>, value: String) {
        match self.0.iter_mut().find(|(known, _)| *known == name) {
            Some((_, old)) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    pub(super) fn to_kafka(&self) -> OwnedHeaders {
        let headers = OwnedHeaders::new_with_capacity(self.0.len());
        self.0.iter().fold(headers, |headers, (key, value)| headers.insert(KafkaHeader { key, value: Some(value) }))
    }
}

impl Injector for Headers {
    fn set(&mut self, key: &str, value: String) {
        self.put(Cow::Owned(key.to_owned()), value);
    }
}

impl Extractor for Headers {
    fn get(&self, key: &str) -> Option<&str> {
        self.0.iter().find(|(name, _)| name == key).map(|(_, value)| value.as_str())
    }

    fn keys(&self) -> Vec<&str> {
        self.0.iter().map(|(name, _)| &**name).collect()
    }
}
