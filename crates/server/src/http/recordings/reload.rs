//! Blocking playlist reload (RFC 8216bis, section 6.2.5.2): a player requests a playlist with a segment that does not exist yet,
//! and is answered as soon as it does. Otherwise a player would learn of a segment late, by up to the segment's whole length.

use std::time::Duration;

use echosphere_domain::recording::Recording;
use serde::Deserialize;
use utoipa::IntoParams;

use super::events::Watchers;
use crate::http::problem::Problem;
use crate::http::state::SharedApp;

/// How long a player waits at most before it is answered with what there is. Players give up after ten seconds.
const LONGEST: Duration = Duration::from_secs(8);

/// What a media playlist must have.
#[derive(Debug, Clone, Copy, Deserialize, IntoParams)]
pub struct Reload {
    /// The number of a segment (its media sequence number). The answer waits until the playlist has it, or the recording has
    /// ended, 8 s at most.
    #[serde(rename = "_HLS_msn")]
    pub msn: Option<u64>,
}

/// Waits until the playlist has a segment, or the recording is over, for [`LONGEST`] at most.
///
/// # Errors
/// A segment that is further away than the next but one.
pub(super) async fn wait_for(msn: u64, app: &SharedApp, recording: &Recording) -> Result<(), Problem> {
    let there = app.store.segment_index(recording.id).await?.len() as u64;
    if msn < there || recording.state.status.is_terminal() {
        return Ok(());
    }
    if msn > there + 1 {
        return Err(Problem::bad_parameter(format!("_HLS_msn is {msn}, and there are {there} segments")));
    }
    let mut newest = Watchers::subscribe(app, recording);
    let listed =
        newest.wait_for(|newest| newest.as_ref().is_some_and(|newest| newest.segments as u64 > msn || newest.is_over));
    tokio::select! {
        _ = tokio::time::timeout(LONGEST, listed) => {}
        () = app.stop.cancelled() => {}
    }
    Ok(())
}
