//! Simulations for the page: one at a time on half of the cores, for a bounded time, and what came of the last ones is kept.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use planning::plan::answer::{Answer, answer};
use planning::plan::runs::Effort;
use tokio::sync::Semaphore;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;

use super::wanted::Wanted;
use crate::fault::Fault;

/// How long a simulation may take.
const LONGEST: Duration = Duration::from_secs(60);
/// Answers that are kept.
const KEPT: usize = 32;

/// How it stands with a scenario.
#[derive(Clone, Debug)]
pub enum Plan {
    /// It is being simulated, or waits for another one.
    UnderWay,
    /// It was simulated.
    Done(Arc<Answer>),
    /// It took too long. Why, and what to do.
    GivenUp(String),
}

/// The simulations.
pub struct Plans {
    turn: Arc<Semaphore>,
    made: Arc<Mutex<VecDeque<(String, Plan)>>>,
}

impl Default for Plans {
    fn default() -> Self {
        Self { turn: Arc::new(Semaphore::new(1)), made: Arc::default() }
    }
}

impl Plans {
    /// Returns what `wanted` comes to, if that is known within `patience`; else it is simulated on, and known when it is asked
    /// for again.
    ///
    /// # Errors
    /// When it panics, which is a bug.
    pub async fn ask(&self, wanted: &Wanted, patience: Duration, stop: &CancellationToken) -> Result<Plan, Fault> {
        let key = wanted.link();
        let until = tokio::time::Instant::now() + patience;
        if let Some(plan) = find(&self.made, &key) {
            return Ok(plan);
        }
        let Ok(turn) = timeout(patience, self.turn.clone().acquire_owned()).await else { return Ok(Plan::UnderWay) };
        let turn = turn.map_err(|error| Fault::Internal(error.into()))?;
        // Whoever had the turn before may have asked for the same.
        if let Some(plan) = find(&self.made, &key) {
            return Ok(plan);
        }
        let (scenario, seeds) = (wanted.scenario(), wanted.seeds());
        let (made, stop) = (self.made.clone(), stop.clone());
        let simulated = tokio::task::spawn_blocking(move || {
            let begun = Instant::now();
            let is_over = || begun.elapsed() > LONGEST || stop.is_cancelled();
            let threads = std::thread::available_parallelism().map_or(1, |cores| cores.get().div_ceil(2));
            let plan = match answer(&scenario, &Effort { seeds, threads, stop: &is_over }) {
                Some(answer) => Plan::Done(Arc::new(answer)),
                None => Plan::GivenUp(too_long()),
            };
            keep(&made, key, plan.clone());
            drop(turn);
            plan
        });
        match tokio::time::timeout_at(until, simulated).await {
            Err(_) => Ok(Plan::UnderWay),
            Ok(plan) => plan.map_err(|error| Fault::Internal(error.into())),
        }
    }
}

fn too_long() -> String {
    format!(
        "Simulating this takes longer than {} s here, so it was given up. Ask for fewer seeds, videos or workers, or for a \
         shorter start-up; the command line has no such limit.",
        LONGEST.as_secs()
    )
}

fn find(made: &Mutex<VecDeque<(String, Plan)>>, key: &str) -> Option<Plan> {
    let made = made.lock().unwrap_or_else(PoisonError::into_inner);
    made.iter().find(|(known, _)| known == key).map(|(_, plan)| plan.clone())
}

fn keep(made: &Mutex<VecDeque<(String, Plan)>>, key: String, plan: Plan) {
    let mut made = made.lock().unwrap_or_else(PoisonError::into_inner);
    made.truncate(KEPT - 1);
    made.push_front((key, plan));
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asked::Asked;

    #[tokio::test]
    async fn what_is_simulated_blocks_nobody_and_is_known_when_asked_again() {
        let (plans, stop) = (Plans::default(), CancellationToken::new());
        let wanted = |query: &str| Wanted::asked(&Asked::of(query)).unwrap();
        let (small, other) = (wanted("users=5&videos=20&seeds=1&lengths=60s"), wanted("users=6&videos=20&seeds=1"));
        let first = plans.ask(&small, Duration::ZERO, &stop).await.unwrap();
        let second = plans.ask(&other, Duration::ZERO, &stop).await.unwrap();
        assert!(matches!((first, second), (Plan::UnderWay, Plan::UnderWay)));
        let Plan::Done(answer) = plans.ask(&small, LONGEST, &stop).await.unwrap() else { panic!("no answer") };
        assert_eq!(answer.rivals.len(), 5);
        let Plan::Done(again) = plans.ask(&small, Duration::ZERO, &stop).await.unwrap() else { panic!("forgotten") };
        assert!(Arc::ptr_eq(&answer, &again));
    }

    #[tokio::test]
    async fn a_simulation_ends_when_the_process_does() {
        let (plans, stop) = (Plans::default(), CancellationToken::new());
        stop.cancel();
        let wanted = Wanted::asked(&Asked::of("users=10000&seeds=10")).unwrap();
        let plan = plans.ask(&wanted, LONGEST, &stop).await.unwrap();
        assert!(matches!(plan, Plan::GivenUp(_)), "{plan:?}");
    }
}
