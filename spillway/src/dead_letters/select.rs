//! Which dead letters are meant.

use anyhow::{Result, bail};
use pipeline::dead_letter::{Filter, LetterId, Selection};
use pipeline::failure::Code;
use pipeline::id::{TenantId, VideoId};
use pipeline::stage::StageName;

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
pub struct SelectionArgs {
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

impl SelectionArgs {
    /// Returns which letters are meant.
    ///
    /// # Errors
    /// When nothing says which ones.
    pub fn selection(&self) -> Result<Selection> {
        if !self.ids.is_empty() {
            return Ok(Selection::Named(self.ids.clone()));
        }
        if self.filter.says_nothing() && !self.everything {
            bail!("say which ones: give ids, --stage, --code, --video, --tenant or --everything");
        }
        Ok(Selection::Fitting { stages: self.filter.stages(), filter: self.filter.filter() })
    }
}

fn code(text: &str) -> Result<String, String> {
    let known = || Code::ALL.map(Code::as_str).join(", ");
    Code::from_name(text).map(|code| code.to_string()).ok_or_else(|| format!("no such code; one of: {}", known()))
}
