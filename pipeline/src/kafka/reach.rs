//! The first contact with brokers: what they know of topics, or in one line why they cannot be reached. librdkafka
//! itself only tries again and again, and says why in its log.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rdkafka::client::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::KafkaError;
use rdkafka::metadata::Metadata;
use rdkafka::producer::{BaseProducer, DeliveryResult, Producer as _, ProducerContext};
use rdkafka::types::RDKafkaErrorCode;
use tracing::debug;

use super::BrokerArgs;

/// How long the brokers may take to answer.
pub(super) const ANSWER_TIMEOUT: Duration = Duration::from_secs(15);
/// How long one attempt waits before it is looked whether there is any hope.
const TRY: Duration = Duration::from_secs(2);
/// How long is listened for what went wrong.
const LISTEN: Duration = Duration::from_millis(20);

/// What the brokers know.
#[derive(Clone, Debug)]
pub(super) struct Known {
    /// How many brokers there are.
    pub(super) brokers: Vec<i32>,
    /// The topics by name.
    pub(super) topics: BTreeMap<String, Vec<Copies>>,
}

/// On how many brokers a partition is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Copies {
    /// As it should be.
    pub(super) assigned: usize,
    /// Up to date.
    pub(super) in_sync: usize,
}

/// Asks the brokers what they know.
///
/// # Errors
/// One line: where they should be, and why they cannot be reached. What trying again does not change is told at once.
pub(super) async fn known(brokers: &BrokerArgs) -> Result<Known> {
    let (mut config, address) = (brokers.client()?, brokers.brokers.clone());
    config.set("log.connection.close", "true").set_log_level(RDKafkaLogLevel::Info);
    let asked = tokio::task::spawn_blocking(move || {
        let client = config.create_with_context(Ears::default()).context("make a Kafka client")?;
        ask(&client).map(|metadata| Known::of(&metadata))
    });
    // The client keeps to its own limits, unless it hangs.
    let known = match tokio::time::timeout(2 * ANSWER_TIMEOUT, asked).await {
        Ok(known) => known?,
        Err(_) => Err(anyhow!("the client hangs")),
    };
    known.with_context(|| format!("reach Kafka at {address}"))
}

fn ask(client: &BaseProducer<Ears>) -> Result<Metadata> {
    let begun = Instant::now();
    loop {
        let error = match client.client().fetch_metadata(None, TRY) {
            Ok(metadata) => return Ok(metadata),
            Err(error) => error,
        };
        client.poll(LISTEN);
        let heard = client.context().heard.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(advice) = heard.hopeless {
            bail!("{advice} ({})", heard.last);
        }
        if begun.elapsed() >= ANSWER_TIMEOUT {
            let last = if heard.last.is_empty() { error.to_string() } else { heard.last };
            return Err(anyhow!("no answer within {ANSWER_TIMEOUT:?} ({last})"));
        }
    }
}

impl Known {
    fn of(metadata: &Metadata) -> Self {
        let topics = metadata.topics().iter().map(|topic| {
            let copies = |p: &rdkafka::metadata::MetadataPartition| Copies {
                assigned: p.replicas().len(),
                in_sync: p.isr().len(),
            };
            (topic.name().to_owned(), topic.partitions().iter().map(copies).collect())
        });
        Self { brokers: metadata.brokers().iter().map(|broker| broker.id()).collect(), topics: topics.collect() }
    }
}

/// What a client heard of trouble.
#[derive(Clone, Default)]
struct Heard {
    last: String,
    /// What to do, once it is clear that trying again changes nothing.
    hopeless: Option<&'static str>,
}

/// Listens to a client that is tried out.
#[derive(Default)]
struct Ears {
    heard: Mutex<Heard>,
}

impl Ears {
    fn hear(&self, code: Option<RDKafkaErrorCode>, text: &str) {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        // That all brokers are down follows from what was said before, and the first clear word counts.
        if heard.hopeless.is_some() || code == Some(RDKafkaErrorCode::AllBrokersDown) {
            return;
        }
        heard.hopeless = advice(code, text);
        heard.last = text.to_owned();
    }
}

impl ClientContext for Ears {
    fn log(&self, _: RDKafkaLogLevel, facility: &str, text: &str) {
        debug!(facility, "librdkafka: {text}");
        // That a broker hangs up is no error to librdkafka.
        if facility == "FAIL" {
            self.hear(None, text.rsplit_once("]: ").map_or(text, |(_, said)| said));
        }
    }

    fn error(&self, error: KafkaError, reason: &str) {
        self.hear(error.rdkafka_error_code(), reason);
    }
}

impl ProducerContext for Ears {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// Says what to do about trouble that does not pass by itself. Most of it has no code of its own.
fn advice(code: Option<RDKafkaErrorCode>, text: &str) -> Option<&'static str> {
    let says = |words: &str| text.contains(words);
    if code == Some(RDKafkaErrorCode::Authentication) {
        return Some("the broker does not let this user in; check --kafka-user, the password and --kafka-mechanism");
    }
    if says("certificate verify failed") {
        return Some("the broker's certificate is not trusted; name who vouches for it with --kafka-ca");
    }
    if says("alert bad certificate") || says("alert certificate required") {
        return Some("the broker asks for a certificate; give --kafka-certificate and --kafka-key");
    }
    if says("PLAINTEXT broker listener") || says("wrong version number") {
        return Some("the broker does not speak TLS at this address; check --kafka-security");
    }
    // One that restarts hangs up too, but not again and again at the first word.
    let hangs_up = says("Disconnected") && says("APIVERSION_QUERY") && says("identical error");
    (hangs_up || says("incorrect security.protocol"))
        .then_some("the broker hangs up on what it hears; check --kafka-security: it may want ssl or sasl_ssl")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_passes_by_itself_is_no_reason_to_give_up() {
        let ears = Ears::default();
        ears.hear(Some(RDKafkaErrorCode::BrokerTransportFailure), "connect refused");
        ears.hear(Some(RDKafkaErrorCode::AllBrokersDown), "1/1 brokers are down");
        let heard = ears.heard.lock().unwrap().clone();
        assert_eq!((heard.last.as_str(), heard.hopeless), ("connect refused", None));
        ears.log(RDKafkaLogLevel::Info, "FAIL", "[thrd:a]: a: Disconnected (after 1ms in state APIVERSION_QUERY)");
        assert_eq!(ears.heard.lock().unwrap().hopeless, None, "it may just restart");
        ears.hear(Some(RDKafkaErrorCode::Authentication), "invalid credentials");
        ears.hear(Some(RDKafkaErrorCode::BrokerTransportFailure), "disconnected");
        let heard = ears.heard.lock().unwrap().clone();
        assert_eq!(heard.last, "invalid credentials");
        assert!(heard.hopeless.is_some_and(|advice| advice.contains("--kafka-user")));
    }

    #[test]
    fn what_librdkafka_says_leads_to_the_flag() {
        for (said, flag) in [
            ("SSL handshake failed: error:0A000086:SSL routines::certificate verify failed: broker", "--kafka-ca"),
            ("Receive failed: error:0A000412:SSL routines::sslv3 alert bad certificate: SSL alert 42", "--kafka-key"),
            (
                "SSL connection closed by peer: connecting to a PLAINTEXT broker listener? (after 2ms",
                "--kafka-security",
            ),
            (
                "Disconnected: connection closed by peer (after 4ms in state APIVERSION_QUERY, 1 identical error(s)",
                "ssl",
            ),
        ] {
            assert!(advice(None, said).is_some_and(|advice| advice.contains(flag)), "{said}");
        }
        assert_eq!(advice(Some(RDKafkaErrorCode::Resolve), "Failed to resolve 'nohost:9092'"), None);
    }
}
