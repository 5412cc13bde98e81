//! The stage `cut` stores a clip's files, tells of them, and says clearly why it did not.

#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use pipeline::blob::{self, Blobs, Error, Location};
use pipeline::event::{
    Captions, Clip, ClipPlanned, ClipReport, ClipReportKind, Event, Happened, Job, Options, VideoEvent, Word,
};
use pipeline::failure::{Code, Failure};
use pipeline::id::{ClipId, TenantId, VideoId};
use pipeline::lane::Lane;
use pipeline::outbox::{Collected, Outbox, Pulse, Source};
use pipeline::payload::Carrier;
use pipeline::runtime::{Runtime, RuntimeArgs};
use pipeline::stage::Stage;
use pipeline::store;
use pipeline::topic::Topic;
use processors::cut::{Cut, CutArgs};
use processors::services::Services;
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio_util::sync::CancellationToken;

use crate::marked::{self, Marked};
use crate::material::TakenOver;

/// A place to cut clips in.
struct Bench {
    folder: TempDir,
    blobs: Blobs,
    cut: Cut,
}

#[derive(Parser)]
struct Arguments {
    #[command(flatten)]
    cut: CutArgs,
}

impl Bench {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let blobs = Blobs::open(&Location::Folder(folder.path().join("blobs"))).unwrap();
        let services = Services {
            store: store::open_file(&folder.path().join("store.db")).unwrap(),
            carrier: Carrier::new(blobs.clone(), 1 << 20),
            runtime: Runtime::new(&RuntimeArgs::default()),
        };
        let scratch = folder.path().join("scratch");
        let arguments = ["cut", "--x264-preset", "ultrafast", "--scratch", scratch.to_str().unwrap()];
        let cut = Cut::new(services, Arguments::parse_from(arguments).cut).unwrap();
        Self { folder, blobs, cut }
    }

    /// Plans a clip of the generated video, from 1 s to 3 s.
    async fn plan(&self, captions: Captions) -> ClipPlanned {
        let file = Marked::default().make(self.folder.path());
        let options = Options { height: 480, captions: captions as i32, ..Options::default() };
        let job = Job::new(&TenantId::default_tenant(), VideoId::random(), Lane::Standard, options);
        let key = blob::key(&job.tenant(), job.video(), blob::Kind::Source, "source");
        let source = self.blobs.put(&key, Bytes::from(std::fs::read(&file).unwrap())).await.unwrap();
        let word = |start_us, end_us, text: &str| Word { start_us, end_us, text: text.into(), confidence: 1.0 };
        let clip = Clip {
            id: ClipId::derive(job.video(), 1_000_000, 3_000_000).to_string(),
            start_us: 1_000_000,
            end_us: 3_000_000,
            words: vec![word(1_100_000, 1_500_000, "Hello"), word(1_500_000, 2_400_000, "world.")],
            ..Clip::default()
        };
        ClipPlanned { job, source, media: marked::media_info(&file), clip }
    }

    fn leftovers(&self) -> usize {
        std::fs::read_dir(self.folder.path().join("scratch")).unwrap().count()
    }

    /// Counts the scratch files that this process has open.
    fn held_open(&self) -> usize {
        let scratch = self.folder.path().join("scratch");
        let open =
            std::fs::read_dir("/proc/self/fd").unwrap().filter_map(|entry| entry.unwrap().path().read_link().ok());
        open.filter(|path| path.starts_with(&scratch)).collect::<std::collections::BTreeSet<_>>().len()
    }

    async fn fetch(&self, key: &str, name: &str) -> std::path::PathBuf {
        let path = self.folder.path().join(name);
        std::fs::write(&path, self.blobs.get(key).await.unwrap()).unwrap();
        path
    }
}

/// Cuts and returns the clip that is told of, after checking what else is said.
async fn cut(bench: &Bench, input: &ClipPlanned) -> Clip {
    let (outbox, said) = Collected::outbox();
    bench.cut.process(input.clone(), &outbox).await.unwrap();
    let said = said.take();
    assert_eq!(said.iter().map(|e| e.topic).collect::<Vec<_>>(), [Topic::VideoEvent, Topic::ClipReady]);
    let report = ClipReport::read(&said[1].body).unwrap();
    assert_eq!(report.kind, Some(ClipReportKind::Done(input.clip.id.clone())));
    match VideoEvent::read(&said[0].body).unwrap().happened {
        Some(Happened::ClipReady(clip)) => clip,
        other => panic!("{other:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clip_and_its_files_are_stored_and_a_replay_changes_nothing() {
    let bench = Bench::new();
    let input = bench.plan(Captions::File).await;
    let clip = cut(&bench, &input).await;
    let key = |clip: &Option<pipeline::event::BlobRef>| clip.as_ref().unwrap().key.clone();
    assert!(key(&clip.video).ends_with(&format!("/clip/{}.mp4", clip.id)));
    let video = bench.blobs.get(&key(&clip.video)).await.unwrap();
    let hash: String = Sha256::digest(&video).iter().map(|b| format!("{b:02x}")).collect();
    assert_eq!((clip.sha256.as_str(), clip.video.as_ref().unwrap().bytes), (hash.as_str(), video.len() as u64));
    let captions = bench.blobs.get(&key(&clip.captions)).await.unwrap();
    let text = "WEBVTT\n\n1\n00:00:00.100 --> 00:00:01.700\nHello world.\n";
    assert_eq!(std::str::from_utf8(&captions).unwrap(), text);
    let poster = bench.fetch(&key(&clip.poster), "poster.jpg").await;
    assert_eq!(marked::ffprobe(&poster, "v:0", "stream=codec_name,width,height"), "mjpeg\n270\n480");
    let frame = bench.fetch(&key(&clip.frame), "frame.jpg").await;
    assert_eq!(marked::ffprobe(&frame, "v:0", "stream=codec_name,width,height"), "mjpeg\n416\n234");
    let made = bench.fetch(&key(&clip.video), "made.mp4").await;
    let shown: Vec<u32> = marked::pictures(&made).iter().map(|p| p.number(0.0, 1.0)).collect();
    assert_eq!(shown, (30..90).collect::<Vec<_>>());
    assert_eq!(bench.leftovers(), 0);
    assert_eq!(cut(&bench, &input).await, clip, "a replay gives the same");
}

#[tokio::test(flavor = "multi_thread")]
async fn burned_captions_are_seen_while_they_are_heard() {
    let bench = Bench::new();
    let plain = cut(&bench, &bench.plan(Captions::None).await).await;
    assert_eq!(plain.captions, None);
    let burned = cut(&bench, &bench.plan(Captions::Burn).await).await;
    assert!(burned.captions.is_some());
    let plain = marked::pictures(&bench.fetch(&plain.video.unwrap().key, "plain.mp4").await);
    let burned = marked::pictures(&bench.fetch(&burned.video.unwrap().key, "burned.mp4").await);
    let differs = |slot: usize, y: (f64, f64)| {
        let brightness = |p: &marked::Picture| p.extremes((0.1, 0.9), y);
        brightness(&plain[slot]) != brightness(&burned[slot])
    };
    assert!((10..40).all(|slot| differs(slot, (0.66, 0.82))), "words in the lower third");
    assert!((10..40).all(|slot| !differs(slot, (0.0, 0.5))), "nothing above");
    assert!((56..60).all(|slot| !differs(slot, (0.66, 0.82))), "nothing once they are said");
}

#[tokio::test(flavor = "multi_thread")]
async fn failures_say_what_is_wrong() {
    let bench = Bench::new();
    let (outbox, said) = Collected::outbox();
    let good = bench.plan(Captions::None).await;
    let mut past = good.clone();
    (past.clip.start_us, past.clip.end_us) = (50_000_000, 60_000_000);
    let failed = bench.cut.process(past, &outbox).await;
    assert!(matches!(failed, Err(Failure::Reject { code: Code::Undecodable, .. })), "{failed:?}");
    let mut gone = good.clone();
    gone.source.key.push('x');
    let failed = bench.cut.process(gone, &outbox).await;
    assert!(matches!(failed, Err(Failure::Reject { code: Code::SourceGone, .. })), "{failed:?}");
    assert!(said.take().is_empty());
    assert_eq!(bench.leftovers(), 0);
    let report = Cut::failed(&good, Code::Stuck, "no frame for 300 s");
    let envelope = pipeline::event::Outgoing::envelope(&report[0]);
    let report = ClipReport::read(&envelope.body).unwrap();
    assert!(matches!(report.kind, Some(ClipReportKind::Failed(f)) if f.unit == good.clip.id && f.code == "stuck"));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_unfinished_has_no_name_that_a_killed_process_would_leave() {
    let bench = Bench::new();
    let input = bench.plan(Captions::Burn).await;
    let (outbox, _said) = Collected::outbox();
    let work = bench.cut.process(input, &outbox);
    let watch = async {
        // The clip and its captions.
        while bench.held_open() < 2 {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
        bench.leftovers()
    };
    let watch = tokio::time::timeout(Duration::from_secs(60), watch);
    let (worked, left) = tokio::join!(work, watch);
    worked.unwrap();
    assert_eq!((left.unwrap(), bench.held_open()), (0, 0));
}

#[tokio::test(flavor = "multi_thread")]
async fn what_another_worker_has_taken_over_is_not_stored() {
    let bench = Bench::new();
    let input = bench.plan(Captions::File).await;
    let (outbox, said) = Collected::outbox();
    let failed = bench.cut.process(input.clone(), &outbox.claimed(Arc::new(TakenOver))).await;
    assert!(matches!(failed, Err(Failure::Retry(_))), "{failed:?}");
    assert!(said.take().is_empty());
    for kind in ["mp4", "jpg", "frame.jpg", "vtt"] {
        let name = format!("{}.{kind}", input.clip.id);
        let key = blob::key(&input.job.tenant(), input.job.video(), blob::Kind::Clip, &name);
        assert!(matches!(bench.blobs.size(&key).await, Err(Error::NotFound)), "{name}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn work_stops_when_its_pulse_does() {
    let bench = Bench::new();
    let input = bench.plan(Captions::None).await;
    let stop = CancellationToken::new();
    let said = Arc::new(Collected::default());
    let outbox = Outbox::new(said.clone(), Source { partition: 0, offset: 0 }, Pulse::new(stop.clone()));
    stop.cancel();
    let stopped = bench.cut.process(input, &outbox).await;
    assert!(matches!(stopped, Err(Failure::Retry(_))), "{stopped:?}");
    assert!(said.take().is_empty());
    assert_eq!(bench.leftovers(), 0);
}
