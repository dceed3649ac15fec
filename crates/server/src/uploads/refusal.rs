//! Refuses session uploads: of a deleted session, of an excluded room, and one that asks for redaction if those are refused.

use echosphere_livekit::session_upload::header::Header;
use echosphere_store::{Gone, Upload};

use super::Uploads;
use super::exclusion::{self, Answer};
use crate::config::Redaction;

/// Asks whether an upload may be kept, by its header and by what is known; `None` when it may. What must not be kept is refused
/// from now on, and what was kept of it before is erased.
pub async fn ask(
    uploads: &Uploads,
    upload: &Upload,
    header: &Header,
    room_name: Option<&str>,
) -> Result<Option<Gone>, echosphere_store::Error> {
    let session = exclusion::ids(header);
    if header.redaction_enabled && uploads.config.redaction == Redaction::Refuse {
        uploads.exclusion.refuse(&upload.project, &session, Gone::Redaction).await?;
        return Ok(Some(Gone::Redaction));
    }
    if let Some(gone) = uploads.store.upload_gone(&upload.project, &session).await? {
        if gone == Gone::Excluded {
            // It is excluded by its room; from now on by its job, too, which is all that some telemetry names.
            uploads.exclusion.refuse(&upload.project, &session, gone).await?;
        }
        return Ok(Some(gone));
    }
    for name in [header.summary.room_name.as_deref(), room_name] {
        if uploads.exclusion.ask(&upload.project, &session, name).await? == Answer::Excluded {
            uploads.exclusion.refuse(&upload.project, &session, Gone::Excluded).await?;
            return Ok(Some(Gone::Excluded));
        }
    }
    Ok(None)
}

/// Notes in the log and the metrics that an upload was refused.
pub fn note(upload: &Upload, gone: Gone) {
    let (outcome, why) = match gone {
        Gone::Deleted => ("deleted", "its session was deleted: nothing of it is kept"),
        Gone::Excluded => ("excluded", "its room is left out by excluded_rooms: nothing of it is kept"),
        Gone::Redaction => (
            "redaction_refused",
            "the session asks for redaction, which this version cannot do: nothing of it is kept (uploads.redaction)",
        ),
    };
    metrics::counter!("echosphere_uploads_total", "outcome" => outcome).increment(1);
    if gone == Gone::Redaction {
        tracing::warn!(upload = %upload.id, project = %upload.project, why, "an upload is refused");
    } else {
        tracing::info!(upload = %upload.id, project = %upload.project, why, "an upload is refused");
    }
}
