//! What a step of the flow is: one async method from one event to the next ones.

use std::future::Future;
use std::time::Duration;

use crate::event::{Event, Outgoing};
use crate::failure::{Code, Failure};
use crate::outbox::Outbox;
use crate::outside::Quota;

pub use crate::stage_name::StageName;

/// How the runner treats a stage's inputs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// Heavy: claimed with a lease, several at once, in any order.
    Work,
    /// Light: writes what it hears, one record of a partition at a time, no claim.
    Gather,
}

/// One step of the flow. The runner owns Kafka: a stage never sees offsets to commit, topics, retries, lanes or metrics.
pub trait Stage: Send + Sync + 'static {
    /// What it reads.
    type In: Event;
    /// What it says; an enum where a stage says several things.
    type Out: Outgoing;
    /// Its name: consumer group and metric label.
    const NAME: StageName;
    /// How its inputs are treated.
    const KIND: Kind = Kind::Work;

    /// Says what the gatherer must hear when `input` is dead-lettered for `code`.
    fn failed(input: &Self::In, code: Code, detail: &str) -> Vec<Self::Out>;

    /// Turns one input into zero or more outputs, each sent on as soon as it exists.
    /// Idempotent: a crash delivers the input again.
    ///
    /// # Errors
    /// Of the three kinds; anything else is a bug and panics.
    fn process(&self, input: Self::In, out: &Outbox<Self::Out>) -> impl Future<Output = Result<(), Failure>> + Send;

    /// Returns how many requests to an outside service failed in a row; 0 where none is asked.
    fn outside_failures(&self) -> u32 {
        0
    }

    /// Returns what is known of the quota of an outside service; nothing where none is asked.
    fn outside_quota(&self) -> Quota {
        Quota::default()
    }

    /// Called after `input` of a [`Kind::Work`] stage was given up for `code`, everybody was told and nobody can work on it
    /// any more, to remove what nobody needs then. A crash may come before it: the sweep removes what is left.
    fn given_up(&self, input: &Self::In, code: Code) -> impl Future<Output = ()> + Send {
        let _ = (input, code);
        async {}
    }

    /// Called every few seconds for each `partition` a [`Kind::Gather`] stage holds, while no record of it waits:
    /// deadlines live here. `held` is for how long this worker has served the partition: what is overdue because
    /// nobody listened must be given as much time again.
    ///
    /// # Errors
    /// Of the three kinds; it is called again after a pause.
    fn tick(
        &self,
        partition: i32,
        held: Duration,
        out: &Outbox<Self::Out>,
    ) -> impl Future<Output = Result<(), Failure>> + Send {
        let _ = (partition, held, out);
        async { Ok(()) }
    }
}
