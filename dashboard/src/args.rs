//! What an operator sets.

use std::path::PathBuf;

use pipeline::secret::Secret;

/// How the pages are served, and what they count with.
#[derive(clap::Args, Clone, Debug)]
pub struct DashboardArgs {
    /// Key of operators, who may change things. Without any key everybody is one, and only this host may be listened on.
    #[arg(long, env = "SPILLWAY_OPERATOR_KEY", hide_env_values = true, value_name = "KEY")]
    pub operator_key: Option<Secret>,
    /// File with the key of operators.
    #[arg(long, env = "SPILLWAY_OPERATOR_KEY_FILE", value_name = "FILE", conflicts_with = "operator_key")]
    pub operator_key_file: Option<PathBuf>,
    /// Key of readers, who see everything and change nothing.
    #[arg(long, env = "SPILLWAY_READER_KEY", hide_env_values = true, value_name = "KEY")]
    pub reader_key: Option<Secret>,
    /// File with the key of readers.
    #[arg(long, env = "SPILLWAY_READER_KEY_FILE", value_name = "FILE", conflicts_with = "reader_key")]
    pub reader_key_file: Option<PathBuf>,
    /// Price of one slot (a worker with one unit in hand) for an hour, in dollars [default: that of `spillway plan`].
    #[arg(long, env = "SPILLWAY_SLOT_PRICE", value_name = "PRICE", value_parser = price)]
    pub slot_price: Option<f64>,
    /// Folder in which `spillway loadtest` keeps its reports [default: `spillway/reports` in the user's data folder].
    #[arg(long, env = "SPILLWAY_REPORTS", value_name = "FOLDER")]
    pub reports: Option<PathBuf>,
}

fn price(text: &str) -> Result<f64, String> {
    let price = text.parse().ok().filter(|price| (0.0..1e6).contains(price));
    price.ok_or_else(|| "must be a number of 0 or more".to_owned())
}
