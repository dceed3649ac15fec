//! The web pages and their assets, which are embedded in the binary.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write as _;
use std::sync::LazyLock;

use axum::extract::rejection::QueryRejection;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, StatusCode, Uri, header};
use axum::response::{IntoResponse, Response};
use echosphere_domain::id::RecordingId;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::{EmbeddedFile, RustEmbed};

use super::access::{self, Proof, Signed};
use super::problem::Problem;
use super::visitor::Visitor;
use crate::http::state::SharedApp;
use crate::{clock, links};

#[derive(RustEmbed)]
#[folder = "../../web/pages/"]
struct Pages;

#[derive(RustEmbed)]
#[folder = "../../web/static/"]
struct Assets;

/// The Content-Security-Policy: everything is loaded from this server, no script or style is inline, nobody frames our pages. Media
/// are blobs (hls.js) or come from the bucket: from this server, or from the S3 server that [`plays_from`] allows.
const POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; media-src 'self' blob:; \
    img-src 'self' data:; font-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The assets that are smaller when compressed: compressed once, not for every visitor.
static COMPRESSED: LazyLock<HashMap<String, Vec<u8>>> = LazyLock::new(|| {
    let compressed = Assets::iter().filter_map(|path| {
        let file = Assets::get(&path)?;
        let mut encoder = GzEncoder::new(Vec::new(), Compression::best());
        encoder.write_all(&file.data).ok()?;
        let bytes = encoder.finish().ok()?;
        (bytes.len() < file.data.len()).then(|| (path.into_owned(), bytes))
    });
    compressed.collect()
});

/// Compresses the assets, so that the first visitor does not wait for it.
pub fn prepare() {
    LazyLock::force(&COMPRESSED);
}

/// `/`: the list of recordings.
pub async fn list(State(app): State<SharedApp>, visitor: Visitor, uri: Uri) -> Response {
    match access::caller(&app, &visitor).await {
        Ok(caller) => page("index.html", |text| {
            filled(text, "{sign-out}", matches!(caller.proof, Proof::SignIn { .. }).then_some(""))
        }),
        Err(problem) => to_sign_in(problem, &visitor, &uri),
    }
}

/// `/recordings/{id}`: the page names what its script will request first, so that both are loaded at the same time. A signed link
/// opens the page even after it has expired: the page says so.
pub async fn recording(
    State(app): State<SharedApp>,
    visitor: Visitor,
    uri: Uri,
    Path(id): Path<String>,
    link: Result<Query<Signed>, QueryRejection>,
) -> Response {
    let id = id.parse::<RecordingId>().ok();
    let signature = link.ok().and_then(|Query(link)| link.sig);
    let is_link = |signature: &String| {
        id.is_some_and(|id| !matches!(app.links.verify(id, signature, clock::now()), Err(links::Error::Invalid)))
    };
    let query = match signature.filter(is_link) {
        Some(signature) => format!("?sig={signature}"),
        None => match access::caller(&app, &visitor).await {
            Ok(_) => String::new(),
            Err(problem) => return to_sign_in(problem, &visitor, &uri),
        },
    };
    plays_from(app.presigner.elsewhere(), recording_page(id, &query))
}

/// Lets a page load media from another address, too.
fn plays_from(elsewhere: Option<&str>, mut page: Response) -> Response {
    let Some(elsewhere) = elsewhere else { return page };
    let mut policy = POLICY.to_owned();
    for directive in ["connect-src 'self'", "media-src 'self'"] {
        policy = policy.replace(directive, &format!("{directive} {elsewhere}"));
    }
    if let Ok(policy) = HeaderValue::from_str(&policy) {
        page.headers_mut().insert(header::CONTENT_SECURITY_POLICY, policy);
    }
    page
}

fn recording_page(id: Option<RecordingId>, query: &str) -> Response {
    let id = id.map(|id| id.to_string());
    page("recording.html", |text| filled(text, "{id}", id.as_deref()).replace("{query}", query))
}

/// Sends a person to the sign-in page, and from there back; answers a program with the problem.
fn to_sign_in(problem: Problem, visitor: &Visitor, uri: &Uri) -> Response {
    let target = uri.path_and_query().map_or("/", |target| target.as_str());
    if problem.status != StatusCode::UNAUTHORIZED || !visitor.wants_page() {
        return problem.into_response();
    }
    let next: String = percent_encoding::utf8_percent_encode(target, percent_encoding::NON_ALPHANUMERIC).collect();
    let location = HeaderValue::from_str(&format!("/login?next={next}"));
    let location = location.unwrap_or(HeaderValue::from_static("/login"));
    (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response()
}

/// The sign-in page: with what is wrong, if anything is, and with the form where it would help.
pub fn login(status: StatusCode, wrong: &str, next: &str, has_form: bool) -> Response {
    let mut response = page("login.html", |text| {
        let text = filled(text, "{form}", has_form.then_some(""));
        let text = filled(text, "{wrong}", (!wrong.is_empty()).then_some(&*escaped(wrong)));
        text.replace("{next}", &escaped(next))
    });
    *response.status_mut() = status;
    if status == StatusCode::UNAUTHORIZED {
        response.headers_mut().insert(header::WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"));
    }
    without_referrer(response)
}

/// The page of a sign-in link: it sends the code, which is in the address of nothing that the page loads.
pub fn login_by_link(code: &str, next: &str) -> Response {
    let plain: String = code.chars().filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c)).take(512).collect();
    without_referrer(page("login-link.html", |text| text.replace("{code}", &plain).replace("{next}", &escaped(next))))
}

fn without_referrer(mut response: Response) -> Response {
    response.headers_mut().insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    response
}

/// A page with `place` replaced; without a replacement, the lines that have it are removed.
fn filled(text: String, place: &str, with: Option<&str>) -> String {
    match with {
        Some(with) => text.replace(place, with),
        None => text.lines().filter(|line| !line.contains(place)).collect::<Vec<_>>().join("\n"),
    }
}

/// Text escaped for HTML, in content and in quoted attributes.
fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            c => out.push(c),
        }
    }
    out
}

fn page(name: &str, fill: impl FnOnce(String) -> String) -> Response {
    let Some(file) = Pages::get(name) else { return Problem::not_found("the page is not built in").into_response() };
    let mut response = fill(String::from_utf8_lossy(&file.data).into_owned()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    // Nor can the page be shown again after signing out.
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// `/assets/{path}`: what pages load.
pub async fn asset(Path(path): Path<String>, headers: HeaderMap) -> Response {
    match Assets::get(&path) {
        Some(file) => answer(&path, file, &headers),
        None => Problem::not_found("there is no such asset").into_response(),
    }
}

fn answer(path: &str, file: EmbeddedFile, request: &HeaderMap) -> Response {
    let compressed = COMPRESSED.get(path).filter(|_| takes_gzip(request));
    let form = if compressed.is_some() { "-gzip" } else { "" };
    let etag = format!("\"{}{form}\"", hex::encode(&file.metadata.sha256_hash()[..16]));
    let known = request.get(header::IF_NONE_MATCH).is_some_and(|value| value.as_bytes() == etag.as_bytes());
    let mut response = match compressed {
        _ if known => StatusCode::NOT_MODIFIED.into_response(),
        Some(bytes) => bytes.as_slice().into_response(),
        None => match file.data {
            Cow::Borrowed(bytes) => bytes.into_response(),
            Cow::Owned(bytes) => bytes.into_response(),
        },
    };
    let headers = response.headers_mut();
    if compressed.is_some() && !known {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    headers.insert(header::VARY, HeaderValue::from_static("accept-encoding"));
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type(path)));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    if let Ok(etag) = HeaderValue::from_str(&etag) {
        headers.insert(header::ETAG, etag);
    }
    response
}

fn takes_gzip(request: &HeaderMap) -> bool {
    let accepted = request.get(header::ACCEPT_ENCODING).and_then(|value| value.to_str().ok()).unwrap_or_default();
    accepted.split(',').any(|coding| coding.trim().eq_ignore_ascii_case("gzip"))
}

fn content_type(path: &str) -> &'static str {
    match path.rsplit_once('.').map(|(_, ending)| ending) {
        Some("js" | "mjs") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "text/plain; charset=utf-8",
    }
}

#[cfg(test)]
mod tests;
