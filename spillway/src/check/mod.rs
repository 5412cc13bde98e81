//! `spillway check`: connects to everything that is configured and says what is right and what is wrong.

mod blobs;
mod brokers;
mod row;
mod runtime;
mod store;
mod table;
mod tenants;

use std::process::ExitCode;

use anyhow::Result;
use ingest::Sharing;
use pipeline::blob::BlobArgs;
use pipeline::kafka::BrokerArgs;
use pipeline::runtime::RuntimeArgs;
use pipeline::store::StoreArgs;

/// What `spillway check` needs to know: what the roles are given.
#[derive(clap::Args, Clone, Debug)]
pub struct CheckArgs {
    /// Print a JSON array of objects with `what`, `where`, `ok`, `detail` and, where something is wrong, `advice`.
    #[arg(long)]
    json: bool,
    #[command(flatten, next_help_heading = "Brokers")]
    brokers: BrokerArgs,
    #[command(flatten, next_help_heading = "Store")]
    store: StoreArgs,
    #[command(flatten, next_help_heading = "Blobs")]
    blobs: BlobArgs,
    #[command(flatten, next_help_heading = "Tenants")]
    sharing: Sharing,
    #[command(flatten, next_help_heading = "Run-time files")]
    runtime: RuntimeArgs,
}

/// Looks at everything at once. Exits with 0 when all is right, 1 when something is wrong.
///
/// # Errors
/// When the result cannot be printed.
pub async fn run(args: CheckArgs) -> Result<ExitCode> {
    let (brokers, store, blobs) =
        tokio::join!(brokers::rows(&args.brokers), store::rows(&args.store), blobs::rows(&args.blobs));
    let runtime = runtime::rows(&args.runtime);
    let rows = [brokers, store, blobs, tenants::rows(&args.sharing), runtime].concat();
    if args.json {
        println!("{}", serde_json::to_string_pretty(&rows)?);
    } else {
        print!("{}", table::table(&rows));
    }
    Ok(if rows.iter().all(|row| row.ok) { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}
