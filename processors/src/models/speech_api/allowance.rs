//! What a speech service says of its limit on requests, in the headers that OpenAI's has and others follow:
//! `x-ratelimit-limit-requests`, `-remaining-requests`, and `-reset-requests`, the time until all of the limit is there
//! again.

use reqwest::header::HeaderMap;

const HOUR_S: f64 = 3600.0;

/// What a service allows.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) struct Allowance {
    /// Requests within the next hour: those that are left, and those that come back at the rate at which the limit fills up.
    pub(super) left: f64,
    /// Requests within an hour of which none was used before: the whole limit at once, or those that come back, whichever
    /// are more.
    pub(super) limit: f64,
}

impl Allowance {
    /// Reads what the service says. Nothing where it does not say that much, or where nothing of the limit is used, which
    /// does not tell the rate.
    pub(super) fn told(headers: &HeaderMap) -> Option<Self> {
        let header = |name: &str| headers.get(format!("x-ratelimit-{name}-requests"))?.to_str().ok();
        let count = |name: &str| header(name)?.trim().parse::<u32>().ok().map(f64::from);
        let (limit, left) = (count("limit")?, count("remaining")?);
        let reset_s = header("reset").and_then(seconds)?;
        (left < limit && reset_s > 0.0).then(|| {
            let comes_back = (limit - left) / reset_s * HOUR_S;
            Self { left: left + comes_back, limit: comes_back.max(limit) }
        })
    }
}

/// Reads a time as these headers have it: `17ms`, `6m0s`, `2m59.56s`, `1h0m0s`, or plain seconds.
fn seconds(text: &str) -> Option<f64> {
    if let Ok(seconds) = text.trim().parse() {
        return Some(seconds);
    }
    let (mut rest, mut total_s) = (text.trim(), 0.0);
    while !rest.is_empty() {
        let (number, behind) = rest.split_at(rest.find(char::is_alphabetic)?);
        let (unit, behind) = behind.split_at(behind.find(|c: char| !c.is_alphabetic()).unwrap_or(behind.len()));
        let unit_s = match unit {
            "d" => 24.0 * HOUR_S,
            "h" => HOUR_S,
            "m" => 60.0,
            "s" => 1.0,
            "ms" => 1e-3,
            _ => return None,
        };
        total_s += number.parse::<f64>().ok()? * unit_s;
        rest = behind;
    }
    Some(total_s)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(told: [&'static str; 3], expected: Option<(f64, f64)>) {
        let mut headers = HeaderMap::new();
        for (name, value) in ["limit", "remaining", "reset"].into_iter().zip(told) {
            if !value.is_empty() {
                let name = reqwest::header::HeaderName::try_from(format!("x-ratelimit-{name}-requests"));
                headers.insert(name.expect("a name"), value.parse().expect("a value"));
            }
        }
        let found = Allowance::told(&headers).map(|found| (found.left.round(), found.limit.round()));
        assert_eq!(found, expected, "{told:?}");
    }

    #[test]
    fn what_is_left_and_what_comes_back_within_an_hour() {
        // 50 a minute, of which one was used 1.2 s ago; 200 a day, of which one was; all of an hour's 100 used.
        check(["50", "49", "1.2s"], Some((49.0 + 3000.0, 3000.0)));
        check(["200", "199", "7m12s"], Some((199.0 + 8.0, 200.0)));
        check(["100", "0", "1h0m0s"], Some((100.0, 100.0)));
        check(["60", "59", "1000ms"], Some((59.0 + 3600.0, 3600.0)));
        check(["60", "50", "10"], Some((50.0 + 3600.0, 3600.0)));
    }

    #[test]
    fn what_is_not_said_is_not_guessed() {
        check(["", "49", "1s"], None);
        check(["50", "", "1s"], None);
        check(["50", "49", ""], None);
        check(["50", "50", "0s"], None);
        check(["50", "60", "1s"], None);
        check(["50", "49", "soon"], None);
        check(["50", "49", "5y"], None);
        check(["50", "-1", "1s"], None);
    }
}
