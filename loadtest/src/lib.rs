//! Load as it would come, and what came of it.
//!
//! In the order of the flow: when videos come ([`schedule`], [`chance`]) and what they are ([`mix`], [`material`], [`token`],
//! [`web`]), how they are sent ([`client`], [`drive`]) and followed ([`follow`], [`story`]), what is seen of workers and
//! machine meanwhile ([`fleet`], [`machine`]), what it comes to ([`measures`], [`quantiles`], [`verdict`], [`limits`],
//! [`report`]). What is emulated, if it is: [`spec`], [`work`], and the [`system`] around it. [`run`] is all of that by the
//! arguments in [`args`], `fairness` a scenario of its own, [`live`] what is shown meanwhile.

pub mod chance;
pub mod schedule;

pub mod material;
pub mod mix;
pub mod token;
pub mod web;

pub mod client;
pub mod drive;

pub mod follow;
pub mod story;

pub mod fleet;
pub mod machine;
pub mod observe;

pub mod limits;
pub mod measures;
pub mod quantiles;
pub mod report;
pub mod verdict;

pub mod spec;
pub mod system;
pub mod work;

pub mod args;
mod fairness;
pub mod live;
pub mod run;
mod target;
