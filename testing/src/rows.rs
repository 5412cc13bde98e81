//! All that is in a store, row by row, to be compared with another.

use jiff::Timestamp;
use pipeline::id::{TenantId, VideoId};
use pipeline::store::{Gatherer, Page, SharedStore, VideoFilter};

/// Returns every row that `store` has of the default tenant as text, but for what only a worker that lives knows: leases
/// and deadlines. Its gatherers have as many `partitions`; of `deleted` videos it must know that they are.
///
/// # Panics
/// When the store does not answer.
pub async fn rows(store: &SharedStore, partitions: i32, deleted: &[VideoId]) -> Vec<String> {
    let tenant = TenantId::default_tenant();
    let page = Page { after: None, limit: 99 };
    let listed = store.videos(&tenant, &VideoFilter::default(), &page).await.expect("a store").items;
    let mut rows = Vec::new();
    for video in &listed {
        let id = video.new.job.video();
        rows.push(format!("{video:?}"));
        let log = store.log_after(&tenant, id, None, 9_999).await.expect("a store");
        rows.extend(log.iter().map(|entry| format!("{entry:?}")));
        rows.extend(store.clips(&tenant, id).await.expect("a store").iter().map(|clip| format!("{clip:?}")));
        for gatherer in [Gatherer::Join, Gatherer::Deliver] {
            let items = store.gathered(gatherer, &tenant, id, 0, None, 999).await.expect("a store");
            rows.extend(items.iter().map(|(item, body)| format!("{id} {gatherer:?} {item} {body:?}")));
        }
    }
    for gatherer in [Gatherer::Join, Gatherer::Deliver] {
        for partition in 0..partitions {
            let open = store.open_gathers(gatherer, partition, 99).await.expect("a store");
            rows.extend(
                open.iter().map(|open| format!("open: {gatherer:?} {partition} {}/{}", open.video, open.window)),
            );
        }
    }
    for video in deleted {
        rows.push(format!("{video} deleted: {}", store.is_unwanted(&tenant, *video).await.expect("a store")));
    }
    let unpublished = store.unpublished(Timestamp::now(), 9).await.expect("a store");
    rows.push(format!("unpublished: {unpublished:?}"));
    rows
}

/// Sees that two stores have the same rows, and shows the first that differs.
///
/// # Panics
/// When they have not.
#[track_caller]
pub fn compare(one: &[String], other: &[String]) {
    for (one, other) in one.iter().zip(other) {
        assert_eq!(one, other);
    }
    assert_eq!(one.len(), other.len());
}
