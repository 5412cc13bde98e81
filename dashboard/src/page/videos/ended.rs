//! The videos that ended lately, as the bar counts them: by when they ended, the last first.

use futures::future::try_join_all;
use jiff::Timestamp;
use pipeline::event::EndState;
use pipeline::id::TenantId;
use pipeline::store::{MOST_EXAMINED, Result, SharedStore, State, Video, VideoFilter};

use super::merge::{Listed, SIDE_BY_SIDE};
use super::pages::{Place, Start};
use crate::seen::traffic::{Ended, Traffic};

/// A video that ended: when, its id, and whose it is.
pub type Noted = (Place, TenantId);

/// Finds what `traffic` knows to have ended since `since`, the last first: of `tenant` if one is asked for, in the state and the
/// lane that `filter` says.
pub fn noted(traffic: &Traffic, since: Timestamp, tenant: Option<&TenantId>, filter: &VideoFilter) -> Vec<Noted> {
    let fits = |ended: &&Ended| {
        filter.state.is_none_or(|state| state == state_of(ended))
            && filter.lane.is_none_or(|lane| lane == ended.lane)
            && tenant.is_none_or(|tenant| *tenant == ended.tenant)
    };
    let ended = traffic.ended_since(since.as_millisecond()).filter(fits);
    let note = |ended: &Ended| {
        let at = Timestamp::from_millisecond(ended.at_ms).ok()?;
        Some(((at, ended.video.parse().ok()?), ended.tenant.clone()))
    };
    let mut noted: Vec<Noted> = ended.filter_map(note).collect();
    noted.sort_unstable_by_key(|(place, _)| std::cmp::Reverse(*place));
    noted
}

/// Reads a page of what was `noted`: at most `limit` that pass the rest of `filter`, of at most [`MOST_EXAMINED`] rows.
///
/// # Errors
/// When the store is away.
pub async fn list(
    store: &SharedStore,
    noted: &[Noted],
    filter: &VideoFilter,
    start: Start,
    limit: usize,
) -> Result<Listed> {
    let before = start.after.map_or(0, |after| noted.partition_point(|(place, _)| *place >= after));
    let rest = &noted[before..];
    let mut listed = Listed::default();
    for some in rest[..rest.len().min(MOST_EXAMINED)].chunks(SIDE_BY_SIDE) {
        if listed.videos.len() == limit {
            break;
        }
        let rows = try_join_all(some.iter().map(|((_, video), tenant)| store.video(tenant, *video))).await?;
        for row in rows {
            if listed.videos.len() == limit {
                break;
            }
            listed.examined += 1;
            match row {
                Some(video) if passes(&video, filter) => listed.videos.push(video),
                Some(_) => {}
                None => listed.deleted += 1,
            }
        }
    }
    let last = listed.examined.checked_sub(1).and_then(|last| rest.get(last));
    listed.next =
        last.filter(|_| listed.examined < rest.len()).map(|(place, _)| Start { after: Some(*place), ..start });
    Ok(listed)
}

fn passes(video: &Video, filter: &VideoFilter) -> bool {
    let code = video.state.error.as_ref().map(|error| error.code.as_str());
    filter.from.is_none_or(|from| video.new.created_at >= from)
        && filter.error.as_deref().is_none_or(|wanted| code == Some(wanted))
}

const fn state_of(ended: &Ended) -> State {
    match ended.how {
        Some(EndState::Done) => State::Done,
        Some(EndState::Partial) => State::Partial,
        Some(EndState::Failed) => State::Failed,
        None => State::Cancelled,
    }
}
