//! Lanes: how urgent work is. Each lane of a stage is a topic of its own.

use std::time::Duration;

/// How urgent a video's work is, most urgent first.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug, prost::Enumeration)]
#[repr(i32)]
pub enum Lane {
    /// Premium tenants, whatever the length.
    Priority = 0,
    /// Shorter than five minutes.
    Express = 1,
    /// Five to thirty minutes.
    Standard = 2,
    /// Longer than thirty minutes.
    Batch = 3,
}

impl Lane {
    /// Every lane, most urgent first.
    pub const ALL: [Self; 4] = [Self::Priority, Self::Express, Self::Standard, Self::Batch];

    /// Returns the lane for a video of the measured `duration` that has no right to [`Lane::Priority`].
    pub fn for_duration(duration: Duration) -> Self {
        const MINUTE: u64 = 60;
        match duration.as_secs() {
            s if s < 5 * MINUTE => Self::Express,
            s if s <= 30 * MINUTE => Self::Standard,
            _ => Self::Batch,
        }
    }

    /// Returns the lane that is so many lanes less urgent; below the last there is none.
    pub fn lower(self, lanes: u32) -> Self {
        let last = Self::ALL.len() - 1;
        Self::ALL[self.index().saturating_add(lanes as usize).min(last)]
    }

    /// Returns the name used in topics, labels and the API.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Priority => "priority",
            Self::Express => "express",
            Self::Standard => "standard",
            Self::Batch => "batch",
        }
    }

    /// Finds the lane called `name`.
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|lane| lane.as_str() == name)
    }

    /// Returns its place in [`Lane::ALL`].
    pub const fn index(self) -> usize {
        self as usize
    }
}

impl std::fmt::Display for Lane {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lanes_follow_the_measured_duration() {
        let lane = |seconds| Lane::for_duration(Duration::from_secs(seconds));
        assert_eq!(
            [lane(0), lane(299), lane(300), lane(1800), lane(1801)].map(Lane::as_str),
            ["express", "express", "standard", "standard", "batch"]
        );
    }

    #[test]
    fn nothing_is_lower_than_the_last_lane() {
        let lower = |lanes| Lane::Express.lower(lanes);
        assert_eq!([lower(0), lower(1), lower(2), lower(u32::MAX)].map(Lane::index), [1, 2, 3, 3]);
    }
}
