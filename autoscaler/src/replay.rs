//! Decides over observations that were written down: a line of JSON in, a line of JSON out.

use std::io::{self, BufRead, Write};

use planning::decide::decide;
use planning::memory::Memory;
use planning::observation::Observation;
use planning::policy::Policy;

use crate::args::Bounds;

/// Why a replay ended before its input did.
#[derive(thiserror::Error, Debug)]
pub enum Error {
    /// A line is no observation.
    #[error("line {line} cannot be read as an observation: {why}")]
    Unreadable {
        /// Which line, from 1.
        line: u64,
        /// What is wrong with it, and where.
        why: String,
    },
    /// The input gave an error.
    #[error("read line {line}")]
    Read {
        /// Which line, from 1.
        line: u64,
        /// What the system said.
        source: io::Error,
    },
    /// A decision could not be written.
    #[error("write the decision on line {line}")]
    Write {
        /// Which line, from 1.
        line: u64,
        /// What the system said.
        source: io::Error,
    },
}

/// Reads an observation a line from `input` and writes a decision a line to `output`, each before the next is read. What
/// `bounds` were given take the place of those that were seen. Lines without text are passed over, and fields that are not
/// known are ignored.
///
/// # Errors
/// At the first line that is no observation; what came before it is decided.
pub fn replay(policy: &Policy, bounds: &Bounds, mut input: impl BufRead, mut output: impl Write) -> Result<(), Error> {
    let mut memory = Memory::default();
    let mut text = Vec::new();
    for line in 1.. {
        text.clear();
        let read = input.read_until(b'\n', &mut text).map_err(|source| Error::Read { line, source })?;
        if read == 0 {
            break;
        }
        if text.trim_ascii().is_empty() {
            continue;
        }
        let mut seen: Observation =
            serde_json::from_slice(&text).map_err(|error| Error::Unreadable { line, why: why(&error) })?;
        bounds.put_into(&mut seen);
        let decision = decide(policy, &mut memory, &seen);
        serde_json::to_writer(&mut output, &decision)
            .map_err(io::Error::from)
            .and_then(|()| output.write_all(b"\n"))
            .and_then(|()| output.flush())
            .map_err(|source| Error::Write { line, source })?;
    }
    Ok(())
}

/// Says what is wrong with one line: its number is that of the input, not the one that the reader of JSON counts.
fn why(error: &serde_json::Error) -> String {
    let text = error.to_string();
    let said = text.split(" at line 1 column ").next().unwrap_or_default();
    format!("{said} (column {})", error.column())
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    const SEEN: &str = r#"{"at":125.0,"unknown":{"a":[1]},"stages":[{"stage":"analyze",
        "lanes":[{"lane":"standard","partitions":240,"end_offset_total":1042,"committed_total":1030,"arrived_total":42,
        "head_age_s":3.5}],"workers":{"ready":9,"busy":9,"starting":[{"ready_in_s":40.0}],"draining":1},
        "replicas":10,"min_replicas":1,"max_replicas":400,"slots_per_worker":1,"slots_busy":10,"wait_slo_s":120,
        "done_total":30,"busy_seconds_total":1790.2,"work_done_media_s_total":9011.0}]}"#;

    #[derive(Parser)]
    struct Alone {
        #[command(flatten)]
        bounds: Bounds,
    }

    fn replayed(input: &str) -> (Vec<serde_json::Value>, Option<Error>) {
        replayed_within(&[], input)
    }

    fn replayed_within(flags: &[&str], input: &str) -> (Vec<serde_json::Value>, Option<Error>) {
        let Alone { bounds } = Alone::parse_from([&["autoscale"], flags].concat());
        let mut output = Vec::new();
        let ended = replay(&Policy::default(), &bounds, input.as_bytes(), &mut output).err();
        let lines = output.split(|byte| *byte == b'\n').filter(|line| !line.is_empty());
        (lines.map(|line| serde_json::from_slice(line).unwrap()).collect(), ended)
    }

    #[test]
    fn each_observation_has_its_decision() {
        let seen = SEEN.replace('\n', " ");
        let (decisions, ended) = replayed(&format!("{seen}\n\n  \n{seen}"));
        assert!(ended.is_none(), "{ended:?}");
        assert_eq!(decisions.len(), 2);
        assert_eq!(decisions[0]["at"], 125.0);
        let stage = &decisions[0]["stages"][0];
        assert_eq!(stage["stage"], "analyze");
        assert!(stage["replicas"].as_u64().is_some_and(|replicas| (1..=400).contains(&replicas)), "{stage}");
        assert!(stage["reason"].as_str().is_some_and(|reason| !reason.is_empty()), "{stage}");
    }

    #[test]
    fn bounds_that_are_given_take_the_place_of_those_that_were_seen() {
        let seen = SEEN.replace('\n', " ");
        let replicas = |flags: &[&str]| {
            let (decisions, ended) = replayed_within(flags, &seen);
            assert!(ended.is_none(), "{ended:?}");
            decisions[0]["stages"][0]["replicas"].as_u64().unwrap()
        };
        let as_it_was = replicas(&[]);
        assert!((2..=20).contains(&as_it_was), "{as_it_was}");
        assert_eq!(replicas(&["--max-workers", "1"]), 1);
        assert_eq!(replicas(&["--min-workers", "25"]), 25);
        assert_eq!(replicas(&["--pin", "analyze=fixed:33"]), 33);
        assert_eq!(replicas(&["--budget-per-hour", "4"]), 4);
    }

    #[test]
    fn a_line_that_is_no_observation_ends_it_by_number() {
        for wrong in ["{", "[]", "null", r#"{"at":"noon","stages":[]}"#, "\u{feff}{}", r#"{"at":1e999,"stages":[]}"#] {
            let (decisions, ended) = replayed(&format!("\n{{\"at\":1,\"stages\":[]}}\n{wrong}\n"));
            assert_eq!(decisions.len(), 1, "{wrong}");
            let told = ended.expect("an error").to_string();
            assert!(told.starts_with("line 3 cannot be read as an observation: "), "{wrong}: {told}");
        }
    }
}
