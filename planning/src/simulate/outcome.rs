//! What came of a simulation: waits, use of workers, changes of scale.

/// All that was measured.
#[derive(Clone, Debug, Default)]
pub struct Outcome {
    /// In the order of the flow.
    pub stages: Vec<StageOutcome>,
    /// In order of arrival.
    pub videos: Vec<VideoOutcome>,
    /// When each stage first had a unit of a video, by video and stage.
    pub firsts: Vec<First>,
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
    /// Most units of one lane in work at once.
    pub peak_in_work: u32,
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

/// A stage and the first unit of a video there.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct First {
    /// When the video's units arrived, in seconds; infinite if they did not.
    pub arrived_at: f64,
    /// When the first of them was begun, in seconds; infinite if none was.
    pub begun_at: f64,
}

impl Default for First {
    fn default() -> Self {
        Self { arrived_at: f64::INFINITY, begun_at: f64::INFINITY }
    }
}

impl First {
    /// Returns the wait of the first unit by `end` at the latest, in seconds; 0 if none arrived by then.
    fn wait_s(&self, end: f64) -> f64 {
        (self.begun_at.min(end) - self.arrived_at).max(0.0)
    }
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
    /// Returns busy over paid time of all slots.
    pub fn utilisation(&self) -> f64 {
        let paid_s = |stage: &StageOutcome| stage.paid_s * f64::from(stage.slots_per_worker.max(1));
        let busy_s: f64 = self.stages.iter().map(|stage| stage.busy_s).sum();
        busy_s / self.stages.iter().map(paid_s).sum::<f64>().max(f64::MIN_POSITIVE)
    }

    /// Returns the workers of all stages that are paid for, on average.
    pub fn mean_workers(&self) -> f64 {
        self.stages.iter().map(|stage| stage.paid_s).sum::<f64>() / self.length_s.max(f64::MIN_POSITIVE)
    }

    /// Returns how long each video lay in queues until its first segment was begun, in seconds: its waits at the stages
    /// `before`, and that of the first unit begun at any of the stages `segments`. A wait that goes on counts until now.
    pub fn queue_waits_s(&self, before: &[usize], segments: &[usize]) -> Vec<f64> {
        let stages = self.stages.len().max(1);
        let of = |firsts: &[First]| {
            let waits: f64 = before.iter().map(|stage| firsts[*stage].wait_s(self.length_s)).sum();
            let first = segments.iter().map(|stage| &firsts[*stage]);
            let first = first.min_by(|a, b| a.begun_at.total_cmp(&b.begun_at));
            waits + first.map_or(0.0, |first| first.wait_s(self.length_s))
        };
        self.firsts.chunks(stages).map(of).collect()
    }

    /// Returns how long each video's first unit at the stage in place `stage` waited, in seconds; 0 for one that did not come
    /// that far.
    pub fn first_waits_s(&self, stage: usize) -> Vec<f64> {
        let firsts = self.firsts.iter().skip(stage).step_by(self.stages.len().max(1));
        firsts.map(|first| first.wait_s(self.length_s)).collect()
    }

    /// Returns how long each video was worked on, from the moment when its first unit was begun until its end, in
    /// seconds; one that is not done counts until now, one that was not begun has no time.
    pub fn processing_s(&self) -> Vec<Option<f64>> {
        let stages = self.stages.len().max(1);
        let of = |(video, firsts): (&VideoOutcome, &[First])| {
            let begun_at = firsts.iter().map(|first| first.begun_at).fold(f64::INFINITY, f64::min);
            begun_at.is_finite().then(|| video.done_at.unwrap_or(self.length_s) - begun_at)
        };
        self.videos.iter().zip(self.firsts.chunks(stages)).map(of).collect()
    }

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
