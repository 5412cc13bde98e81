//! Fixes a stage's scale, or leaves it to the autoscaler again: asked once, then said.

use askama::Template;
use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use jiff::Timestamp;
use pipeline::stage::StageName;
use pipeline::topic::Topic;
use planning::pin::{self, Pin};
use planning::stages::scaled;
use serde::Serialize;
use tracing::info;

use crate::access::Viewer;
use crate::answer::answer;
use crate::app::App;
use crate::asked::Asked;
use crate::fault::Fault;
use crate::form::Change;
use crate::frame::Frame;

/// More workers than this are a slip of the keyboard.
const MOST_WORKERS: u32 = 10_000;

#[derive(Template, Serialize)]
#[template(path = "autoscaler_pin.html")]
struct Page {
    #[serde(flatten)]
    frame: Frame,
    stage: &'static str,
    /// What is to be fixed; nothing releases the stage.
    pin: Option<Pin>,
}

/// Shows what would be fixed, and asks.
pub async fn confirm(State(app): State<App>, viewer: Viewer, asked: Asked) -> Result<Response, Fault> {
    let stage = scaled(asked.get("stage").unwrap_or_default()).map_err(Fault::Refused)?;
    let pin = if asked.get("release").is_some() { None } else { Some(wanted(&asked)?) };
    let title = if pin.is_some() { format!("Pin {stage}") } else { format!("Release {stage}") };
    let wants = viewer.wants;
    let frame = Frame::new(&app, viewer, "/autoscaler", title, "bar");
    answer(wants, &Page { frame, stage: stage.as_str(), pin })
}

/// Says it.
pub async fn pin(State(app): State<App>, change: Change) -> Result<Response, Fault> {
    let stage: StageName = scaled(change.get("stage")).map_err(Fault::Refused)?;
    let text = change.get("pin");
    let releases = text.is_empty() && change.get("release") == "yes";
    let pin: Option<Pin> = if releases { None } else { Some(text.parse().map_err(Fault::Refused)?) };
    let body = pin::body(pin.as_ref());
    let said = app.producer.say(Topic::AutoscalerPin, stage.as_str(), &body).await;
    said.map_err(|failure| Fault::Away { what: "The broker", source: failure.into() })?;
    // The page that follows must not come before the record does.
    app.seen.write().scaling.hear_pin(Timestamp::now().as_millisecond(), stage.as_str(), &body);
    info!(%stage, pin = text, "pinned or released by an operator");
    let done = if pin.is_some() { "pinned" } else { "released" };
    Ok(Redirect::to(&format!("/autoscaler?stage={stage}&done={done}")).into_response())
}

fn wanted(asked: &Asked) -> Result<Pin, Fault> {
    let pin = Pin {
        min: asked.whole("min", "The fewest workers", 0..=MOST_WORKERS)?,
        max: asked.whole("max", "The most workers", 0..=MOST_WORKERS)?,
        fixed: asked.whole("fixed", "The number of workers", 0..=MOST_WORKERS)?,
    };
    if pin == Pin::default() {
        return Err(Fault::Refused("Say how many workers: at least, at most, or exactly.".to_owned()));
    }
    // Read back as it is written: what cannot be said together is refused in the same words as on the command line.
    pin.to_string().parse().map_err(|why: String| Fault::Refused(format!("That cannot be pinned: {why}.")))
}

impl Page {
    fn command(&self) -> String {
        match &self.pin {
            Some(pin) => format!("spillway autoscale pin {}={pin}", self.stage),
            None => format!("spillway autoscale release {}", self.stage),
        }
    }

    fn said(&self) -> String {
        self.pin.map_or_else(String::new, |pin| pin.to_string())
    }

    /// Says what comes of it.
    fn meaning(&self) -> String {
        let Some(pin) = self.pin else {
            return format!(
                "The autoscaler decides again how many workers {} has, within what its flags allow.",
                self.stage
            );
        };
        if let Some(fixed) = pin.fixed {
            return format!("{} gets {fixed} workers, whatever waits, until it is released.", self.stage);
        }
        let least = pin.min.map(|min| format!("at least {min}"));
        let most = pin.max.map(|max| format!("at most {max}"));
        let bounds: Vec<String> = least.into_iter().chain(most).collect();
        format!(
            "{} gets {} workers; between that the autoscaler decides, until it is released.",
            self.stage,
            bounds.join(" and ")
        )
    }

    /// Whether nobody may work on the stage then.
    fn stops(&self) -> bool {
        self.pin.is_some_and(|pin| pin.fixed == Some(0) || pin.max == Some(0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_pinned_makes_sense_or_is_refused() {
        let pinned =
            |query: &str| wanted(&Asked::of(query)).map(|pin| pin.to_string()).map_err(|fault| fault.to_string());
        assert_eq!(pinned("min=2&max=10&fixed="), Ok("min:2,max:10".to_owned()));
        assert_eq!(pinned("fixed=0"), Ok("fixed:0".to_owned()));
        for wrong in ["", "min=&max=", "min=5&max=4", "fixed=3&max=4", "min=-1", "max=1e7", "min=1.5"] {
            assert!(pinned(wrong).is_err(), "{wrong}");
        }
    }
}
