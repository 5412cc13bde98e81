//! The autoscaler as others see it.
#![expect(clippy::unwrap_used, reason = "helpers of tests fail as tests do")]

mod cluster;
mod kube;
mod live;
