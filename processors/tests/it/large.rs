//! Large pictures and HDR ones: clips with the right colours, made by workers that stay within the memory stated in
//! `docs/memory.md`.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::{Path, PathBuf};
use std::process::Command;

use clap::Parser;
use pipeline::event::{ClipPlanned, Event, Options, VideoReady, VideoSegment, WindowGathered};
use pipeline::stage::Stage;
use processors::analyze::Analyze;
use processors::cut::{Cut, CutArgs};
use processors::moments::{Moments, MomentsArgs};
use processors::split::{Split, SplitArgs};

use crate::marked;
use crate::material::{Workshop, services_in};
use crate::variety::check_plays;
use crate::whole::{Planned, Whole, said};

/// What a worker may use beside its models, in MiB, for ordinary pictures.
const ORDINARY_MIB: u64 = 300;

/// What it may use for pictures of 3840x2160 in HDR, in MiB: ten bits take two bytes, and tone mapping works in floats.
const HDR_MIB: u64 = 400;

/// What it may use for the largest picture that is admitted, in MiB.
const LARGEST_MIB: u64 = 600;

/// Names the folder of a child's work.
const WORK: &str = "SPILLWAY_TEST_WORK";

/// Memory of a process in MiB: with its models loaded, and at the most.
#[derive(Debug)]
struct Memory {
    idle_mib: u64,
    peak_mib: u64,
}

/// Lets a process of its own run the stage called `stage` on `units`; returns what memory that took.
fn measure(whole: &Whole, stage: &str, units: &[Vec<u8>]) -> Memory {
    let shop = Workshop::new();
    shop.write("stage", stage.as_bytes());
    shop.write("home", whole.shop.path("").to_str().unwrap().as_bytes());
    for (index, unit) in units.iter().enumerate() {
        shop.write(&format!("unit-{index}"), unit);
    }
    let ran = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "large::a_worker_of_its_own", "--ignored", "--nocapture"])
        .env(WORK, shop.path(""))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&ran.stdout).into_owned();
    assert!(ran.status.success(), "{stage}: {text} {}", String::from_utf8_lossy(&ran.stderr));
    let figure = |name: &str| {
        let line = text.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_else(|| panic!("{name}: {text}"));
        line.trim().parse().unwrap()
    };
    Memory { idle_mib: figure("idle_mib"), peak_mib: figure("peak_mib") }
}

/// Reads the most memory that this process has had, in MiB.
fn peak_mib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse::<u64>().unwrap() / 1024
}

/// Reads every unit of a child's work.
fn units<E: Event>(work: &Path) -> Vec<E> {
    let files = (0..).map(|index| work.join(format!("unit-{index}"))).take_while(|path| path.exists());
    files.map(|path| E::read(&std::fs::read(path).unwrap()).unwrap()).collect()
}

/// Works on every unit, one after another as with one slot, and tells of its memory.
async fn work<S: Stage>(stage: S, units: Vec<S::In>) {
    println!("\nidle_mib {}", peak_mib());
    for unit in units {
        said(&stage, unit).await;
    }
    println!("peak_mib {}", peak_mib());
}

#[derive(Parser)]
struct Settings {
    #[command(flatten)]
    split: SplitArgs,
    #[command(flatten)]
    moments: MomentsArgs,
    #[command(flatten)]
    cut: CutArgs,
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "the other tests of this file run it, each in a process of its own"]
async fn a_worker_of_its_own() {
    let folder = PathBuf::from(std::env::var_os(WORK).expect("started by another test"));
    let home = PathBuf::from(std::fs::read_to_string(folder.join("home")).unwrap());
    let services = services_in(&home);
    let set = Settings::parse_from(["worker"]);
    match std::fs::read_to_string(folder.join("stage")).unwrap().as_str() {
        "split" => work(Split::new(services, set.split).unwrap(), units::<VideoReady>(&folder)).await,
        "analyze" => work(Analyze::new(services, Default::default()).unwrap(), units::<VideoSegment>(&folder)).await,
        "moments" => work(Moments::new(services, set.moments).unwrap(), units::<WindowGathered>(&folder)).await,
        _ => work(Cut::new(services, set.cut).unwrap(), units::<ClipPlanned>(&folder)).await,
    }
}

/// Measures the stages that hold pictures of the source, or what is known of each. Returns the most that any used beside its models.
fn workers(name: &str, whole: &Whole, planned: &Planned) -> u64 {
    let clip = planned.clips[0].clone();
    let ready = VideoReady { job: clip.job.clone(), source: clip.source.clone(), media: clip.media.clone() };
    let pieces: Vec<Vec<u8>> = planned.pieces.iter().map(prost::Message::encode_to_vec).collect();
    let windows: Vec<Vec<u8>> = planned.windows.iter().map(prost::Message::encode_to_vec).collect();
    let mut most = 0;
    for (stage, units) in [
        ("split", vec![prost::Message::encode_to_vec(&ready)]),
        ("analyze", pieces),
        ("moments", windows),
        ("cut", vec![prost::Message::encode_to_vec(&clip)]),
    ] {
        let memory = measure(whole, stage, &units);
        println!("{name:24} {stage:8} {memory:?}");
        most = most.max(memory.peak_mib - memory.idle_mib);
    }
    most
}

async fn check_memory(name: &str, source: &Path, limit_mib: u64) {
    let whole = Whole::new();
    let planned = whole.plan(source, Options::default()).await;
    let most = workers(name, &whole, &planned);
    assert!(most <= limit_mib, "{name}: {most} MiB beside the models, not {limit_mib}");
}

#[tokio::test(flavor = "multi_thread")]
async fn pictures_of_4k_fit_into_the_memory_of_a_worker() {
    let shop = Workshop::new();
    // As cameras make them: three references, three frames between.
    let encode = "-c:v libx264 -preset superfast -crf 24 -refs 3 -bf 3 -pix_fmt yuv420p";
    let source = shop.make(&format!("-f lavfi -i testsrc2=s=3840x2160:r=2:d=8 {encode}"), "uhd.mp4");
    check_memory("3840x2160 H.264", &source, ORDINARY_MIB).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_largest_pictures_fit_into_what_is_stated() {
    let shop = Workshop::new();
    let encode = "-c:v libx264 -preset ultrafast -crf 24 -refs 3 -bf 3 -pix_fmt yuv420p";
    let source = shop.make(&format!("-f lavfi -i testsrc2=s=8192x4320:r=1:d=6 {encode}"), "largest.mp4");
    check_memory("8192x4320 H.264", &source, LARGEST_MIB).await;
}

/// What it may use for the longest piece that is admitted, in MiB.
const LONGEST_MIB: u64 = 150;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes twenty minutes: the figure is published in docs/memory.md"]
async fn the_longest_piece_fits_into_what_is_stated() {
    let shop = Workshop::new();
    // All frames that are admitted between two keyframes, but one.
    let encode = "-frames:v 431999 -c:v libx264 -preset ultrafast -g 1000000 -sc_threshold 0";
    let source = shop.make(&format!("-f lavfi -i testsrc2=s=64x64:r=120:d=3600 {encode}"), "longest.mkv");
    let whole = Whole::new();
    let planned = whole.plan(&source, Options::default()).await;
    assert_eq!(planned.pieces.len(), 1);
    let most = workers("431999 frames in one piece", &whole, &planned);
    assert!(most <= LONGEST_MIB, "{most} MiB beside the models, not {LONGEST_MIB}");
}

/// What it may use for the largest picture in HDR, in MiB.
const WORST_MIB: u64 = 1200;

/// Bands from top to bottom: grey, white, red, green, blue.
const BANDS: &str = "color=c=0x808080:s=WxH:r=2:d=4,drawbox=y=ih/5:h=ih/5:c=white:t=fill,\
    drawbox=y=2*ih/5:h=ih/5:c=red:t=fill,drawbox=y=3*ih/5:h=ih/5:c=0x00ff00:t=fill,drawbox=y=4*ih/5:h=ih/5:c=blue:t=fill";

/// Makes the bands in HDR: BT.2020, 10 bit, with this transfer curve.
fn hdr(shop: &Workshop, size: (u32, u32), transfer: &str, name: &str) -> PathBuf {
    let bands = BANDS.replace("WxH", &format!("{}x{}", size.0, size.1));
    let convert = format!(
        "format=gbrp,zscale=matrixin=gbr:primariesin=bt709:transferin=bt709:npl=203:matrix=2020_ncl:primaries=2020:transfer={transfer}:range=limited,format=yuv420p10le"
    );
    let tags = format!("-color_primaries bt2020 -color_trc {transfer} -colorspace bt2020nc -color_range tv");
    let encode = "-c:v libx265 -preset ultrafast -crf 14 -x265-params log-level=none:keyint=8 -tag:v hvc1";
    shop.make(&format!("-f lavfi -i {bands} -vf {convert} {encode} {tags}"), name)
}

#[tokio::test(flavor = "multi_thread")]
async fn hdr_pictures_keep_their_colours() {
    let shop = Workshop::new();
    let whole = Whole::new();
    for transfer in ["smpte2084", "arib-std-b67"] {
        let source = hdr(&shop, (640, 360), transfer, &format!("{transfer}.mp4"));
        let (planned, finished) = whole.make(&source, Options { height: 320, ..Options::default() }).await;
        assert_eq!(planned.media.video_codec, "hevc");
        let file = &finished[0].file;
        check_plays(transfer, file);
        for tag in ["color_space", "color_primaries", "color_transfer"] {
            assert_eq!(marked::ffprobe(file, "v:0", &format!("stream={tag}")), "bt709", "{transfer}");
        }
        let picture = &marked::pictures(file)[2];
        let band = |index: f64| {
            let y = (index / 5.0 + 0.05, index / 5.0 + 0.15);
            let (u, v) = picture.place((0.2, 0.8), y);
            // `place` counts in shares of the marks' range.
            (picture.mean((0.2, 0.8), y), u * 140.0 + 59.5 - 128.0, v * 140.0 + 59.5 - 128.0)
        };
        let [grey, white, red, green, blue] = [0.0, 1.0, 2.0, 3.0, 4.0].map(band);
        println!("{transfer}: grey {grey:.0?} white {white:.0?} red {red:.0?} green {green:.0?} blue {blue:.0?}");
        for (name, (_, u, v)) in [("grey", grey), ("white", white)] {
            assert!(u.abs() < 6.0 && v.abs() < 6.0, "{transfer}: {name} has no colour: {u} {v}");
        }
        assert!(grey.0 > 50.0 && grey.0 < white.0 - 20.0 && white.0 > 150.0, "{transfer}: {grey:?} {white:?}");
        assert!(red.2 > 40.0 && red.1 < 0.0, "{transfer}: red {red:?}");
        assert!(green.1 < -20.0 && green.2 < -20.0, "{transfer}: green {green:?}");
        assert!(blue.1 > 40.0 && blue.2 < 10.0, "{transfer}: blue {blue:?}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn hdr_pictures_of_4k_fit_into_what_is_stated() {
    let shop = Workshop::new();
    let source = hdr(&shop, (3840, 2160), "smpte2084", "uhd.mp4");
    check_memory("3840x2160 HEVC, PQ", &source, HDR_MIB).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes a minute: the figure is published in docs/memory.md"]
async fn the_worst_picture_fits_into_what_is_stated() {
    let shop = Workshop::new();
    let source = hdr(&shop, (8192, 4320), "smpte2084", "worst.mp4");
    check_memory("8192x4320 HEVC, PQ", &source, WORST_MIB).await;
}
