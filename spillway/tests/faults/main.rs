//! The whole system while things break: real processes, a real broker, a real store, and a ledger of what was accepted
//! that is compared with what came out. `make test` runs a short form of each scenario; those in full are ignored
//! there and run by `make faults`, all of them on Kafka, CQL and S3. Choices are made at random: `SPILLWAY_FAULTS_SEED`
//! makes the same ones again.

mod chance;
mod first;
mod ledger;
mod samples;
mod servers;
mod system;
mod versions;

mod drain;
mod full;
mod kills;
mod once;
mod outages;
mod poison;
mod storm;
mod zombies;
