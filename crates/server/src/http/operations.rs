//! Health, metrics, and the description of the API itself.

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use metrics_exporter_prometheus::PrometheusHandle;
use serde::Serialize;
use utoipa::ToSchema;

use super::access;
use super::problem::Problem;
use super::visitor::Visitor;
use crate::app::SharedApp;

/// The process runs.
#[utoipa::path(get, path = "/healthz", tag = "operations", operation_id = "getHealth",
    responses((status = 200, description = "The process runs", body = String)))]
pub async fn healthz() -> &'static str {
    "ok\n"
}

/// What works and what does not.
#[derive(Debug, Serialize, ToSchema)]
pub struct Readiness {
    /// Whether requests can be served.
    ready: bool,
    /// `ok`, or what the database says.
    database: String,
    /// `ok`, or what object storage says.
    storage: String,
}

/// Whether requests can be served: the database takes writes, object storage takes objects, the server is not stopping.
#[utoipa::path(get, path = "/readyz", tag = "operations", operation_id = "getReadiness",
    responses((status = 200, description = "Ready", body = Readiness), (status = 503, description = "Not ready", body = Readiness)))]
pub async fn readyz(State(app): State<SharedApp>) -> Response {
    let (database, storage) = tokio::join!(app.store.ping(), app.objects.check());
    let word = |error: Option<String>| error.unwrap_or_else(|| "ok".to_owned());
    let ready = database.is_ok() && storage.is_ok() && !app.is_stopping();
    let body = Readiness {
        ready,
        database: word(database.err().map(|error| error.to_string())),
        storage: word(storage.err().map(|error| error.to_string())),
    };
    let status = if ready { StatusCode::OK } else { StatusCode::SERVICE_UNAVAILABLE };
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
    metrics::gauge!("echosphere_webhooks_open").set(app.store.open_webhooks().await? as f64);
    let kind = HeaderValue::from_static("text/plain; version=0.0.4; charset=utf-8");
    Ok(([(header::CONTENT_TYPE, kind)], handle.render()).into_response())
}
