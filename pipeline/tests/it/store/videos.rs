//! Videos.

use pipeline::event::{Clip, Happened, VideoEvent};
use pipeline::failure::Code;
use pipeline::id::{ClipId, VideoId};
use pipeline::lane::Lane;
use pipeline::stage::StageName;
use pipeline::store::{
    Contents, Created, Gatherer, LogEntry, MOST_EXAMINED, NewVideo, Page, SharedStore, State, Video, VideoError,
    VideoFilter, VideoState, check_whole,
};

use super::{Fresh, at, at_once, new_video, tenant};

/// Writes `state` through the log, as `record` does.
async fn set_state(store: &SharedStore, video: &NewVideo, state: State) {
    log_state(store, video, VideoState { state, lane: Some("batch".to_owned()), ..VideoState::default() }).await;
}

async fn log_state(store: &SharedStore, video: &NewVideo, state: VideoState) {
    let entry = LogEntry { seq: 1, event: VideoEvent::new(&video.job, at(1), Happened::Cancelled(true)) };
    assert!(store.log(&entry, &state, None).await.unwrap());
}

async fn get(store: &SharedStore, video: &NewVideo) -> Option<Video> {
    store.video(&video.job.tenant(), video.job.video()).await.unwrap()
}

/// Only for a store that was never used before.
pub async fn contents_tell_whether_a_store_may_be_rebuilt(fresh: &dyn Fresh) {
    let (store, other) = (fresh.open().await, fresh.open().await);
    assert_eq!(store.contents().await.unwrap(), Contents::Nothing);
    store.begin_rebuild().await.unwrap();
    store.begin_rebuild().await.unwrap();
    assert_eq!(other.contents().await.unwrap(), Contents::Unfinished);
    assert!(check_whole(&other).await.is_err());
    store.create_video(&new_video(&tenant("a"), Lane::Express, at(0))).await.unwrap();
    assert_eq!(other.contents().await.unwrap(), Contents::Unfinished);
    store.end_rebuild().await.unwrap();
    assert_eq!(other.contents().await.unwrap(), Contents::Used);
    assert!(check_whole(&other).await.is_ok());
}

pub async fn is_created_once(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let video = NewVideo { request_hash: "one".to_owned(), ..new_video(&tenant("a"), Lane::Express, at(0)) };
    assert_eq!(store.create_video(&video).await.unwrap(), Created::New);
    let again = NewVideo { name: "other".to_owned(), created_at: at(9), ..video.clone() };
    assert_eq!(store.create_video(&again).await.unwrap(), Created::Existing);
    let different = NewVideo { request_hash: "two".to_owned(), ..video.clone() };
    assert_eq!(store.create_video(&different).await.unwrap(), Created::Conflict);
    assert_eq!(get(&store, &video).await.map(|v| v.new), Some(video));
}

pub async fn is_read_back_as_it_was_written(fresh: &dyn Fresh) {
    let (writer, reader) = (fresh.open().await, fresh.open().await);
    writer.ping().await.unwrap();
    let created_at = jiff::Timestamp::from_microsecond(1_700_000_000_123_456).unwrap();
    let video = new_video(&tenant("a"), Lane::Priority, created_at);
    writer.create_video(&video).await.unwrap();
    let expected = Video { new: video.clone(), state: VideoState::default(), cancelled_at: None };
    assert_eq!(get(&reader, &video).await, Some(expected));
}

pub async fn is_unpublished_until_it_is_marked(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let videos = [0, 10, 20].map(|s| new_video(&tenant("a"), Lane::Express, at(s)));
    for video in &videos {
        store.create_video(video).await.unwrap();
    }
    assert_eq!(store.unpublished(at(20), 9).await.unwrap(), videos[..2]);
    assert_eq!(store.unpublished(at(21), 1).await.unwrap(), videos[..1]);
    store.mark_published(&tenant("a"), videos[0].job.video()).await.unwrap();
    store.delete_video(&tenant("a"), videos[1].job.video(), at(30)).await.unwrap();
    assert_eq!(store.unpublished(at(99), 9).await.unwrap(), videos[2..]);
}

pub async fn other_tenants_see_nothing(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let (owner, other) = (tenant("a"), tenant("b"));
    let video = new_video(&owner, Lane::Express, at(0));
    let id = video.job.video();
    store.create_video(&video).await.unwrap();
    assert_eq!(store.video(&other, id).await.unwrap(), None);
    assert!(!store.cancel_video(&other, id, at(1)).await.unwrap());
    store.delete_video(&other, id, at(1)).await.unwrap();
    store.mark_published(&other, id).await.unwrap();
    let all = Page { after: None, limit: 9 };
    assert!(store.videos(&other, &VideoFilter::default(), &all).await.unwrap().items.is_empty());
    assert!(store.log_after(&other, id, None, 9).await.unwrap().is_empty());
    assert_eq!(get(&store, &video).await.map(|v| v.state()), Some(State::Queued));
    assert_eq!(store.unpublished(at(9), 9).await.unwrap().len(), 1);
}

pub async fn lists_are_paged_newest_first(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    // Three at each time: a page may end between videos of the same time.
    let mut expected = Vec::new();
    for index in 0..12 {
        let video = new_video(&tenant("a"), Lane::Express, at(index / 3));
        store.create_video(&video).await.unwrap();
        expected.push((video.created_at, video.job.video()));
    }
    expected.sort();
    expected.reverse();
    for limit in [1, 5, 6, 12, 13] {
        let (mut seen, mut after) = (Vec::new(), None);
        loop {
            let page = Page { after, limit };
            let paged = store.videos(&tenant("a"), &VideoFilter::default(), &page).await.unwrap();
            assert!(paged.items.len() <= limit);
            seen.extend(paged.items.iter().map(|v| (v.new.created_at, v.new.job.video())));
            after = paged.next;
            if after.is_none() {
                break;
            }
            assert_eq!(paged.items.len(), limit);
        }
        assert_eq!(seen, expected, "{limit} a page");
    }
}

pub async fn lists_are_filtered(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let owner = tenant("a");
    let [queued, done, cancelled] = [0, 1, 2].map(|s| new_video(&owner, Lane::Express, at(s)));
    for video in [&queued, &done, &cancelled] {
        store.create_video(video).await.unwrap();
    }
    set_state(&store, &done, State::Done).await;
    assert!(store.cancel_video(&owner, cancelled.job.video(), at(5)).await.unwrap());
    let list = |state, lane| {
        let (store, owner) = (store.clone(), owner.clone());
        async move {
            let page = Page { after: None, limit: 9 };
            let filter = VideoFilter { state, lane, ..VideoFilter::default() };
            let paged = store.videos(&owner, &filter, &page).await.unwrap();
            paged.items.iter().map(|v| v.new.job.video()).collect::<Vec<VideoId>>()
        }
    };
    let id = |video: &NewVideo| video.job.video();
    assert_eq!(list(Some(State::Queued), None).await, [id(&queued)]);
    assert_eq!(list(Some(State::Done), None).await, [id(&done)]);
    assert_eq!(list(Some(State::Cancelled), None).await, [id(&cancelled)]);
    assert_eq!(list(Some(State::Failed), None).await, []);
    assert_eq!(list(None, Some(Lane::Express)).await, [id(&cancelled), id(&queued)]);
    assert_eq!(list(None, Some(Lane::Batch)).await, [id(&done)], "the lane that was recorded");
    assert_eq!(list(Some(State::Done), Some(Lane::Express)).await, []);
}

pub async fn lists_are_of_a_time(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let owner = tenant("a");
    // Over several days, from new to old.
    let videos: Vec<NewVideo> = (0..6).map(|days| new_video(&owner, Lane::Express, at(-90_000 * days))).collect();
    for video in &videos {
        store.create_video(video).await.unwrap();
    }
    let list = async |from: Option<usize>, until: Option<usize>, after: Option<usize>| {
        let time = |index: usize| videos[index].created_at;
        let filter = VideoFilter { from: from.map(time), until: until.map(time), ..VideoFilter::default() };
        let after = after.map(|index| (time(index), videos[index].job.video()));
        let paged = store.videos(&owner, &filter, &Page { after, limit: 9 }).await.unwrap();
        assert_eq!(paged.next, None);
        let index = |found: &Video| videos.iter().position(|video| *video == found.new).unwrap();
        paged.items.iter().map(index).collect::<Vec<usize>>()
    };
    assert_eq!(list(None, None, None).await, [0, 1, 2, 3, 4, 5]);
    assert_eq!(list(Some(3), None, None).await, [0, 1, 2, 3], "from is among them");
    assert_eq!(list(None, Some(3), None).await, [4, 5], "until is not");
    assert_eq!(list(Some(4), Some(1), None).await, [2, 3, 4]);
    assert_eq!(list(Some(4), Some(1), Some(2)).await, [3, 4], "a page goes on where the one before ended");
    assert!(list(Some(1), Some(3), None).await.is_empty());
    assert!(list(Some(2), Some(2), None).await.is_empty());
}

pub async fn few_that_fit_are_found_step_by_step(fresh: &dyn Fresh) {
    let handles = [fresh.open().await, fresh.open().await];
    let owner = tenant("a");
    let videos: Vec<NewVideo> = (0..576).map(|n| new_video(&owner, Lane::Express, at(-500 * n))).collect();
    let creating = at_once(&handles, |index, store| {
        let videos = videos[9 * index..9 * index + 9].to_vec();
        async move {
            for video in videos {
                store.create_video(&video).await.unwrap();
            }
        }
    });
    creating.await;
    let store = &handles[0];
    let oldest = videos.last().unwrap();
    let error = VideoError::new(Code::Damaged, StageName::Fetch);
    let failed = VideoState { state: State::Failed, error: Some(error), ..VideoState::default() };
    log_state(store, oldest, failed).await;

    let damaged = VideoFilter { error: Some("damaged".to_owned()), ..VideoFilter::default() };
    let page = |after| Page { after, limit: 9 };
    let first = store.videos(&owner, &damaged, &page(None)).await.unwrap();
    let stopped_at = (videos[499].created_at, videos[499].job.video());
    assert_eq!((first.items.len(), first.examined, first.next), (0, MOST_EXAMINED, Some(stopped_at)));
    let second = store.videos(&owner, &damaged, &page(first.next)).await.unwrap();
    assert_eq!(second.items.iter().map(|video| &video.new).collect::<Vec<_>>(), [oldest]);
    assert_eq!((second.examined, second.next), (76, None));

    let few = VideoFilter { examine: Some(7), ..damaged.clone() };
    let found = store.videos(&owner, &few, &page(None)).await.unwrap();
    assert_eq!(
        (found.items.len(), found.examined, found.next),
        (0, 7, Some((videos[6].created_at, videos[6].job.video())))
    );

    let late = VideoFilter { until: Some(videos[565].created_at), ..damaged.clone() };
    let found = store.videos(&owner, &late, &page(None)).await.unwrap();
    assert_eq!((found.items.len(), found.examined, found.next), (1, 10, None), "it begins at until");
    let early = VideoFilter { from: Some(videos[20].created_at), ..damaged.clone() };
    let found = store.videos(&owner, &early, &page(None)).await.unwrap();
    assert_eq!((found.items.len(), found.examined, found.next), (0, 21, None), "it ends at from");
    for (state, error, expected) in
        [(State::Failed, "damaged", 1), (State::Failed, "stuck", 0), (State::Done, "damaged", 0)]
    {
        let filter = VideoFilter { error: Some(error.to_owned()), ..VideoFilter::in_state(state) };
        assert_eq!(
            store.videos(&owner, &filter, &page(None)).await.unwrap().items.len(),
            expected,
            "{state:?} {error}"
        );
    }
}

pub async fn cancelling_holds_unless_it_ended(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let owner = tenant("a");
    let [open, ended] = [0, 1].map(|s| new_video(&owner, Lane::Express, at(s)));
    store.create_video(&open).await.unwrap();
    store.create_video(&ended).await.unwrap();
    assert!(!store.is_unwanted(&owner, open.job.video()).await.unwrap());

    assert!(store.cancel_video(&owner, open.job.video(), at(5)).await.unwrap());
    assert!(store.cancel_video(&owner, open.job.video(), at(6)).await.unwrap(), "still cancelled");
    set_state(&store, &open, State::Processing).await;
    let video = get(&store, &open).await.unwrap();
    assert_eq!((video.state(), video.cancelled_at), (State::Cancelled, Some(at(5))));
    assert!(store.is_unwanted(&owner, open.job.video()).await.unwrap());

    set_state(&store, &ended, State::Partial).await;
    assert!(!store.cancel_video(&owner, ended.job.video(), at(5)).await.unwrap());
    let video = get(&store, &ended).await.unwrap();
    assert_eq!((video.state(), video.cancelled_at), (State::Partial, None));
    assert!(!store.is_unwanted(&owner, ended.job.video()).await.unwrap());

    assert!(!store.cancel_video(&owner, VideoId::random(), at(5)).await.unwrap());
    assert!(!store.is_unwanted(&owner, VideoId::random()).await.unwrap());
}

pub async fn deleting_hides_all_of_it(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let owner = tenant("a");
    let video = NewVideo { request_hash: "hash".to_owned(), ..new_video(&owner, Lane::Express, at(0)) };
    let (id, clip) = (video.job.video(), ClipId::derive(video.job.video(), 0, 1));
    store.create_video(&video).await.unwrap();
    let event = VideoEvent::new(&video.job, at(1), Happened::Cancelled(true));
    let kept = Clip { id: clip.to_string(), ..Clip::default() };
    store.log(&LogEntry { seq: 1, event }, &VideoState::default(), Some(&kept)).await.unwrap();
    store.gather(Gatherer::Join, &owner, id, 3, 0, at(9), "audio/0", b"words").await.unwrap();
    store.gather(Gatherer::Deliver, &owner, id, 0, 0, at(9), "clip", b"done").await.unwrap();

    store.delete_video(&owner, id, at(2)).await.unwrap();
    store.delete_video(&owner, id, at(3)).await.unwrap();
    assert_eq!(store.video(&owner, id).await.unwrap(), None);
    let page = Page { after: None, limit: 9 };
    assert!(store.videos(&owner, &VideoFilter::default(), &page).await.unwrap().items.is_empty());
    assert!(store.log_after(&owner, id, None, 9).await.unwrap().is_empty());
    assert!(store.clips(&owner, id).await.unwrap().is_empty());
    assert_eq!(store.clip(&owner, id, clip).await.unwrap(), None);
    for (gatherer, window) in [(Gatherer::Join, 3), (Gatherer::Deliver, 0)] {
        assert!(store.gathered(gatherer, &owner, id, window, None, 9).await.unwrap().is_empty());
        assert!(store.open_gathers(gatherer, 0, 9).await.unwrap().is_empty());
    }
    assert!(store.is_unwanted(&owner, id).await.unwrap());
}

pub async fn deleted_video_takes_nothing_more(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let owner = tenant("a");
    let video = NewVideo { request_hash: "hash".to_owned(), ..new_video(&owner, Lane::Express, at(0)) };
    let id = video.job.video();
    store.create_video(&video).await.unwrap();
    store.delete_video(&owner, id, at(2)).await.unwrap();

    let event = VideoEvent::new(&video.job, at(3), Happened::Cancelled(true));
    let clip = Clip { id: ClipId::derive(id, 0, 1).to_string(), ..Clip::default() };
    assert!(!store.log(&LogEntry { seq: 1, event }, &VideoState::default(), Some(&clip)).await.unwrap());
    assert!(!store.gather(Gatherer::Join, &owner, id, 0, 0, at(9), "audio/0", b"late").await.unwrap());
    assert!(!store.cancel_video(&owner, id, at(4)).await.unwrap());
    assert_eq!(store.create_video(&video).await.unwrap(), Created::Existing);
    let other = NewVideo { request_hash: "other".to_owned(), ..video };
    assert_eq!(store.create_video(&other).await.unwrap(), Created::Conflict);

    assert_eq!(store.video(&owner, id).await.unwrap(), None);
    assert!(store.log_after(&owner, id, None, 9).await.unwrap().is_empty());
    assert!(store.clips(&owner, id).await.unwrap().is_empty());
    assert_eq!(store.gathered_count(Gatherer::Join, &owner, id, 0).await.unwrap(), 0);
    assert!(store.is_unwanted(&owner, id).await.unwrap());
}

pub async fn many_creations_of_one_video_make_one(fresh: &dyn Fresh) {
    let handles = [fresh.open().await, fresh.open().await];
    let video = NewVideo { request_hash: "hash".to_owned(), ..new_video(&tenant("a"), Lane::Express, at(0)) };
    let created = at_once(&handles, |index, store| {
        let video = NewVideo { name: index.to_string(), ..video.clone() };
        async move { store.create_video(&video).await.unwrap() }
    });
    let created = created.await;
    assert_eq!(created.iter().filter(|c| **c == Created::New).count(), 1);
    assert!(created.iter().all(|c| *c != Created::Conflict));
}
