//! Where a stage puts what it says, and how the runner sees that it is alive.

use std::marker::PhantomData;
use std::sync::Arc;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio_util::sync::CancellationToken;

use crate::event::{Envelope, Outgoing};
use crate::failure::Failure;

/// Takes envelopes on their way out.
#[async_trait]
pub trait Sink: Send + Sync {
    /// Accepts `envelope` for publishing; waits while too much is in flight. That it was acknowledged is
    /// checked by whoever made the sink, before the input is finished.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] when the broker cannot be reached.
    async fn publish(&self, envelope: Envelope) -> Result<(), Failure>;

    /// Waits until all that was published so far is acknowledged by the broker.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] when some of it was not.
    async fn flush(&self) -> Result<(), Failure>;
}

/// Tells whether a unit is still its worker's.
#[async_trait]
pub trait Standing: Send + Sync {
    /// Asks where claims are kept. True: nobody else begins the unit before a whole lease has passed.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] when there is no answer.
    async fn holds(&self) -> Result<bool, Failure>;
}

/// Where the input came from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    /// The partition it was read from.
    pub partition: i32,
    /// Its place in that partition.
    pub offset: i64,
}

/// Where one unit of work puts its outputs.
pub struct Outbox<O> {
    sink: Arc<dyn Sink>,
    source: Source,
    pulse: Pulse,
    /// Of a unit that has a claim.
    standing: Option<Arc<dyn Standing>>,
    says: PhantomData<fn(O)>,
}

impl<O: Outgoing> Outbox<O> {
    /// Makes the outbox of the unit read from `source`.
    pub fn new(sink: Arc<dyn Sink>, source: Source, pulse: Pulse) -> Self {
        Self { sink, source, pulse, standing: None, says: PhantomData }
    }

    /// Makes it the outbox of a unit that is claimed; `standing` tells whether it still is.
    pub fn claimed(self, standing: Arc<dyn Standing>) -> Self {
        Self { standing: Some(standing), ..self }
    }

    /// Sends one output on its way; counts as progress.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] when the broker cannot be reached.
    pub fn send(&self, output: impl Into<O>) -> impl Future<Output = Result<(), Failure>> + Send {
        self.pulse.mark();
        // Encoded at once: a future that kept the output as well would be large, and each unit in hand has one.
        self.sink.publish(output.into().envelope())
    }

    /// Waits until all that was sent so far is acknowledged. For who then writes that it was said: a gatherer
    /// that closes a gathering before that would lose its answer if it died in between.
    ///
    /// # Errors
    /// [`Failure::Unavailable`] when some of it was not.
    pub async fn flush(&self) -> Result<(), Failure> {
        self.sink.flush().await
    }

    /// Asks whether the unit is still this worker's. To be called right before something is put where another worker
    /// of the unit would put it: who stood still must not write over what was told of meanwhile. A unit that is not
    /// claimed has no other worker.
    ///
    /// # Errors
    /// As of work that was told to stop when the claim is lost; [`Failure::Unavailable`] when that cannot be found out.
    pub async fn confirm(&self) -> Result<(), Failure> {
        self.pulse.beat()?;
        match &self.standing {
            Some(standing) if !standing.holds().await? => Err(Stopped.into()),
            _ => Ok(()),
        }
    }

    /// Returns where the input came from.
    pub fn source(&self) -> Source {
        self.source
    }

    /// Returns the handle by which long work, on any thread, shows progress and learns that it must stop.
    pub fn pulse(&self) -> Pulse {
        self.pulse.clone()
    }
}

/// Shows progress to the runner and tells the work to stop. Cheap to clone, usable from any thread.
#[derive(Clone, Debug)]
pub struct Pulse {
    origin: Instant,
    last_ms: Arc<AtomicU64>,
    stop: CancellationToken,
}

/// The work was told to stop: its time is over, its video was cancelled, or the process is ending.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("told to stop")]
pub struct Stopped;

impl Pulse {
    /// Makes a pulse that ends with `stop`.
    pub fn new(stop: CancellationToken) -> Self {
        Self { origin: Instant::now(), last_ms: Arc::default(), stop }
    }

    /// Shows that work goes on; to be called in every loop that may take long.
    ///
    /// # Errors
    /// [`Stopped`] when the work must end now.
    pub fn beat(&self) -> Result<(), Stopped> {
        self.mark();
        if self.stop.is_cancelled() { Err(Stopped) } else { Ok(()) }
    }

    /// Returns how long ago progress was last shown.
    pub fn idle(&self) -> Duration {
        self.origin.elapsed().saturating_sub(Duration::from_millis(self.last_ms.load(Ordering::Relaxed)))
    }

    /// Returns the token that is cancelled when the work must end.
    pub fn stop(&self) -> &CancellationToken {
        &self.stop
    }

    fn mark(&self) {
        self.last_ms.store(self.origin.elapsed().as_millis() as u64, Ordering::Relaxed);
    }
}

impl From<Stopped> for Failure {
    fn from(stopped: Stopped) -> Self {
        Self::Retry(stopped.into())
    }
}

/// A sink that keeps what it is given: for trying a stage without a broker.
#[derive(Default)]
pub struct Collected(Mutex<Vec<Envelope>>);

impl Collected {
    /// Makes an outbox whose outputs end in the returned collection.
    pub fn outbox<O: Outgoing>() -> (Outbox<O>, Arc<Self>) {
        let collected = Arc::new(Self::default());
        let pulse = Pulse::new(CancellationToken::new());
        (Outbox::new(collected.clone(), Source { partition: 0, offset: 0 }, pulse), collected)
    }

    /// Takes all that was sent so far, in order.
    pub fn take(&self) -> Vec<Envelope> {
        std::mem::take(&mut *self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()))
    }
}

#[async_trait]
impl Sink for Collected {
    async fn publish(&self, envelope: Envelope) -> Result<(), Failure> {
        self.0.lock().unwrap_or_else(|poisoned| poisoned.into_inner()).push(envelope);
        Ok(())
    }

    async fn flush(&self) -> Result<(), Failure> {
        Ok(())
    }
}
