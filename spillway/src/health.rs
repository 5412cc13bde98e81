//! `spillway health`: asks a process whether it is well, for container images that hold no other client.

use std::process::ExitCode;
use std::time::Duration;

use anyhow::{Context, Result};
use url::Url;

/// Whom `spillway health` asks.
#[derive(clap::Args, Clone, Debug)]
pub struct HealthArgs {
    /// Where a process tells of itself: its `/livez`, or its `/readyz`, which also asks all that it needs.
    #[arg(value_name = "URL")]
    url: Url,
    /// The longest it may take to answer, e.g. `4s`.
    #[arg(long, default_value = "4s", value_parser = humantime::parse_duration, value_name = "TIME")]
    timeout: Duration,
}

/// Asks once. Exits with 0 when the process is well; otherwise prints its answer and exits with 1.
///
/// # Errors
/// When it does not answer.
pub async fn run(args: HealthArgs) -> Result<ExitCode> {
    let client = reqwest::Client::builder().no_proxy().timeout(args.timeout).build().context("make an HTTP client")?;
    let asked = async {
        let answer = client.get(args.url.clone()).send().await?;
        Ok::<_, reqwest::Error>((answer.status(), answer.text().await?))
    };
    let (status, text) = asked.await.with_context(|| format!("ask {}", args.url))?;
    if status.is_success() {
        return Ok(ExitCode::SUCCESS);
    }
    println!("{status}: {}", text.trim());
    Ok(ExitCode::FAILURE)
}
