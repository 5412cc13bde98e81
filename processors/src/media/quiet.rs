//! Cuts a run of samples into pieces of about thirty seconds, each cut where it is quietest.

use super::audio::RATE;

/// The shortest piece but the last, in samples.
const EARLIEST: usize = 25 * RATE;
/// Where a cut is made when no place is quieter than another, in samples.
const WANTED: usize = 30 * RATE;
/// The longest piece, in samples.
const LATEST: usize = 35 * RATE;
/// The quiet that is looked for: about the gap between two words, in samples.
const GAP: usize = RATE / 10;
/// How finely it is looked for, in samples.
const STEP: usize = RATE / 100;

/// Collects samples and gives them back in pieces.
#[derive(Default)]
pub(crate) struct Cutter {
    waiting: Vec<i16>,
}

impl Cutter {
    /// Adds `samples`; hands every piece that is complete to `emit`.
    pub(crate) fn push<E>(
        &mut self,
        samples: &[i16],
        emit: &mut impl FnMut(Vec<i16>) -> Result<(), E>,
    ) -> Result<(), E> {
        for part in samples.chunks(LATEST) {
            self.waiting.extend_from_slice(part);
            while self.waiting.len() >= LATEST {
                let rest = self.waiting.split_off(quietest(&self.waiting));
                emit(std::mem::replace(&mut self.waiting, rest))?;
            }
        }
        Ok(())
    }

    /// Takes what is left.
    pub(crate) fn finish(self) -> Option<Vec<i16>> {
        (!self.waiting.is_empty()).then_some(self.waiting)
    }
}

/// Finds the middle of the quietest gap; among equals the one nearest to [`WANTED`].
fn quietest(samples: &[i16]) -> usize {
    let energy =
        |from: usize| -> u64 { samples[from..from + GAP].iter().map(|&s| u64::from(s.unsigned_abs()).pow(2)).sum() };
    let starts = (EARLIEST..=LATEST - GAP).step_by(STEP);
    let best = starts.min_by_key(|&from| (energy(from), (from + GAP / 2).abs_diff(WANTED)));
    best.map_or(WANTED, |from| from + GAP / 2)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pieces(samples: &[i16], at_once: usize) -> Vec<Vec<i16>> {
        let mut cutter = Cutter::default();
        let mut pieces = Vec::new();
        for part in samples.chunks(at_once) {
            let mut keep = |piece| {
                pieces.push(piece);
                Ok::<(), ()>(())
            };
            cutter.push(part, &mut keep).expect("keeping cannot fail");
        }
        pieces.extend(cutter.finish());
        pieces
    }

    #[test]
    fn cuts_where_it_is_quiet() {
        let mut samples = vec![1000_i16; 60 * RATE];
        samples[27 * RATE..27 * RATE + RATE / 5].fill(3);
        let lengths: Vec<usize> = pieces(&samples, 1600).iter().map(Vec::len).collect();
        assert!((27 * RATE..27 * RATE + RATE / 5).contains(&lengths[0]), "{lengths:?}");
    }

    #[test]
    fn silence_is_cut_at_thirty_seconds() {
        let lengths: Vec<usize> = pieces(&vec![0; 100 * RATE], 777).iter().map(Vec::len).collect();
        assert_eq!(lengths, [30 * RATE, 30 * RATE, 30 * RATE, 10 * RATE]);
    }

    #[test]
    fn nothing_is_lost_however_it_arrives() {
        let samples: Vec<i16> = (0..80 * RATE).map(|i| (i * 7919 % 3001) as i16).collect();
        assert_eq!(pieces(&samples, 1024).concat(), samples);
        assert_eq!(pieces(&samples, 1024), pieces(&samples, 80 * RATE));
    }
}
