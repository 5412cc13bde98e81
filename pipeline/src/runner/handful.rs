//! Several units in one task. A task for each costs more than a small unit that does little but wait.

use std::sync::Arc;

use futures::StreamExt;
use futures::stream::FuturesUnordered;
use jiff::Timestamp;

use super::Shop;
use super::lanes::Heads;
use super::slots::Slot;
use super::unit;
use crate::kafka::Record;
use crate::lane::Lane;
use crate::stage::Stage;

/// Of how many slots one is a task's. A worker with fewer slots than twice this computes rather than waits: each of its units
/// gets a task, and with it a thread, of its own.
const SLOTS_EACH: u32 = 32;
/// How many bytes the records of one task have together before it takes no further one.
const BYTES: usize = 64 << 10;

/// Units that one task works on side by side, each in a slot.
pub(super) struct Handful(Vec<(Lane, Record, Slot)>);

impl Handful {
    /// Takes the record whose turn it is for `slot`, and those that come next as long as there are slots for them.
    pub(super) fn take<S: Stage>(shop: &Shop<S>, heads: &mut Heads, slot: Slot) -> Option<Self> {
        // While the breaker is open only one is tried.
        let most = if shop.breaker.closed().is_ok() { shop.slots.open() / SLOTS_EACH } else { 1 };
        let now_ms = Timestamp::now().as_millisecond();
        let (lane, record) = heads.take(now_ms)?;
        let mut bytes = record.body.len();
        let mut units = vec![(lane, record, slot)];
        while units.len() < most as usize && bytes < BYTES {
            let Some(slot) = shop.slots.one_now() else { break };
            let Some((lane, record)) = heads.take(now_ms) else { break };
            bytes += record.body.len();
            units.push((lane, record, slot));
        }
        Some(Self(units))
    }

    /// Sees all of them through.
    pub(super) async fn handle<S: Stage>(self, shop: Arc<Shop<S>>) {
        let shop = &*shop;
        let handle = |(lane, record, slot)| unit::handle(shop, lane, record, Some(slot));
        let mut units: FuturesUnordered<_> = self.0.into_iter().map(handle).collect();
        while units.next().await.is_some() {}
    }
}
