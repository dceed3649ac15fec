//! The HTTP interface: the routes of the API and the pages, authentication, and the form of errors.

pub mod access;
mod cookie;
mod login;
mod message;
mod observability;
mod operations;
mod pages;
pub mod problem;
mod recording_id;
mod recordings;
pub mod state;
mod uploads;
mod visitor;
mod webhook;

use axum::Router;
use axum::body::Body;
use axum::extract::{DefaultBodyLimit, Request, State};
use axum::http::{HeaderValue, Method, Uri, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::routing::{get, post};
use metrics_exporter_prometheus::PrometheusHandle;
use tower_http::compression::CompressionLayer;
use utoipa::OpenApi;
use utoipa_axum::router::OpenApiRouter;
use utoipa_axum::routes;

use self::problem::Problem;
use self::state::SharedApp;

/// The largest body of a request to the API, in bytes.
const MAX_BODY: usize = 64 << 10;

#[derive(OpenApi)]
#[openapi(info(
    title = "EchoSphere",
    description = "Records voice-AI sessions of a self-hosted LiveKit server and replays them with a transcript that follows the audio. \
        Credentials: a LiveKit token with the roomRecord grant, or an API key, as Authorization: Bearer; a browser signs in at /login. Errors are RFC 9457 problem details.",
    license(name = "Apache-2.0", identifier = "Apache-2.0"),
))]
struct Api;

fn described() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::with_openapi(Api::openapi())
        .routes(routes!(recordings::list::list, recordings::start::start))
        .routes(routes!(recordings::control::stop))
        .routes(routes!(recordings::control::pause))
        .routes(routes!(recordings::control::resume))
        .routes(routes!(recordings::control::exclude))
        .routes(routes!(recordings::get::get, recordings::delete::delete))
        .routes(routes!(recordings::playlists::multivariant))
        .routes(routes!(recordings::playlists::media))
        .routes(routes!(recordings::opus::init))
        .routes(routes!(recordings::segment::get))
        .routes(routes!(recordings::transcript::json))
        .routes(routes!(recordings::transcript::vtt))
        .routes(routes!(recordings::transcript::srt))
        .routes(routes!(recordings::transcript::text))
        .routes(routes!(recordings::waveform::get))
        .routes(routes!(uploads::list))
        .routes(routes!(uploads::reprocess))
        .routes(routes!(uploads::delete))
        .routes(routes!(webhook::receive))
        .routes(routes!(operations::healthz))
        .routes(routes!(operations::readyz))
        .routes(routes!(operations::prometheus))
}

/// Routes whose request bodies are streamed. The framework's limit is off; limits of our own apply.
fn uploads() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new()
        .routes(routes!(observability::recordings))
        .routes(routes!(observability::otlp))
        .layer(DefaultBodyLimit::disable())
}

/// Routes that answer piece by piece, uncompressed: sound is compressed already, and an event must not wait for the next one.
fn streams() -> OpenApiRouter<SharedApp> {
    OpenApiRouter::new()
        .routes(routes!(recordings::track::get))
        .routes(routes!(uploads::body))
        .routes(routes!(recordings::events::get))
}

pub use operations::Health;
/// Routes that need no credentials, so their request bodies are kept small.
fn signing_in() -> Router<SharedApp> {
    Router::new()
        .route("/login", get(login::page).post(login::sign_in))
        .route("/logout", post(login::sign_out))
        .layer(DefaultBodyLimit::max(login::LONGEST_BODY))
}

pub use pages::prepare;
pub use recordings::events::Watchers;

/// The OpenAPI document.
pub fn openapi() -> utoipa::openapi::OpenApi {
    described().merge(streams()).merge(uploads()).into_openapi()
}

/// All routes, with what every request passes through.
pub fn router(app: &SharedApp, metrics: PrometheusHandle) -> Router {
    let (api, document) = described().split_for_parts();
    let document = document.merge_from(streams().into_openapi()).merge_from(uploads().into_openapi());
    let document = document.to_pretty_json().unwrap_or_default();
    let (uploads, _) = uploads().split_for_parts();
    let (streams, _) = streams().split_for_parts();
    let read = api
        .route("/openapi.json", get(move || async move { json(document) }))
        .route("/", get(pages::list))
        .route("/recordings/{id}", get(pages::recording))
        .layer(DefaultBodyLimit::max(MAX_BODY))
        .merge(signing_in())
        .layer(CompressionLayer::new().gzip(true))
        .route("/assets/{*path}", get(pages::asset));
    read.merge(streams)
        .merge(uploads)
        // A base URL with a trailing slash makes the SDK ask for //observability.
        .route("//observability/recordings/v0", post(observability::recordings).layer(DefaultBodyLimit::disable()))
        .route("//observability/{signal}/otlp/v0", post(observability::otlp).layer(DefaultBodyLimit::disable()))
        .fallback(fallback)
        .method_not_allowed_fallback(method_not_allowed)
        .layer(axum::Extension(metrics))
        .layer(middleware::from_fn(message::check))
        .layer(middleware::from_fn(secure))
        .with_state(app.clone())
}

fn json(document: String) -> Response {
    ([(header::CONTENT_TYPE, HeaderValue::from_static("application/json"))], document).into_response()
}

/// Answers a path that is none of our routes: it is in the bucket, or there is nothing.
async fn fallback(State(app): State<SharedApp>, request: Request) -> Response {
    let bucket = format!("/{}", app.config.storage.bucket);
    let in_bucket =
        request.uri().path().strip_prefix(&bucket).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'));
    if let Some(endpoint) = app.s3.as_ref().filter(|_| in_bucket || is_list_buckets(&request)) {
        let answer: Response<echosphere_storage::endpoint::Body> = endpoint.answer(request).await;
        return answer.map(Body::new);
    }
    not_found(request.uri())
}

/// Whether a request is S3's `ListBuckets`: for `/`, like the page, but with a signature.
fn is_list_buckets(request: &Request) -> bool {
    let signed =
        request.headers().get(header::AUTHORIZATION).is_some_and(|value| value.as_bytes().starts_with(b"AWS4-"));
    signed && request.uri().path() == "/"
}

fn not_found(uri: &Uri) -> Response {
    let path: String = uri.path().chars().take(128).collect();
    Problem::not_found(format!("nothing is served at {path:?}; /openapi.json lists what is")).into_response()
}

async fn method_not_allowed(method: Method, uri: Uri) -> Response {
    let path: String = uri.path().chars().take(128).collect();
    Problem::method_not_allowed(format!("{method} is not allowed at {path:?}")).into_response()
}

/// Sets the headers that every answer has, and counts the answers.
async fn secure(request: Request, next: Next) -> Response {
    let method = request.method().clone();
    let mut response = next.run(request).await;
    let status = response.status();
    let headers = response.headers_mut();
    headers.entry(header::X_CONTENT_TYPE_OPTIONS).or_insert(HeaderValue::from_static("nosniff"));
    headers.entry(header::REFERRER_POLICY).or_insert(HeaderValue::from_static("same-origin"));
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-store"));
    metrics::counter!("echosphere_http_requests_total", "method" => method_label(&method), "status" => status_label(status))
        .increment(1);
    response
}

/// A label with few values, whatever a client sends.
fn method_label(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::DELETE => "DELETE",
        Method::HEAD => "HEAD",
        _ => "other",
    }
}

fn status_label(status: axum::http::StatusCode) -> &'static str {
    match status.as_u16() / 100 {
        2 => "2xx",
        3 => "3xx",
        4 => "4xx",
        5 => "5xx",
        _ => "other",
    }
}
