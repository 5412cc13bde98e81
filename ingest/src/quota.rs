//! Whether a tenant may have one more video: a pure function of its quotas and of what it took so far.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::tenants::Quotas;

/// The shortest wait that is told: what was counted may be a moment old.
const SHORTEST: Duration = Duration::from_secs(1);
/// What is told where nothing says when a video will end.
const UNKNOWN_END: Duration = Duration::from_secs(30);
/// The longest wait that is told for a video's end, which is a guess.
const LONGEST_GUESS: Duration = Duration::from_secs(3600);

const HOUR: SignedDuration = SignedDuration::from_hours(1);
const DAY: SignedDuration = SignedDuration::from_hours(24);

/// What a tenant took so far.
#[derive(Clone, Debug, Default)]
pub struct Usage {
    /// Its videos that have not ended, without those being uploaded.
    pub unfinished: usize,
    /// Its videos that are being uploaded.
    pub under_way: usize,
    /// When its videos of the last day were accepted, earliest first.
    pub created: Vec<Timestamp>,
    /// How long until the next of its videos ends, if anything tells.
    pub next_end: Option<Duration>,
}

/// Why a tenant may not have one more.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Over {
    /// What is used up, one sentence with numbers.
    pub detail: String,
    /// After how long there is room again.
    pub retry_after: Duration,
}

/// Says how far back `quotas` count what was accepted, if they do.
pub fn window(quotas: &Quotas) -> Option<SignedDuration> {
    match quotas {
        Quotas { videos_per_day: Some(_), .. } => Some(DAY),
        Quotas { videos_per_hour: Some(_), .. } => Some(HOUR),
        _ => None,
    }
}

/// Decides on one more video. Of several quotas that are used up the one with the longest wait is told.
///
/// # Errors
/// Which quota is used up, and for how long.
pub fn check(quotas: &Quotas, usage: &Usage, now: Timestamp) -> Result<(), Over> {
    let found = [
        unfinished(quotas.unfinished_videos, usage),
        rate(quotas.videos_per_hour, usage, now, HOUR, "hour"),
        rate(quotas.videos_per_day, usage, now, DAY, "24 hours"),
    ];
    match found.into_iter().flatten().max_by_key(|over| over.retry_after) {
        Some(over) => Err(over),
        None => Ok(()),
    }
}

fn unfinished(limit: Option<u32>, usage: &Usage) -> Option<Over> {
    let limit = limit? as usize;
    let taken = usage.unfinished + usage.under_way;
    if taken < limit {
        return None;
    }
    let retry_after = usage.next_end.unwrap_or(UNKNOWN_END).clamp(SHORTEST, LONGEST_GUESS);
    let detail = format!("{taken} of your videos have not ended, the quota is {limit} at once");
    Some(Over { detail, retry_after })
}

fn rate(limit: Option<u32>, usage: &Usage, now: Timestamp, window: SignedDuration, name: &str) -> Option<Over> {
    let limit = limit? as usize;
    let inside: Vec<&Timestamp> = usage.created.iter().filter(|at| now.duration_since(**at) < window).collect();
    let taken = inside.len() + usage.under_way;
    if taken < limit {
        return None;
    }
    // There is room when so many of the earliest have left the window that one more fits.
    let leaving = inside.get(taken - limit).map(|at| window - now.duration_since(**at));
    let left = Duration::try_from(leaving.unwrap_or(window)).unwrap_or_default();
    let detail = format!("{taken} of your videos were accepted within the last {name}, the quota is {limit}");
    Some(Over { detail, retry_after: left.max(SHORTEST) })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).expect("a time")
    }

    fn wait(quotas: Quotas, usage: &Usage, now: i64) -> Option<u64> {
        check(&quotas, usage, at(now)).err().map(|over| over.retry_after.as_secs())
    }

    #[test]
    fn room_comes_when_enough_left_the_window() {
        let quotas = Quotas { videos_per_hour: Some(3), ..Quotas::default() };
        let mut usage = Usage { created: [0, 600, 1200].map(at).to_vec(), ..Usage::default() };
        assert_eq!(wait(quotas, &usage, 1300), Some(2300));
        assert_eq!(wait(quotas, &usage, 3599), Some(1));
        assert_eq!(wait(quotas, &usage, 3600), None);
        // One that is being uploaded counts: the second earliest must have left too.
        usage.under_way = 1;
        assert_eq!(wait(quotas, &usage, 1300), Some(2900));
        usage.under_way = 3;
        assert_eq!(wait(quotas, &usage, 1300), Some(3600), "no one knows");
    }

    #[test]
    fn room_comes_when_a_video_ends() {
        let quotas = Quotas { unfinished_videos: Some(2), ..Quotas::default() };
        let usage = |unfinished, under_way, seconds: Option<u64>| Usage {
            unfinished,
            under_way,
            next_end: seconds.map(Duration::from_secs),
            ..Usage::default()
        };
        assert_eq!(wait(quotas, &usage(1, 0, None), 0), None);
        assert_eq!(wait(quotas, &usage(1, 1, Some(77)), 0), Some(77));
        assert_eq!(wait(quotas, &usage(9, 0, Some(100_000)), 0), Some(3600));
        assert_eq!(wait(quotas, &usage(2, 0, None), 0), Some(30));
        assert_eq!(wait(Quotas::default(), &usage(9_999, 9, None), 0), None);
    }

    #[test]
    fn the_longest_wait_is_told() {
        let quotas = Quotas { unfinished_videos: Some(1), videos_per_hour: Some(1), videos_per_day: Some(9) };
        let usage = Usage { unfinished: 1, created: vec![at(0)], ..Usage::default() };
        let over = check(&quotas, &usage, at(10)).expect_err("over");
        assert_eq!(over.retry_after.as_secs(), 3590);
        assert_eq!(over.detail, "1 of your videos were accepted within the last hour, the quota is 1");
        assert_eq!(window(&quotas), Some(DAY));
    }
}
