//! What persons have fixed of a stage's scale: said by a flag, or while the autoscaler runs by a record in
//! `autoscaler.pin`, which wins. A record is a pin as JSON under the stage as key; an empty one releases the stage.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use pipeline::stage::StageName;
use serde::{Deserialize, Serialize};

use crate::stages::scaled;

/// What a person has fixed of a stage's scale; the policy moves within it. Written as `min:2,max:10` or `fixed:4`.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Pin {
    /// Never fewer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub min: Option<u32>,
    /// Never more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max: Option<u32>,
    /// Exactly.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fixed: Option<u32>,
}

impl FromStr for Pin {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut pin = Self::default();
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
        pin.checked()
    }
}

impl Pin {
    fn checked(self) -> Result<Self, String> {
        if self.fixed.is_some() && (self.min.is_some() || self.max.is_some()) {
            return Err("fixed leaves nothing to min and max".to_owned());
        }
        match (self.min, self.max) {
            (Some(min), Some(max)) if min > max => Err("min is above max".to_owned()),
            _ => Ok(self),
        }
    }
}

/// Returns the fewest and the most workers of a stage that is to have from `min` to `max`: a pin wins over both, and `max`
/// over a larger `min`.
pub fn limits(pin: Option<&Pin>, min: u32, max: u32) -> (u32, u32) {
    let pin = pin.copied().unwrap_or_default();
    let most = pin.max.unwrap_or(max);
    let least = pin.min.unwrap_or(min.min(most));
    pin.fixed.map_or((least, most.max(least)), |fixed| (fixed, fixed))
}

impl fmt::Display for Pin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let limits = [("min", self.min), ("max", self.max), ("fixed", self.fixed)];
        let said: Vec<String> =
            limits.iter().filter_map(|(name, count)| Some(format!("{name}:{}", (*count)?))).collect();
        f.write_str(&said.join(","))
    }
}

/// Reads `analyze=min:2,max:10`.
///
/// # Errors
/// Says what is wrong with it.
pub fn parse(text: &str) -> Result<(StageName, Pin), String> {
    let (stage, limits) = text.split_once('=').ok_or("give STAGE=min:N,max:N or STAGE=fixed:N")?;
    Ok((scaled(stage)?, limits.parse()?))
}

/// Returns the record's body that pins a stage; without a pin the one that releases it.
pub fn body(pin: Option<&Pin>) -> Vec<u8> {
    pin.map(|pin| serde_json::json!(pin).to_string().into_bytes()).unwrap_or_default()
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

    /// Hears a record, and returns which stage it pins, and to what, or releases.
    ///
    /// # Errors
    /// Says why it cannot be read; it changes nothing then.
    pub fn hear(&mut self, key: &[u8], body: &[u8]) -> Result<(StageName, Option<Pin>), String> {
        let stage = scaled(&String::from_utf8_lossy(key))?;
        if body.is_empty() {
            self.said.remove(&stage);
            return Ok((stage, None));
        }
        let pin: Pin = serde_json::from_slice(body).map_err(|error| format!("no pin: {error}"))?;
        let pin = pin.checked()?;
        self.said.insert(stage, pin);
        Ok((stage, Some(pin)))
    }

    /// Returns the pin of each stage that has one.
    pub fn all(&self) -> BTreeMap<StageName, Pin> {
        let mut all = self.of_flags.clone();
        all.extend(self.said.iter().map(|(stage, pin)| (*stage, *pin)));
        all
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_wins_over_flags_until_it_is_released() {
        let mut pins = Pins::new(BTreeMap::from([parse("cut=max:4").unwrap(), parse("fetch=fixed:2").unwrap()]));
        let pin = Pin { min: Some(7), ..Pin::default() };
        assert_eq!(pins.hear(b"cut", &body(Some(&pin))), Ok((StageName::Cut, Some(pin))));
        for wrong in ["seven", r#"{"min":5,"max":4}"#, r#"{"fixed":5,"max":4}"#] {
            assert!(pins.hear(b"cut", wrong.as_bytes()).is_err(), "{wrong}");
        }
        assert!(pins.hear(b"join", &body(Some(&pin))).is_err());
        let shown = |pins: &Pins| pins.all().iter().map(|(stage, pin)| format!("{stage}={pin}")).collect::<Vec<_>>();
        assert_eq!(shown(&pins), ["fetch=fixed:2", "cut=min:7"]);
        for _ in 0..2 {
            assert_eq!(pins.hear(b"cut", &body(None)), Ok((StageName::Cut, None)));
        }
        assert_eq!(shown(&pins), ["fetch=fixed:2", "cut=max:4"]);
    }

    #[test]
    fn a_pin_wins_over_what_is_configured() {
        let check = |pin: &str, expected| {
            let pin = (!pin.is_empty()).then(|| pin.parse::<Pin>().unwrap());
            assert_eq!(limits(pin.as_ref(), 2, 10), expected, "{pin:?}");
        };
        check("", (2, 10));
        check("max:20", (2, 20));
        check("max:1", (1, 1));
        check("min:20", (20, 20));
        check("min:3,max:4", (3, 4));
        check("fixed:0", (0, 0));
        check("fixed:99", (99, 99));
        assert_eq!(limits(None, 5, 3), (3, 3));
    }

    #[test]
    fn pins_are_read_as_they_are_shown() {
        for text in ["min:2,max:10", "min:3", "max:0", "fixed:4"] {
            assert_eq!(text.parse::<Pin>().map(|pin| pin.to_string()), Ok(text.to_owned()));
        }
        for wrong in ["", "2", "max:-1", "most:1", "min:5,max:4", "fixed:3,max:4"] {
            assert!(wrong.parse::<Pin>().is_err(), "{wrong}");
        }
    }
}
