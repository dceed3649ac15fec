//! `/healthz`, `/readyz` and `/metrics`: whether the server works, and what it has counted.

use std::time::{Duration, Instant};

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use echosphere_store::UploadState;
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use utoipa::ToSchema;

use super::access;
use super::problem::Problem;
use super::visitor::Visitor;
use crate::clock::{self, rfc3339};
use crate::http::state::SharedApp;
use crate::uploads::arrivals::Left;

/// The process runs.
#[utoipa::path(get, path = "/healthz", tag = "operations", operation_id = "getHealth",
    responses((status = 200, description = "The process runs", body = String)))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// What works and what does not. The log says why not: anybody may ask this.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Readiness {
    /// Whether requests can be served.
    ready: bool,
    /// `ok` or `failing`.
    database: &'static str,
    /// `ok` or `failing`.
    storage: &'static str,
    /// Session uploads that only this machine has until object storage takes them; `null` when the database does not say. They do not make
    /// the server unready: it takes requests, and they go to storage by themselves.
    uploads_waiting: Option<UploadsWaiting>,
}

/// Session uploads that were received, and that object storage does not have yet. Those whose senders wait for their answer do not count.
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct UploadsWaiting {
    /// How many.
    count: u64,
    /// When the first of them came (RFC 3339).
    since: Option<String>,
}

impl From<Left> for UploadsWaiting {
    fn from(left: Left) -> Self {
        Self { count: left.count, since: left.since.map(rfc3339) }
    }
}

/// How long the result of a check is reused: each check writes to the disk.
const FRESH: Duration = Duration::from_secs(2);

/// The result of the last check.
#[derive(Debug, Default)]
pub struct Health {
    found: tokio::sync::Mutex<Option<(Instant, Readiness)>>,
}

impl Health {
    /// The result of a check that is at most [`FRESH`] old. Requests that come at the same time share one check.
    async fn of(&self, app: &SharedApp) -> Readiness {
        let mut found = self.found.lock().await;
        if let Some((_, known)) = found.as_ref().filter(|(at, _)| at.elapsed() < FRESH) {
            return known.clone();
        }
        let left = app.uploads.arrivals.left(app.store.as_ref());
        let (database, storage, left) = tokio::join!(app.store.ping(), app.objects.check(), left);
        let was_ready = found.as_ref().is_none_or(|(_, known)| known.ready);
        let (database, storage) = (database.map_err(|e| e.to_string()), storage.map_err(|e| e.to_string()));
        if was_ready && let Some(error) = database.as_ref().err().or(storage.as_ref().err()) {
            tracing::error!(error, "requests cannot be served now");
        }
        let word = |works: bool| if works { "ok" } else { "failing" };
        let (database, storage) = (database.is_ok(), storage.is_ok());
        let now = Readiness {
            ready: database && storage,
            database: word(database),
            storage: word(storage),
            uploads_waiting: left.ok().map(UploadsWaiting::from),
        };
        *found = Some((Instant::now(), now.clone()));
        now
    }
}

/// Whether requests can be served: the database takes writes, object storage takes objects, the server is not stopping. Looked at
/// every 2 s at most.
#[utoipa::path(get, path = "/readyz", tag = "operations", operation_id = "getReadiness",
    responses((status = 200, description = "Ready", body = Readiness), (status = 503, description = "Not ready", body = Readiness)))]
pub async fn readyz(State(app): State<SharedApp>) -> Response {
    let found = app.health.of(&app).await;
    let body = Readiness { ready: found.ready && !app.stop.is_cancelled(), ..found };
    let status = if body.ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
    (status, Json(body)).into_response()
}

/// Metrics in Prometheus's text format: counts of all projects, no names. For any credentials that are not narrowed to a room; for
/// everybody with `metrics.public`.
#[utoipa::path(get, path = "/metrics", tag = "operations", operation_id = "getMetrics",
    responses(
        (status = 200, description = "Prometheus text format", content_type = "text/plain", body = String),
        (status = 401, description = "No usable credentials", body = Problem, content_type = "application/problem+json"),
        (status = 403, description = "The token is for one room", body = Problem, content_type = "application/problem+json"),
    ))]
pub async fn prometheus(
    State(app): State<SharedApp>,
    visitor: Visitor,
    handle: axum::Extension<PrometheusHandle>,
) -> Result<Response, Problem> {
    if !app.config.metrics_public && access::caller(&app, &visitor).await?.room.is_some() {
        return Err(Problem::forbidden("the token is for one room, and the metrics are of all"));
    }
    for (status, count) in app.store.count_by_status().await? {
        metrics::gauge!("echosphere_recordings", "status" => status.as_str()).set(count as f64);
    }
    for counts in app.store.task_counts().await? {
        let kind = counts.kind.as_str();
        metrics::gauge!("echosphere_tasks", "kind" => kind, "state" => "open").set(counts.open as f64);
        metrics::gauge!("echosphere_tasks", "kind" => kind, "state" => "dead").set(counts.dead as f64);
    }
    for state in [UploadState::Held, UploadState::Quarantined] {
        let count = app.store.count_uploads(state).await?;
        metrics::gauge!("echosphere_uploads_waiting", "state" => state.as_str()).set(count as f64);
    }
    metrics::gauge!("echosphere_sidecars_stale").set(app.store.count_stale_sidecars().await? as f64);
    let left = app.uploads.arrivals.left(app.store.as_ref()).await?;
    let age = left.since.map_or(0, |since| clock::now().as_nanos().saturating_sub(since.as_nanos()).max(0));
    metrics::gauge!("echosphere_uploads_waiting", "state" => "storage").set(left.count as f64);
    metrics::gauge!("echosphere_uploads_waiting_oldest_seconds").set(age as f64 / 1e9);
    metrics::gauge!("echosphere_webhooks_open").set(app.store.open_events().await? as f64);
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], handle.render()).into_response())
}
