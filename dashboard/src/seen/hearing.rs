//! How well the topics are heard: what they do not tell yet, or no more, must not be taken for nothing.

use super::FRESH_MS;

/// How well the topics are heard.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Hearing {
    is_up_to_date: bool,
    trouble: Option<String>,
    /// When a process of the service was last heard, in milliseconds since the Unix epoch: workers and the API speak every
    /// few seconds.
    last_word_ms: Option<i64>,
}

impl Hearing {
    /// Begins to hear all that lies there.
    pub fn begin(&mut self) {
        *self = Self { last_word_ms: self.last_word_ms, ..Self::default() };
    }

    /// All that lay there is heard.
    pub const fn up_to_date(&mut self) {
        self.is_up_to_date = true;
    }

    /// Nothing more is heard, for `why`.
    pub fn broke_off(&mut self, why: String) {
        self.is_up_to_date = false;
        self.trouble = Some(why);
    }

    /// A process of the service said something.
    pub const fn word(&mut self, at_ms: i64) {
        self.last_word_ms = Some(at_ms);
    }

    /// Returns when a process of the service was last heard, in milliseconds since the Unix epoch; nothing if none was.
    pub const fn last_word_ms(&self) -> Option<i64> {
        self.last_word_ms
    }

    /// Says why what is heard is not all that there is at `now_ms`, if it is not.
    pub fn gap(&self, now_ms: i64) -> Option<String> {
        if let Some(trouble) = &self.trouble {
            return Some(format!("the topics are not heard: {trouble}"));
        }
        if !self.is_up_to_date {
            return Some("what the topics have of the last hours is still being read".to_owned());
        }
        let is_silent = self.last_word_ms.is_some_and(|word_ms| now_ms - word_ms > FRESH_MS);
        is_silent.then(|| "no process of the service says anything any more".to_owned())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_gap_is_told_from_the_start_until_all_is_heard_and_when_it_goes_silent() {
        let mut hearing = Hearing::default();
        let is_whole = |hearing: &Hearing, now_ms| hearing.gap(now_ms).is_none();
        assert!(!is_whole(&hearing, 0));
        hearing.begin();
        assert!(!is_whole(&hearing, 0));
        hearing.up_to_date();
        // Nobody is there who could speak.
        assert!(is_whole(&hearing, 1_000_000));
        hearing.word(1_000_000);
        assert!(is_whole(&hearing, 1_000_000 + FRESH_MS) && !is_whole(&hearing, 1_000_001 + FRESH_MS));
        hearing.word(1_020_000);
        hearing.broke_off("a client ended".to_owned());
        assert_eq!(hearing.gap(1_020_000), Some("the topics are not heard: a client ended".to_owned()));
        hearing.begin();
        assert!(!is_whole(&hearing, 1_020_000));
    }
}
