//! Several tenants' videos as one list, newest first, of which one page looks at a bounded number of rows. Of many tenants
//! there is a list for each group of [`MOST_TENANTS`], one after the other: what is newest of all would take a look at each.

use futures::future::try_join_all;
use pipeline::id::TenantId;
use pipeline::store::{MOST_EXAMINED, Page, Result, SharedStore, Video, VideoFilter};

use super::pages::{Place, Start};

/// The most tenants whose videos are one list: half of the rows that a page may look at are for the newest of each.
pub const MOST_TENANTS: usize = MOST_EXAMINED / 2;

/// Rows of the store that are read at the same time where each is asked for by its id.
pub const SIDE_BY_SIDE: usize = 50;

/// A part of the list.
#[derive(Default)]
pub struct Listed {
    /// The videos.
    pub videos: Vec<Video>,
    /// Where the next page begins, if there is one.
    pub next: Option<Start>,
    /// How many rows were looked at.
    pub examined: usize,
    /// How many were deleted since they were noted.
    pub deleted: usize,
}

/// Lists the videos of `tenants` that pass `filter`, newest first within each group of tenants, from `start` on: at most
/// `limit`, and fewer where [`MOST_EXAMINED`] rows were looked at before there were so many.
///
/// # Errors
/// When the store is away.
pub async fn list(
    store: &SharedStore,
    tenants: &[TenantId],
    filter: &VideoFilter,
    start: Start,
    limit: usize,
) -> Result<Listed> {
    let mut groups = tenants.chunks(MOST_TENANTS).skip(start.group);
    let Some(group) = groups.next() else { return Ok(Listed::default()) };
    let (videos, after, examined) = list_group(store, group, filter, start.after, limit).await?;
    let next = match after {
        Some(_) => Some(Start { after, ..start }),
        None => groups.next().map(|_| Start { group: start.group + 1, after: None }),
    };
    Ok(Listed { videos, next, examined, deleted: 0 })
}

/// Lists the videos of a group of tenants: returns where the next page of them begins, and how many rows were looked at too.
async fn list_group(
    store: &SharedStore,
    tenants: &[TenantId],
    filter: &VideoFilter,
    after: Option<Place>,
    limit: usize,
) -> Result<(Vec<Video>, Option<Place>, usize)> {
    let share = MOST_TENANTS / tenants.len();
    let ask = async |tenant: &TenantId, after, examine| {
        let filter = VideoFilter { examine: Some(examine), ..filter.clone() };
        store.videos(tenant, &filter, &Page { after, limit }).await
    };
    let firsts = try_join_all(tenants.iter().map(|tenant| ask(tenant, after, share))).await?;
    let mut examined: usize = firsts.iter().map(|paged| paged.examined).sum();
    let mut known_to: Vec<Option<Place>> = firsts.iter().map(|paged| paged.next).collect();
    let mut videos: Vec<Video> = firsts.into_iter().flat_map(|paged| paged.items).collect();
    loop {
        videos.sort_by_key(|video| std::cmp::Reverse(video.place()));
        // Of what is older than this, somebody's videos are not known yet.
        let newest = known_to.iter().enumerate().max_by_key(|(_, place)| **place);
        let Some((index, Some(horizon))) = newest.map(|(index, place)| (index, *place)) else { break };
        let sure = videos.partition_point(|video| video.place() >= horizon);
        if sure >= limit || examined >= MOST_EXAMINED {
            videos.truncate(sure);
            let next = if sure > limit { videos.get(limit - 1).map(Video::place) } else { Some(horizon) };
            videos.truncate(limit);
            return Ok((videos, next, examined));
        }
        let more = ask(&tenants[index], Some(horizon), MOST_EXAMINED - examined).await?;
        examined += more.examined;
        known_to[index] = more.next;
        videos.extend(more.items);
    }
    let next = if videos.len() > limit { videos.get(limit - 1).map(Video::place) } else { None };
    videos.truncate(limit);
    Ok((videos, next, examined))
}

#[cfg(test)]
mod tests {
    use futures::future::join_all;
    use jiff::Timestamp;
    use pipeline::event::{Job, Options, VideoSource};
    use pipeline::id::VideoId;
    use pipeline::lane::Lane;
    use pipeline::store::{self, NewVideo};

    use super::*;

    /// Makes a store in which each of the tenants has videos, accepted at these seconds.
    async fn filled(folder: &tempfile::TempDir, of: &[(&TenantId, Vec<i64>)]) -> SharedStore {
        let store = store::open_file(&folder.path().join("store.db")).unwrap();
        let videos = of.iter().flat_map(|(tenant, seconds)| seconds.iter().map(move |second| (*tenant, *second)));
        join_all(videos.map(|(tenant, second)| {
            let video = NewVideo {
                job: Job::new(tenant, VideoId::random(), Lane::Express, Options::default()),
                source: VideoSource::Url("https://host/a.mp4".to_owned()),
                name: String::new(),
                created_at: Timestamp::from_second(second).unwrap(),
                request_hash: String::new(),
            };
            let store = &store;
            async move { store.create_video(&video).await.unwrap() }
        }))
        .await;
        store
    }

    fn tenants() -> [TenantId; 3] {
        ["acme", "beta", "gamma"].map(|name| name.parse().unwrap())
    }

    /// Reads all pages; returns the times of what was found, and how many rows each page looked at.
    async fn pages(
        store: &SharedStore,
        tenants: &[TenantId],
        filter: &VideoFilter,
        limit: usize,
    ) -> (Vec<i64>, Vec<usize>) {
        let (mut seen, mut examined, mut start) = (Vec::new(), Vec::new(), Start::default());
        loop {
            let listed = list(store, tenants, filter, start, limit).await.unwrap();
            assert!(listed.videos.len() <= limit);
            seen.extend(listed.videos.iter().map(|video| video.new.created_at.as_second()));
            examined.push(listed.examined);
            let Some(next) = listed.next else { return (seen, examined) };
            start = next;
        }
    }

    #[tokio::test]
    async fn tenants_are_one_list_without_gap_or_repetition() {
        let folder = tempfile::tempdir().unwrap();
        let [acme, beta, gamma] = tenants();
        let of = [(&acme, (0..40).collect()), (&beta, vec![3, 3, 39, 50]), (&gamma, (20..25).collect::<Vec<_>>())];
        let store = filled(&folder, &of).await;
        let mut expected: Vec<i64> = of.iter().flat_map(|(_, seconds)| seconds.clone()).collect();
        expected.sort_unstable();
        expected.reverse();
        for limit in [1, 7, 49, 50] {
            assert_eq!(pages(&store, &tenants(), &VideoFilter::default(), limit).await.0, expected, "{limit}");
        }
        assert!(list(&store, &[], &VideoFilter::default(), Start::default(), 9).await.unwrap().videos.is_empty());
    }

    #[tokio::test]
    async fn a_page_looks_at_no_more_rows_than_it_may_however_few_fit() {
        let folder = tempfile::tempdir().unwrap();
        let [acme, beta, gamma] = tenants();
        let of = [(&acme, (0..450).collect()), (&beta, (100..200).collect()), (&gamma, vec![1, 2])];
        let store = filled(&folder, &of).await;
        let none = VideoFilter { lane: Some(Lane::Batch), ..VideoFilter::default() };
        let (seen, examined) = pages(&store, &tenants(), &none, 50).await;
        assert!(seen.is_empty(), "{seen:?}");
        assert!(examined.len() == 2 && examined.iter().all(|rows| *rows <= MOST_EXAMINED), "{examined:?}");
    }

    #[tokio::test]
    async fn a_page_looks_at_no_more_rows_than_it_may_however_many_tenants_there_are() {
        let folder = tempfile::tempdir().unwrap();
        let tenants: Vec<TenantId> = (0..600).map(|number| format!("t{number:03}").parse().unwrap()).collect();
        let of: Vec<(&TenantId, Vec<i64>)> =
            tenants.iter().zip(0..).map(|(tenant, at)| (tenant, vec![at, 1_000 + at])).collect();
        let store = filled(&folder, &of).await;
        let (mut seen, examined) = pages(&store, &tenants, &VideoFilter::default(), 50).await;
        assert!(examined.iter().all(|rows| *rows <= MOST_EXAMINED), "{examined:?}");
        assert!(examined.len() < 100, "{}", examined.len());
        assert!(seen[..50].is_sorted_by(|newer, older| newer > older), "{:?}", &seen[..50]);
        seen.sort_unstable();
        assert_eq!(seen, (0..600).chain(1_000..1_600).collect::<Vec<_>>());
    }
}
