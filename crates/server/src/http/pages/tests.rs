//! Tests of `pages`.

use super::*;
use http_body_util::BodyExt as _;

async fn text(response: Response) -> String {
    String::from_utf8(response.into_body().collect().await.unwrap().to_bytes().to_vec()).unwrap()
}

#[tokio::test]
async fn a_page_names_what_its_script_asks_for_and_never_repeats_what_is_no_id() {
    let id = "0193a3a0-1111-7222-8333-444455556666";
    let page = text(recording_page(id.parse().ok(), "")).await;
    assert!(page.contains(&format!(r#"href="/v1/recordings/{id}""#)));
    let page = text(recording_page(id.parse().ok(), "?sig=1.a.b-_")).await;
    assert!(page.contains(&format!(r#"href="/v1/recordings/{id}/transcript?sig=1.a.b-_""#)));
    let page = text(recording_page("\"><script>".parse().ok(), "")).await;
    assert!(!page.contains("/v1/recordings") && !page.contains("\"><script>") && page.contains("recording-page.js"));
}

#[tokio::test]
async fn the_sign_in_page_repeats_nothing_as_markup() {
    let odd = "/\"><script>alert(1)</script>'&{wrong}{form}";
    let page = text(login(StatusCode::UNAUTHORIZED, "no <b>key</b>", odd, true)).await;
    assert!(page.contains("no &lt;b&gt;key&lt;/b&gt;") && page.contains("&quot;&gt;&lt;script&gt;alert"));
    assert!(!page.contains("<script>alert") && page.contains("name=\"credential\""));
    let page = text(login(StatusCode::FORBIDDEN, "not so", "/", false)).await;
    assert!(page.contains("not so") && !page.contains("name=\"credential\""));
    let page = text(login(StatusCode::OK, "", "/", true)).await;
    assert!(!page.contains("alert") && !page.contains('{'));
    let page = text(login_by_link("1.a\"><script>", odd)).await;
    assert!(page.contains("value=\"1.ascript\"") && !page.contains("<script>"));
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
