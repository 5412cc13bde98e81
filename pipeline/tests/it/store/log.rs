//! The log and the clips.

use pipeline::event::{Clip, Happened, StageTotal, VideoEvent};
use pipeline::id::ClipId;
use pipeline::lane::Lane;
use pipeline::store::{Error, LogEntry, NewVideo, SharedStore, State, VideoState};

use super::{Fresh, TASKS, at, at_once, new_video, tenant};

/// How often an entry is logged again while the store does not answer.
const TRIES: u32 = 10;

fn entry(video: &NewVideo, seq: i64, total: u32) -> LogEntry {
    let happened = Happened::Total(StageTotal { stage: 3, total, ..StageTotal::default() });
    LogEntry { seq, event: VideoEvent::new(&video.job, at(seq), happened) }
}

fn clip(video: &NewVideo, start_us: i64, score: f64) -> Clip {
    let id = ClipId::derive(video.job.video(), start_us, start_us + 10);
    Clip { id: id.to_string(), start_us, end_us: start_us + 10, score, ..Clip::default() }
}

async fn created(store: &SharedStore) -> NewVideo {
    let video = new_video(&tenant("a"), Lane::Express, at(0));
    store.create_video(&video).await.unwrap();
    video
}

async fn seqs(store: &SharedStore, video: &NewVideo, after: Option<i64>, limit: usize) -> Vec<i64> {
    let found = store.log_after(&video.job.tenant(), video.job.video(), after, limit).await.unwrap();
    found.iter().map(|e| e.seq).collect()
}

pub async fn entry_is_added_once_with_its_state(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let video = created(&store).await;
    let state = VideoState {
        state: State::Processing,
        duration_s: Some(1.5),
        updated_at: Some(at(3)),
        lane: Some("express".to_owned()),
        ..VideoState::default()
    };
    let first = entry(&video, 7, 1);
    assert!(store.log(&first, &state, None).await.unwrap());
    assert!(!store.log(&first, &state, None).await.unwrap());
    let found = store.log_after(&tenant("a"), video.job.video(), None, 9).await.unwrap();
    assert_eq!(found, [first]);
    let row = store.video(&tenant("a"), video.job.video()).await.unwrap().unwrap();
    assert_eq!(row.state, state);
}

pub async fn entries_come_in_order_and_in_parts(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let video = created(&store).await;
    let other = created(&store).await;
    for seq in [0, 3, 4, 9] {
        store.log(&entry(&video, seq, seq as u32), &VideoState::default(), None).await.unwrap();
    }
    store.log(&entry(&other, 5, 5), &VideoState::default(), None).await.unwrap();
    assert_eq!(seqs(&store, &video, None, 9).await, [0, 3, 4, 9]);
    assert_eq!(seqs(&store, &video, Some(0), 2).await, [3, 4]);
    assert_eq!(seqs(&store, &video, Some(5), 9).await, [9]);
    assert!(seqs(&store, &video, Some(9), 9).await.is_empty());
}

pub async fn state_of_an_entry_added_twice_is_ignored(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let video = created(&store).await;
    let done = VideoState { state: State::Done, ..VideoState::default() };
    assert!(store.log(&entry(&video, 1, 1), &done, None).await.unwrap());
    // The same event, published once more, has another place.
    let again = entry(&video, 2, 1);
    let late = clip(&video, 0, 0.5);
    assert!(!store.log(&again, &VideoState::default(), Some(&late)).await.unwrap());
    assert_eq!(seqs(&store, &video, None, 9).await, [1]);
    assert!(store.clips(&tenant("a"), video.job.video()).await.unwrap().is_empty());
    let row = store.video(&tenant("a"), video.job.video()).await.unwrap().unwrap();
    assert_eq!(row.state.state, State::Done);
}

pub async fn clips_are_kept_and_replaced(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let (video, owner) = (created(&store).await, tenant("a"));
    let (early, late) = (clip(&video, 10, 0.1), clip(&video, 2_000_000, 0.9));
    let better = Clip { score: 0.7, ..early.clone() };
    for (seq, clip) in [(1, &late), (2, &early), (3, &better)] {
        let state = VideoState::default();
        assert!(store.log(&entry(&video, seq, seq as u32), &state, Some(clip)).await.unwrap());
    }
    let id = video.job.video();
    assert_eq!(store.clips(&owner, id).await.unwrap(), [better.clone(), late]);
    assert_eq!(store.clip(&owner, id, better.clip_id()).await.unwrap(), Some(better));
    assert_eq!(store.clip(&owner, id, ClipId::derive(id, 5, 6)).await.unwrap(), None);
}

pub async fn many_tasks_log_at_once(fresh: &dyn Fresh) {
    let handles = [fresh.open().await, fresh.open().await];
    let video = created(&handles[0]).await;
    // Two tasks say the same thing each, and again while there is no answer, as the runner does: a busy node lets some of so
    // many that write at one place wait for too long.
    let added = at_once(&handles, |index, store| {
        let entry = entry(&video, index as i64, index as u32 / 2);
        async move {
            let mut asked = 0;
            loop {
                asked += 1;
                match store.log(&entry, &VideoState::default(), None).await {
                    Ok(is_new) => return (is_new, asked),
                    Err(Error::Unavailable(_)) if asked < TRIES => {}
                    Err(error) => panic!("{:#}", anyhow::Error::from(error)),
                }
            }
        }
    })
    .await;
    // Whose answer was lost may have added it, and hears the next time that it is there.
    let lost = added.iter().filter(|(_, asked)| *asked > 1).count();
    let new = added.iter().filter(|(is_new, _)| *is_new).count();
    assert!((TASKS / 2 - lost.min(TASKS / 2)..=TASKS / 2).contains(&new), "{added:?}");
    let seqs = seqs(&handles[0], &video, None, TASKS).await;
    assert_eq!(seqs.len(), TASKS / 2);
    assert!(seqs.is_sorted());
}
