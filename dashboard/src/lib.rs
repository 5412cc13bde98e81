//! The dashboard: pages for the operator on call and for who plans capacity. What happens is heard from the brokers
//! ([`seen`]) and looked up in the store; who asks is known by [`access`]; each page (`page/`) is a value that is answered
//! as HTML or as JSON ([`answer`]), and parts of it are sent again while they change (`live`).

mod app;
mod args;
mod router;

pub mod access;
pub mod answer;
mod asked;
mod asset;
mod fault;
mod form;
mod problem;
mod reach;
mod say;
mod wants;

pub mod seen;

mod bar;
mod frame;
mod live;
mod page;
mod part;
mod plot;
mod written;

pub use app::{Api, App};
pub use args::DashboardArgs;
pub use reach::{ApiAt, Reach, USUAL_SERVER};
pub use router::{paths, router};
