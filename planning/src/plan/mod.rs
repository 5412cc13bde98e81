//! Capacity beforehand: what a load needs, costs and breaks, by the simulator over the policy that runs live.
//!
//! In the order of the flow: a [`scenario`] says what comes (videos of some [`lengths`]) and on what; [`arrivals`] draws when videos come; [`system`]
//! makes the stages and the work of it (also the system that this one replaces); [`runs`] simulates days and peaks under
//! the policy and its rivals; [`answer`] is what came of it; [`breaking`] what gives way first, and when
//! ([`carrying`]: how much load each limit carries); [`words`] says it, in a [`table`] or on
//! a [`page`]. [`emulated`] is the scenario of the load test's emulation, and [`beside`] holds the simulator against a run of it.

pub mod answer;
pub mod arrivals;
pub mod beside;
pub mod breaking;
pub mod carrying;
pub mod emulated;
pub mod lengths;
pub mod page;
pub mod runs;
pub mod scenario;
pub mod system;
pub mod table;
pub mod words;
