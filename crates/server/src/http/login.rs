//! `/login` and `/logout`: exchanges a credential or a sign-in link for a cookie, and ends that sign-in.

use axum::body::Bytes;
use axum::extract::rejection::{BytesRejection, QueryRejection};
use axum::extract::{Query, State};
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Deserialize;

use super::problem::Problem;
use super::visitor::Visitor;
use super::{access, cookie, pages};
use crate::clock;
use crate::http::state::{App, SharedApp};
use crate::sign_in::attempts::WINDOW;
use crate::sign_in::{self, Credential, codes};

/// The longest body, in bytes: a token may have 16 KiB.
pub const LONGEST_BODY: usize = 32 << 10;
/// The longest address to go to after signing in, in bytes.
const LONGEST_NEXT: usize = 2_048;

/// The query that the page is opened with.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Params {
    next: String,
    code: String,
}

/// What the page's form sends.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Form {
    credential: String,
    code: String,
    next: String,
}

/// Why nobody was signed in.
enum Refusal {
    /// The credential or the code is not valid.
    Credential(String),
    /// Everything else.
    Problem(Problem),
}

impl From<Problem> for Refusal {
    fn from(problem: Problem) -> Self {
        Self::Problem(problem)
    }
}

/// `GET /login`: the form; or, with a link's code, a button that sends the code. Opening the page does not use the link up, so that
/// programs that open links for somebody (a chat's preview, a mail scanner) do not take it away from them.
pub async fn page(
    State(app): State<SharedApp>,
    visitor: Visitor,
    params: Result<Query<Params>, QueryRejection>,
) -> Response {
    let Params { next, code } = params.map(|Query(params)| params).unwrap_or_default();
    let next = local_path(&next);
    if let Some(problem) = over_plain_http(&app, &visitor) {
        return pages::login(problem.status, &problem.detail, next, false);
    }
    if code.is_empty() { pages::login(StatusCode::OK, "", next, true) } else { pages::login_by_link(&code, next) }
}

/// `POST /login`: takes `credential` (an API key, or a LiveKit token with the `roomRecord` grant) or `code`, and `next`, as a form
/// or as JSON.
pub async fn sign_in(State(app): State<SharedApp>, visitor: Visitor, body: Result<Bytes, BytesRejection>) -> Response {
    let form = body.ok().and_then(|body| read(&visitor, &body));
    let Some(form) = form else {
        return Problem::bad_body("expected a form (or JSON) with credential, or code, and next").into_response();
    };
    let next = local_path(&form.next).to_owned();
    match enter(&app, &visitor, form).await {
        Ok(cookie) => goes_to(&next, cookie),
        Err(Refusal::Credential(why)) if visitor.wants_page() => {
            pages::login(StatusCode::UNAUTHORIZED, &why, &next, true)
        }
        Err(Refusal::Credential(why)) => Problem::unauthorized(why).into_response(),
        Err(Refusal::Problem(problem)) if visitor.wants_page() => {
            let can_try = problem.status == StatusCode::TOO_MANY_REQUESTS;
            let mut page = pages::login(problem.status, &problem.detail, &next, can_try);
            if can_try {
                page.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(WINDOW.as_secs()));
            }
            page
        }
        Err(Refusal::Problem(problem)) => problem.into_response(),
    }
}

/// `POST /logout`: ends the browser's sign-in.
pub async fn sign_out(State(app): State<SharedApp>, visitor: Visitor) -> Result<Response, Problem> {
    if let Some(text) = cookie::of(&app.config, &visitor) {
        if !visitor.is_from_our_page(&app.config) {
            return Err(Problem::forbidden("only this server's own page signs out"));
        }
        if app.store.end_sign_in(&sign_in::id(text)).await? {
            tracing::info!("a browser signed out");
        }
    }
    Ok(goes_to("/login", cookie::set(&app.config, &visitor, "", 0)))
}

fn read(visitor: &Visitor, body: &[u8]) -> Option<Form> {
    let kind = visitor.header(header::CONTENT_TYPE).unwrap_or_default();
    if kind.starts_with("application/json") {
        return serde_json::from_slice(body).ok();
    }
    kind.starts_with("application/x-www-form-urlencoded").then(|| serde_urlencoded::from_bytes(body).ok()).flatten()
}

/// Signs a browser in with what the form has; returns what sets its cookie.
async fn enter(app: &App, visitor: &Visitor, form: Form) -> Result<Option<HeaderValue>, Refusal> {
    if visitor.is_from_elsewhere(&app.config) {
        return Err(Problem::forbidden(
            "The request comes from a page of another origin. After a proxy: set public_url, or let it hand on the Host that the browser called.",
        )
        .into());
    }
    if let Some(problem) = over_plain_http(app, visitor) {
        return Err(problem.into());
    }
    let (now, client) = (clock::now(), visitor.client(&app.config));
    // The right key is refused as well, so that the answers reveal nothing while the limit is reached. A link's code cannot be
    // guessed, and remains a way in while somebody else guesses keys.
    let has_code = app.sign_ins.read_code(&form.code, now).is_ok();
    if !has_code && !app.sign_ins.may_try(client, now) {
        count("limited");
        return Err(Problem::too_many_attempts("Too many sign-ins failed. Try again in a minute.").into());
    }
    let brought = brought(app, form).await.inspect_err(|refusal| {
        if let Refusal::Credential(_) = refusal {
            count("refused");
            if app.sign_ins.failed(client, now) {
                tracing::warn!(%client, "too many sign-ins failed; more are refused for a minute");
            }
        }
    })?;
    let cookie = app.sign_ins.sign_in(&*app.store, &app.config, brought, now).await.map_err(Problem::from)?;
    let cookie =
        cookie.ok_or_else(|| Problem::forbidden("the token's room has a name that is too long for a cookie"))?;
    if let Some(before) = cookie::of(&app.config, visitor) {
        // The browser has one cookie: the old one is not used any more, unless it was stolen.
        app.store.end_sign_in(&sign_in::id(before)).await.map_err(Problem::from)?;
    }
    count("signed_in");
    tracing::info!(%client, "a browser signed in");
    Ok(cookie::set(&app.config, visitor, &cookie.text, cookie.life.as_secs()))
}

async fn brought(app: &App, form: Form) -> Result<Credential, Refusal> {
    if form.code.is_empty() {
        let text = form.credential.trim();
        // The error for a mistyped key does not mention tokens.
        let looks_like_a_token = text.matches('.').count() == 2;
        return access::credential(app, text).map_err(|why| {
            let key = "This is no API key of this server.".to_owned();
            Refusal::Credential(if looks_like_a_token { format!("{}.", sentence(why)) } else { key })
        });
    }
    let code = app.sign_ins.read_code(&form.code, clock::now());
    let hint = "“echosphere link”, on the machine where EchoSphere runs, makes another.";
    let code =
        code.map_err(|error: codes::Error| Refusal::Credential(format!("{}. {hint}", sentence(&error.to_string()))))?;
    let is_first = app.store.take_sign_in_link(&code.nonce, code.expires).await.map_err(Problem::from)?;
    if !is_first {
        return Err(Refusal::Credential(format!("This sign-in link was used already. {hint}")));
    }
    app.data.forget_link(&form.code);
    Ok(Credential::Link(code))
}

fn sentence(text: &str) -> String {
    let mut characters = text.chars();
    characters.next().map_or_else(String::new, |first| first.to_uppercase().chain(characters).collect())
}

/// Why a key must not be sent over this connection: everybody on the way could read it. `None` if it may be.
fn over_plain_http(app: &App, visitor: &Visitor) -> Option<Problem> {
    let config = &app.config;
    let is_fine = visitor.is_https(config) || visitor.is_on_loopback(config) || config.sign_in.allow_http;
    (!is_fine).then(|| {
        Problem::forbidden(
            "Signing in over plain HTTP from another machine would show your key to everybody on the way. Use HTTPS (docs/proxies.md says how), \
             with public_url or trusted_proxies set; or set sign_in.allow_http where the network is your own.",
        )
    })
}

/// The address if it is a path on this server, else `/`. Browsers drop tabs and line ends from addresses, and take `\` for `/`.
fn local_path(next: &str) -> &str {
    let is_plain = next.len() <= LONGEST_NEXT && next.bytes().all(|byte| byte.is_ascii_graphic() && byte != b'\\');
    let is_local = next.starts_with('/') && !next.starts_with("//");
    let is_ours = !next.starts_with("/login") && !next.starts_with("/logout");
    if is_plain && is_local && is_ours { next } else { "/" }
}

fn goes_to(next: &str, cookie: Option<HeaderValue>) -> Response {
    let location = HeaderValue::from_str(next).unwrap_or(HeaderValue::from_static("/"));
    let mut response = (StatusCode::SEE_OTHER, [(header::LOCATION, location)]).into_response();
    if let Some(cookie) = cookie {
        response.headers_mut().insert(header::SET_COOKIE, cookie);
    }
    response
}

fn count(outcome: &'static str) {
    metrics::counter!("echosphere_sign_ins_total", "outcome" => outcome).increment(1);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn nobody_is_sent_to_another_site() {
        for fine in
            ["/", "/recordings/0193a3a0-1111-7222-8333-444455556666#t=5", "/?cursor=a&limit=5", "/a//b", "/%2f%2fevil"]
        {
            assert_eq!(local_path(fine), fine);
        }
        for other in [
            "",
            "//evil.example",
            "/\\evil.example",
            "\\\\evil.example",
            "https://evil.example",
            "javascript:alert(1)",
            "evil",
            "/\t/evil.example",
            "/\n/evil.example",
            " /x",
            "/a b",
            "/login?next=/login",
            "/logout",
            "/é",
            &format!("/{}", "a".repeat(3_000)),
        ] {
            assert_eq!(local_path(other), "/", "{other:?}");
        }
    }

    proptest! {
        #[test]
        fn whatever_is_asked_for_stays_here(next in ".{0,40}", slashes in "[/\\\\.:@\\t]{0,6}[a-z.]{0,9}") {
            for next in [next, slashes] {
                let path = local_path(&next);
                prop_assert!(path == "/" || (path == next && !path.starts_with("//") && path.starts_with('/')));
            }
        }
    }
}
