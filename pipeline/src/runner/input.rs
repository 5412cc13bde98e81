//! An input of a stage as its record tells of it.

use std::sync::Arc;

use bytes::Bytes;
use tokio_util::sync::CancellationToken;

use crate::event::{Event, Job, ReadError};
use crate::id::UnitId;
use crate::kafka::{Header, Headers, Record, Ticket};
use crate::lane::Lane;
use crate::media_time::MediaTime;
use crate::outbox::Source;
use crate::stage::Stage;

/// An input as it was read. The message itself is kept decoded for the first attempt alone: whoever waits keeps its bytes.
pub(super) struct Unit {
    pub(super) key: Arc<str>,
    pub(super) job: Job,
    pub(super) lane: Lane,
    pub(super) media: MediaTime,
    pub(super) source: Source,
    pub(super) first_published_ms: i64,
    pub(super) headers: Headers,
    pub(super) body: Bytes,
    pub(super) revoked: CancellationToken,
}

impl Unit {
    /// Reads what `record` says; returns its message too.
    ///
    /// # Errors
    /// The record itself, with what is wrong with its message.
    pub(super) fn read<S: Stage>(lane: Lane, record: Record) -> Result<(Self, S::In, Ticket), (Record, ReadError)> {
        let input = match S::In::take(record.body.clone()) {
            Ok(input) => input,
            Err(error) => return Err((record, error)),
        };
        let (job, key, media) = (input.job().clone(), input.unit_key(), input.media());
        let ticket_of = record.ticket.tracker();
        let unit = Self {
            key: key.into(),
            lane,
            media,
            source: Source { partition: ticket_of.partition(), offset: record.ticket.offset() },
            first_published_ms: record.first_published_ms(),
            revoked: ticket_of.revoked().clone(),
            headers: record.headers,
            body: record.body,
            job,
        };
        Ok((unit, input, record.ticket))
    }

    /// Returns the key of its claim at `S`.
    pub(super) fn id<S: Stage>(&self) -> UnitId {
        UnitId::derive(S::NAME.as_str(), &self.job.tenant(), self.job.video(), &self.key)
    }

    /// Returns the dead letter whose replay it is, else nothing.
    pub(super) fn letter(&self) -> &str {
        self.headers.get(Header::ReplayOf).unwrap_or_default()
    }
}
