//! `spillway plan`: what a load needs, costs and breaks, by simulation.

mod args;

use std::path::Path;
use std::process::ExitCode;

use anyhow::{Context, Result};
use planning::plan::answer::{Answer, answer};
use planning::plan::beside::beside;
use planning::plan::runs::Effort;
use planning::plan::{page, table};

pub use args::PlanArgs;

/// Simulates the scenarios and prints what they come to.
///
/// # Errors
/// When an input file is not as it should be, or the page cannot be written.
pub async fn run(args: PlanArgs) -> Result<ExitCode> {
    if let Some(file) = &args.beside {
        return compare(&args, file);
    }
    let scenarios = args.scenarios()?;
    let seeds = args.seeds;
    let simulated = tokio::task::spawn_blocking(move || {
        scenarios.iter().filter_map(|scenario| answer(scenario, &Effort::all(seeds))).collect::<Vec<Answer>>()
    });
    let answers = simulated.await.context("simulate")?;
    if let Some(file) = &args.html {
        std::fs::write(file, page::page(&answers)).with_context(|| format!("write {}", file.display()))?;
    }
    if args.json {
        println!("{:#}", serde_json::json!({ "answers": answers }));
        return Ok(ExitCode::SUCCESS);
    }
    print!("{}", table::text(&answers));
    if let Some(file) = &args.html {
        println!("\nwith plots: {}", file.display());
    }
    Ok(ExitCode::SUCCESS)
}

/// Holds the simulator against a load test.
fn compare(args: &PlanArgs, file: &Path) -> Result<ExitCode> {
    let text = std::fs::read_to_string(file).with_context(|| format!("read {}", file.display()))?;
    let rows = beside(&text, args.seeds).with_context(|| format!("simulate {}", file.display()))?;
    if args.json {
        println!("{:#}", serde_json::json!({ "rows": rows }));
    } else {
        print!("{}", table::beside(&rows));
    }
    Ok(ExitCode::SUCCESS)
}
