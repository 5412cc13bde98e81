//! Clients that know no broker any more are told again where brokers are. A broker that stood still for longer than its
//! session is put aside by its controller, and tells of no broker at all until it is back. librdkafka 2.12 then forgets the
//! one it has, and never asks anybody again (its issue 5301). Who hears nothing where something should come asks here.

use std::ffi::CString;
use std::time::Duration;

use rdkafka::bindings::rd_kafka_brokers_add;
use rdkafka::client::{Client, ClientContext};
use rdkafka::statistics::Statistics;
use tracing::info;

use super::BrokerArgs;
use crate::lane::Lane;
use crate::topic::Topic;

/// How long a broker may take to answer before it counts as forgotten, once it has answered what was asked before: it answers
/// in order, and may keep a question for records for `fetch_wait`.
const ANSWER: Duration = Duration::from_secs(2);

/// Tells `client` the addresses of the brokers again if none answers it; blocks the calling thread until that is sure.
pub(super) fn remind<C: ClientContext>(client: &Client<C>, brokers: &BrokerArgs) {
    // Any topic will do; all of them would be much to tell.
    let topic = brokers.topic_name(Topic::WorkerReport, Lane::Standard);
    let Err(error) = client.fetch_metadata(Some(&topic), brokers.fetch_wait + ANSWER) else { return };
    // What clients were made with has no zero in it, or they could not have been.
    let Ok(addresses) = CString::new(brokers.brokers.as_str()) else { return };
    // SAFETY: the client is live, and copies the text.
    let known = unsafe { rd_kafka_brokers_add(client.native_ptr(), addresses.as_ptr()) };
    info!(%error, known, "a client of Kafka that hears nothing was told the brokers again");
}

/// Says whether a client whose statistics these are has no connection to any broker.
pub(super) fn is_cut_off(statistics: &Statistics) -> bool {
    // There are others, which stand for the group's coordinator and for nobody.
    let is_real = |source: &str| matches!(source, "learned" | "configured");
    !statistics.brokers.values().any(|broker| is_real(&broker.source) && broker.state == "UP")
}
