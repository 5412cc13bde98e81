//! Whether a stage's workers fell silent although they are wanted: what they do is not known then, and that none of them
//! works is the least likely.

use super::fleet::Crew;

/// What is known of the reports of a stage's workers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum Reports {
    /// None are expected: no worker was heard yet, or those that were have ended.
    #[default]
    Unexpected,
    /// They come.
    Heard,
    /// They came, and none does any more.
    Missing,
}

impl Reports {
    /// Notes who was heard where `wanted` replicas are, if somebody keeps count of them, and says whether all that should
    /// be heard are silent.
    pub fn are_missing(&mut self, wanted: Option<u32>, crew: &Crew) -> bool {
        *self = match self {
            _ if crew.heard > 0 => Self::Heard,
            _ if wanted == Some(0) => Self::Unexpected,
            Self::Heard if crew.silent > 0 => Self::Missing,
            Self::Heard => Self::Unexpected,
            // Where nobody keeps count, whoever was not heard for so long that he is forgotten is not wanted.
            Self::Missing if wanted.is_none() && crew.silent == 0 => Self::Unexpected,
            _ => *self,
        };
        *self == Self::Missing
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(ticks: &[(Option<u32>, u32, u32, bool)]) {
        let mut reports = Reports::default();
        for (number, (wanted, heard, silent, expected)) in ticks.iter().enumerate() {
            let crew = Crew { heard: *heard, silent: *silent, ..Crew::default() };
            assert_eq!(reports.are_missing(*wanted, &crew), *expected, "tick {number}");
        }
    }

    #[test]
    fn workers_that_were_heard_and_are_wanted_are_missed_until_one_is_heard() {
        check(&[(Some(3), 3, 0, false), (Some(3), 1, 2, false), (Some(3), 0, 3, true), (Some(3), 1, 2, false)]);
        check(&[(Some(3), 3, 0, false), (Some(3), 0, 3, true), (Some(3), 0, 0, true)]);
    }

    #[test]
    fn workers_that_were_never_heard_have_ended_or_are_not_wanted_are_not_missed() {
        check(&[(Some(3), 0, 0, false), (Some(3), 0, 0, false)]);
        check(&[(Some(3), 3, 0, false), (Some(3), 0, 0, false)]);
        check(&[(Some(3), 3, 0, false), (Some(0), 0, 3, false), (Some(2), 0, 3, false)]);
        check(&[(None, 3, 0, false), (None, 0, 3, true), (None, 0, 0, false)]);
    }
}
