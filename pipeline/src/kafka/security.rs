//! How clients prove who they are to the brokers, and the brokers to them.

use std::fs::File;
use std::path::{Path, PathBuf};

use anyhow::{Context, Result, bail};
use clap::ValueEnum;
use rdkafka::ClientConfig;

use crate::secret::Secret;

/// What is spoken with brokers, by Kafka's own names.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Protocol {
    /// Neither TLS nor a password.
    #[default]
    Plaintext,
    /// TLS.
    Ssl,
    /// A password, without TLS.
    SaslPlaintext,
    /// A password, over TLS.
    SaslSsl,
}

impl Protocol {
    const fn has_tls(self) -> bool {
        matches!(self, Self::Ssl | Self::SaslSsl)
    }

    const fn has_password(self) -> bool {
        matches!(self, Self::SaslPlaintext | Self::SaslSsl)
    }
}

/// How a password is shown to brokers.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, ValueEnum)]
pub enum Mechanism {
    /// As it is: only over TLS.
    #[value(name = "PLAIN")]
    Plain,
    /// Proven, not sent.
    #[value(name = "SCRAM-SHA-256")]
    ScramSha256,
    /// Proven, not sent.
    #[default]
    #[value(name = "SCRAM-SHA-512")]
    ScramSha512,
}

/// How brokers and clients know each other.
#[derive(clap::Args, Clone, Debug, Default)]
pub struct Security {
    /// What the brokers speak: `ssl` is TLS, `sasl_` asks for a password.
    #[arg(long, env = "SPILLWAY_KAFKA_SECURITY", value_enum, default_value_t, value_name = "PROTOCOL")]
    pub kafka_security: Protocol,
    /// How the password is proven, where one is asked for.
    #[arg(long, env = "SPILLWAY_KAFKA_MECHANISM", value_enum, default_value_t, ignore_case = true)]
    pub kafka_mechanism: Mechanism,
    /// Who connects to the brokers, where they ask for a password.
    #[arg(long, env = "SPILLWAY_KAFKA_USER", value_name = "NAME")]
    pub kafka_user: Option<String>,
    /// The password for the brokers; better given by the variable, because others can read a command line.
    #[arg(long, env = "SPILLWAY_KAFKA_PASSWORD", value_name = "PASSWORD", hide_env_values = true)]
    pub kafka_password: Option<Secret>,
    /// File with the password for the brokers, used unless the password itself is given.
    #[arg(long, env = "SPILLWAY_KAFKA_PASSWORD_FILE", value_name = "FILE")]
    pub kafka_password_file: Option<PathBuf>,
    /// PEM file of the authorities that may vouch for the brokers, where they speak TLS [default: the system's].
    #[arg(long, env = "SPILLWAY_KAFKA_CA", value_name = "FILE")]
    pub kafka_ca: Option<PathBuf>,
    /// PEM file of the certificate that is shown to the brokers, where they ask for one.
    #[arg(long, env = "SPILLWAY_KAFKA_CERTIFICATE", value_name = "FILE", requires = "kafka_key")]
    pub kafka_certificate: Option<PathBuf>,
    /// PEM file of that certificate's key.
    #[arg(long, env = "SPILLWAY_KAFKA_KEY", value_name = "FILE", requires = "kafka_certificate")]
    pub kafka_key: Option<PathBuf>,
}

impl Security {
    /// Adds what librdkafka needs to know.
    ///
    /// # Errors
    /// One line: settings that do not fit together, or a file that cannot be read.
    pub(super) fn apply(&self, config: &mut ClientConfig) -> Result<()> {
        let protocol = self.kafka_security;
        config.set("security.protocol", name_of(protocol));
        if protocol.has_password() {
            let password = Secret::find(self.kafka_password.as_ref(), self.kafka_password_file.as_deref())?;
            let (Some(user), Some(password)) = (&self.kafka_user, password) else {
                bail!(
                    "--kafka-security {} needs --kafka-user and a password (SPILLWAY_KAFKA_PASSWORD or \
                     --kafka-password-file)",
                    name_of(protocol)
                );
            };
            config.set("sasl.mechanism", name_of(self.kafka_mechanism));
            config.set("sasl.username", user).set("sasl.password", password.reveal());
        } else if self.kafka_user.is_some() {
            bail!("--kafka-user is for --kafka-security sasl_ssl or sasl_plaintext, not {}", name_of(protocol));
        }
        let files = [
            ("ssl.ca.location", "--kafka-ca", &self.kafka_ca),
            ("ssl.certificate.location", "--kafka-certificate", &self.kafka_certificate),
            ("ssl.key.location", "--kafka-key", &self.kafka_key),
        ];
        for (key, flag, file) in files {
            let Some(file) = file else { continue };
            if !protocol.has_tls() {
                bail!("{flag} is for --kafka-security ssl or sasl_ssl, not {}", name_of(protocol));
            }
            config.set(key, readable(flag, file)?);
        }
        Ok(())
    }
}

/// Returns the name that Kafka and the command line have for it.
fn name_of(value: impl ValueEnum) -> String {
    value.to_possible_value().map(|value| value.get_name().to_owned()).unwrap_or_default()
}

fn readable<'a>(flag: &str, file: &'a Path) -> Result<&'a str> {
    File::open(file).with_context(|| format!("read {flag} {}", file.display()))?;
    file.to_str().with_context(|| format!("the path of {flag} must be UTF-8"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn applied(security: &Security) -> Result<ClientConfig> {
        let mut config = ClientConfig::new();
        security.apply(&mut config)?;
        Ok(config)
    }

    #[test]
    fn settings_reach_librdkafka_by_its_names() {
        let config = applied(&Security {
            kafka_security: Protocol::SaslSsl,
            kafka_user: Some("me".to_owned()),
            kafka_password: "secret".parse().ok(),
            kafka_ca: Some("/dev/null".into()),
            ..Security::default()
        })
        .unwrap();
        let settings = [
            ("security.protocol", "sasl_ssl"),
            ("sasl.mechanism", "SCRAM-SHA-512"),
            ("sasl.username", "me"),
            ("sasl.password", "secret"),
            ("ssl.ca.location", "/dev/null"),
        ];
        for (key, value) in settings {
            assert_eq!(config.get(key), Some(value), "{key}");
        }
        assert_eq!(applied(&Security::default()).unwrap().get("security.protocol"), Some("plaintext"));
    }

    #[test]
    fn settings_that_do_not_fit_together_are_named() {
        let password = Security { kafka_security: Protocol::SaslSsl, ..Security::default() };
        let user = Security { kafka_user: Some("me".to_owned()), ..Security::default() };
        let authority = Security { kafka_ca: Some("/dev/null".into()), ..Security::default() };
        let missing =
            Security { kafka_security: Protocol::Ssl, kafka_ca: Some("/none.pem".into()), ..Security::default() };
        for (security, words) in [
            (password, "needs --kafka-user and a password"),
            (user, "--kafka-user is for"),
            (authority, "--kafka-ca is for"),
            (missing, "read --kafka-ca /none.pem"),
        ] {
            let error = applied(&security).expect_err(words).to_string();
            assert!(error.contains(words), "{error}");
        }
    }
}
