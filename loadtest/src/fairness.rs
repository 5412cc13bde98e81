//! The scenario of two tenants: one sends a single video while another one has just sent 499. What the one waits is held
//! against what it waits alone.

use anyhow::{Context, Result, ensure};
use tokio_util::sync::CancellationToken;

use crate::args::LoadArgs;
use crate::mix::{Arrival, Sender};
use crate::schedule::Curve;
use crate::story::Story;
use crate::target::Target;

/// How many the other tenant sends.
const MANY: u32 = 499;
/// The single video comes when the other tenant's have all come, in seconds.
const AFTER_S: f64 = 10.0;
/// How many times longer than alone it may take.
const MOST: f64 = 2.0;

/// Returns the two tenants of a system of its own.
pub(crate) fn tenants() -> Vec<Sender> {
    let sender = |name: &str| Sender {
        name: name.parse().expect("a name as tenants have it"),
        key: Some(format!("{name}-{:016x}", rand::random::<u64>())),
        weight: 1.0,
    };
    vec![sender("crowd"), sender("single")]
}

/// Runs the single video alone, then among the others, then alone again: the first one found a system that was just started,
/// so the faster of the two counts. Judges.
pub(crate) async fn run(
    target: &Target,
    curve: &Curve,
    seed: u64,
    args: &LoadArgs,
    stop: &CancellationToken,
) -> Result<bool> {
    ensure!(target.senders.len() >= 2, "two tenants are needed: the first sends {MANY} videos, the second one");
    let one = |number: u32, at_s: f64| Arrival { number, at_s, sender: 1, priority: false, by_url: false, kind: 0 };
    let scale = target.time_scale();
    let time = async |arrivals: &[Arrival]| {
        let ran = target.send(arrivals, args, None, stop).await;
        ensure!(!stop.is_cancelled(), "interrupted");
        let story = story(&ran.stories.lock(), &ran.ledger.lock(), 1)?;
        story.total_s.context("a video has no end").map(|seconds| seconds * scale)
    };
    eprintln!("one video alone");
    let cold = time(&[one(MANY + 1, 0.0)]).await?;
    let others = curve.moments(seed).into_iter().enumerate();
    let mut arrivals: Vec<Arrival> =
        others.map(|(number, at_s)| Arrival { sender: 0, ..one(number as u32, at_s) }).collect();
    arrivals.push(one(MANY, AFTER_S));
    eprintln!("the same after {MANY} of another tenant");
    let among = time(&arrivals).await?;
    eprintln!("one video alone again");
    let alone = time(&[one(MANY + 2, 0.0)]).await?.min(cold);
    let times = among / alone.max(0.001);
    let met = times <= MOST;
    let word = if met { "met" } else { "MISSED" };
    println!(
        "from its acceptance to its end the single video took {alone:.1} s alone and {among:.1} s beside {MANY} of another \
         tenant: {times:.2} times as long, at most {MOST} are wanted: {word}"
    );
    Ok(met)
}

/// Returns the story of the video that `sender` sent.
fn story(stories: &[Story], sent: &[crate::drive::Sent], sender: usize) -> Result<Story> {
    let sent = sent.iter().find(|sent| sent.arrival.sender == sender).context("it was not sent")?;
    let id = sent.accepted().with_context(|| format!("it was not accepted: {:?}", sent.answer))?;
    stories.iter().find(|story| story.id == id).cloned().context("it did not end in time")
}
