//! What came of a simulation: waits, use of workers, changes of scale.

/// All that was measured.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// In the order of the flow.
    pub stages: Vec<StageOutcome>,
    /// In order of arrival.
    pub videos: Vec<VideoOutcome>,
    /// How long was simulated, in seconds.
    pub length_s: f64,
}

/// One stage.
#[derive(Clone, Debug, Default)]
pub struct StageOutcome {
    /// How long each unit waited from its arrival until it was begun, in seconds, in order of beginning.
    pub waits_s: Vec<f32>,
    /// Units that were waiting at the end, by how long they had waited.
    pub unbegun_waits_s: Vec<f32>,
    /// Time that slots worked, in slot-seconds.
    pub busy_s: f64,
    /// Time that workers were paid for, start-up and draining included, in worker-seconds.
    pub paid_s: f64,
    /// How often the scale was changed.
    pub changes: u64,
    /// Workers that were started.
    pub started: u64,
    /// Most workers at once.
    pub peak_replicas: u32,
    /// Slots of a worker.
    pub slots_per_worker: u32,
    /// When the scale was changed and to what, in order.
    pub scales: Vec<(f64, u32)>,
    /// Waiting units after each decision, with its time.
    pub backlog: Vec<(f64, u32)>,
}

/// One video.
#[derive(Clone, Copy, Debug, Default)]
pub struct VideoOutcome {
    /// When it arrived, in seconds.
    pub arrived_at: f64,
    /// Sum of the waits of its units, over stages, where each stage's longest counts, in seconds.
    pub waited_s: f64,
    /// When its last unit was done; `None` if that is still to come.
    pub done_at: Option<f64>,
}

impl StageOutcome {
    /// Returns the share of units that waited longer than `limit_s`, those that wait still included.
    pub fn share_over(&self, limit_s: f64) -> f64 {
        let all = self.waits_s.len() + self.unbegun_waits_s.len();
        let over = |waits: &[f32]| waits.iter().filter(|wait| f64::from(**wait) > limit_s).count();
        (over(&self.waits_s) + over(&self.unbegun_waits_s)) as f64 / all.max(1) as f64
    }

    /// Returns the wait that `share` of the begun units had at most, in seconds; 0 if none was begun.
    pub fn wait_quantile(&self, share: f64) -> f64 {
        quantile(self.waits_s.iter().map(|wait| f64::from(*wait)).collect(), share)
    }

    /// Returns busy over paid time of the slots.
    pub fn utilisation(&self) -> f64 {
        self.busy_s / (self.paid_s * f64::from(self.slots_per_worker.max(1))).max(f64::MIN_POSITIVE)
    }

    /// Returns the time paid for, in worker-hours.
    pub fn worker_hours(&self) -> f64 {
        self.paid_s / 3600.0
    }
}

impl Outcome {
    /// Returns the summed wait that `share` of the videos had at most, in seconds.
    pub fn video_wait_quantile(&self, share: f64) -> f64 {
        quantile(self.videos.iter().map(|video| video.waited_s).collect(), share)
    }
}

/// Returns the value that `share` of `values` do not exceed, by the nearest rank; 0 if there are none.
pub fn quantile(mut values: Vec<f64>, share: f64) -> f64 {
    if values.is_empty() {
        return 0.0;
    }
    let place = ((values.len() as f64 * share).ceil() as usize).clamp(1, values.len()) - 1;
    *values.select_nth_unstable_by(place, f64::total_cmp).1
}
