//! Which numbers are shown, and what each of them is to be.

use std::fmt::Write as _;

use super::floor::Floor;
use super::table::{Table, Target, Unit};
use super::told::percentile;
use super::{Measured, Pipeline, path};

/// The lengths for which the floor has a target: source and clips in seconds, and the most
/// CPU-seconds.
const FLOOR_TARGETS: [(f64, f64, f64); 2] = [(60.0, 45.0, 52.0), (600.0, 45.0, 240.0)];
/// The most CPU time of the pipeline, as a multiple of the floor's.
const MOST_CPU: Target = Target::AtMost(1.15);
/// The most time on the wall for one video, as a multiple of the floor's in one thread.
const MOST_WALL: Target = Target::AtMost(0.65);
/// The least share of the cores in use while videos wait.
const LEAST_CORES: Target = Target::AtLeast(0.85);
/// The time until `spillway dev` is ready in a new folder, in seconds.
const READY_S: Target = Target::Below(6.0);
/// What it uses with nothing to do, in cores.
const IDLE_CORES: Target = Target::Below(0.04);
/// The time of a hop from stage to stage in milliseconds, its median.
const HOP_MS: Target = Target::Below(10.0);

/// Says where and with what was measured.
pub fn heading(measured: &Measured) -> String {
    let m = &measured.machine;
    let mut text = format!(
        "spillway {} ({} build), Kafka {}, FFmpeg {}, Linux {}\n{} cores, {}; load before: {:.2}\n",
        m.spillway, m.build, m.kafka, m.ffmpeg, m.kernel, m.cores, m.processor, m.load_before
    );
    let Some(Pipeline { setup: s, floors, .. }) = &measured.pipeline else { return text };
    let _ = writeln!(
        text,
        "speech: {}; x264 {} crf {}; faces: {} looks a second in {} px",
        s.transcriber, s.x264_preset, s.crf, s.faces_per_second, s.detection_px
    );
    for floor in floors {
        let (length, clips) = (floor.duration_s, floor.clips.len());
        let (name, clips_s) = (floor.video.display(), floor.clips_s());
        let (width, height) = (floor.width, floor.height);
        let _ = writeln!(text, "{name}: {length:.1} s of {width}x{height}; clips: {clips}, {clips_s:.1} s together");
    }
    text
}

/// Puts all numbers in order.
pub fn table(measured: &Measured) -> Table {
    let mut table = Table::default();
    if let Some(pipeline) = &measured.pipeline {
        let floors = &pipeline.floors;
        for floor in floors {
            let of = if floors.len() > 1 { format!(", {}", floor.video.display()) } else { String::new() };
            add_floor(&mut table, &format!("(a) the floor: bare work, one call after another{of}"), floor);
        }
        add_service(&mut table, pipeline);
        add_hops(&mut table, pipeline);
        add_one(&mut table, pipeline);
        add_many(&mut table, pipeline);
    }
    if let Some(paths) = &measured.paths {
        path::add(&mut table, paths);
    }
    table
}

fn add_floor(table: &mut Table, group: &str, floor: &Floor) {
    let total = floor.total();
    for (name, spent) in [
        ("decode, change of picture", floor.decode),
        ("faces: what looking for them adds", floor.faces()),
        ("speech", floor.speech),
        ("encode", floor.encode),
        ("apart: probe, split, gather, plan", floor.apart),
    ] {
        table.add(group, name, spent.cpu_s, Unit::CpuSeconds);
    }
    table.add(group, "floor", total.cpu_s, Unit::CpuSeconds);
    table.add(group, "floor's wall", total.wall_s, Unit::Seconds);
    let nearest = FLOOR_TARGETS.into_iter().min_by(|a, b| far(floor, a.0).total_cmp(&far(floor, b.0)));
    if let Some((source_s, clips_s, most_cpu_s)) = nearest {
        let scaled_s = (floor.picture.cpu_s + floor.speech.cpu_s) * source_s / floor.duration_s
            + floor.encode.cpu_s * clips_s / floor.clips_s();
        let name = format!("floor, scaled to {source_s:.0} s and {clips_s:.0} s of clips");
        table.judge(group, name, scaled_s, Unit::CpuSeconds, Target::AtMost(most_cpu_s));
    }
}

/// Says how far a video's length is from `source_s`, as a ratio.
fn far(floor: &Floor, source_s: f64) -> f64 {
    (floor.duration_s / source_s).ln().abs()
}

fn add_service(table: &mut Table, measured: &Pipeline) {
    const GROUP: &str = "`spillway dev` itself";
    table.judge(GROUP, "ready after", measured.ready_s, Unit::Seconds, READY_S);
    table.judge(GROUP, "idle, broker and all workers, once warm", measured.idle_cores, Unit::Cores, IDLE_CORES);
}

fn add_hops(table: &mut Table, measured: &Pipeline) {
    const GROUP: &str = "a hop: from published to begun, where the stage was idle";
    let judged = (&measured.short_hops, "short videos in turn");
    for (hops, which) in [judged, (&measured.one.idle_hops, "one video, cores busy")] {
        let all: Vec<f64> = hops.iter().map(|hop| hop.ms).collect();
        let (Some(median), Some(high)) = (percentile(&all, 0.5), percentile(&all, 0.95)) else { continue };
        let count = hops.len();
        let name = format!("p50, {which} ({count} hops)");
        if which == judged.1 {
            table.judge(GROUP, name, median, Unit::Milliseconds, HOP_MS);
        } else {
            table.add(GROUP, name, median, Unit::Milliseconds);
        }
        table.add(GROUP, format!("p95, {which}"), high, Unit::Milliseconds);
    }
}

fn add_one(table: &mut Table, measured: &Pipeline) {
    const GROUP: &str = "(b) the pipeline: one video";
    let (one, floor) = (&measured.one, measured.one_floor);
    table.add(GROUP, "upload to end", one.wall_s, Unit::Seconds);
    table.add(GROUP, "floor's wall, just before and after", floor.wall_s, Unit::Seconds);
    table.judge(GROUP, "upload to end, beside the floor's wall", one.wall_s / floor.wall_s, Unit::Times, MOST_WALL);
    table.add(GROUP, "upload to end as a client hears it", one.heard_s, Unit::Seconds);
    table.add(GROUP, "accepted to first segment begun", one.queue_wait_s, Unit::Seconds);
    table.add(GROUP, "upload to first clip", one.first_clip_s, Unit::Seconds);
    table.add(GROUP, "CPU, broker included", one.cpu_s, Unit::CpuSeconds);
    table.add(GROUP, "floor, just before and after", floor.cpu_s, Unit::CpuSeconds);
    table.judge(GROUP, "CPU beside the floor", one.cpu_s / floor.cpu_s, Unit::Times, MOST_CPU);
    table.add(GROUP, "cores used, whole run", one.cores_share, Unit::Share);
    table.add(GROUP, "used by others meanwhile", one.other_cores, Unit::Cores);
    table.add(GROUP, "attempts that failed", f64::from(one.retries), Unit::Count);
    let clips = &measured.floors[0].clips;
    let same = one.clips.iter().filter(|clip| clips.contains(clip)).count();
    let all = one.clips.len().max(clips.len());
    table.judge(GROUP, "clips the same as the floor's", same as f64 / all as f64, Unit::Share, Target::AtLeast(1.0));
}

fn add_many(table: &mut Table, measured: &Pipeline) {
    const GROUP: &str = "(c) the pipeline: many videos at once";
    let (Some(many), Some(floor)) = (&measured.many, measured.many_floor) else { return };
    let videos = many.videos as f64;
    table.add(GROUP, "videos", videos, Unit::Count);
    table.add(GROUP, "first upload to last end", many.wall_s, Unit::Seconds);
    table.add(GROUP, "videos an hour", many.videos_per_hour, Unit::Count);
    table.add(GROUP, "CPU a video, broker included", many.cpu_s / videos, Unit::CpuSeconds);
    table.add(GROUP, "floor, just before and after", floor.cpu_s / videos, Unit::CpuSeconds);
    table.judge(GROUP, "CPU beside the floor", many.cpu_s / floor.cpu_s, Unit::Times, MOST_CPU);
    table.add(GROUP, "first upload to last unit begun", many.queued_s, Unit::Seconds);
    table.judge(GROUP, "cores used in that time", many.cores_share, Unit::Share, LEAST_CORES);
    table.add(GROUP, "used by others meanwhile", many.other_cores, Unit::Cores);
    table.add(GROUP, "attempts that failed", f64::from(many.retries), Unit::Count);
}
