//! Changes nothing: what would be done is logged, published and recorded.

use anyhow::Result;
use async_trait::async_trait;
use pipeline::stage::StageName;

use super::{Act, Scale, Unit};

/// Somebody else decides how many workers there are.
pub struct DryRun;

#[async_trait]
impl Act for DryRun {
    fn unit(&self) -> Unit {
        Unit::Worker
    }

    async fn current(&self, _: StageName) -> Result<Scale> {
        Ok(Scale::default())
    }

    async fn scale(&self, _: StageName, _: u32) -> Result<()> {
        Ok(())
    }
}
