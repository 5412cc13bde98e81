//! Shots: hard cuts are found in made-up material, and nothing else is taken for one.

use std::path::{Path, PathBuf};

use processors::moments::shots::{Opening, Shot, shots};

use crate::material::Workshop;
use crate::seeing::see;

/// How far from the truth a cut may be found: two frames at 25 a second.
const TOLERANCE_S: f64 = 0.09;

const FORMAT: &str = "scale=320:180,setsar=1,fps=25,format=yuv420p";
const ENCODE: &str = "-c:v libx264 -preset veryfast -crf 23 -g 50 -bf 2 -pix_fmt yuv420p";

/// A piece of material: FFmpeg's own sources, each with its kind of motion, light and texture.
fn source(index: usize) -> &'static str {
    const SOURCES: [&str; 10] = [
        "testsrc2=s=320x180:r=25",
        "mandelbrot=s=320x180:r=25:start_scale=0.3",
        "smptehdbars=s=320x180:r=25,hue=H=0.6*t",
        "gradients=s=320x180:r=25:speed=0.02:seed=7:nb_colors=4",
        "life=s=320x180:r=25:mold=20:ratio=0.3:seed=3:death_color=#803020:life_color=#e0e080,gblur=sigma=2",
        "cellauto=s=320x180:r=25:seed=5:rule=110,colorchannelmixer=rr=0.4:bb=1",
        "sierpinski=s=320x180:r=25:seed=11",
        "color=c=0x203858:s=320x180:r=25,format=yuv420p,noise=alls=14:allf=t,drawbox=x=40+20*t:y=60:w=60:h=80:c=0xd0a080:t=fill",
        "gradients=s=320x180:r=25:speed=0.005:seed=21:c0=0x101010:c1=0x303840,format=yuv420p,noise=alls=12:allf=t",
        "testsrc=s=320x180:r=25,hue=s=0.3,negate",
    ];
    SOURCES[index % SOURCES.len()]
}

/// Joins `seconds` of each of several sources with hard cuts; returns the file and the times of the cuts.
fn hard_cuts(shop: &Workshop, name: &str, parts: &[(usize, f64)]) -> (PathBuf, Vec<f64>) {
    let mut arguments = String::new();
    let mut graph = String::new();
    for (index, (which, seconds)) in parts.iter().enumerate() {
        arguments += &format!("-f lavfi -t {seconds} -i {} ", source(*which));
        graph += &format!("[{index}:v]{FORMAT}[v{index}];");
    }
    let labels: String = (0..parts.len()).map(|index| format!("[v{index}]")).collect();
    graph += &format!("{labels}concat=n={}:v=1[v]", parts.len());
    let file = shop.make(&format!("{arguments}-filter_complex {graph} -map [v] {ENCODE}"), name);
    let mut at = 0.0;
    let cuts = parts[..parts.len() - 1].iter().map(|(_, seconds)| {
        at += seconds;
        at
    });
    (file, cuts.collect())
}

/// What counting found and missed.
#[derive(Default, Debug)]
struct Count {
    right: usize,
    wrong: usize,
    missed: usize,
}

impl Count {
    fn f1(&self) -> f64 {
        2.0 * self.right as f64 / (2 * self.right + self.wrong + self.missed).max(1) as f64
    }

    /// Compares the cuts that were found with those that are there.
    fn compare(&mut self, name: &str, found: &[Shot], cuts: &[f64]) {
        let found: Vec<f64> = found
            .iter()
            .filter(|shot| shot.opening == Opening::Cut)
            .map(|shot| shot.range.start.as_seconds())
            .collect();
        let near = |at: f64, among: &[f64]| among.iter().any(|other| (at - other).abs() <= TOLERANCE_S);
        let wrong: Vec<f64> = found.iter().copied().filter(|at| !near(*at, cuts)).collect();
        let missed: Vec<f64> = cuts.iter().copied().filter(|at| !near(*at, &found)).collect();
        println!("{name:12} cuts {:2}  found {:2}  wrong {wrong:?}  missed {missed:?}", cuts.len(), found.len());
        self.right += cuts.len() - missed.len();
        self.wrong += wrong.len();
        self.missed += missed.len();
    }
}

async fn shots_of(shop: &Workshop, path: &Path) -> Vec<Shot> {
    let seen = see(shop, path).await;
    shots(&seen.analyses, seen.range())
}

/// Material without a cut in it: camera motion, fades, dissolves, flashes.
const UNCUT: [(&str, &str); 9] = [
    ("pan", "-f lavfi -i mandelbrot=s=1280x360:r=25:start_scale=0.5:end_scale=0.4 -t 5 -vf crop=320:180:60*t:40"),
    ("fast pan", "-f lavfi -i gradients=s=1920x180:r=25:speed=0.0001:seed=3:nb_colors=8 -t 5 -vf crop=320:180:300*t:0"),
    ("zoom", "-f lavfi -i testsrc=s=640x360:r=25:d=5 -vf zoompan=z=min(zoom+0.006\\,2):d=1:s=320x180:fps=25"),
    (
        "shake",
        "-f lavfi -i mandelbrot=s=480x300:r=25:start_scale=0.5:end_scale=0.4 -t 5 -vf crop=320:180:80+14*sin(n*1.9):50+9*sin(n*2.7)",
    ),
    (
        "fade",
        "-f lavfi -i testsrc2=s=320x180:r=25 -t 6 -vf fade=out:st=2:d=0.8:enable=lt(t\\,2.8),fade=in:st=2.8:d=0.8:enable=gte(t\\,2.8)",
    ),
    (
        "flash",
        "-f lavfi -i mandelbrot=s=320x180:r=25:start_scale=0.3 -t 6 -vf eq=brightness=if(eq(n\\,40)+eq(n\\,90)\\,0.8\\,0):eval=frame",
    ),
    (
        "long flash",
        "-f lavfi -i gradients=s=320x180:r=25:speed=0.01:seed=5 -t 6 -vf eq=brightness=if(between(n\\,60\\,63)\\,0.7\\,0):eval=frame",
    ),
    (
        "strobe",
        "-f lavfi -i testsrc=s=320x180:r=25 -t 5 -vf eq=brightness=if(between(mod(n\\,10)\\,0\\,1)*between(n\\,30\\,80)\\,0.6\\,0):eval=frame",
    ),
    ("noise", "-f lavfi -i color=c=0x181818:s=320x180:r=25 -t 5 -vf format=yuv420p,noise=alls=60:allf=t"),
];

#[tokio::test(flavor = "multi_thread")]
async fn hard_cuts_are_found_and_nothing_else_is() {
    let shop = Workshop::new();
    let mut count = Count::default();
    let suites: [(&str, Vec<(usize, f64)>); 4] = [
        ("slow", (0..10).map(|index| (index, 1.4 + 0.16 * index as f64)).collect()),
        ("mixed", (0..16).map(|index| (index * 3, 0.8 + 0.2 * (index % 5) as f64)).collect()),
        ("fast", (0..24).map(|index| (index * 7 + 1, 0.32 + 0.08 * (index % 4) as f64)).collect()),
        ("back", (0..12).map(|index| ([0, 7, 3][index % 3], 0.6)).collect()),
    ];
    for (name, parts) in suites {
        let (file, cuts) = hard_cuts(&shop, &format!("{name}.mp4"), &parts);
        count.compare(name, &shots_of(&shop, &file).await, &cuts);
    }
    for (name, arguments) in UNCUT {
        let file = shop.make(&format!("{arguments} {ENCODE}"), &format!("{}.mp4", name.replace(' ', "-")));
        count.compare(name, &shots_of(&shop, &file).await, &[]);
    }
    println!("hard cuts: {count:?}, F1 {:.3}", count.f1());
    assert!(count.f1() >= 0.95, "{count:?}");
}

/// How one piece of the mixed material goes over into the next.
#[derive(Clone, Copy, PartialEq)]
enum Passage {
    Cut,
    /// Down to black and up again, in this many seconds each.
    Fade(f64),
    /// One over the other, for this many seconds.
    Dissolve(f64),
}

/// Joins moving pieces of 2.4 s by `passages`, with flashes inside every other piece and a camera that pans in each
/// third; returns the file and the times of the hard cuts.
fn mixed(shop: &Workshop, name: &str, first: usize, passages: &[Passage]) -> (PathBuf, Vec<f64>) {
    const PIECE_S: f64 = 2.4;
    let (mut inputs, mut graph) = (String::new(), String::new());
    for index in 0..=passages.len() {
        // What dissolves must be there until the dissolve is over.
        let spare_s = if matches!(passages.get(index), Some(Passage::Dissolve(_))) { 0.2 } else { 0.0 };
        inputs += &format!("-f lavfi -t {} -i {} ", PIECE_S + spare_s, source(first + index * 3));
        let flash = if index % 2 == 1 { ",eq=brightness=if(eq(n\\,30)\\,0.7\\,0):eval=frame" } else { "" };
        let pan = if index % 3 == 2 { ",scale=480:270,crop=320:180:40*t:45" } else { "" };
        let fade = |passage: Option<&Passage>, filter: String| match passage {
            Some(Passage::Fade(_)) => filter,
            _ => String::new(),
        };
        let length = |passage: Option<&Passage>| match passage {
            Some(Passage::Fade(seconds)) => *seconds,
            _ => 0.0,
        };
        let (before, after) = (index.checked_sub(1).and_then(|i| passages.get(i)), passages.get(index));
        let up = fade(before, format!(",fade=in:st=0:d={}", length(before)));
        let down = fade(after, format!(",fade=out:st={}:d={}", PIECE_S - length(after), length(after)));
        graph += &format!("[{index}:v]{FORMAT}{pan}{flash}{up}{down},settb=1/25[p{index}];");
    }
    let (mut end_s, mut cuts, mut last) = (PIECE_S, Vec::new(), "p0".to_owned());
    for (index, passage) in passages.iter().enumerate() {
        let (next, joined) = (format!("p{}", index + 1), format!("j{index}"));
        if let Passage::Dissolve(seconds) = passage {
            let offset = end_s - seconds;
            graph += &format!(
                "[{last}][{next}]xfade=transition=fade:duration={seconds}:offset={offset:.2},settb=1/25[{joined}];"
            );
            end_s += PIECE_S - seconds;
        } else {
            graph += &format!("[{last}][{next}]concat=n=2:v=1,fps=25,settb=1/25[{joined}];");
            cuts.extend((*passage == Passage::Cut).then_some(end_s));
            end_s += PIECE_S;
        }
        last = joined;
    }
    let graph = graph.trim_end_matches(';');
    (shop.make(&format!("{inputs} -filter_complex {graph} -map [{last}] {ENCODE}"), name), cuts)
}

#[tokio::test(flavor = "multi_thread")]
async fn hard_cuts_are_told_from_all_that_is_between_them() {
    use Passage::{Cut, Dissolve, Fade};
    let shop = Workshop::new();
    let mut count = Count::default();
    let suites: [(&str, usize, Vec<Passage>); 3] = [
        ("cut, fade", 0, vec![Cut, Fade(0.6), Cut, Fade(0.32), Cut, Cut, Fade(0.8), Cut]),
        ("cut, dissolve", 1, vec![Dissolve(0.8), Cut, Cut, Dissolve(0.4), Cut, Dissolve(1.2), Cut, Cut]),
        ("all", 5, vec![Cut, Dissolve(0.6), Cut, Fade(0.4), Cut, Dissolve(1.0), Fade(0.6), Cut, Cut]),
    ];
    for (name, first, passages) in suites {
        let (file, cuts) = mixed(&shop, &format!("{}.mp4", name.replace(", ", "-")), first, &passages);
        count.compare(name, &shots_of(&shop, &file).await, &cuts);
    }
    println!("hard cuts: {count:?}, F1 {:.3}", count.f1());
    assert!(count.f1() >= 0.95, "{count:?}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_dissolve_is_an_opening_of_its_own() {
    let shop = Workshop::new();
    let first = source(1);
    let second = source(2);
    let graph = format!("[0:v]{FORMAT}[a];[1:v]{FORMAT}[b];[a][b]xfade=transition=fade:duration=0.8:offset=2.6[v]");
    let inputs = format!("-f lavfi -t 4 -i {first} -f lavfi -t 4 -i {second}");
    let file = shop.make(&format!("{inputs} -filter_complex {graph} -map [v] {ENCODE}"), "dissolve.mp4");
    let found = shots_of(&shop, &file).await;
    println!("{found:?}");
    assert_eq!(found.iter().map(|shot| shot.opening).collect::<Vec<_>>(), [Opening::Start, Opening::Dissolve]);
    assert!((found[1].range.start.as_seconds() - 3.0).abs() < 0.3);
}
