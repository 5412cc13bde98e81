//! What every store must do, written once over the trait: each store runs all of it.

#![allow(clippy::unwrap_used, reason = "a case that cannot go on fails there")]

mod claims;
mod cql;
mod gathers;
mod log;
mod sqlite;
mod videos;

use std::future::Future;
use std::sync::LazyLock;

use async_trait::async_trait;
use jiff::Timestamp;
use pipeline::event::{BlobRef, Job, Options, VideoSource};
use pipeline::id::{TenantId, VideoId};
use pipeline::lane::Lane;
use pipeline::store::{NewVideo, SharedStore};
use tokio::task::JoinSet;

/// Tasks that come at once where a case is about that.
const TASKS: usize = 64;

/// One empty store, which any number of processes may open.
#[async_trait]
pub trait Fresh: Sync {
    /// Opens it as one more process would.
    async fn open(&self) -> SharedStore;
}

/// Runs every case over the store that `$fresh` makes.
macro_rules! conformance {
    ($fresh:path; $($topic:ident: $($case:ident),+;)+) => {$(
        mod $topic {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 4)]
                async fn $case() {
                    crate::store::$topic::$case(&$fresh().await).await;
                }
            )+
        }
    )+};
    ($fresh:path) => {
        $crate::store::conformance! { $fresh;
            videos:
                is_created_once, is_read_back_as_it_was_written, is_unpublished_until_it_is_marked,
                other_tenants_see_nothing, lists_are_paged_newest_first, lists_are_filtered, lists_are_of_a_time,
                few_that_fit_are_found_step_by_step,
                cancelling_holds_unless_it_ended, deleting_hides_all_of_it, deleted_video_takes_nothing_more,
                many_creations_of_one_video_make_one;
            log:
                entry_is_added_once_with_its_state, entries_come_in_order_and_in_parts, state_of_an_entry_added_twice_is_ignored,
                clips_are_kept_and_replaced, many_tasks_log_at_once;
            claims:
                first_claim_is_granted, live_claim_is_held, finished_unit_stays_finished, handed_back_unit_is_not_suspect,
                failed_attempts_are_counted, dead_owner_makes_the_unit_suspect,
                owner_that_comes_back_did_not_die, only_deaths_alone_are_counted,
                suspicion_lasts_until_the_unit_is_forgotten, zombie_changes_nothing, repeated_answers_are_the_same,
                ended_lease_that_nobody_took_is_renewed, forgotten_unit_starts_afresh, one_of_many_wins,
                one_of_many_takes_over_from_the_dead, units_do_not_touch_each_other, claims_outlive_whoever_opens_the_store;
            gathers:
                items_are_replaced_and_counted_once, items_come_in_order_and_in_parts, one_item_is_found_by_name,
                gatherings_do_not_touch_each_other, open_ones_are_listed_by_deadline, closed_one_takes_nothing_more,
                first_partition_stays_and_the_deadline_moves_on, large_items_are_kept, many_tasks_gather_at_once,
                closed_one_is_opened_again_without_what_failed, what_was_never_gathered_is_not_opened_again, forgotten_ones_leave_nothing;
        }
    };
}
pub(crate) use conformance;

/// When the cases began, in whole seconds. Not long ago: a store may forget claims that are weeks old.
static START_S: LazyLock<i64> = LazyLock::new(|| Timestamp::now().as_second());

/// Returns a time that any store can keep exactly.
fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(*START_S + seconds).expect("a time in range")
}

fn tenant(name: &str) -> TenantId {
    name.parse().expect("a tenant")
}

fn new_video(tenant: &TenantId, lane: Lane, created_at: Timestamp) -> NewVideo {
    let video = VideoId::random();
    let source = BlobRef { key: format!("{tenant}/{video}/source/original"), bytes: 1234 };
    NewVideo {
        job: Job::new(tenant, video, lane, Options { clips: 7, ..Options::default() }),
        source: VideoSource::Upload(source),
        name: "talk'); DROP TABLE videos; --.mp4".to_owned(),
        created_at,
        request_hash: String::new(),
    }
}

/// Runs `work` as many tasks at once, each on the next of `handles`, and returns what they gave.
async fn at_once<T, F>(handles: &[SharedStore], work: impl Fn(usize, SharedStore) -> F) -> Vec<T>
where
    T: Send + 'static,
    F: Future<Output = T> + Send + 'static,
{
    let mut tasks = JoinSet::new();
    for index in 0..TASKS {
        tasks.spawn(work(index, handles[index % handles.len()].clone()));
    }
    tasks.join_all().await
}
