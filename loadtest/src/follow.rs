//! Follows what was accepted until it has ended, and reads what its log tells.

use std::collections::BTreeSet;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Result;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tracing::warn;

use crate::client::Client;
use crate::drive::Ledger;
use crate::mix::Sender;
use crate::story::Story;

/// How often is asked what has not ended: each time the server reads the state of all of that.
const LOOK_EVERY: Duration = Duration::from_secs(2);
/// How many logs are read at once.
const LOGS_AT_ONCE: usize = 8;

/// The videos that have ended. Cheap to clone.
#[derive(Clone, Default)]
pub struct Stories(Arc<Mutex<Vec<Story>>>);

impl Stories {
    /// Returns those that have ended so far.
    pub fn lock(&self) -> MutexGuard<'_, Vec<Story>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Follows what is in the ledger.
pub struct Follower {
    /// Where to ask.
    pub client: Client,
    /// Who sends.
    pub senders: Vec<Sender>,
    /// What was sent.
    pub ledger: Ledger,
    /// Where the ends are written down.
    pub stories: Stories,
}

impl Follower {
    /// Follows all that is accepted until `sent` says that nothing more comes and all have ended, or until `patience`
    /// has passed since then. What has not ended by then stays out of the stories.
    pub async fn run(self, sent: tokio::sync::watch::Receiver<bool>, patience: Duration) {
        let mut told = BTreeSet::new();
        let mut waiting_since = None;
        loop {
            let all_sent = *sent.borrow();
            if let Err(error) = self.look(&mut told).await {
                warn!(error = format!("{error:#}"), "cannot see how far the videos are");
            }
            if all_sent {
                let since = *waiting_since.get_or_insert_with(Instant::now);
                if told.len() == self.accepted().len() || since.elapsed() > patience {
                    return;
                }
            }
            tokio::time::sleep(LOOK_EVERY).await;
        }
    }

    /// Returns the accepted videos with their senders.
    fn accepted(&self) -> Vec<(String, usize)> {
        let ledger = self.ledger.lock();
        ledger.iter().filter_map(|sent| Some((sent.accepted()?.to_owned(), sent.arrival.sender))).collect()
    }

    /// Reads the logs of those that have ended since the last look; `told` are those that were read.
    async fn look(&self, told: &mut BTreeSet<String>) -> Result<()> {
        // What is accepted after this is not looked for: the lists below may be older.
        let accepted = self.accepted();
        let mut unfinished = BTreeSet::new();
        for sender in &self.senders {
            unfinished.extend(self.client.unfinished(sender.key.as_deref()).await?);
        }
        let ended = accepted.into_iter().filter(|(id, _)| !unfinished.contains(id) && !told.contains(id));
        let mut reading = JoinSet::new();
        for (id, sender) in ended.collect::<Vec<_>>() {
            if reading.len() >= LOGS_AT_ONCE {
                self.keep(reading.join_next().await, told);
            }
            let (client, key) = (self.client.clone(), self.senders[sender].key.clone());
            reading.spawn(async move {
                let log = client.log(&id, key.as_deref()).await;
                (id, log)
            });
        }
        while !reading.is_empty() {
            self.keep(reading.join_next().await, told);
        }
        Ok(())
    }

    fn keep(&self, read: Option<Read>, told: &mut BTreeSet<String>) {
        match read {
            Some(Ok((id, Ok(Some(events))))) => {
                let story = Story::of(&id, &events);
                if story.ended_ms.is_some() && told.insert(id) {
                    self.stories.lock().push(story);
                }
            }
            Some(Ok((id, Ok(None)))) => warn!(id, "an accepted video is not there"),
            Some(Ok((id, Err(error)))) => warn!(id, error = format!("{error:#}"), "a log cannot be read now"),
            Some(Err(error)) => warn!(%error, "a log cannot be read now"),
            None => {}
        }
    }
}

type Read = Result<(String, Result<Option<Vec<serde_json::Value>>>), tokio::task::JoinError>;
