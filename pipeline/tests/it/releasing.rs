//! A worker that stood still between its work and the moment it puts its outputs where others see them.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use pipeline::event::VideoSubmitted;
use pipeline::failure::{Code, Failure};
use pipeline::lane::Lane;
use pipeline::outbox::Outbox;
use pipeline::runner::RunnerArgs;
use pipeline::stage::{Stage, StageName};
use pipeline::topic::Topic;

use crate::doubles::Claims;
use crate::world::{Said, World, quick, unit_of};

/// Releases what it made and says so. The first time another has its unit by then, and it does not obey.
#[derive(Clone, Default)]
struct Releasing {
    claims: Arc<Claims>,
    begun: Arc<AtomicUsize>,
    released: Arc<AtomicUsize>,
}

impl Stage for Releasing {
    type In = VideoSubmitted;
    type Out = Said;
    const NAME: StageName = StageName::Fetch;

    fn failed(input: &VideoSubmitted, _: Code, _: &str) -> Vec<Said> {
        vec![Said(input.job.clone())]
    }

    async fn process(&self, input: VideoSubmitted, out: &Outbox<Said>) -> Result<(), Failure> {
        if self.begun.fetch_add(1, Ordering::SeqCst) == 0 {
            self.claims.steal(unit_of(input.job.video()));
        }
        if out.confirm().await.is_ok() {
            self.released.fetch_add(1, Ordering::SeqCst);
        }
        out.send(Said(input.job)).await
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_unit_whose_claim_was_lost_before_its_outputs_are_released_releases_nothing() {
    let world = World::new(1).await;
    let stage = Releasing { claims: world.store.clone(), ..Releasing::default() };
    let video = world.submit(Lane::Express).await;
    // Of itself the runner looks at the claim only after 20 s.
    let args = RunnerArgs { claim_lease: Duration::from_secs(60), ..quick() };
    let worker = world.start(stage.clone(), args);
    // The thief dies; its unit comes back, and this time it is this worker's.
    world.all_acknowledged(StageName::Fetch, Topic::VideoSubmitted, Lane::Express, 1).await;
    assert_eq!((stage.begun.load(Ordering::SeqCst), stage.released.load(Ordering::SeqCst)), (2, 1));
    assert_eq!(world.read(Topic::VideoReady).await.len(), 1, "what was sent after the claim was lost is refused");
    assert_eq!(world.store.row(unit_of(video)).failures, 0);
    worker.stop().await.unwrap();
}
