//! Which stages are scaled, and how one feeds another.

use pipeline::stage::StageName;

/// The stages that are scaled, in the order of the flow: those that work. Gatherers only record, and are few.
pub const STAGES: [StageName; 6] =
    [StageName::Fetch, StageName::Split, StageName::Transcribe, StageName::Analyze, StageName::Moments, StageName::Cut];

/// Returns the stages whose finished units become units of `stage`, at once or gathered.
pub fn fed_by(stage: StageName) -> &'static [StageName] {
    match stage {
        StageName::Split => &[StageName::Fetch],
        StageName::Transcribe | StageName::Analyze => &[StageName::Split],
        StageName::Moments => &[StageName::Transcribe, StageName::Analyze],
        StageName::Cut => &[StageName::Moments],
        StageName::Fetch | StageName::Join | StageName::Deliver | StageName::Record => &[],
    }
}

/// Reads the name of a stage that is scaled.
///
/// # Errors
/// Says which there are.
pub fn scaled(text: &str) -> Result<StageName, String> {
    let names = || STAGES.map(StageName::as_str).join(", ");
    STAGES
        .into_iter()
        .find(|stage| stage.as_str() == text)
        .ok_or_else(|| format!("no stage that is scaled; one of: {}", names()))
}
