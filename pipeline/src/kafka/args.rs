//! How every client of the broker is set up.

use std::time::Duration;

use anyhow::Result;
use rdkafka::ClientConfig;
use rdkafka::config::RDKafkaLogLevel;

use super::security::Security;
use crate::lane::Lane;
use crate::stage::StageName;
use crate::topic::{MAX_RECORD_BYTES, Topic};

/// How much is fetched ahead of a feed, in KiB. Little: every rebalance throws it away, and it is memory.
pub(super) const PREFETCH_KIB: u32 = 4096;

/// Which of Kafka's group protocols a consumer speaks.
#[derive(Clone, Copy, PartialEq, Eq, Debug, clap::ValueEnum)]
pub enum GroupProtocol {
    /// KIP-848, Kafka 4 and later: a clean leave moves partitions in a tenth of a second.
    Consumer,
    /// The older one with cooperative-sticky assignment, for older brokers.
    Classic,
}

/// Where the broker is and how to talk to it.
#[derive(clap::Args, Clone, Debug)]
pub struct BrokerArgs {
    /// Addresses of Kafka brokers, separated by commas.
    #[arg(long, env = "SPILLWAY_BROKERS", value_name = "HOST:PORT,...", default_value = BrokerArgs::USUAL)]
    pub brokers: String,
    /// Put before the name of every topic and group, so that several installations share brokers.
    #[arg(long, env = "SPILLWAY_TOPIC_PREFIX", value_name = "TEXT", default_value = "")]
    pub topic_prefix: String,
    /// Group protocol: `consumer` needs Kafka 4.0, `classic` works with older brokers.
    #[arg(long, env = "SPILLWAY_GROUP_PROTOCOL", value_enum, default_value = "consumer")]
    pub group_protocol: GroupProtocol,
    /// How long a record may take to be acknowledged before the broker counts as unavailable.
    #[arg(long, env = "SPILLWAY_PUBLISH_TIMEOUT", default_value = "30s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub publish_timeout: Duration,
    /// How long a consumer's question for records waits at a broker that has none. Longer costs brokers less while
    /// nothing happens; partitions that move to a busy member are read that much later at worst.
    #[arg(long, env = "SPILLWAY_FETCH_WAIT", default_value = "100ms", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub fetch_wait: Duration,
    /// How brokers and clients know each other.
    #[command(flatten)]
    pub security: Security,
    /// Further librdkafka settings, such as `ssl.endpoint.identification.algorithm=none`; may be given several times.
    #[arg(long, env = "SPILLWAY_KAFKA_SETTINGS", hide_env_values = true, value_name = "KEY=VALUE", value_delimiter = ';', value_parser = setting)]
    pub kafka_setting: Vec<(String, String)>,
}

impl BrokerArgs {
    /// Where brokers are unless something else is said.
    pub const USUAL: &str = "127.0.0.1:9092";

    /// Makes the arguments for `brokers` with everything else as it is by default.
    pub fn new(brokers: impl Into<String>) -> Self {
        Self {
            brokers: brokers.into(),
            topic_prefix: String::new(),
            group_protocol: GroupProtocol::Consumer,
            publish_timeout: Duration::from_secs(30),
            fetch_wait: Duration::from_millis(100),
            security: Security::default(),
            kafka_setting: Vec::new(),
        }
    }

    /// Returns the full name of the topic of `topic`'s family for `lane`.
    pub fn topic_name(&self, topic: Topic, lane: Lane) -> String {
        format!("{}{}", self.topic_prefix, topic.name(lane))
    }

    /// Returns the full names of a family's topics, most urgent lane first.
    pub fn topic_names(&self, topic: Topic) -> Vec<String> {
        topic.names().iter().map(|name| format!("{}{name}", self.topic_prefix)).collect()
    }

    /// Returns the consumer group of `stage`.
    pub fn group(&self, stage: StageName) -> String {
        format!("{}{stage}", self.topic_prefix)
    }

    /// Returns what all clients share.
    ///
    /// # Errors
    /// As [`Security::apply`].
    pub(super) fn client(&self) -> Result<ClientConfig> {
        let mut config = ClientConfig::new();
        config
            .set("bootstrap.servers", &self.brokers)
            .set("client.id", "spillway")
            .set("message.max.bytes", MAX_RECORD_BYTES.to_string())
            // A broker that restarts is used again within half a second instead of ten.
            .set("reconnect.backoff.max.ms", "500")
            .set("log.connection.close", "false")
            .set_log_level(RDKafkaLogLevel::Warning);
        self.security.apply(&mut config)?;
        for (key, value) in &self.kafka_setting {
            config.set(key, value);
        }
        Ok(config)
    }

    /// Returns the settings of a producer that may have `buffer_kib` in flight.
    ///
    /// # Errors
    /// As [`BrokerArgs::client`].
    pub(super) fn producer(&self, buffer_kib: u32) -> Result<ClientConfig> {
        let mut config = self.client()?;
        config
            .set("acks", "all")
            .set("enable.idempotence", "true")
            .set("linger.ms", "0")
            .set("delivery.timeout.ms", self.publish_timeout.as_millis().to_string())
            // Above what our own permits let in, or sending would meet a full queue.
            .set("queue.buffering.max.kbytes", (2 * buffer_kib).to_string());
        Ok(config)
    }

    /// Returns the settings of a consumer in `group`.
    ///
    /// # Errors
    /// As [`BrokerArgs::client`].
    pub(super) fn consumer(&self, group: &str) -> Result<ClientConfig> {
        let mut config = self.client()?;
        config
            .set("group.id", group)
            .set("auto.offset.reset", "earliest")
            .set("enable.auto.commit", "true")
            .set("auto.commit.interval.ms", "500")
            .set("enable.auto.offset.store", "false")
            .set("queued.max.messages.kbytes", PREFETCH_KIB.to_string())
            .set("queued.min.messages", "10000")
            // The default of a second leaves slots idle each time the prefetch was full.
            .set("fetch.queue.backoff.ms", "1")
            // Records end the wait at once.
            .set("fetch.wait.max.ms", self.fetch_wait.as_millis().to_string())
            .set("fetch.max.bytes", MAX_RECORD_BYTES.to_string())
            .set("max.partition.fetch.bytes", "1048576")
            .set("receive.message.max.bytes", (2 * MAX_RECORD_BYTES).to_string());
        match self.group_protocol {
            GroupProtocol::Consumer => config.set("group.protocol", "consumer"),
            GroupProtocol::Classic => config.set("partition.assignment.strategy", "cooperative-sticky"),
        };
        for (key, value) in &self.kafka_setting {
            config.set(key, value);
        }
        Ok(config)
    }
}

/// Passes on what librdkafka says about itself.
pub(super) fn log(level: RDKafkaLogLevel, facility: &str, text: &str) {
    match level {
        RDKafkaLogLevel::Debug | RDKafkaLogLevel::Info | RDKafkaLogLevel::Notice => {
            tracing::debug!(facility, "librdkafka: {text}");
        }
        // A broker that is away is reported by each connection, over and over; who needs it says so itself.
        _ => tracing::info!(facility, "librdkafka: {text}"),
    }
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (key, value) = text.split_once('=').ok_or("expected KEY=VALUE")?;
    Ok((key.trim().to_owned(), value.trim().to_owned()))
}
