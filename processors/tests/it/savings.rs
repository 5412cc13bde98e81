//! What the savings cost: faces found and speakers held with quicker settings than could be, pictures against slower
//! presets, words heard where nobody was looked for. The tests print tables of `docs/picture.md` and `docs/speech.md`; they
//! take minutes and check nothing but that they ran.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

use std::path::Path;
use std::process::Command;
use std::sync::Arc;

use pipeline::event::{Clip, ClipPlanned, Framing, Keyframe, Options, SegmentTranscript, Word};
use pipeline::id::ClipId;
use pipeline::outbox::Pulse;
use processors::analyze::AnalyzeArgs;
use processors::media::frames::Rgb;
use processors::models::centerface::Detector;
use processors::models::pocketsphinx::{MODEL_FOLDER, PocketSphinx};
use processors::models::transcriber::{SAMPLE_RATE, Speech, Transcriber};
use tokio_util::sync::CancellationToken;

use crate::made_talk::{Area, RATE, material, talk};
use crate::material::{Workshop, job, look_at, upload};
use crate::speech::{Spoken, align, hear, lavfi, segment, stage};
use crate::talk::Faces;
use crate::watched::Small;
use crate::whole::{Planned, Whole, cpu_s};
use crate::words::spoken;

/// What one setting of `analyze` found in the talk.
struct Row {
    /// Frames looked at that have a face, and in how many of them it was found.
    looked: usize,
    found: usize,
    /// Faces found where there is none.
    false_faces: usize,
    /// Frames of the plan's clips with a face, and in how many of them the plan's crop holds it.
    shown: usize,
    held: usize,
}

fn row(planned: &Planned, faces: &Faces) -> Row {
    let mut row = Row { looked: 0, found: 0, false_faces: 0, shown: 0, held: 0 };
    for analysis in &planned.analyses {
        for at_us in &analysis.looked_us {
            let frame = (*at_us as f64 * RATE / 1e6).round() as usize;
            let truth = talk().at(frame).and_then(|lies| faces.at(&lies));
            let here: Vec<Area> = analysis.faces.iter().filter(|f| f.at_us == *at_us).map(Area::from).collect();
            let near = |truth: &Area| here.iter().filter(|face| face.overlap(truth) >= 0.4).count();
            let right = truth.as_ref().map_or(0, near);
            row.looked += usize::from(truth.is_some());
            row.found += usize::from(right > 0);
            row.false_faces += here.len() - right;
        }
    }
    for planned in &planned.clips {
        let frame = |us: i64| (us as f64 * RATE / 1e6).ceil() as usize;
        for frame in frame(planned.clip.start_us)..frame(planned.clip.end_us) {
            let Some(face) = talk().at(frame).and_then(|lies| faces.at(&lies)) else { continue };
            let at_us = (frame as f64 * 1e6 / RATE) as i64;
            let after = planned.clip.framings.partition_point(|f| f.start_us <= at_us + 600);
            row.shown += 1;
            row.held += usize::from(crop(&planned.clip.framings[after.max(1) - 1], at_us).holds(&face, 0.0));
        }
    }
    row
}

fn crop(framing: &Framing, at_us: i64) -> Area {
    let (x, y) = framing.corner(at_us);
    Area { x, y, width: framing.width, height: framing.height }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints the first table of docs/picture.md"]
async fn faces_found_by_size_and_rate() {
    let usual = AnalyzeArgs::default();
    let detector = Detector::new(&Workshop::new().services().runtime).unwrap();
    let faces = Faces::find(&detector);
    for (pixels, rate) in [
        (usual.detection_px, usual.faces_per_second),
        (usual.detection_px, RATE),
        (640, usual.faces_per_second),
        (640, RATE),
    ] {
        let (pixels_text, rate_text) = (pixels.to_string(), rate.to_string());
        let whole = Whole::with(&["--detection-px", &pixels_text, "--faces-per-second", &rate_text]);
        let planned = whole.plan(&talk().file, Options::default()).await;
        let Row { looked, found, false_faces, shown, held } = row(&planned, &faces);
        let share = |part: usize, all: usize| 100.0 * part as f64 / all.max(1) as f64;
        println!(
            "| {pixels} | {rate} | {found} of {looked}, {:.1} % | {false_faces} | {:.1} % of {shown} | {:.1} |",
            share(found, looked),
            share(held, shown),
            planned.analyze_cpu_s
        );
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints the second table of docs/picture.md"]
async fn faces_found_by_width() {
    let detector = Detector::new(&Workshop::new().services().runtime).unwrap();
    let of_picture = Faces::find(&detector).of_talker();
    for width in [16, 24, 32, 48, 64, 96] {
        let picture = (f64::from(width) / of_picture / 2.0).round() as u32 * 2;
        let mut line = format!("| {width} px |");
        for (across, down) in [(320, 180), (640, 352), (960, 544)] {
            let filter = format!(
                "fps=15,scale={picture}:-2:flags=area,pad=1280:720:700:200:gray,scale={across}:{down}:flags=bilinear"
            );
            let frames = Small::rgb(&material().join("carphone_pristine.mp4"), 0.0, &filter, (across, down));
            let seen = frames.map(|pixels| {
                let picture = Rgb { width: across, height: down, pixels };
                usize::from(!detector.detect(&picture, AnalyzeArgs::default().face_threshold).unwrap().is_empty())
            });
            let (found, all) = seen.fold((0, 0), |(found, all), one| (found + one, all + 1));
            line += &format!(" {found} of {all} |");
        }
        println!("{line}");
    }
}

/// Left edge of the crop of the clips that are compared, in pixels.
const CROP_X: f64 = 585.0;

/// Compares two videos frame by frame: structural similarity of brightness, 1 for the same.
fn ssim(file: &Path, other: &str) -> f64 {
    let done = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-i"])
        .arg(file)
        .args(other.split_whitespace())
        .args(["-an", "-f", "null", "-"])
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    let at = told.rfind("SSIM Y:").unwrap_or_else(|| panic!("{told}"));
    told[at + 7..].split_whitespace().next().unwrap().parse().unwrap()
}

fn ssim_to(file: &Path, reference: &Path) -> f64 {
    ssim(file, &format!("-i {} -lavfi [0:v][1:v]ssim", reference.display()))
}

/// Encodes `raw` as `cut` does; returns how many CPU seconds that took.
fn encode(raw: &Path, preset: &str, crf: &str, to: &Path) -> f64 {
    let adapt = if preset == "superfast" { ":b-adapt=0" } else { "" };
    let params = format!("cabac=1:8x8dct=1{adapt}");
    let settings = ["-threads", "1", "-profile:v", "high", "-x264-params", &params, "-g", "120"];
    let done = Command::new("ffmpeg")
        .args(["-hide_banner", "-nostdin", "-benchmark", "-y", "-i"])
        .arg(raw)
        .args(["-c:v", "libx264", "-preset", preset, "-crf", crf])
        .args(settings)
        .arg(to)
        .output()
        .unwrap();
    let told = String::from_utf8_lossy(&done.stderr).into_owned();
    let at = told.rfind("utime=").unwrap_or_else(|| panic!("{told}"));
    told[at + 6..].split('s').next().unwrap().parse().unwrap()
}

/// Four seconds of the talker, the camera still at a whole pixel of the clip.
async fn still_clip(whole: &Whole) -> ClipPlanned {
    const SPAN_US: (i64, i64) = (4_000_000, 8_000_000);
    let job = job(Options::default());
    let source = upload(&whole.services, &job, &talk().file).await;
    let (start_us, end_us) = SPAN_US;
    let keyframes = vec![Keyframe { at_us: start_us, x: CROP_X, y: 0.0 }];
    let framing = Framing { start_us, end_us, width: 405.0, height: 720.0, keyframes, ..Framing::default() };
    let id = ClipId::derive(job.video(), start_us, end_us).to_string();
    let clip = Clip { id, start_us, end_us, framings: vec![framing], ..Clip::default() };
    ClipPlanned { job, source, media: look_at(&talk().file).unwrap(), clip }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints the last two tables of docs/picture.md"]
async fn pictures_by_preset_and_scaler() {
    // All but lossless, so that it is what the encoder is given.
    let whole = Whole::with(&["--x264-preset", "ultrafast", "--crf", "4"]);
    let reference = whole.cut(still_clip(&whole).await).await.file;
    let raw = whole.shop.make(&format!("-i {} -an", reference.display()), "raw.y4m");
    for (preset, crf) in [
        ("ultrafast", "26"),
        ("superfast", "26"),
        ("veryfast", "26"),
        ("medium", "26"),
        ("slower", "26"),
        ("superfast", "23"),
        ("medium", "23"),
    ] {
        let made = whole.shop.path(&format!("{preset}-{crf}.mp4"));
        let cpu = encode(&raw, preset, crf, &made);
        let kib = std::fs::metadata(&made).unwrap().len() / 1024;
        println!("| {preset} | {crf} | {:.4} | {kib} KiB | {cpu:.1} |", ssim_to(&made, &raw));
    }
    // What FFmpeg's scalers make of the same crop.
    for flags in ["lanczos", "bicubic", "bilinear", "fast_bilinear", "neighbor"] {
        let scaled =
            format!("format=yuv444p,crop=405:720:{CROP_X}:0:exact=1,scale=720:1280:flags={flags},format=yuv420p");
        let other = format!(
            "-ss 3.99 -t 4 -i {} -lavfi [1:v]setpts=PTS-STARTPTS,{scaled}[b];[0:v]setpts=PTS-STARTPTS[a];[a][b]ssim=shortest=1",
            talk().file.display()
        );
        println!("| {flags} | {:.4} |", ssim(&reference, &other));
    }
}

/// What was heard of everything that is spoken.
#[derive(Default)]
struct Heard {
    words: usize,
    found: usize,
    errors: usize,
    cpu_s: f64,
}

impl Heard {
    /// Counts what `heard` has of `spoken`, which took the CPU since `before_s`.
    fn count(&mut self, spoken: &Spoken, heard: &SegmentTranscript, before_s: f64) {
        self.cpu_s += cpu_s() - before_s;
        let (errors, found) = align(spoken, heard);
        self.words += spoken.words.len();
        self.found += found.len();
        self.errors += errors;
    }
}

/// Gives all of `samples` to `transcriber`, in pieces as long as it takes.
async fn hear_all(transcriber: &PocketSphinx, samples: &[i16]) -> SegmentTranscript {
    let longest = transcriber.longest_span();
    let spans = (0..samples.len()).step_by(longest).map(|start| start..samples.len().min(start + longest)).collect();
    let speech = Speech { samples: samples.into(), spans, language: "en".to_owned() };
    let heard = transcriber.hear(speech, Pulse::new(CancellationToken::new())).await.unwrap();
    let words = heard.into_iter().map(|heard| Word { text: heard.text, ..Word::default() }).collect();
    SegmentTranscript { words, ..SegmentTranscript::default() }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints the table of docs/speech.md on where somebody speaks"]
async fn words_found_by_what_is_listened_to() {
    const AROUND_S: usize = 15;
    let folder = tempfile::tempdir().unwrap();
    let transcriber = Arc::new(PocketSphinx::open(Path::new(MODEL_FOLDER)).unwrap());
    let stage = stage(&folder, transcriber.clone());
    let chord = "aevalsrc=0.2*sin(2*PI*262*t)+0.2*sin(2*PI*330*t)+0.2*sin(2*PI*392*t)";
    for (name, around) in [
        ("nothing else", Vec::new()),
        ("silence", vec![0; AROUND_S * SAMPLE_RATE]),
        ("noise", lavfi(&format!("anoisesrc=duration={AROUND_S}:color=brown:amplitude=0.3:seed=1"))),
        ("a chord", lavfi(&format!("{chord}:d={AROUND_S}"))),
    ] {
        let (mut with, mut without) = (Heard::default(), Heard::default());
        for (_, spoken) in spoken() {
            let samples = [&around[..], &spoken.samples, &around].concat();
            let before_s = cpu_s();
            with.count(&spoken, &hear(&stage, segment(&samples, "en")).await.unwrap(), before_s);
            let before_s = cpu_s();
            without.count(&spoken, &hear_all(&transcriber, &samples).await, before_s);
        }
        let told = |heard: &Heard| format!("{} | {} | {:.1}", heard.found, heard.errors, heard.cpu_s);
        println!("| {name} | {} | {} | {} |", with.words, told(&with), told(&without));
    }
}
