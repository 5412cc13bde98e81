//! The open model: a video is sent when the schedule says, whatever the server does with the ones before, and its latency
//! counts from the planned moment.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::client::{Answer, Client, Request};
use crate::mix::Arrival;

/// What came of one arrival. Times in real seconds from the planned moment.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sent {
    /// The arrival.
    pub arrival: Arrival,
    /// The planned moment, in milliseconds since the Unix epoch.
    pub planned_ms: i64,
    /// How late it was sent: this process's own doing.
    pub late_s: f64,
    /// When the answer was there.
    pub answered_s: f64,
    /// What it was.
    pub answer: Answer,
}

impl Sent {
    /// Returns the id of the video, if it was accepted.
    pub fn accepted(&self) -> Option<&str> {
        match &self.answer {
            Answer::Accepted(id) => Some(id),
            Answer::Refused { .. } | Answer::Broken(_) => None,
        }
    }
}

/// What was sent so far. Cheap to clone.
#[derive(Clone, Default)]
pub struct Ledger(Arc<Mutex<Vec<Sent>>>);

impl Ledger {
    /// Returns what was sent so far, in order of the answers.
    pub fn lock(&self) -> MutexGuard<'_, Vec<Sent>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How arrivals are sent.
pub struct Drive<'a> {
    /// Where to.
    pub client: &'a Client,
    /// How many times faster than the schedule.
    pub time_scale: f64,
    /// How many may be under way at once; one that finds no place cannot be sent.
    pub connections: usize,
    /// Where it is written down.
    pub ledger: &'a Ledger,
    /// Ends the sending early.
    pub stop: &'a CancellationToken,
}

impl Drive<'_> {
    /// Sends `arrivals`, which are in order of time, and waits for all answers. `request` says what an arrival sends.
    /// Returns the real moment at which the schedule began.
    pub async fn send(&self, arrivals: &[Arrival], request: impl Fn(&Arrival) -> Request) -> Timestamp {
        let (begun, begun_at) = (Instant::now(), Timestamp::now());
        let places = Arc::new(Semaphore::new(self.connections));
        let mut sending = JoinSet::new();
        for arrival in arrivals {
            let after = Duration::from_secs_f64(arrival.at_s / self.time_scale);
            let (planned, planned_ms) = (begun + after, begun_at.as_millisecond() + after.as_millis() as i64);
            tokio::select! {
                () = tokio::time::sleep_until(planned) => {}
                () = self.stop.cancelled() => break,
            }
            let request = request(arrival);
            let (client, ledger, arrival) = (self.client.clone(), self.ledger.clone(), arrival.clone());
            let late_s = planned.elapsed().as_secs_f64();
            let write = move |answer| {
                let answered_s = planned.elapsed().as_secs_f64();
                ledger.lock().push(Sent { arrival, planned_ms, late_s, answered_s, answer });
            };
            let Ok(place) = places.clone().try_acquire_owned() else {
                write(Answer::Broken(format!("{} were under way", self.connections)));
                continue;
            };
            sending.spawn(async move {
                write(client.submit(request).await);
                drop(place);
            });
            while sending.try_join_next().is_some() {}
        }
        sending.join_all().await;
        begun_at
    }
}
