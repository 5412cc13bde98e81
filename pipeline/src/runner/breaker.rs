//! Pauses the whole stage while a dependency is down, and lets one unit through now and then to see.

use std::convert::Infallible;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

/// Closed while all is well.
#[derive(Debug)]
pub struct Breaker {
    state: Mutex<State>,
    /// Written with `state`: mostly it is closed, each unit asks several times, and units on all threads meet at the lock.
    is_closed: AtomicBool,
    changed: Notify,
    first_pause: Duration,
    longest_pause: Duration,
}

#[derive(Clone, Debug)]
enum State {
    Closed,
    Open { until: Instant, pause: Duration, why: String },
    Probing { pause: Duration, why: String },
}

/// What a caller may do now.
enum Answer {
    Go { probe: bool },
    WaitUntil(Instant),
    Wait,
}

impl Breaker {
    /// Makes a closed breaker that probes after `first_pause`, then ever more seldom up to `longest_pause`.
    pub fn new(first_pause: Duration, longest_pause: Duration) -> Self {
        let (state, changed) = (Mutex::new(State::Closed), Notify::new());
        Self { state, is_closed: AtomicBool::new(true), changed, first_pause, longest_pause }
    }

    /// Says whether units may go ahead.
    ///
    /// # Errors
    /// What is down.
    pub fn closed(&self) -> Result<(), String> {
        if self.is_closed.load(Ordering::Acquire) {
            return Ok(());
        }
        match &*self.lock() {
            State::Closed => Ok(()),
            State::Open { why, .. } | State::Probing { why, .. } => Err(why.clone()),
        }
    }

    /// Waits until a unit may go ahead, without going: the breaker is closed, or it is time for a probe.
    pub async fn ready(&self) {
        self.wait(false).await;
    }

    /// Waits until the caller may go ahead, as the one probe if the breaker is open.
    pub async fn enter(&self) -> Pass<'_> {
        Pass { breaker: self, probe: self.wait(true).await }
    }

    /// Lets the caller go ahead if it may now.
    pub fn try_enter(&self) -> Option<Pass<'_>> {
        match self.ask(true) {
            Answer::Go { probe } => Some(Pass { breaker: self, probe }),
            Answer::Wait | Answer::WaitUntil(_) => None,
        }
    }

    async fn wait(&self, take: bool) -> bool {
        // Most of the time nobody has to wait, and who listens for changes meets all others who do at one lock.
        if let Answer::Go { probe } = self.ask(take) {
            return probe;
        }
        loop {
            let changed = self.changed.notified();
            tokio::pin!(changed);
            changed.as_mut().enable();
            match self.ask(take) {
                Answer::Go { probe } => return probe,
                Answer::Wait => changed.await,
                Answer::WaitUntil(until) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(until) => {}
                },
            }
        }
    }

    fn ask(&self, take: bool) -> Answer {
        if self.is_closed.load(Ordering::Acquire) {
            return Answer::Go { probe: false };
        }
        let mut state = self.lock();
        match &*state {
            State::Closed => Answer::Go { probe: false },
            State::Probing { .. } => Answer::Wait,
            State::Open { until, .. } if *until > Instant::now() => Answer::WaitUntil(*until),
            State::Open { pause, why, .. } => {
                if take {
                    *state = State::Probing { pause: *pause, why: why.clone() };
                }
                Answer::Go { probe: true }
            }
        }
    }

    fn open(&self, why: String, probe: bool) {
        let mut state = self.lock();
        let pause = match &*state {
            State::Closed => self.first_pause,
            State::Probing { pause, .. } if probe => (*pause * 2).min(self.longest_pause),
            // Units that began before it opened say nothing new.
            State::Open { .. } | State::Probing { .. } => return,
        };
        *state = State::Open { until: Instant::now() + pause, pause, why };
        self.is_closed.store(false, Ordering::Release);
        drop(state);
        self.changed.notify_waiters();
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Leave to go ahead. A probe that ends without a word lets the next one go at once.
#[must_use]
#[derive(Debug)]
pub struct Pass<'a> {
    breaker: &'a Breaker,
    probe: bool,
}

impl Pass<'_> {
    /// The dependencies answered.
    pub fn reached(mut self) {
        self.close();
    }

    /// Says that the dependencies answered unless it is dropped within `patience`; never ends.
    pub async fn reached_after(&mut self, patience: Duration) -> Infallible {
        if self.probe {
            tokio::time::sleep(patience).await;
            self.close();
        }
        std::future::pending().await
    }

    fn close(&mut self) {
        if std::mem::take(&mut self.probe) {
            let mut state = self.breaker.lock();
            *state = State::Closed;
            self.breaker.is_closed.store(true, Ordering::Release);
            drop(state);
            self.breaker.changed.notify_waiters();
        }
    }

    /// One of them is down.
    pub fn missed(mut self, why: String) {
        let probe = std::mem::take(&mut self.probe);
        self.breaker.open(why, probe);
    }
}

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        if self.probe {
            let mut state = self.breaker.lock();
            if let State::Probing { pause, why } = &*state {
                *state = State::Open { until: Instant::now(), pause: *pause, why: why.clone() };
            }
            drop(state);
            self.breaker.changed.notify_waiters();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: Duration = Duration::from_millis(1);

    #[tokio::test]
    async fn one_probe_at_a_time_ever_more_seldom_until_one_succeeds() {
        let breaker = Breaker::new(10 * MS, 30 * MS);
        breaker.enter().await.missed("store".to_owned());
        assert_eq!(breaker.closed(), Err("store".to_owned()));
        for pause in [10 * MS, 20 * MS, 30 * MS, 30 * MS] {
            let before = Instant::now();
            let probe = breaker.enter().await;
            // The pause began a moment before it was looked at.
            assert!(before.elapsed() + MS >= pause, "{:?} of {pause:?}", before.elapsed());
            assert!(breaker.try_enter().is_none(), "a second probe");
            probe.missed("store".to_owned());
        }
        breaker.enter().await.reached();
        assert_eq!(breaker.closed(), Ok(()));
        assert!(breaker.try_enter().is_some());
    }

    #[tokio::test]
    async fn a_probe_given_up_makes_room_for_the_next() {
        let breaker = Breaker::new(MS, MS);
        breaker.enter().await.missed("store".to_owned());
        drop(breaker.enter().await);
        assert!(breaker.try_enter().is_some_and(|pass| pass.probe));
    }

    #[tokio::test]
    async fn a_probe_that_works_on_lets_the_others_go() {
        let breaker = Breaker::new(MS, MS);
        breaker.enter().await.missed("store".to_owned());
        let mut probe = breaker.enter().await;
        tokio::select! {
            never = probe.reached_after(MS) => match never {},
            _others = breaker.enter() => {}
        }
        probe.missed("store".to_owned());
        assert!(breaker.closed().is_err(), "and may still find that it is down");
    }

    #[tokio::test]
    async fn those_that_began_before_it_opened_change_nothing() {
        let breaker = Breaker::new(MS, MS);
        let (early, late) = (breaker.enter().await, breaker.enter().await);
        early.missed("store".to_owned());
        late.reached();
        assert!(breaker.closed().is_err());
    }
}
