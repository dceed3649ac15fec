//! The pages and what they load, embedded in the binary.

use std::borrow::Cow;
use std::collections::HashMap;
use std::io::Write as _;
use std::sync::LazyLock;

use axum::extract::Path;
use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use echosphere_domain::id::RecordingId;
use flate2::Compression;
use flate2::write::GzEncoder;
use rust_embed::{EmbeddedFile, RustEmbed};

use super::problem::Problem;

#[derive(RustEmbed)]
#[folder = "../../web/pages/"]
struct Pages;

#[derive(RustEmbed)]
#[folder = "../../web/static/"]
struct Assets;

/// Everything comes from here, nothing is inline, nobody frames us. Media come as blobs (hls.js) or from the bucket.
const POLICY: &str = "default-src 'none'; script-src 'self'; connect-src 'self'; style-src 'self'; media-src 'self' blob:; \
    img-src 'self' data:; font-src 'self'; worker-src 'self' blob:; base-uri 'none'; form-action 'self'; frame-ancestors 'none'";

/// The assets that are smaller when compressed: made once, not for every visitor.
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

/// `/`
pub async fn list() -> Response {
    page("index.html", |text| text)
}

/// `/recordings/{id}`: the page names what its script will ask for first, so that both come at the same time.
pub async fn recording(Path(id): Path<String>) -> Response {
    let id = id.parse::<RecordingId>();
    page("recording.html", |text| match id {
        Ok(id) => text.replace("{id}", &id.to_string()),
        Err(_) => text.lines().filter(|line| !line.contains("{id}")).collect(),
    })
}

fn page(name: &str, fill: impl FnOnce(String) -> String) -> Response {
    let Some(file) = Pages::get(name) else { return Problem::not_found("the page is not built in").into_response() };
    let mut response = fill(String::from_utf8_lossy(&file.data).into_owned()).into_response();
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("text/html; charset=utf-8"));
    headers.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    response
}

/// `/assets/{path}`
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
mod tests {
    use super::*;
    use http_body_util::BodyExt as _;

    async fn text(response: Response) -> String {
        String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
    }

    #[tokio::test]
    async fn a_page_names_what_its_script_asks_for_and_never_repeats_what_is_no_id() {
        let id = "0193a3a0-1111-7222-8333-444455556666";
        let page = text(recording(Path(id.to_owned())).await).await;
        assert!(page.contains(&format!(r#"href="/v1/recordings/{id}""#)));
        let page = text(recording(Path("\"><script>".to_owned())).await).await;
        assert!(
            !page.contains("/v1/recordings") && !page.contains("\"><script>") && page.contains("recording-page.js")
        );
    }

    #[tokio::test]
    async fn assets_are_compressed_for_those_who_take_it() {
        let get = |coding: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::ACCEPT_ENCODING, coding.parse().unwrap());
            asset(Path("player.js".to_owned()), headers)
        };
        let (plain, small) = (get("br").await, get("br, gzip").await);
        assert_eq!(plain.headers().get(header::CONTENT_ENCODING), None);
        assert_eq!(small.headers()[header::CONTENT_ENCODING], "gzip");
        assert_ne!(plain.headers()[header::ETAG], small.headers()[header::ETAG]);
        let (plain, small) = (plain.into_body().collect(), small.into_body().collect());
        let (plain, small) = (plain.await.unwrap().to_bytes(), small.await.unwrap().to_bytes());
        let mut inflated = Vec::new();
        std::io::Read::read_to_end(&mut flate2::read::GzDecoder::new(&small[..]), &mut inflated).unwrap();
        assert_eq!(inflated, plain);
    }
}
