//! `GET /v1/recordings`: lists recordings.

use axum::Json;
use axum::extract::{Query, State};
use axum::http::HeaderMap;
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use echosphere_domain::lifecycle::Status;
use echosphere_domain::name::Name;
use echosphere_domain::time::WallTime;
use echosphere_store::{Cursor, Filter};
use serde::Deserialize;
use utoipa::IntoParams;

use super::view;
use crate::http::access::Caller;
use crate::http::problem::Problem;
use crate::http::state::SharedApp;

/// What to list.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct Params {
    /// How many at most: 1 to 200.
    #[param(minimum = 1, maximum = 200, default = 50)]
    limit: Option<u32>,
    /// `next_cursor` of the page before.
    cursor: Option<String>,
    /// Only with this status.
    status: Option<String>,
    /// Only of rooms with exactly this name.
    room_name: Option<String>,
    /// Only with exactly this session id, or with a session upload of this LiveKit job.
    session_id: Option<String>,
}

/// Lists recordings by when they began, newest first; one that has not begun stands where it was made.
#[utoipa::path(
    get, path = "/v1/recordings", tag = "recordings", operation_id = "listRecordings", params(Params),
    responses(
        (status = 200, description = "One page", body = view::Page),
        (status = 400, description = "A parameter is not valid", body = Problem, content_type = "application/problem+json"),
        (status = 401, description = "No usable credentials", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub async fn list(
    State(app): State<SharedApp>,
    caller: Caller,
    headers: HeaderMap,
    params: Result<Query<Params>, axum::extract::rejection::QueryRejection>,
) -> Result<Json<view::Page>, Problem> {
    let Query(params) = params.map_err(|error| Problem::bad_parameter(error.body_text()))?;
    let limit = params.limit.unwrap_or(50);
    if !(1..=200).contains(&limit) {
        return Err(Problem::bad_parameter(format!("limit is {limit}; it must be from 1 to 200")));
    }
    let status = params.status.map(|word| word.parse::<Status>()).transpose();
    let status = status.map_err(|error| Problem::bad_parameter(format!("status: {error}")))?;
    let after = params.cursor.as_deref().map(read_cursor).transpose()?;
    if !params.room_name.as_deref().is_none_or(|name| caller.sees_room(Some(name))) {
        return Ok(Json(view::Page { items: Vec::new(), next_cursor: None }));
    }
    // A token's room is compared whole: the beginning of a longer name may be the name of another room.
    let room_name = caller.room.clone().or_else(|| params.room_name.as_deref().map(kept));
    let filter = Filter { status, room_name, session_id: params.session_id.as_deref().map(kept) };
    app.recorder.registry.catch_up_all(&caller.project).await;
    let page = app.store.list(&caller.project, &filter, after, limit).await?;
    let base = app.base_url(&headers);
    let mut items = Vec::with_capacity(page.items.len());
    for (recording, captures) in page.items {
        items.push(super::shown(&app, &base, &caller, recording, captures).await?);
    }
    Ok(Json(view::Page { items, next_cursor: page.next.as_ref().map(write_cursor) }))
}

/// A name as it is stored with recordings.
fn kept(name: &str) -> String {
    Name::new(name).map(|name| name.text).unwrap_or_default()
}

/// Opaque to clients: `{nanoseconds}.{id}`.
fn write_cursor(cursor: &Cursor) -> String {
    URL_SAFE_NO_PAD.encode(format!("{}.{}", cursor.began_at.as_nanos(), cursor.id))
}

fn read_cursor(text: &str) -> Result<Cursor, Problem> {
    let parse = || {
        let plain = String::from_utf8(URL_SAFE_NO_PAD.decode(text).ok()?).ok()?;
        let (began_at, id) = plain.split_once('.')?;
        Some(Cursor { began_at: WallTime::from_nanos(began_at.parse().ok()?), id: id.parse().ok()? })
    };
    parse().ok_or_else(|| Problem::bad_parameter("cursor is not one that a list answered as next_cursor"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cursors_round_trip_and_others_are_refused() {
        let id = "0193a3a0-1111-7222-8333-444455556666".parse().unwrap();
        let cursor = Cursor { began_at: WallTime::from_nanos(-5), id };
        assert_eq!(read_cursor(&write_cursor(&cursor)).unwrap(), cursor);
        for text in ["", "x", "AAAA", "../.."] {
            assert!(read_cursor(text).is_err());
        }
    }
}
