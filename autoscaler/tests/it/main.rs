//! The autoscaler as others see it.

mod cluster;
mod kube;
mod live;
