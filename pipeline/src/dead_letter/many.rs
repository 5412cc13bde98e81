//! Which letters are meant, and doing the same with all of them, one after another.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::sync::mpsc;
use tokio::time::MissedTickBehavior;

use super::{Filter, Letter, LetterId, Letters, Outcome, Settled, replay, settle};
use crate::kafka::{BrokerArgs, Producer};
use crate::stage::StageName;
use crate::store::SharedStore;

/// Which letters something is to be done with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection {
    /// These. All must be there and open.
    Named(Vec<LetterId>),
    /// Those of these stages that fit and are open.
    Fitting {
        /// The stages, in the order in which their letters are taken.
        stages: Vec<StageName>,
        /// What else must fit.
        filter: Filter,
    },
}

impl Selection {
    /// Gives each letter that is meant and open to `give`, one at a time.
    ///
    /// # Errors
    /// When one that is named is not there or settled, or the broker cannot be reached.
    pub async fn each(&self, brokers: &BrokerArgs, give: mpsc::Sender<Letter>) -> Result<()> {
        let (stages, filter) = match self {
            Self::Named(ids) => return named(ids, brokers, give).await,
            Self::Fitting { stages, filter } => (stages, filter),
        };
        for stage in stages {
            let letters = Letters::open(brokers, *stage).await?;
            let mut reading = letters.read();
            while let Some(letter) = reading.next().await? {
                if letters.settled(letter.id).is_none() && filter.fits(&letter) && give.send(letter).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }
}

async fn named(ids: &[LetterId], brokers: &BrokerArgs, give: mpsc::Sender<Letter>) -> Result<()> {
    let mut stages: BTreeMap<StageName, Letters> = BTreeMap::new();
    for id in ids {
        if let Entry::Vacant(stage) = stages.entry(id.stage) {
            stage.insert(Letters::open(brokers, id.stage).await?);
        }
    }
    // All are looked for before anything is done with the first.
    for id in ids {
        if let Some(how) = stages[&id.stage].settled(*id) {
            bail!("the dead letter {id} is settled: {}", how.as_str());
        }
        stages[&id.stage].find(*id).await?;
    }
    for id in ids {
        if give.send(stages[&id.stage].find(*id).await?).await.is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Replays all that are meant, `rate` a second at the most, and tells of each what it came to.
///
/// # Errors
/// As [`Selection::each`] and [`replay`]; it may be called again, what was replayed is settled.
pub async fn replay_all(
    brokers: &BrokerArgs,
    producer: &Producer,
    store: &SharedStore,
    selection: &Selection,
    rate: f64,
    mut tell: impl FnMut(&Letter, &Outcome) + Send,
) -> Result<()> {
    let mut pace = tokio::time::interval(Duration::from_secs_f64(1.0 / rate));
    pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let (give, mut letters) = mpsc::channel(1);
    let replaying = async {
        while let Some(letter) = letters.recv().await {
            pace.tick().await;
            let outcome = replay(producer, store, &letter).await.with_context(|| format!("replay {}", letter.id))?;
            tell(&letter, &outcome);
        }
        Ok(())
    };
    tokio::try_join!(selection.each(brokers, give), replaying).map(drop)
}

/// Discards all that are meant, and tells of each.
///
/// # Errors
/// As [`Selection::each`] and [`settle`].
pub async fn discard_all(
    brokers: &BrokerArgs,
    producer: &Producer,
    selection: &Selection,
    mut tell: impl FnMut(&Letter) + Send,
) -> Result<()> {
    let (give, mut letters) = mpsc::channel::<Letter>(1);
    let discarding = async {
        while let Some(letter) = letters.recv().await {
            settle(producer, letter.id, Settled::Discarded).await?;
            tell(&letter);
        }
        Ok(())
    };
    tokio::try_join!(selection.each(brokers, give), discarding).map(drop)
}
