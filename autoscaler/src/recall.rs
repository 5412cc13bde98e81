//! What earlier autoscalers learned: the ticks that they published are decided on anew, and what comes of it is dropped but
//! for what it teaches.

use std::time::{Duration, Instant};

use anyhow::Result;
use pipeline::kafka::{BrokerArgs, reader};
use pipeline::topic::Topic;
use planning::decide::decide;
use planning::memory::Memory;
use planning::observation::Observation;
use planning::policy::Policy;
use planning::record::Recorded;
use tracing::{info, warn};

/// The most ticks that are read, the last ones: a day of them, at 5 s, which is as long as the topic keeps them.
const MOST: i64 = 17_280;
/// How long that may take: to begin soon matters more than to know all.
const LIMIT: Duration = Duration::from_secs(20);

/// What is known from before.
#[derive(Default)]
pub struct Recalled {
    /// What the policy learned.
    pub memory: Memory,
    /// What was seen last.
    pub last: Option<Observation>,
}

/// Reads what was seen before, and learns from it what `policy` would have. Where that cannot be read it begins without;
/// a tick that cannot be understood is passed over.
pub async fn recall(brokers: &BrokerArgs, policy: &Policy) -> Recalled {
    let (mut recalled, mut ticks, begun) = (Recalled::default(), 0_u64, Instant::now());
    let outcome = tokio::time::timeout(LIMIT, read(brokers, policy, &mut recalled, &mut ticks)).await;
    match outcome {
        Ok(Ok(())) => {}
        Ok(Err(error)) => warn!(error = format!("{error:#}"), ticks, "what was seen before is not known"),
        Err(_) => warn!(ticks, limit = ?LIMIT, "not all that was seen before is known"),
    }
    recalled.memory.resume();
    info!(ticks, took_s = begun.elapsed().as_secs_f64(), "learned from what was seen before");
    recalled
}

async fn read(brokers: &BrokerArgs, policy: &Policy, recalled: &mut Recalled, ticks: &mut u64) -> Result<()> {
    for span in reader::spans(brokers, Topic::AutoscalerDecision).await? {
        let mut records = reader::read(brokers, span.last(MOST))?;
        while let Some(record) = records.recv().await {
            let Ok(Recorded { seen, .. }) = serde_json::from_slice(&record?.body) else { continue };
            decide(policy, &mut recalled.memory, &seen);
            recalled.last = Some(seen);
            *ticks += 1;
        }
    }
    Ok(())
}
