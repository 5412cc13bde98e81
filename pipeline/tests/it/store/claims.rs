//! Claims.

use std::time::Duration;

use pipeline::id::{UnitId, VideoId};
use pipeline::store::{Claim, Lease, Release, SharedStore};

use super::{Fresh, TASKS, at, at_once, tenant};

const LEASE: Duration = Duration::from_secs(30);

fn unit() -> UnitId {
    UnitId::derive("analyze", &tenant("a"), VideoId::random(), "video/0")
}

/// What a granted claim says besides its lease.
#[derive(Debug, PartialEq, Eq, Default)]
struct Past {
    failures: u32,
    suspect: bool,
    lone_deaths: u32,
}

/// Claims at `seconds`, each time as another owner, and expects to be granted the unit.
async fn granted(store: &SharedStore, unit: UnitId, seconds: i64) -> (Lease, Past) {
    granted_to(&format!("worker-{seconds}"), store, unit, seconds).await
}

async fn granted_to(owner: &str, store: &SharedStore, unit: UnitId, seconds: i64) -> (Lease, Past) {
    match store.claim(unit, owner, at(seconds), LEASE).await.unwrap() {
        Claim::Granted { lease, failures, suspect, lone_deaths } => (lease, Past { failures, suspect, lone_deaths }),
        other => panic!("not granted: {other:?}"),
    }
}

pub async fn first_claim_is_granted(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let unit = unit();
    assert_eq!(granted(&store, unit, 0).await, (Lease { unit, attempt: 1 }, Past::default()));
}

pub async fn live_claim_is_held(fresh: &dyn Fresh) {
    let (store, other) = (fresh.open().await, fresh.open().await);
    let unit = unit();
    let (lease, _) = granted(&store, unit, 0).await;
    let held = |until| Claim::Held { until };
    assert_eq!(other.claim(unit, "other", at(1), LEASE).await.unwrap(), held(at(30)));
    assert_eq!(store.claim(unit, "worker-0", at(29), LEASE).await.unwrap(), held(at(30)), "its owner waits too");
    assert!(store.renew(&lease, at(70)).await.unwrap());
    assert_eq!(other.claim(unit, "other", at(69), LEASE).await.unwrap(), held(at(70)));
}

pub async fn finished_unit_stays_finished(fresh: &dyn Fresh) {
    let (store, other) = (fresh.open().await, fresh.open().await);
    let unit = unit();
    let (lease, _) = granted(&store, unit, 0).await;
    assert!(store.finish(&lease).await.unwrap());
    for seconds in [1, 1_000_000] {
        assert_eq!(other.claim(unit, "other", at(seconds), LEASE).await.unwrap(), Claim::Finished);
    }
    assert!(!store.renew(&lease, at(99)).await.unwrap());
    assert!(!store.release(&lease, Release::Failed).await.unwrap());
}

pub async fn handed_back_unit_is_not_suspect(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let unit = unit();
    for attempt in 1..=4 {
        // Claimed at once, though the lease would have run on.
        let (lease, past) = granted(&store, unit, 0).await;
        assert_eq!((lease.attempt, past), (attempt, Past::default()));
        assert!(store.release(&lease, Release::HandedBack).await.unwrap());
    }
}

pub async fn failed_attempts_are_counted(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let unit = unit();
    for failures in 0..5 {
        let (lease, past) = granted(&store, unit, 0).await;
        assert_eq!(past, Past { failures, ..Past::default() });
        assert!(store.release(&lease, Release::Failed).await.unwrap());
    }
    let (lease, _) = granted(&store, unit, 0).await;
    assert!(store.release(&lease, Release::HandedBack).await.unwrap());
    assert_eq!(granted(&store, unit, 0).await.1.failures, 5);
}

pub async fn dead_owner_makes_the_unit_suspect(fresh: &dyn Fresh) {
    let (dead, next) = (fresh.open().await, fresh.open().await);
    let unit = unit();
    granted(&dead, unit, 0).await;
    drop(dead);
    assert!(matches!(next.claim(unit, "next", at(29), LEASE).await.unwrap(), Claim::Held { .. }));
    let (lease, past) = granted(&next, unit, 30).await;
    assert_eq!((lease.attempt, past), (2, Past { suspect: true, ..Past::default() }));
}

pub async fn owner_that_comes_back_did_not_die(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let unit = unit();
    let (lease, _) = granted_to("worker", &store, unit, 0).await;
    assert!(store.run_alone(&lease).await.unwrap());
    let (lease, past) = granted_to("worker", &store, unit, 100).await;
    assert_eq!((lease.attempt, past), (2, Past::default()));
}

pub async fn only_deaths_alone_are_counted(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let unit = unit();
    // In company twice, then alone twice.
    granted(&store, unit, 0).await;
    granted(&store, unit, 100).await;
    let (lease, past) = granted(&store, unit, 200).await;
    assert_eq!(past, Past { suspect: true, ..Past::default() });
    assert!(store.run_alone(&lease).await.unwrap());
    let (lease, past) = granted(&store, unit, 300).await;
    assert_eq!(past.lone_deaths, 1);
    assert!(store.run_alone(&lease).await.unwrap());
    assert_eq!(granted(&store, unit, 400).await.1.lone_deaths, 2);
    // That it ran alone before says nothing about this attempt.
    assert_eq!(granted(&store, unit, 500).await.1.lone_deaths, 2);
}

pub async fn suspicion_lasts_until_the_unit_is_forgotten(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let unit = unit();
    granted(&store, unit, 0).await;
    let (lease, _) = granted(&store, unit, 100).await;
    assert!(store.run_alone(&lease).await.unwrap());
    assert!(store.release(&lease, Release::HandedBack).await.unwrap());
    let (lease, past) = granted(&store, unit, 101).await;
    assert_eq!(past, Past { suspect: true, ..Past::default() });
    assert!(store.release(&lease, Release::Failed).await.unwrap());
    let (_, past) = granted(&store, unit, 102).await;
    assert_eq!(past, Past { suspect: true, failures: 1, lone_deaths: 0 });
    store.forget(unit).await.unwrap();
    assert_eq!(granted(&store, unit, 103).await.1, Past::default());
}

pub async fn zombie_changes_nothing(fresh: &dyn Fresh) {
    let (zombie, store) = (fresh.open().await, fresh.open().await);
    let unit = unit();
    let (old, _) = granted(&zombie, unit, 0).await;
    let (new, _) = granted(&store, unit, 100).await;
    assert!(!zombie.renew(&old, at(999)).await.unwrap());
    assert!(!zombie.run_alone(&old).await.unwrap());
    assert!(!zombie.finish(&old).await.unwrap());
    assert!(!zombie.release(&old, Release::Failed).await.unwrap());
    let held = store.claim(unit, "other", at(101), LEASE).await.unwrap();
    assert_eq!(held, Claim::Held { until: at(130) });
    assert!(store.finish(&new).await.unwrap());
    assert!(!zombie.finish(&old).await.unwrap());
}

pub async fn repeated_answers_are_the_same(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let (finished, released) = (unit(), unit());
    let (lease, _) = granted(&store, finished, 0).await;
    assert!(store.finish(&lease).await.unwrap());
    assert!(store.finish(&lease).await.unwrap());
    let (lease, _) = granted(&store, released, 0).await;
    assert!(store.release(&lease, Release::Failed).await.unwrap());
    assert!(store.release(&lease, Release::Failed).await.unwrap());
    assert_eq!(granted(&store, released, 0).await.1.failures, 1, "counted once");
}

pub async fn ended_lease_that_nobody_took_is_renewed(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let unit = unit();
    let (lease, _) = granted(&store, unit, 0).await;
    assert!(store.renew(&lease, at(200)).await.unwrap());
    assert_eq!(store.claim(unit, "o", at(100), LEASE).await.unwrap(), Claim::Held { until: at(200) });
    assert!(store.finish(&lease).await.unwrap());
}

pub async fn forgotten_unit_starts_afresh(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let unit = unit();
    let (lease, _) = granted(&store, unit, 0).await;
    assert!(store.release(&lease, Release::Failed).await.unwrap());
    let (old, _) = granted(&store, unit, 0).await;
    store.forget(unit).await.unwrap();
    let (new, past) = granted(&store, unit, 0).await;
    assert_eq!(past, Past::default());
    assert!(!store.finish(&old).await.unwrap(), "a lease from before is void");
    assert!(store.finish(&new).await.unwrap());
    store.forget(unit).await.unwrap();
    assert_eq!(granted(&store, unit, 0).await.1, Past::default());
    store.forget(self::unit()).await.unwrap();
}

pub async fn one_of_many_wins(fresh: &dyn Fresh) {
    let handles = [fresh.open().await, fresh.open().await, fresh.open().await];
    let unit = unit();
    let claims =
        at_once(
            &handles,
            |index, store| async move { store.claim(unit, &index.to_string(), at(0), LEASE).await.unwrap() },
        );
    let claims = claims.await;
    let won: Vec<&Claim> = claims.iter().filter(|c| matches!(c, Claim::Granted { .. })).collect();
    assert_eq!(won.len(), 1);
    assert_eq!(claims.iter().filter(|c| **c == Claim::Held { until: at(30) }).count(), TASKS - 1);
}

pub async fn one_of_many_takes_over_from_the_dead(fresh: &dyn Fresh) {
    let handles = [fresh.open().await, fresh.open().await];
    let unit = unit();
    let (old, _) = granted(&handles[0], unit, 0).await;
    assert!(handles[0].run_alone(&old).await.unwrap());
    let outcomes = at_once(&handles, |index, store| {
        let old = old.clone();
        async move {
            if index == 0 {
                // The owner is alive after all, and comes too late or just in time.
                return u32::from(store.finish(&old).await.unwrap());
            }
            match store.claim(unit, &index.to_string(), at(31), LEASE).await.unwrap() {
                Claim::Granted { lease, lone_deaths, .. } => {
                    assert_eq!((lease.attempt, lone_deaths), (2, 1));
                    1
                }
                Claim::Held { .. } | Claim::Finished => 0,
            }
        }
    });
    assert_eq!(outcomes.await.into_iter().sum::<u32>(), 1, "either the owner or one other");
}

pub async fn units_do_not_touch_each_other(fresh: &dyn Fresh) {
    let handles = [fresh.open().await, fresh.open().await];
    let finished = at_once(&handles, |_, store| async move {
        let unit = unit();
        let (lease, past) = granted(&store, unit, 0).await;
        assert_eq!(past, Past::default());
        assert!(store.renew(&lease, at(40)).await.unwrap());
        store.finish(&lease).await.unwrap()
    });
    assert!(finished.await.into_iter().all(|finished| finished));
}

pub async fn claims_outlive_whoever_opens_the_store(fresh: &dyn Fresh) {
    let unit = unit();
    let (lease, _) = granted(&fresh.open().await, unit, 0).await;
    assert!(fresh.open().await.finish(&lease).await.unwrap());
    assert_eq!(fresh.open().await.claim(unit, "other", at(99), LEASE).await.unwrap(), Claim::Finished);
}
