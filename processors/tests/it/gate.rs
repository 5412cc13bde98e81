//! URLs that lead from a public host to one inside: by a redirect, or by a name that changes its meaning.

use std::collections::{BTreeMap, VecDeque};
use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::{self, Next};
use axum::routing::get;
use futures::FutureExt;
use futures::future::BoxFuture;
use pipeline::event::{Event, Options, VideoReady, VideoSource, VideoSubmitted};
use pipeline::failure::{Code, Failure};
use pipeline::outbox::Collected;
use pipeline::stage::Stage;
use pipeline::topic::Topic;
use processors::download::{Gate, Resolve};
use processors::fetch::{Fetch, FetchArgs};
use tokio::net::TcpListener;

use crate::material::{PICTURE, Workshop, job};

/// Admitted as if it was public.
const OUTSIDE: IpAddr = IpAddr::V4(Ipv4Addr::new(127, 0, 0, 3));
/// Not public; what the system says that `localhost` is.
const INSIDE: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

/// Answers to questions for addresses, each given once, the last one for ever.
struct Names(Mutex<BTreeMap<&'static str, VecDeque<IpAddr>>>);

impl Names {
    fn new<const COUNT: usize>(answers: [(&'static str, &[IpAddr]); COUNT]) -> Arc<Self> {
        let answers = answers.map(|(name, addresses)| (name, addresses.iter().copied().collect()));
        Arc::new(Self(Mutex::new(answers.into())))
    }
}

impl Resolve for Names {
    fn resolve<'a>(&'a self, name: &'a str, port: u16) -> BoxFuture<'a, io::Result<Vec<SocketAddr>>> {
        let mut names = self.0.lock().expect("no test panics in here");
        let answers = names.get_mut(name).expect("a name of the test");
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().copied() };
        let found = answer.map(|address| SocketAddr::new(address, port));
        async move { Ok(found.into_iter().collect()) }.boxed()
    }
}

/// Two servers with the same video at the same port, one of them inside, and how often each was asked.
struct Servers {
    port: u16,
    asked_outside: Arc<AtomicUsize>,
    asked_inside: Arc<AtomicUsize>,
}

impl Servers {
    async fn start(video: Vec<u8>) -> Self {
        let (inside, outside) = loop {
            let inside = TcpListener::bind((INSIDE, 0)).await.expect("bind");
            let port = inside.local_addr().expect("an address").port();
            // Somebody else may have the port there.
            if let Ok(outside) = TcpListener::bind((OUTSIDE, port)).await {
                break (inside, outside);
            }
        };
        let port = inside.local_addr().expect("an address").port();
        let (asked_outside, asked_inside) = (serve(outside, port, video.clone()), serve(inside, port, video));
        Self { port, asked_outside, asked_inside }
    }

    fn asked(&self) -> (usize, usize) {
        (self.asked_outside.load(Ordering::SeqCst), self.asked_inside.load(Ordering::SeqCst))
    }
}

/// Serves `video` and redirects to where nobody from outside may go.
fn serve(listener: TcpListener, port: u16, video: Vec<u8>) -> Arc<AtomicUsize> {
    let asked = Arc::<AtomicUsize>::default();
    let counted = asked.clone();
    let count = middleware::from_fn(move |request: Request, next: Next| {
        counted.fetch_add(1, Ordering::SeqCst);
        next.run(request)
    });
    let to = |place: String| get(move || async move { (StatusCode::FOUND, [(header::LOCATION, place)]) });
    let router = Router::new()
        .route("/video.mp4", get(|| async move { video }))
        .route("/to-metadata", to("http://169.254.169.254/latest/meta-data/".to_owned()))
        .route("/to-address", to(format!("http://{INSIDE}:{port}/video.mp4")))
        .route("/to-name", to(format!("http://inside.example:{port}/video.mp4")))
        .route("/to-itself", to("/video.mp4".to_owned()))
        .route("/in-two-hops", to("/to-name".to_owned()))
        .layer(count);
    tokio::spawn(async move { axum::serve(listener, router).await });
    asked
}

/// Fetches `url` where only what is public and `OUTSIDE` is admitted.
async fn fetch(shop: &Workshop, names: Arc<Names>, url: String) -> Result<VideoReady, Failure> {
    let args = FetchArgs {
        max_duration: Duration::from_secs(3600),
        max_bytes: 20 << 20,
        max_frame_rate: 120.0,
        probe_timeout: Duration::from_secs(20),
        allow_private_urls: false,
        url_timeout: Duration::from_secs(20),
        url_idle_timeout: Duration::from_secs(10),
    };
    let gate = Gate::public().resolving(names).admitting(OUTSIDE);
    let stage = Fetch::new(shop.services(), args).expect("a stage").through(gate);
    let (outbox, collected) = Collected::outbox();
    let input = VideoSubmitted { job: job(Options::default()), source: Some(VideoSource::Url(url)) };
    stage.process(input, &outbox).await?;
    let said = collected.take();
    let ready = said.iter().find(|envelope| envelope.topic == Topic::VideoReady).expect("a video");
    Ok(VideoReady::read(&ready.body).expect("a message"))
}

/// Checks that `url` is refused after `hops` questions to the server outside and none to the one inside.
async fn check_refused(servers: &Servers, names: Arc<Names>, url: String, hops: usize) {
    let shop = Workshop::new();
    let before = servers.asked().0;
    match fetch(&shop, names, url.clone()).await {
        Err(Failure::Reject { code, .. }) => assert_eq!(code, Code::UrlRefused, "{url}"),
        other => panic!("{url} should be refused, not {other:?}"),
    }
    assert_eq!(servers.asked(), (before + hops, 0), "{url}");
    assert!(shop.blob_files().is_empty(), "{url}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_public_host_cannot_redirect_to_one_inside() {
    let servers = Servers::start(Vec::new()).await;
    for (place, hops) in [("to-metadata", 1), ("to-address", 1), ("to-name", 1), ("in-two-hops", 2)] {
        let names = Names::new([("outside.example", &[OUTSIDE]), ("inside.example", &[INSIDE])]);
        check_refused(&servers, names, format!("http://outside.example:{}/{place}", servers.port), hops).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_name_is_looked_up_and_checked_anew_at_each_hop() {
    let servers = Servers::start(Vec::new()).await;
    let names = Names::new([("changing.example", &[OUTSIDE, INSIDE])]);
    check_refused(&servers, names, format!("http://changing.example:{}/to-itself", servers.port), 1).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_connection_goes_to_the_addresses_that_were_checked() {
    let shop = Workshop::new();
    let path = shop.make(&format!("{PICTURE} -c:v libx264"), "a.mp4");
    let video = std::fs::read(&path).expect("read");
    let servers = Servers::start(video.clone()).await;
    // When it is checked the name is that of a host outside; whoever asks the system a moment later hears of one inside.
    let names = Names::new([("localhost", &[OUTSIDE])]);
    let ready = fetch(&shop, names, format!("http://localhost:{}/to-itself", servers.port)).await.expect("fetched");
    assert_eq!(ready.source.bytes, video.len() as u64);
    assert_eq!(servers.asked(), (2, 0));
}
