//! The talk, measured frame by frame: whoever speaks is in the picture, the camera is calm, and both better than a
//! crop from the middle.
//!
//! The truth does not come from the pipeline. `scripts/make-talk` tells where it put the talker's picture in every
//! frame; the face within that picture is found once, on each frame of the original at four times the resolution
//! that `analyze` looks at. Nor is the plan believed: where the camera was is measured on the finished clips' pixels,
//! by finding each of their frames in the talk's.

use pipeline::event::{FramingMode, Options};
use pipeline::media_time::{MediaRange, MediaTime};
use processors::media::frames::Rgb;
use processors::models::centerface::Detector;
use processors::moments::shots::shots;

use crate::made_talk::{Area, Lies, RATE, SIZE, material, talk};
use crate::watched::{Found, Small, find};
use crate::whole::{Finished, Planned, Whole};

/// Clips of 9:16.
const ASPECT: f64 = 9.0 / 16.0;

/// How exactly the camera's place can be measured, in pixels of the talk: half a pixel of what is compared.
const RIM_PX: f64 = 2.0;

/// The largest step of the crop from one frame to the next within a shot, as a share of the crop's width.
const CALM: f64 = 0.04;

/// Where the faces are in the material's own pictures, in their pixels.
pub struct Faces {
    talker: Vec<Option<Area>>,
    astronaut: Option<Area>,
}

/// Width of the material's pictures in pixels.
const TALKER_WIDTH: f64 = 176.0;
const ASTRONAUT_WIDTH: f64 = 512.0;

impl Faces {
    /// Looks at every frame of the material.
    pub fn find(detector: &Detector) -> Self {
        let look = |name: &str, filter: &str, width: usize, height: usize, scale: f64| -> Vec<Option<Area>> {
            let filter = format!("{filter},scale={width}:{height}:flags=lanczos");
            let frames = Small::rgb(&material().join(name), 0.0, &filter, (width, height));
            frames.map(|pixels| largest(detector, Rgb { width, height, pixels }, scale)).collect()
        };
        let astronaut = look("astronaut.png", "null", 512, 512, 1.0);
        Self { talker: look("carphone_pristine.mp4", "fps=30", 704, 576, 4.0), astronaut: astronaut[0] }
    }

    /// Returns the mean width of the talker's face, as a share of his picture's.
    pub fn of_talker(&self) -> f64 {
        let widths: Vec<f64> = self.talker.iter().flatten().map(|face| face.width).collect();
        widths.iter().sum::<f64>() / widths.len() as f64 / TALKER_WIDTH
    }

    /// Returns the face in a frame of the talk.
    pub fn at(&self, lies: &Lies<'_>) -> Option<Area> {
        match lies.shot.picture.as_str() {
            "carphone_pristine.mp4" => {
                // Forwards, then backwards, and so on.
                let turn = lies.frame % (2 * self.talker.len());
                let frame = turn.min(2 * self.talker.len() - 1 - turn);
                self.talker[frame].map(|face| lies.place(face, TALKER_WIDTH))
            }
            "astronaut.png" => self.astronaut.map(|face| lies.place(face, ASTRONAUT_WIDTH)),
            _ => None,
        }
    }
}

fn largest(detector: &Detector, picture: Rgb, scale: f64) -> Option<Area> {
    let found = detector.detect(&picture, 0.5).expect("detect");
    let face = found.into_iter().max_by(|a, b| (a.width * a.height).total_cmp(&(b.width * b.height)))?;
    let [x, y, width, height] = [face.x, face.y, face.width, face.height].map(|px| f64::from(px) / scale);
    Some(Area { x, y, width, height })
}

/// Counts of one clip's frames, or of all.
#[derive(Default, Debug)]
struct Count {
    speaker: usize,
    held: usize,
    held_by_centre: usize,
    walks: usize,
    shown: usize,
    shown_held: usize,
    largest_step: f64,
    differs: f64,
}

impl Count {
    fn take(&mut self, found: &[Found], first: usize, faces: &Faces) {
        let centre = Area { x: (SIZE.0 - SIZE.1 * ASPECT) / 2.0, y: 0.0, width: SIZE.1 * ASPECT, height: SIZE.1 };
        let cuts = talk().cuts();
        for (index, here) in found.iter().enumerate() {
            let frame = first + index;
            let crop = here.area(SIZE, ASPECT);
            self.differs = self.differs.max(here.differs);
            if index > 0 && !cuts.contains(&frame) {
                let step = (crop.x - found[index - 1].area(SIZE, ASPECT).x).abs() / crop.width;
                self.largest_step = self.largest_step.max(step);
                if step > CALM {
                    println!("the crop jumps by {step:.3} of its width at frame {frame}");
                }
            }
            let Some(lies) = talk().at(frame) else { continue };
            let Some(face) = faces.at(&lies) else { continue };
            let held = usize::from(crop.holds(&face, RIM_PX));
            if lies.shot.picture.starts_with("carphone") {
                self.speaker += 1;
                self.walks += usize::from(lies.shot.name == "walk");
                self.held += held;
                self.held_by_centre += usize::from(centre.holds(&face, RIM_PX));
            } else {
                self.shown += 1;
                self.shown_held += held;
            }
        }
    }
}

/// Returns the frame of the talk that a clip begins with: the first one at or after its start.
fn first_frame(clip: &Finished) -> usize {
    ((clip.clip.start_us - 600).max(0) as f64 * RATE / 1e6).ceil() as usize
}

/// Checks that the truth is true: a detector that looks at the talk itself sees the face there.
fn check_truth(detector: &Detector, faces: &Faces) {
    for frame in (70..2500).step_by(200) {
        let Some(expected) = talk().at(frame).and_then(|lies| faces.at(&lies)) else { continue };
        let from_s = (frame as f64 - 0.5) / RATE;
        let mut frames = Small::rgb(&talk().file, from_s, "scale=640:360:flags=area", (640, 360));
        let pixels = frames.next().expect("a frame");
        let seen = largest(detector, Rgb { width: 640, height: 360, pixels }, 0.5);
        let shared = seen.map_or(0.0, |seen| seen.overlap(&expected));
        assert!(shared > 0.6, "frame {frame}: seen {seen:?}, expected {expected:?}");
    }
}

fn measure(finished: &[Finished], faces: &Faces) -> Count {
    let mut count = Count::default();
    for clip in finished {
        // What is padded is not cropped; the talk has nothing that would need it.
        assert!(clip.clip.framings.iter().all(|f| f.mode() != FramingMode::Pad), "{:?}", clip.clip.framings);
        let first = first_frame(clip);
        // Half a frame early, so that rounding loses none.
        let from_s = (first as f64 - 0.5).max(0.0) / RATE;
        let found = find(&clip.file, &talk().file, from_s, ASPECT, SIZE.0 / SIZE.1);
        let length = (clip.clip.end_us - clip.clip.start_us) as f64 * RATE / 1e6;
        assert!((found.len() as f64 - length).abs() <= 1.0, "{} frames, {length} long", found.len());
        count.take(&found, first, faces);
    }
    println!("{} clips, {count:?}", finished.len());
    count
}

fn check(count: &Count) {
    assert!(count.differs < 12.0, "a frame of a clip is not in the talk's frame: {count:?}");
    let share = |part: usize, all: usize| part as f64 / all.max(1) as f64;
    assert!(share(count.held, count.speaker) >= 0.95, "{count:?}");
    assert!(share(count.held + count.shown_held, count.speaker + count.shown) >= 0.95, "{count:?}");
    assert!(count.held > count.held_by_centre, "{count:?}");
    assert!(count.largest_step <= CALM, "{count:?}");
}

/// Checks that the shots are the talk's own, to the frame.
fn check_shots(planned: &Planned) {
    let range = MediaRange::new(MediaTime::ZERO, planned.media.duration());
    let shots = shots(&planned.analyses, range);
    let found: Vec<usize> = shots[1..].iter().map(|s| (s.range.start.as_seconds() * RATE).round() as usize).collect();
    assert_eq!(found, talk().cuts());
}

#[tokio::test(flavor = "multi_thread")]
async fn the_speaker_is_in_the_picture_and_the_camera_is_calm() {
    let whole = Whole::with(&["--x264-preset", "ultrafast"]);
    let detector = Detector::new(&whole.services.runtime).expect("detector");
    let faces = Faces::find(&detector);
    assert!(faces.talker.iter().all(Option::is_some) && faces.astronaut.is_some(), "a face in every picture");
    check_truth(&detector, &faces);

    let (planned, finished) = whole.make(&talk().file, Options { height: 320, ..Options::default() }).await;
    check_shots(&planned);
    let count = measure(&finished, &faces);
    check(&count);
    // The clips cover enough of the talk, the one who walks among it.
    assert!(count.speaker > 1_200 && count.walks > 200, "{count:?}");
}
