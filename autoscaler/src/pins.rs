//! What persons have fixed of a stage's scale: said by a flag, or while the autoscaler runs by a record in
//! `autoscaler.pin`, which wins. A record is a pin as JSON under the stage as key; an empty one releases the stage.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use pipeline::kafka::reader::Stored;
use pipeline::kafka::{Batch, BrokerArgs, Headers, Post, Producer};
use pipeline::lane::Lane;
use pipeline::stage::StageName;
use pipeline::topic::Topic;
use planning::observation::Pin;
use tracing::{info, warn};

use crate::stages::scaled;

/// Reads `analyze=min:2,max:10`.
///
/// # Errors
/// Says what is wrong with it.
pub fn parse(text: &str) -> Result<(StageName, Pin), String> {
    let (stage, limits) = text.split_once('=').ok_or("give STAGE=min:N,max:N or STAGE=fixed:N")?;
    Ok((scaled(stage)?, parse_limits(limits)?))
}

/// Reads `min:2,max:10`.
///
/// # Errors
/// Says what is wrong with it.
pub fn parse_limits(text: &str) -> Result<Pin, String> {
    let mut pin = Pin::default();
    for limit in text.split(',') {
        let (name, count) = limit.split_once(':').ok_or("give min:N, max:N, both with a comma, or fixed:N")?;
        let count = Some(count.parse::<u32>().map_err(|error| format!("{count}: {error}"))?);
        match name {
            "min" => pin.min = count,
            "max" => pin.max = count,
            "fixed" => pin.fixed = count,
            _ => return Err(format!("{name} is none of min, max, fixed")),
        }
    }
    if pin.fixed.is_some() && (pin.min.is_some() || pin.max.is_some()) {
        return Err("fixed leaves nothing to min and max".to_owned());
    }
    match (pin.min, pin.max) {
        (Some(min), Some(max)) if min > max => Err("min is above max".to_owned()),
        _ => Ok(pin),
    }
}

/// Says a pin as [`parse_limits`] reads it.
pub fn show(pin: &Pin) -> String {
    let limits = [("min", pin.min), ("max", pin.max), ("fixed", pin.fixed)];
    let said: Vec<String> = limits.iter().filter_map(|(name, count)| Some(format!("{name}:{}", (*count)?))).collect();
    said.join(",")
}

/// The pins that count now.
#[derive(Clone, Debug, Default)]
pub struct Pins {
    of_flags: BTreeMap<StageName, Pin>,
    said: BTreeMap<StageName, Pin>,
}

impl Pins {
    /// Begins with those that flags give.
    pub fn new(of_flags: BTreeMap<StageName, Pin>) -> Self {
        Self { of_flags, said: BTreeMap::new() }
    }

    /// Hears a record of `autoscaler.pin`; one that cannot be read changes nothing.
    pub fn hear(&mut self, record: &Stored) {
        let key = String::from_utf8_lossy(record.key.as_deref().unwrap_or_default()).into_owned();
        let Ok(stage) = scaled(&key) else {
            warn!(key, "a pin of no stage that is scaled");
            return;
        };
        if record.body.is_empty() {
            if self.said.remove(&stage).is_some() {
                info!(%stage, "released");
            }
            return;
        }
        match serde_json::from_slice::<Pin>(&record.body) {
            Ok(pin) => {
                info!(%stage, pin = show(&pin), "pinned");
                self.said.insert(stage, pin);
            }
            Err(error) => warn!(%stage, %error, "a pin that cannot be read"),
        }
    }

    /// Returns the pin of each stage that has one.
    pub fn all(&self) -> BTreeMap<StageName, Pin> {
        let mut all = self.of_flags.clone();
        all.extend(self.said.iter().map(|(stage, pin)| (*stage, *pin)));
        all
    }
}

/// Says `pin` of `stage`; `None` releases it.
///
/// # Errors
/// When the brokers do not take it.
pub async fn say(brokers: &BrokerArgs, stage: StageName, pin: Option<&Pin>) -> Result<()> {
    let body = pin.map(serde_json::to_vec).transpose().context("write a pin")?.unwrap_or_default();
    let (producer, batch, headers) = (Producer::connect(brokers).await?, Batch::default(), Headers::default());
    let key = Some(stage.as_str().as_bytes());
    let post =
        Post { topic: Topic::AutoscalerPin, lane: Lane::Standard, key, video: None, headers: &headers, body: &body };
    producer.post(post, &batch).await?;
    Ok(batch.acknowledged().await?)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn record(key: &str, body: &str) -> Stored {
        Stored {
            partition: 0,
            offset: 0,
            published_ms: 0,
            headers: Headers::default(),
            key: Some(key.into()),
            body: body.into(),
        }
    }

    #[test]
    fn what_is_said_wins_over_flags_until_it_is_released() {
        let mut pins = Pins::new(BTreeMap::from([parse("cut=max:4").unwrap(), parse("fetch=fixed:2").unwrap()]));
        pins.hear(&record("cut", r#"{"min":7}"#));
        pins.hear(&record("cut", "seven"));
        pins.hear(&record("join", r#"{"min":7}"#));
        let shown = |pins: &Pins| pins.all().iter().map(|(s, pin)| format!("{s}={}", show(pin))).collect::<Vec<_>>();
        assert_eq!(shown(&pins), ["fetch=fixed:2", "cut=min:7"]);
        pins.hear(&record("cut", ""));
        pins.hear(&record("cut", ""));
        assert_eq!(shown(&pins), ["fetch=fixed:2", "cut=max:4"]);
    }
}
