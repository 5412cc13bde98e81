//! How long videos are, as commands are told it: `60s=2,10m=1`.

use std::fmt::{Display, Formatter};
use std::str::FromStr;
use std::time::Duration;

/// The longest video, in seconds.
const LONGEST_S: u64 = 12 * 3600;

/// Lengths with their weights.
#[derive(Clone, PartialEq, Debug)]
pub struct Lengths(pub Vec<(Duration, f64)>);

impl Lengths {
    /// Returns the lengths in seconds.
    pub fn in_seconds(&self) -> Vec<(f64, f64)> {
        self.0.iter().map(|(length, weight)| (length.as_secs_f64(), *weight)).collect()
    }
}

impl FromStr for Lengths {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let one = |part: &str| {
            let (length, weight) = part.split_once('=').unwrap_or((part, "1"));
            let length = humantime::parse_duration(length.trim()).map_err(|error| error.to_string())?;
            let weight = weight.trim().parse().ok().filter(|weight| (1e-6..1e9).contains(weight));
            let admitted = Duration::from_secs(1)..=Duration::from_secs(LONGEST_S);
            let weight = weight.filter(|_| admitted.contains(&length));
            weight
                .map(|weight| (length, weight))
                .ok_or_else(|| "give lengths of 1s to 12h and weights above 0".to_owned())
        };
        text.split(',').map(one).collect::<Result<_, _>>().map(Self)
    }
}

impl Display for Lengths {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        for (place, (length, weight)) in self.0.iter().enumerate() {
            let comma = if place == 0 { "" } else { "," };
            write!(f, "{comma}{}={weight}", humantime::format_duration(*length))?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_are_read_as_they_are_written() {
        let lengths: Lengths = "90s=2, 1h ,10m = 0.5".parse().unwrap();
        assert_eq!(lengths.in_seconds(), [(90.0, 2.0), (3600.0, 1.0), (600.0, 0.5)]);
        assert_eq!(lengths.to_string(), "1m 30s=2,1h=1,10m=0.5");
        assert_eq!(lengths.to_string().parse(), Ok(lengths));
    }

    #[test]
    fn wrong_lengths_are_refused() {
        for text in ["", "90", "90s=0", "90s=-1", "90s=1e9", "0s", "500ms", "13h", "90s=x", "90s=NaN", "90s,,1h"] {
            assert!(text.parse::<Lengths>().is_err(), "{text}");
        }
    }
}
