//! What is simulated: the stages, what each waits for, and what a unit of work costs.

/// Stages in the order of the flow.
#[derive(Clone, Debug, Default)]
pub struct Flow {
    /// The stages; one only waits for earlier ones.
    pub stages: Vec<StageSpec>,
    /// Time between two decisions, in seconds.
    pub tick_s: f64,
    /// What all workers together may cost in an hour: shown to the scaler, which is to keep to it.
    pub budget_per_hour: Option<f64>,
}

/// One stage.
#[derive(Clone, Debug, Default)]
pub struct StageSpec {
    /// Its name.
    pub name: String,
    /// Places of the stages whose units of a video must all be done before its own units arrive; none for the first.
    pub after: Vec<usize>,
    /// Partitions of each of its lanes.
    pub partitions: u32,
    /// Units a worker works on at once.
    pub slots_per_worker: u32,
    /// Time from asking for a worker until it is ready.
    pub startup: Spread,
    /// Fewest workers; so many are ready at the start.
    pub min_replicas: u32,
    /// Most workers.
    pub max_replicas: u32,
    /// Longest wait before work begins, in seconds.
    pub wait_slo_s: f64,
    /// Price of a worker for an hour.
    pub cost_per_worker_hour: f64,
    /// Units that an outside API takes in each hour; what is over waits for the next.
    pub quota_per_hour: Option<f64>,
}

/// A time that varies: lognormal, or always the same where [`Spread::cv`] is 0.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Spread {
    /// Mean, in seconds.
    pub mean_s: f64,
    /// Standard deviation over mean.
    pub cv: f64,
}

impl Spread {
    /// Returns a time that never varies.
    pub const fn constant(mean_s: f64) -> Self {
        Self { mean_s, cv: 0.0 }
    }

    /// Turns a standard normal draw into a time, in seconds.
    pub fn draw(&self, normal: f64) -> f64 {
        if self.cv <= 0.0 {
            return self.mean_s;
        }
        let variance = (1.0 + self.cv * self.cv).ln();
        self.mean_s * (variance.sqrt() * normal - variance / 2.0).exp()
    }
}
