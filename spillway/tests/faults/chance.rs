//! Random choices that can be made again.

use rand::SeedableRng;
use rand::rngs::StdRng;

/// Names the seed to be used; any number.
const SEED: &str = "SPILLWAY_FAULTS_SEED";

/// Returns what chooses for the scenario `name`, and says with which seed.
pub fn chance(name: &str) -> StdRng {
    let seed = match std::env::var(SEED) {
        Ok(text) => text.parse().unwrap_or_else(|_| panic!("{SEED} must be a number, not {text:?}")),
        Err(_) => rand::random(),
    };
    println!("{name}: {SEED}={seed}");
    StdRng::seed_from_u64(seed)
}
