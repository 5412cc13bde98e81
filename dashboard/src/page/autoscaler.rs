//! How many workers there are to be, and why: what was forecast and came, each decision with what it was made from, and what
//! another policy would have decided of the same.

mod changes;
mod pin;
mod plots;
mod stages;
pub mod trial;

use askama::Template;
use axum::extract::State;
use axum::response::Response;
use jiff::Timestamp;
use planning::pin::Pin;
use planning::policy::Policy;
use planning::stages::scaled;
use serde::Serialize;

use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::asked::Asked;
use crate::fault::Fault;
use crate::frame::Frame;
use crate::part::Part;
use crate::plot::Plot;
use stages::{Now, Standing};
use trial::{DryRun, Settings};

pub use changes::show as decisions;
pub use pin::{confirm, pin};

#[derive(Template, Serialize)]
#[template(path = "autoscaler.html")]
struct Page {
    #[serde(flatten)]
    frame: Frame,
    /// What was done just now, in words.
    #[serde(skip)]
    done: &'static str,
    now: Now,
    /// The stage that plots and the dry run are of.
    stage: &'static str,
    #[serde(skip)]
    stages: [&'static str; planning::stages::STAGES.len()],
    /// What a person has fixed of it.
    pin: Option<Pin>,
    /// The policy that the last tick was decided by; nothing where the autoscaler does not say.
    policy: Option<Policy>,
    /// What the viewer wants to be different in the dry run.
    settings: Settings,
    /// What another policy would have now; nothing before the first tick.
    dry_run: Option<DryRun>,
    plots: Vec<Plot>,
}

/// Shows how it stands, and one stage over the last hour.
pub async fn show(State(app): State<App>, viewer: Viewer, asked: Asked) -> Result<Response, Fault> {
    let settings = Settings::asked(&asked)?;
    let chosen = asked.get("stage").map(scaled).transpose().map_err(Fault::Refused)?;
    let wants = viewer.wants;
    let frame = Frame::new(&app, viewer, "/autoscaler", "Autoscaler", "autoscaler");
    let now = now(&app);
    let done = done(asked.get("done"), now.standing);
    let stage = chosen.map_or_else(|| now.first_at_work(), |stage| stage.as_str());
    let (ticks, pin) = {
        let scaling = &app.seen.read().scaling;
        let since_ms = Timestamp::now().as_millisecond() - trial::SPAN_MS;
        (scaling.since(since_ms), scaling.pin(stage))
    };
    let trial = app.trials.run(ticks.clone(), &settings).await?;
    let plots = plots::of(stage, &ticks, &trial);
    let dry_run = DryRun::of(stage, &ticks, &trial);
    let stages = planning::stages::STAGES.map(|stage| stage.as_str());
    let policy = ticks.last().and_then(|tick| tick.recorded.policy.clone());
    answer(wants, &Page { frame, done, now, stage, stages, pin, policy, settings, dry_run, plots })
}

/// Says what was done just now, and what comes of it.
fn done(what: Option<&str>, standing: Standing) -> &'static str {
    let follows = matches!(standing, Standing::Holds | Standing::Runs);
    match what {
        Some("pinned") if follows => "The stage is pinned; the autoscaler follows within seconds.",
        Some("pinned") => "The stage is pinned. No autoscaler runs that would follow; one that starts does.",
        Some("released") if follows => "The stage is left to the autoscaler again.",
        Some("released") => "The stage is released. No autoscaler runs that would decide.",
        _ => "",
    }
}

/// Writes the parts that change.
///
/// # Errors
/// When one cannot be written, which is a bug.
pub fn parts(app: &App) -> Result<[Part; 3], Fault> {
    let now = now(app);
    let (standing, scaled, changes) = now.parts();
    Ok([Part::new("standing", &standing)?, Part::new("scaled", &scaled)?, Part::new("changes", &changes)?])
}

fn now(app: &App) -> Now {
    Now::of(&app.seen.read(), Timestamp::now())
}

impl Page {
    fn is_chosen(&self, stage: &&'static str) -> bool {
        self.stage == *stage
    }

    /// Returns the command lines that pin and release the stage.
    fn commands(&self) -> [String; 3] {
        let stage = self.stage;
        [
            format!("spillway autoscale pin {stage}=min:2,max:10"),
            format!("spillway autoscale release {stage}"),
            "spillway autoscale status".to_owned(),
        ]
    }

    /// Returns what a setting is that the viewer does not give.
    fn usual(&self) -> Policy {
        self.policy.clone().unwrap_or_default()
    }

    fn decides(&self) -> bool {
        matches!(self.now.standing, Standing::Holds | Standing::Runs)
    }
}
