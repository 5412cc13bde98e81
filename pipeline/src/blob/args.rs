//! Where blobs are kept, as an operator says it.

use std::fmt;
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::topic::MAX_RECORD_BYTES;

/// Where blobs are kept, and which bytes travel in messages instead.
#[derive(Clone, Debug, clap::Args)]
pub struct BlobArgs {
    /// The blob store: a folder of this host, or `s3://BUCKET/PREFIX`.
    ///
    /// A bucket is found and entered by the usual variables: AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY and
    /// AWS_SESSION_TOKEN, else the role of the machine or pod; AWS_REGION; for a server that is not Amazon's,
    /// AWS_ENDPOINT (`http` only with AWS_ALLOW_HTTP=true), which gets the bucket's name in the path, unless it holds
    /// it already and AWS_VIRTUAL_HOSTED_STYLE_REQUEST=true says so.
    #[arg(long, env = "SPILLWAY_BLOBS", value_name = "PLACE")]
    pub blobs: Location,
    /// Most bytes of a segment that travel in a message, e.g. `4MiB`, at most 7MiB; larger ones go to the blob store.
    #[arg(long, env = "SPILLWAY_INLINE_MAX", default_value = "4MiB", value_parser = parse_inline_max, value_name = "SIZE")]
    pub inline_max: usize,
    /// How long a request that S3 fails is tried again before S3 counts as unavailable; the last try may take 30 s more
    /// (AWS_TIMEOUT).
    #[arg(long, env = "SPILLWAY_S3_PATIENCE", default_value = "20s", value_parser = humantime::parse_duration, value_name = "TIME")]
    pub s3_patience: Duration,
}

/// Reads a number of bytes such as `4MiB`, `512KiB` or `65536`; a record with it must stay below what topics admit.
fn parse_inline_max(text: &str) -> Result<usize, String> {
    let (number, unit) = match (text.strip_suffix("MiB"), text.strip_suffix("KiB")) {
        (Some(number), _) => (number, 1 << 20),
        (_, Some(number)) => (number, 1 << 10),
        _ => (text, 1),
    };
    let number: usize = number.trim().parse().map_err(|_| "give bytes, KiB or MiB, such as 4MiB".to_owned())?;
    // The rest of a record is a few kilobytes; a mebibyte is left for it.
    let most = MAX_RECORD_BYTES - (1 << 20);
    number.checked_mul(unit).filter(|bytes| *bytes <= most).ok_or_else(|| format!("at most {}MiB", most >> 20))
}

/// Where blobs are kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Location {
    /// A folder; serves one host.
    Folder(PathBuf),
    /// A bucket, with the usual `AWS_*` variables.
    S3 {
        /// The bucket.
        bucket: String,
        /// What every key begins with; may be empty.
        prefix: String,
    },
}

impl FromStr for Location {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = || "give the path of a folder, or s3://BUCKET/PREFIX".to_owned();
        if let Some(address) = text.strip_prefix("s3://") {
            let (bucket, prefix) = address.split_once('/').unwrap_or((address, ""));
            if bucket.is_empty() {
                return Err(expected());
            }
            return Ok(Self::S3 { bucket: bucket.to_owned(), prefix: prefix.trim_matches('/').to_owned() });
        }
        if text.is_empty() || text.contains("://") {
            return Err(expected());
        }
        Ok(Self::Folder(text.into()))
    }
}

impl fmt::Display for Location {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Folder(path) => path.display().fmt(f),
            Self::S3 { bucket, prefix } => write!(f, "s3://{bucket}/{prefix}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn places_and_sizes_parse() {
        let s3 = |bucket: &str, prefix: &str| Ok(Location::S3 { bucket: bucket.into(), prefix: prefix.into() });
        assert_eq!("/var/blobs".parse(), Ok(Location::Folder("/var/blobs".into())));
        assert_eq!("s3://media".parse(), s3("media", ""));
        assert_eq!("s3://media/spillway/eu/".parse(), s3("media", "spillway/eu"));
        for bad in ["", "s3://", "s3:///prefix", "http://host"] {
            assert!(bad.parse::<Location>().is_err(), "{bad:?}");
        }
        assert_eq!(parse_inline_max("4MiB"), Ok(4 << 20));
        assert_eq!(parse_inline_max("512KiB"), Ok(512 << 10));
        assert_eq!(parse_inline_max("0"), Ok(0));
        for bad in ["", "4MB", "-1", "8MiB", "18446744073709551615MiB"] {
            assert!(parse_inline_max(bad).is_err(), "{bad:?}");
        }
    }
}
