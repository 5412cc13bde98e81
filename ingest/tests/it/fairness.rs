//! A tenant with 499 videos and one with one: the lanes come from the API, the turns from the runner's own code, and
//! what becomes of that is worked through without waiting.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap, VecDeque};
use std::time::Duration;

use futures::future::join_all;
use pipeline::event::VideoSubmitted;
use pipeline::lane::Lane;
use pipeline::runner::{RunnerArgs, Turns};
use serde_json::json;

use crate::tenants::{File, caller};

/// A stage: milliseconds a unit takes, units of a one-minute video, the stages that come after it.
const STAGES: [(u64, usize, &[usize]); 6] =
    [(200, 1, &[1]), (500, 1, &[2, 3]), (6_000, 2, &[4]), (1_500, 10, &[4]), (100, 1, &[5]), (12_000, 3, &[])];
/// The stage that needs both before it.
const MOMENTS: usize = 4;

/// A stage's workers and what waits for them.
struct Pool {
    turns: Turns,
    free: usize,
    waiting: [VecDeque<usize>; 4],
}

/// Works videos off that all come at once, in order, each in its lane, with so many workers for each heavy stage. Returns
/// when each ended, in milliseconds.
fn ends(lanes: &[Lane], workers: usize) -> Vec<u64> {
    let pool = |index: usize| Pool {
        turns: Turns::new(&RunnerArgs::default()),
        free: if matches!(index, 2 | 3 | 5) { workers } else { workers.div_ceil(4).max(2) },
        waiting: Default::default(),
    };
    let mut pools: Vec<Pool> = (0..STAGES.len()).map(pool).collect();
    let mut left: HashMap<(usize, usize), usize> = HashMap::new();
    let mut running: BinaryHeap<Reverse<(u64, usize, usize)>> = BinaryHeap::new();
    let mut ends = vec![0; lanes.len()];
    pools[0].waiting = Default::default();
    for (video, lane) in lanes.iter().enumerate() {
        left.insert((video, 0), 1);
        pools[0].waiting[lane.index()].push_back(video);
    }
    let mut now = 0;
    loop {
        for (stage, pool) in pools.iter_mut().enumerate() {
            while pool.free > 0 {
                let waited = std::array::from_fn(|lane| (!pool.waiting[lane].is_empty()).then_some(Duration::ZERO));
                let Some(lane) = pool.turns.choose(waited) else { break };
                let video = pool.waiting[lane.index()].pop_front().expect("a lane that was chosen has work");
                pool.free -= 1;
                running.push(Reverse((now + STAGES[stage].0, stage, video)));
            }
        }
        let Some(Reverse((at, stage, video))) = running.pop() else { return ends };
        now = at;
        pools[stage].free += 1;
        let units = left.get_mut(&(video, stage)).expect("it has units");
        *units -= 1;
        if *units > 0 {
            continue;
        }
        ends[video] = now;
        for &next in STAGES[stage].2 {
            let is_first_of_two = next == MOMENTS && (2..MOMENTS).any(|before| left[&(video, before)] > 0);
            if !is_first_of_two {
                left.insert((video, next), STAGES[next].1);
                pools[next].waiting[lanes[video].index()].extend(std::iter::repeat_n(video, STAGES[next].1));
            }
        }
    }
}

#[tokio::test]
async fn one_video_beside_499_of_another_tenant_takes_at_most_twice_what_it_takes_alone() {
    let file = File::of(&[("many", &["m"], ""), ("one", &["o"], "")]);
    let server = file.serve(&[]).await;
    let many = caller("m");
    let accepted = join_all((0..499).map(|_| server.accepted(&many, json!({})))).await;
    assert_eq!(accepted.len(), 499);
    server.accepted(&caller("o"), json!({})).await;
    // As `fetch` sets it once it has measured a minute.
    let lane = |message: VideoSubmitted| Lane::for_duration(Duration::from_secs(60)).lower(message.job.lanes_lower);
    let (ones, manys): (Vec<_>, Vec<_>) =
        server.published::<VideoSubmitted>().into_iter().partition(|message| message.job.tenant().as_str() == "one");
    let mut lanes: Vec<Lane> = manys.into_iter().map(lane).collect();
    // They were sent at once, so the order in which they were published is another one each time.
    lanes.sort_by_key(|lane| lane.index());
    let count = |wanted: Lane| lanes.iter().filter(|lane| **lane == wanted).count();
    assert_eq!([Lane::Express, Lane::Standard, Lane::Batch].map(count), [1, 9, 489]);
    lanes.extend(ones.into_iter().map(lane));
    assert_eq!(lanes.last(), Some(&Lane::Express));

    for workers in [2, 8, 20, 100] {
        let alone = ends(&[Lane::Express], workers)[0];
        let beside = ends(&lanes, workers)[499];
        let without_shares = ends(&[Lane::Express; 500], workers)[499];
        println!("{workers} workers: alone {alone} ms, beside {beside} ms, without shares {without_shares} ms");
        assert!(beside <= 2 * alone, "{workers} workers: {beside} ms beside, {alone} ms alone");
        assert!(without_shares > 2 * alone, "{workers} workers: the scene shows nothing");
    }
}
