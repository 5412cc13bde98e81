//! The one place that decides whether bytes travel in the message or by reference to the blob store.

use bytes::Bytes;

use crate::blob::{Blobs, Error};
use crate::event::{Payload, Place};

/// Packs and opens payloads.
#[derive(Clone, Debug)]
pub struct Carrier {
    blobs: Blobs,
    inline_max: usize,
}

impl Carrier {
    /// Makes a carrier that keeps up to `inline_max` bytes in the message.
    pub fn new(blobs: Blobs, inline_max: usize) -> Self {
        Self { blobs, inline_max }
    }

    /// Packs `bytes`; what does not fit is stored under `key`.
    ///
    /// # Errors
    /// When the blob store cannot take them.
    pub async fn pack(&self, key: &str, bytes: Bytes) -> Result<Payload, Error> {
        if bytes.len() <= self.inline_max {
            return Ok(Payload { place: Some(Place::Inline(bytes)) });
        }
        self.pack_apart(key, bytes).await
    }

    /// Packs `bytes` by storing them under `key`, whether or not they fit: for who must spare the brokers.
    ///
    /// # Errors
    /// As [`Carrier::pack`].
    pub async fn pack_apart(&self, key: &str, bytes: Bytes) -> Result<Payload, Error> {
        Ok(Payload { place: Some(Place::Blob(self.blobs.put(key, bytes).await?)) })
    }

    /// Returns the bytes of `payload`.
    ///
    /// # Errors
    /// When the blob store does not have them.
    pub async fn open(&self, payload: &Payload) -> Result<Bytes, Error> {
        match &payload.place {
            Some(Place::Inline(bytes)) => Ok(bytes.clone()),
            Some(Place::Blob(blob)) => self.blobs.get(&blob.key).await,
            None => Ok(Bytes::new()),
        }
    }

    /// Returns the blob store beneath.
    pub fn blobs(&self) -> &Blobs {
        &self.blobs
    }
}
