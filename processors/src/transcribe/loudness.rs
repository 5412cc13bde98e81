//! How loud a piece of sound is, step by step.

use pipeline::event::Loudness;

use crate::models::transcriber::SAMPLE_RATE;

/// Samples in a step: 100 ms.
const STEP: usize = SAMPLE_RATE / 10;

/// What silence is called, in dB relative to full scale.
const SILENCE_DBFS: f32 = -100.0;

/// Measures the root mean square of every 100 ms; a rest at the end is a step too.
pub(super) fn measure(samples: &[i16]) -> Loudness {
    let dbfs = samples.chunks(STEP).map(step_dbfs).collect();
    Loudness { step_us: (STEP * 1_000_000 / SAMPLE_RATE) as i64, dbfs }
}

fn step_dbfs(samples: &[i16]) -> f32 {
    let energy: u64 = samples.iter().map(|&s| u64::from(s.unsigned_abs()).pow(2)).sum();
    let mean = energy as f64 / samples.len() as f64;
    let full_scale = f64::from(i16::MAX).powi(2);
    (10.0 * (mean / full_scale).log10()).max(SILENCE_DBFS.into()) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silence_and_full_scale_are_the_ends_of_the_range() {
        assert_eq!(measure(&[0; 3200]).dbfs, [SILENCE_DBFS; 2]);
        assert_eq!(measure(&[i16::MAX; 1700]).dbfs, [0.0; 2]);
        assert_eq!(measure(&[]).dbfs, [0.0; 0]);
    }

    #[test]
    fn half_the_amplitude_is_six_decibels_less() {
        let level = measure(&[i16::MAX / 2; 1600]).dbfs[0];
        assert!((level + 6.02).abs() < 0.01, "{level}");
    }
}
