//! What gatherers gather.

use pipeline::id::{TenantId, VideoId};
use pipeline::store::{Gatherer, OpenGather, SharedStore};

use super::{Fresh, TASKS, at, at_once, tenant};

/// One gathering of a store.
#[derive(Clone)]
struct Gathering {
    store: SharedStore,
    gatherer: Gatherer,
    tenant: TenantId,
    video: VideoId,
    window: u32,
}

impl Gathering {
    fn new(store: &SharedStore) -> Self {
        let store = store.clone();
        Self { store, gatherer: Gatherer::Join, tenant: tenant("a"), video: VideoId::random(), window: 0 }
    }

    async fn add(&self, item: &str, body: &[u8]) -> bool {
        self.add_in(0, 100, item, body).await
    }

    async fn add_in(&self, partition: i32, deadline: i64, item: &str, body: &[u8]) -> bool {
        let (gatherer, window, deadline) = (self.gatherer, self.window, at(deadline));
        let gathered = self.store.gather(gatherer, &self.tenant, self.video, window, partition, deadline, item, body);
        gathered.await.unwrap()
    }

    async fn items(&self, after: Option<&str>, limit: usize) -> Vec<(String, String)> {
        let found = self.store.gathered(self.gatherer, &self.tenant, self.video, self.window, after, limit);
        let text = |body| String::from_utf8(body).unwrap();
        found.await.unwrap().into_iter().map(|(item, body)| (item, text(body))).collect()
    }

    async fn count(&self) -> u64 {
        self.store.gathered_count(self.gatherer, &self.tenant, self.video, self.window).await.unwrap()
    }

    async fn close(&self) {
        self.store.close_gather(self.gatherer, &self.tenant, self.video, self.window).await.unwrap();
    }

    async fn reopen(&self, deadline: i64, without: Option<&str>, with: Option<(&str, &[u8])>) -> bool {
        let (gatherer, window, deadline) = (self.gatherer, self.window, at(deadline));
        let opened = self.store.reopen_gather(gatherer, &self.tenant, self.video, window, deadline, without, with);
        opened.await.unwrap()
    }

    fn open(&self, deadline: i64) -> OpenGather {
        OpenGather { tenant: self.tenant.clone(), video: self.video, window: self.window, deadline: at(deadline) }
    }
}

fn pairs<const N: usize>(expected: [(&str, &str); N]) -> Vec<(String, String)> {
    expected.map(|(item, body)| (item.to_owned(), body.to_owned())).to_vec()
}

pub async fn items_are_replaced_and_counted_once(fresh: &dyn Fresh) {
    let gathering = Gathering::new(&fresh.open().await);
    assert_eq!(gathering.count().await, 0);
    assert!(gathering.add("audio/0", b"failed").await);
    assert!(gathering.add("video/0", b"done").await);
    assert!(gathering.add("audio/0", b"done after all").await);
    assert_eq!(gathering.count().await, 2);
    assert_eq!(gathering.items(None, 9).await, pairs([("audio/0", "done after all"), ("video/0", "done")]));
}

pub async fn items_come_in_order_and_in_parts(fresh: &dyn Fresh) {
    let gathering = Gathering::new(&fresh.open().await);
    for item in ["d", "a", "c", "b"] {
        gathering.add(item, item.as_bytes()).await;
    }
    assert_eq!(gathering.items(None, 2).await, pairs([("a", "a"), ("b", "b")]));
    assert_eq!(gathering.items(Some("b"), 2).await, pairs([("c", "c"), ("d", "d")]));
    assert_eq!(gathering.items(Some("bb"), 1).await, pairs([("c", "c")]));
    assert!(gathering.items(Some("d"), 2).await.is_empty());
}

pub async fn one_item_is_found_by_name(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let gathering = Gathering::new(&store);
    gathering.add("total/0", b"5").await;
    let find = |item| {
        let (store, gathering) = (store.clone(), gathering.clone());
        async move { store.gathered_item(Gatherer::Join, &gathering.tenant, gathering.video, 0, item).await.unwrap() }
    };
    assert_eq!(find("total/0").await, Some(b"5".to_vec()));
    assert_eq!(find("total/1").await, None);
}

pub async fn gatherings_do_not_touch_each_other(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let first = Gathering::new(&store);
    let others = [
        Gathering { gatherer: Gatherer::Deliver, ..first.clone() },
        Gathering { tenant: tenant("b"), ..first.clone() },
        Gathering { video: VideoId::random(), ..first.clone() },
        Gathering { window: 1, ..first.clone() },
    ];
    first.add("item", b"first").await;
    for (index, other) in others.iter().enumerate() {
        assert_eq!(other.count().await, 0);
        other.add("item", index.to_string().as_bytes()).await;
    }
    first.close().await;
    for (index, other) in others.iter().enumerate() {
        assert_eq!(other.items(None, 9).await, pairs([("item", &index.to_string())]));
        assert!(other.add("more", b"").await);
    }
    assert_eq!(first.items(None, 9).await, pairs([("item", "first")]));
}

pub async fn open_ones_are_listed_by_deadline(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let [late, early, middle, elsewhere, delivered] = std::array::from_fn(|_| Gathering::new(&store));
    let delivered = Gathering { gatherer: Gatherer::Deliver, ..delivered };
    late.add_in(5, 300, "x", b"").await;
    early.add_in(5, 100, "x", b"").await;
    middle.add_in(5, 200, "x", b"").await;
    elsewhere.add_in(6, 50, "x", b"").await;
    delivered.add_in(5, 60, "x", b"").await;
    let listed = store.open_gathers(Gatherer::Join, 5, 9).await.unwrap();
    assert_eq!(listed, [early.open(100), middle.open(200), late.open(300)]);
    assert_eq!(store.open_gathers(Gatherer::Join, 5, 1).await.unwrap(), [early.open(100)]);
    early.close().await;
    assert_eq!(store.open_gathers(Gatherer::Join, 5, 9).await.unwrap(), [middle.open(200), late.open(300)]);
    assert_eq!(store.open_gathers(Gatherer::Deliver, 5, 9).await.unwrap(), [delivered.open(60)]);
    assert!(store.open_gathers(Gatherer::Join, 7, 9).await.unwrap().is_empty());
}

pub async fn closed_one_takes_nothing_more(fresh: &dyn Fresh) {
    let gathering = Gathering::new(&fresh.open().await);
    gathering.close().await;
    assert!(gathering.add("before", b"kept").await, "closing what was never opened closes nothing");
    gathering.close().await;
    gathering.close().await;
    assert!(!gathering.add("after", b"ignored").await);
    assert!(!gathering.add("before", b"ignored").await);
    assert_eq!(gathering.items(None, 9).await, pairs([("before", "kept")]));
    assert_eq!(gathering.count().await, 1);
}

pub async fn first_partition_stays_and_the_deadline_moves_on(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let gathering = Gathering::new(&store);
    let listed = |partition| {
        let store = store.clone();
        async move { store.open_gathers(Gatherer::Join, partition, 9).await.unwrap() }
    };
    gathering.add_in(1, 100, "a", b"").await;
    gathering.add_in(2, 159, "b", b"").await;
    assert_eq!(listed(1).await, [gathering.open(100)], "less than a minute is not worth a change");
    gathering.add_in(2, 160, "b", b"").await;
    gathering.add_in(1, 50, "a", b"").await;
    assert_eq!(listed(1).await, [gathering.open(160)]);
    assert!(listed(2).await.is_empty());
}

pub async fn closed_one_is_opened_again_without_what_failed(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let gathering = Gathering::new(&store);
    gathering.add_in(3, 100, "audio/0", b"failed").await;
    gathering.add_in(3, 100, "video/0", b"done").await;
    gathering.close().await;
    assert!(store.open_gathers(Gatherer::Join, 3, 9).await.unwrap().is_empty());
    // Whoever died on the way does it again.
    for _ in 0..2 {
        assert!(gathering.reopen(50, Some("audio/0"), Some(("total/0", b"again"))).await);
        assert_eq!(gathering.items(None, 9).await, pairs([("total/0", "again"), ("video/0", "done")]));
        assert_eq!(gathering.count().await, 2);
        assert_eq!(store.open_gathers(Gatherer::Join, 3, 9).await.unwrap(), [gathering.open(50)]);
    }
    assert!(gathering.add_in(3, 50, "audio/0", b"done after all").await);
    assert!(gathering.reopen(60, Some("nothing"), None).await, "an open one too");
    assert_eq!(gathering.count().await, 3);
    gathering.close().await;
    assert!(!gathering.add("audio/0", b"late").await);
}

pub async fn forgotten_ones_leave_nothing(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let (gone, kept) = (Gathering::new(&store), Gathering::new(&store));
    let later = Gathering { window: 1, ..gone.clone() };
    for gathering in [&gone, &later, &kept] {
        assert!(gathering.add("a", b"1").await);
    }
    later.close().await;
    for _ in 0..2 {
        store.forget_gathers(&gone.tenant, gone.video).await.unwrap();
        assert_eq!((gone.count().await, later.items(None, 9).await, kept.count().await), (0, pairs([]), 1));
        assert_eq!(store.open_gathers(Gatherer::Join, 0, 9).await.unwrap(), [kept.open(100)]);
    }
    assert!(!later.reopen(200, None, None).await);
}

pub async fn what_was_never_gathered_is_not_opened_again(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let gathering = Gathering::new(&store);
    assert!(!gathering.reopen(50, None, Some(("total/0", b"again"))).await);
    assert_eq!(gathering.count().await, 0);
    gathering.add("audio/0", b"failed").await;
    store.delete_video(&gathering.tenant, gathering.video, at(1)).await.unwrap();
    assert!(!gathering.reopen(50, None, Some(("total/0", b"again"))).await, "its video was deleted");
    assert!(gathering.items(None, 9).await.is_empty());
}

pub async fn large_items_are_kept(fresh: &dyn Fresh) {
    let store = fresh.open().await;
    let gathering = Gathering::new(&store);
    let body: Vec<u8> = (0..7 << 20).map(|n: u32| (n % 251) as u8).collect();
    gathering.add("video/0", &body).await;
    let found = store.gathered_item(Gatherer::Join, &gathering.tenant, gathering.video, 0, "video/0").await.unwrap();
    assert!(found == Some(body));
}

pub async fn many_tasks_gather_at_once(fresh: &dyn Fresh) {
    let handles = [fresh.open().await, fresh.open().await];
    let first = Gathering::new(&handles[0]);
    let open = at_once(&handles, |index, store| {
        let gathering = Gathering { store, ..first.clone() };
        // Each item comes from two tasks.
        async move { gathering.add(&format!("{:03}", index / 2), b"x").await }
    });
    assert!(open.await.into_iter().all(|open| open));
    assert_eq!(first.count().await, TASKS as u64 / 2);
    assert_eq!(first.items(None, TASKS).await.len(), TASKS / 2);
    assert_eq!(handles[1].open_gathers(Gatherer::Join, 0, 9).await.unwrap().len(), 1);
}
