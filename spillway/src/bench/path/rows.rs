//! The paths' numbers as rows with their targets.

use super::Paths;
use super::rebalance::SESSION_TIMEOUT;
use crate::bench::table::{Table, Target, Unit};

/// The least share of the bare pair's rate, for records of 1 MiB and more.
const LARGE_SHARE: Target = Target::AtLeast(0.8);
/// The same for small ones.
const SMALL_SHARE: Target = Target::AtLeast(0.5);
/// The most that the slowest hundredth may take, as a multiple of the bare pair's.
const MOST_P99: Target = Target::Below(1.5);
/// The most memory over an idle worker's, in MiB.
const WORKER_MIB: Target = Target::Below(100.0);
/// The longest that partitions of a dead member wait, in seconds.
const DEAD_S: Target = Target::Below(SESSION_TIMEOUT.as_secs() as f64 + 2.0);
/// The longest that partitions of a member that left wait, in seconds.
const LEFT_S: Target = Target::Below(1.0);
/// The least share of the bare server's rate.
const UPLOAD_SHARE: Target = Target::AtLeast(0.8);
/// The most memory of ingest over its idle one, in MiB.
const INGEST_MIB: Target = Target::Below(150.0);

/// Adds them to `table`.
pub fn add(table: &mut Table, paths: &Paths) {
    for rates in &paths.rates {
        let (size, target) = match rates.bytes >> 20 {
            0 => (format!("{} KiB", rates.bytes >> 10), SMALL_SHARE),
            mebibytes => (format!("{mebibytes} MiB"), LARGE_SHARE),
        };
        let group = format!("(d) records of {size} through a stage that does nothing, {} in hand", rates.slots);
        table.add(&group, "bare consumer and producer", rates.bare, Unit::PerSecond);
        table.add(&group, "runner, no claims", rates.runner, Unit::PerSecond);
        table.judge(&group, "runner beside the bare pair", rates.runner / rates.bare, Unit::Share, target);
        let name = format!("runner with claims ({}), units told", paths.claims_in);
        table.add(&group, name, rates.claimed, Unit::PerSecond);
        table.add(&group, "what claims leave of it", rates.claimed / rates.runner, Unit::Share);
    }
    add_latencies(table, paths);

    const MEMORY: &str = "(f) a worker's memory with 4 MiB records waiting in 24 partitions of each lane";
    let held = &paths.held;
    table.add(MEMORY, "records that wait", held.records as f64, Unit::Count);
    table.add(MEMORY, "idle", held.idle_mib, Unit::Mebibytes);
    let name = format!("over that at the most, {} in hand", held.slots);
    table.judge(MEMORY, name, held.peak_mib - held.idle_mib, Unit::Mebibytes, WORKER_MIB);

    const REBALANCE: &str = "(g) from a member's end until another one has served all its partitions";
    table.judge(REBALANCE, "killed, session 6 s", paths.rebalances.dead_s, Unit::Seconds, DEAD_S);
    table.judge(REBALANCE, "told to stop", paths.rebalances.left_s, Unit::Seconds, LEFT_S);

    const UPLOADS: &str = "(h) uploads";
    let uploads = &paths.uploads;
    let share = uploads.ingest_mib_s / uploads.bare_mib_s;
    table.add(UPLOADS, "bare server that writes and syncs", uploads.bare_mib_s, Unit::MebibytesPerSecond);
    table.add(UPLOADS, "ingest", uploads.ingest_mib_s, Unit::MebibytesPerSecond);
    table.judge(UPLOADS, "ingest beside the bare server", share, Unit::Share, UPLOAD_SHARE);
    table.add(UPLOADS, "ingest idle", uploads.idle_mib, Unit::Mebibytes);
    let name = format!("over that at the most, {} of 20 MiB at once", uploads.crowd);
    table.judge(UPLOADS, name, uploads.peak_mib - uploads.idle_mib, Unit::Mebibytes, INGEST_MIB);
    table.add(UPLOADS, "all of them taken after", uploads.crowd_s, Unit::Seconds);
}

fn add_latencies(table: &mut Table, paths: &Paths) {
    const GROUP: &str = "(e) from published to read behind the stage, 100 records of 1 KiB a second";
    let latencies = &paths.latencies;
    let claimed = format!("with claims ({})", paths.claims_in);
    let all = [
        ("bare", &latencies.bare),
        ("bare, reading all four lanes", &latencies.bare_lanes),
        ("runner", &latencies.runner),
        (claimed.as_str(), &latencies.claimed),
    ];
    for (name, latency) in all {
        table.add(GROUP, format!("p50, {name}"), latency.p50_ms, Unit::Milliseconds);
        table.add(GROUP, format!("p99, {name}"), latency.p99_ms, Unit::Milliseconds);
    }
    let ratio = latencies.runner.p99_ms / latencies.bare.p99_ms;
    table.judge(GROUP, "p99, runner beside the bare pair", ratio, Unit::Times, MOST_P99);
}
