//! The workers of one stage: asked for, starting, ready, draining, gone.

use std::cmp::Reverse;

/// A worker's life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum State {
    Starting,
    Ready,
    Draining,
    Gone,
}

#[derive(Clone, Debug)]
struct Worker {
    state: State,
    busy: u32,
    asked_at: f64,
    ready_at: f64,
}

/// All workers of a stage there ever were.
#[derive(Clone, Debug)]
pub(super) struct Pool {
    slots: u32,
    workers: Vec<Worker>,
    /// Those that are starting or ready, in the order they were asked for.
    active: Vec<u32>,
    /// One entry a free slot; those of workers that are no longer ready are skipped when met.
    free: Vec<u32>,
    draining: u32,
    busy_slots: u32,
    busy_ready_slots: u32,
    paid_s: f64,
}

impl Pool {
    pub(super) fn new(slots: u32) -> Self {
        let (workers, active, free) = Default::default();
        Self { slots, workers, active, free, draining: 0, busy_slots: 0, busy_ready_slots: 0, paid_s: 0.0 }
    }

    /// Adds a worker that will be ready at `ready_at`; returns its number.
    pub(super) fn ask(&mut self, now: f64, ready_at: f64) -> u32 {
        let id = self.workers.len() as u32;
        self.workers.push(Worker { state: State::Starting, busy: 0, asked_at: now, ready_at });
        self.active.push(id);
        id
    }

    /// A worker that was starting takes work from now on, if it is still wanted.
    pub(super) fn ready(&mut self, id: u32) {
        let worker = &mut self.workers[id as usize];
        if worker.state == State::Starting {
            worker.state = State::Ready;
            self.free.extend(std::iter::repeat_n(id, self.slots as usize));
        }
    }

    /// Takes workers away until `target` are left: the newest that are starting first, then idle ones, then busy ones,
    /// which finish what they have in hand.
    pub(super) fn shrink(&mut self, now: f64, target: u32) {
        let rank = |place: &usize| {
            let worker = &self.workers[self.active[*place] as usize];
            (worker.state == State::Ready, worker.busy, Reverse(*place))
        };
        let mut places: Vec<usize> = (0..self.active.len()).collect();
        places.sort_unstable_by_key(rank);
        places.truncate(self.active.len().saturating_sub(target as usize));
        for place in &places {
            let worker = &mut self.workers[self.active[*place] as usize];
            if worker.busy == 0 {
                worker.state = State::Gone;
                self.paid_s += now - worker.asked_at;
            } else {
                worker.state = State::Draining;
                self.draining += 1;
                self.busy_ready_slots -= worker.busy;
            }
        }
        let workers = &self.workers;
        self.active.retain(|id| matches!(workers[*id as usize].state, State::Starting | State::Ready));
    }

    /// Says whether a slot is free.
    pub(super) fn has_free(&mut self) -> bool {
        while let Some(id) = self.free.last() {
            let worker = &self.workers[*id as usize];
            if worker.state == State::Ready && worker.busy < self.slots {
                return true;
            }
            self.free.pop();
        }
        false
    }

    /// Takes a free slot; returns its worker.
    pub(super) fn take(&mut self) -> Option<u32> {
        if !self.has_free() {
            return None;
        }
        let id = self.free.pop()?;
        self.workers[id as usize].busy += 1;
        self.busy_slots += 1;
        self.busy_ready_slots += 1;
        Some(id)
    }

    /// Gives a slot back.
    pub(super) fn give(&mut self, now: f64, id: u32) {
        let worker = &mut self.workers[id as usize];
        worker.busy -= 1;
        self.busy_slots -= 1;
        if worker.state == State::Ready {
            self.busy_ready_slots -= 1;
            self.free.push(id);
        } else if worker.busy == 0 {
            worker.state = State::Gone;
            self.draining -= 1;
            self.paid_s += now - worker.asked_at;
        }
    }

    /// Workers that are starting or ready.
    pub(super) fn replicas(&self) -> u32 {
        self.active.len() as u32
    }

    /// When each of those that are starting will be ready.
    pub(super) fn starting(&self) -> impl Iterator<Item = f64> {
        let workers = self.active.iter().map(|id| &self.workers[*id as usize]);
        workers.filter(|worker| worker.state == State::Starting).map(|worker| worker.ready_at)
    }

    pub(super) fn draining(&self) -> u32 {
        self.draining
    }

    pub(super) fn busy_slots(&self) -> u32 {
        self.busy_slots
    }

    /// Ready workers with work in hand.
    pub(super) fn busy_workers(&self) -> u32 {
        self.busy_ready_slots.div_ceil(self.slots)
    }

    /// Time paid for until `now`, in worker-seconds.
    pub(super) fn paid_s(&self, now: f64) -> f64 {
        let living = self.workers.iter().filter(|worker| worker.state != State::Gone);
        self.paid_s + living.map(|worker| now - worker.asked_at).sum::<f64>()
    }
}
