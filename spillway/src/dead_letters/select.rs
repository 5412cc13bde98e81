//! Which dead letters are meant.

use std::collections::BTreeMap;
use std::collections::btree_map::Entry;

use anyhow::{Result, bail};
use pipeline::dead_letter::{Filter, Letter, LetterId, Letters};
use pipeline::failure::Code;
use pipeline::id::{TenantId, VideoId};
use pipeline::kafka::BrokerArgs;
use pipeline::stage::StageName;
use tokio::sync::mpsc;

/// What letters have in common.
#[derive(clap::Args, Clone, Debug)]
pub struct FilterArgs {
    /// Only those of this stage.
    #[arg(long, value_name = "STAGE")]
    pub stage: Option<StageName>,
    /// Only those given up for this reason, such as `attempts_exhausted`.
    #[arg(long, value_name = "CODE", value_parser = code)]
    pub code: Option<String>,
    /// Only those of this video.
    #[arg(long, value_name = "ID", value_parser = |id: &str| id.parse::<VideoId>())]
    pub video: Option<VideoId>,
    /// Only those of this tenant.
    #[arg(long, value_name = "TENANT")]
    pub tenant: Option<TenantId>,
}

/// Which letters something is to be done with.
#[derive(clap::Args, Clone, Debug)]
pub struct Selection {
    /// Ids of letters, as `spillway dead-letters list` shows them.
    #[arg(value_name = "ID", conflicts_with_all = ["stage", "code", "video", "tenant", "everything"])]
    pub ids: Vec<LetterId>,
    #[command(flatten)]
    pub filter: FilterArgs,
    /// All that are not settled.
    #[arg(long)]
    pub everything: bool,
}

impl FilterArgs {
    /// Returns the stages whose letters are meant, in the order of the flow.
    pub fn stages(&self) -> Vec<StageName> {
        self.stage.map_or_else(|| StageName::ALL.to_vec(), |stage| vec![stage])
    }

    /// Returns what else must fit.
    pub fn filter(&self) -> Filter {
        Filter { code: self.code.clone(), video: self.video, tenant: self.tenant.clone() }
    }

    fn says_nothing(&self) -> bool {
        self.stage.is_none() && self.code.is_none() && self.video.is_none() && self.tenant.is_none()
    }
}

impl Selection {
    /// Gives each letter that is meant and open to `give`, one at a time.
    ///
    /// # Errors
    /// When nothing says which ones, one that is named is not there or settled, or the broker cannot be reached.
    pub async fn each(&self, brokers: &BrokerArgs, give: mpsc::Sender<Letter>) -> Result<()> {
        if !self.ids.is_empty() {
            return self.named(brokers, give).await;
        }
        if self.filter.says_nothing() && !self.everything {
            bail!("say which ones: give ids, --stage, --code, --video, --tenant or --everything");
        }
        let filter = self.filter.filter();
        for stage in self.filter.stages() {
            let letters = Letters::open(brokers, stage).await?;
            let mut reading = letters.read();
            while let Some(letter) = reading.next().await? {
                if letters.settled(letter.id).is_none() && filter.fits(&letter) && give.send(letter).await.is_err() {
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    async fn named(&self, brokers: &BrokerArgs, give: mpsc::Sender<Letter>) -> Result<()> {
        let mut stages: BTreeMap<StageName, Letters> = BTreeMap::new();
        for id in &self.ids {
            if let Entry::Vacant(stage) = stages.entry(id.stage) {
                stage.insert(Letters::open(brokers, id.stage).await?);
            }
        }
        // All are looked for before anything is done with the first.
        for id in &self.ids {
            if let Some(how) = stages[&id.stage].settled(*id) {
                bail!("the dead letter {id} is settled: {}", how.as_str());
            }
            stages[&id.stage].find(*id).await?;
        }
        for id in &self.ids {
            if give.send(stages[&id.stage].find(*id).await?).await.is_err() {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn code(text: &str) -> Result<String, String> {
    let known = || Code::ALL.map(Code::as_str).join(", ");
    Code::from_name(text).map(|code| code.to_string()).ok_or_else(|| format!("no such code; one of: {}", known()))
}
