//! The autoscaler: sees what the stages have to do and who works on it (`observe`), decides in `planning` how many
//! workers each needs, has them there ([`act`]), and tells why. [`run`] is the loop; [`replay`] decides the same over
//! observations that were recorded.

pub mod act;
mod args;
mod clock;
mod metrics;
mod observe;
mod recall;
mod record;
pub mod replay;
mod run;

pub use args::{Bounds, PolicyArgs, RecordArgs};
pub use run::{Health, Settings, run};
