//! A bucket over S3: how it is found, how long it is waited for, and in one line why it cannot be used.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow, bail};
use futures::TryStreamExt;
use object_store::aws::{AmazonS3Builder, AmazonS3ConfigKey};
use object_store::path::Path;
use object_store::prefix::PrefixStore;
use object_store::{ClientOptions, ObjectStore, RetryConfig};

use super::uploads::Uploads;

/// How long a failing request is tried again.
const PATIENCE: Duration = Duration::from_secs(20);
/// The longest one request may take, its body included: a part of 8 MiB gets through at 2.2 Mbit/s.
const REQUEST_LIMIT: Duration = Duration::from_secs(30);
/// The longest a connection may take.
const CONNECT_LIMIT: Duration = Duration::from_secs(5);

/// A bucket, and how to get into it.
#[derive(Clone)]
pub struct Bucket {
    /// Its name.
    pub name: String,
    /// What every key begins with; may be empty.
    pub prefix: String,
    /// The usual `AWS_*` variables. What they do not say of waiting is set here.
    pub variables: Vec<(String, String)>,
    /// How long a failing request is tried again before that is an error.
    pub patience: Duration,
}

impl fmt::Display for Bucket {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "s3://{}/{}", self.name, self.prefix)
    }
}

impl Bucket {
    /// Takes the `AWS_*` variables from this process's environment.
    pub(super) fn from_environment(name: &str, prefix: &str) -> Self {
        let readable =
            std::env::vars_os().filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
        let variables = readable.filter(|(name, _)| name.starts_with("AWS_")).collect();
        Self { name: name.to_owned(), prefix: prefix.to_owned(), variables, patience: PATIENCE }
    }

    /// Returns its objects, and the uploads to it.
    pub(super) fn open(&self) -> Result<(Arc<dyn ObjectStore>, Uploads)> {
        let mut client = ClientOptions::new().with_timeout(REQUEST_LIMIT).with_connect_timeout(CONNECT_LIMIT);
        let retry = RetryConfig { retry_timeout: self.patience, ..RetryConfig::default() };
        let mut builder = AmazonS3Builder::new().with_retry(retry);
        for (name, value) in &self.variables {
            match name.to_ascii_lowercase().parse() {
                Ok(AmazonS3ConfigKey::Client(key)) => client = client.with_config(key, value),
                Ok(key) => builder = builder.with_config(key, value),
                Err(_) => {} // other programs' variables begin with AWS_ too
            }
        }
        if self.says("AWS_ENDPOINT", "http://") && !self.says("AWS_ALLOW_HTTP", "true") {
            bail!("AWS_ENDPOINT is without TLS; set AWS_ALLOW_HTTP=true if that is meant");
        }
        let bucket = builder.with_client_options(client.clone()).with_bucket_name(&self.name).build()?;
        let uploads = Uploads::new(bucket.clone(), &self.prefix, &client)?;
        Ok((Arc::new(PrefixStore::new(bucket, self.prefix.as_str())), uploads))
    }

    fn says(&self, variable: &str, start: &str) -> bool {
        let set = |(name, value): &(String, String)| name == variable && value.to_ascii_lowercase().starts_with(start);
        self.variables.iter().any(set)
    }
}

/// Sees that the bucket is there and lets us in: lists what is under a key that nothing has.
///
/// # Errors
/// One line that says what to do.
pub(super) async fn check(objects: &Arc<dyn ObjectStore>) -> Result<()> {
    let listed = objects.list(Some(&Path::from("ping"))).try_next().await;
    let Err(error) = listed else { return Ok(()) };
    // A list that is refused has no kind of its own; the answer's status stands in its text.
    let said = one_line(&error);
    let says = |words: &str| said.contains(words);
    let advice = if says("404 Not Found") {
        "there is no such bucket; make it, or check AWS_ENDPOINT and AWS_REGION"
    } else if says("403 Forbidden") || says("401 Unauthorized") {
        "S3 does not let us in; check AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and what they may do"
    } else {
        "S3 does not answer as it should; check AWS_ENDPOINT"
    };
    Err(anyhow!(said).context(advice))
}

/// Says all of an error once, in one line.
fn one_line(error: &object_store::Error) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(current) = cause {
        let said = current.to_string();
        if !text.contains(&said) {
            text = format!("{text}: {said}");
        }
        cause = current.source();
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
