//! The HTTP API. A request comes in by `router`, and its sender is known by `tenants`; a submission is admitted by
//! `admit` (room in the service: `load`; quotas: `quota`, `ledger`; shares: `fair`), goes through `submit`, `options` and
//! `upload` to `accept`, where bytes become a video; `status`, `events`, `analysis` and `clips` tell what became of it;
//! `sweep` does what no request waits for.

mod app;
mod bounded;
mod cached;
mod extract;
mod metrics;
mod problem;
mod router;
mod serve;
mod tenants;

mod admit;
mod fair;
mod ledger;
pub mod load;
mod quota;
mod unfinished;
pub mod watch;

mod accept;
mod incoming;
mod members;
mod name;
mod options;
mod source_url;
mod submit;
mod upload;

mod analysis;
mod clips;
mod events;
mod file;
mod forecast;
mod happened;
mod ranges;
mod status;

mod removals;
pub mod sweep;

pub use app::{App, IngestArgs, Keep, Limits, Sharing};
pub use problem::Kind;
pub use router::{openapi, router};
pub use serve::{serve, serve_on};
pub use tenants::Tenants;
