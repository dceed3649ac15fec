//! Authenticates requests: by a LiveKit token, an API key, a browser's sign-in or a signed link; under `--no-auth` as a local
//! client.

use std::ops::Deref;

use axum::extract::{FromRequestParts, Query, RawPathParams};
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::time::WallTime;
use echosphere_livekit::token::{Claims, Grant};
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use subtle::ConstantTimeEq;
use utoipa::IntoParams;

use super::cookie;
use super::problem::Problem;
use super::visitor::{Visitor, is_forwarding};
use crate::clock;
use crate::config::is_loopback_host;
use crate::http::state::{App, SharedApp};
use crate::sign_in::Credential;

/// The authenticated sender of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The only project that exists for this caller.
    pub project: ProjectId,
    /// The only room that exists for this caller, when its token names one.
    pub room: Option<String>,
    /// How it was authenticated.
    pub proof: Proof,
}

/// How a caller was authenticated.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Proof {
    /// An API key.
    ApiKey,
    /// A LiveKit token.
    Token {
        /// When it expires.
        until: WallTime,
    },
    /// The cookie of a browser that has signed in.
    SignIn {
        /// The id of its row.
        id: String,
        /// When it ends at the latest.
        until: WallTime,
    },
    /// A signed link to one recording.
    Link {
        /// The signature.
        signature: String,
        /// When it expires.
        until: WallTime,
    },
    /// Nothing, under `--no-auth`.
    Local,
}

impl Caller {
    /// Whether a recording of this room exists for the caller.
    pub fn sees_room(&self, room: Option<&str>) -> bool {
        self.room.is_none() || self.room.as_deref() == room
    }

    /// When the caller's credential ends; nothing that the caller is given may live longer.
    pub fn until(&self) -> Option<WallTime> {
        match self.proof {
            Proof::Token { until } | Proof::SignIn { until, .. } | Proof::Link { until, .. } => Some(until),
            Proof::ApiKey | Proof::Local => None,
        }
    }

    /// How the caller was authenticated, for the record of who asked for what: never a name.
    pub fn kind(&self) -> &'static str {
        match self.proof {
            Proof::ApiKey => "api_key",
            Proof::Token { .. } => "token",
            Proof::SignIn { .. } => "sign_in",
            Proof::Link { .. } => "link",
            Proof::Local => "local",
        }
    }

    /// The signature of the link that the caller used.
    pub fn link(&self) -> Option<&str> {
        match &self.proof {
            Proof::Link { signature, .. } => Some(signature),
            _ => None,
        }
    }

    /// Whether the caller's credential is still valid.
    pub async fn is_still_good(&self, app: &App) -> Result<bool, echosphere_store::Error> {
        let now = clock::now();
        if self.until().is_some_and(|until| now >= until) {
            return Ok(false);
        }
        match &self.proof {
            Proof::SignIn { id, .. } => app.sign_ins.is_known(&*app.store, id, now).await,
            _ => Ok(true),
        }
    }
}

impl FromRequestParts<SharedApp> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &SharedApp) -> Result<Self, Problem> {
        caller(app, &Visitor::of(parts)).await
    }
}

/// A signed link.
#[derive(Debug, Deserialize, IntoParams)]
pub struct Signed {
    /// The signature of `playlist_url`, in place of other credentials.
    pub sig: Option<String>,
}

/// Somebody who may see the recording `{id}` of the path: any caller, or one with a signed link to it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Viewer(pub Caller);

impl Deref for Viewer {
    type Target = Caller;

    fn deref(&self) -> &Caller {
        &self.0
    }
}

impl FromRequestParts<SharedApp> for Viewer {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &SharedApp) -> Result<Self, Problem> {
        let signed = Query::<Signed>::try_from_uri(&parts.uri);
        let Query(Signed { sig }) = signed.map_err(|error| Problem::bad_parameter(error.body_text()))?;
        let Some(signature) = sig else { return caller(app, &Visitor::of(parts)).await.map(Self) };
        let params = RawPathParams::from_request_parts(parts, app).await;
        let params = params.map_err(|error| Problem::not_found(error.body_text()))?;
        let id = params.iter().find(|(name, _)| *name == "id").map_or("", |(_, id)| id);
        by_link(app, super::recording_id::parse_id(id)?, signature).map(Self)
    }
}

/// The caller that a signed link stands for.
fn by_link(app: &App, recording: RecordingId, signature: String) -> Result<Caller, Problem> {
    let link = app.links.verify(recording, &signature, clock::now());
    let (project, until) = link.map_err(|error| Problem::forbidden(error.to_string()))?;
    Ok(Caller { project, room: None, proof: Proof::Link { signature, until } })
}

/// The caller of an API request.
pub async fn caller(app: &App, visitor: &Visitor) -> Result<Caller, Problem> {
    if let Some(credential) = bearer(&visitor.headers)? {
        return with_credential(app, credential);
    }
    if let Some(known) = signed_in(app, visitor).await? {
        return Ok(known);
    }
    without_credentials(app, visitor)
}

/// The caller that a browser's cookie stands for. A request that another site's page sends with that cookie is refused.
pub async fn signed_in(app: &App, visitor: &Visitor) -> Result<Option<Caller>, Problem> {
    let Some(cookie) = cookie::of(&app.config, visitor) else { return Ok(None) };
    let Some(known) = app.sign_ins.known(&*app.store, cookie, clock::now()).await? else { return Ok(None) };
    let is_own =
        if visitor.is_safe() { !visitor.is_embedded_elsewhere() } else { visitor.is_from_our_page(&app.config) };
    if !is_own {
        return Err(Problem::forbidden(
            "the request comes from a page of another origin, or does not say from which; a program sends its credentials as Authorization: Bearer",
        ));
    }
    let proof = Proof::SignIn { id: known.id, until: known.until };
    Ok(Some(Caller { project: known.project, room: known.room, proof }))
}

/// The credential of an `Authorization: Bearer` header, if there is such a header.
pub fn bearer(headers: &HeaderMap) -> Result<Option<&str>, Problem> {
    let Some(value) = headers.get(header::AUTHORIZATION) else { return Ok(None) };
    let text = value.to_str().map_err(|_| Problem::unauthorized("the Authorization header is not plain text"))?;
    let (scheme, credential) = text.split_once(' ').unwrap_or((text, ""));
    if scheme.eq_ignore_ascii_case("bearer") && !credential.trim().is_empty() {
        Ok(Some(credential.trim()))
    } else {
        Err(Problem::unauthorized("the Authorization header is not of the form: Bearer CREDENTIAL"))
    }
}

/// What a credential is: an API key or a LiveKit token. The error says why it is not a token; it is not an API key either.
pub fn credential(app: &App, text: &str) -> Result<Credential, &'static str> {
    if let Some(project) = project_of_api_key(app, text) {
        return Ok(Credential::ApiKey(project, SecretString::from(text)));
    }
    app.tokens.verify(text, clock::now(), Grant::RoomRecord).map(Credential::Token).map_err(|error| {
        tracing::info!(%error, "a credential was refused");
        error.public_message()
    })
}

fn with_credential(app: &App, text: &str) -> Result<Caller, Problem> {
    let refused = |why| {
        Problem::unauthorized(format!(
            "the credential is no API key, and as a LiveKit token with the roomRecord grant it is refused: {why}"
        ))
    };
    match credential(app, text).map_err(refused)? {
        Credential::Token(Claims { project, room, expires, .. }) => {
            Ok(Caller { project, room, proof: Proof::Token { until: expires } })
        }
        Credential::ApiKey(project, _) => Ok(Caller { project, room: None, proof: Proof::ApiKey }),
        Credential::Link(_) => Err(Problem::unauthorized("a sign-in link is opened in a browser")),
    }
}

/// Compares with every key, so that the time taken reveals nothing.
fn project_of_api_key(app: &App, credential: &str) -> Option<ProjectId> {
    let mut found = None;
    for project in &app.config.projects {
        for key in &project.api_keys {
            if bool::from(key.expose_secret().as_bytes().ct_eq(credential.as_bytes())) {
                found = Some(project.id.clone());
            }
        }
    }
    found
}

fn without_credentials(app: &App, visitor: &Visitor) -> Result<Caller, Problem> {
    if !app.config.no_auth {
        return Err(Problem::unauthorized(
            "send a LiveKit token with the roomRecord grant, or an API key, as Authorization: Bearer; or sign in at /login",
        ));
    }
    match stranger(visitor) {
        None => Ok(Caller { project: app.config.local_project().clone(), room: None, proof: Proof::Local }),
        Some(why) => Err(Problem::unauthorized(format!(
            "{why}; without credentials only a local client that calls this server directly is served"
        ))),
    }
}

/// Why a request to a loopback listener may not be what a local client wants: it came through a proxy, under another host name
/// (DNS rebinding), or from another site's page.
fn stranger(visitor: &Visitor) -> Option<String> {
    if let Some(name) = visitor.headers.keys().find(|name| is_forwarding(name.as_str())) {
        return Some(format!("the request was forwarded (it has a {name} header)"));
    }
    let host = visitor.header(header::HOST).unwrap_or_default();
    if !is_loopback_host(host) {
        return Some(format!("the request is for the host {host:?}"));
    }
    if let Some(origin) = visitor.headers.get(header::ORIGIN)
        && origin.as_bytes() != format!("http://{host}").as_bytes()
    {
        return Some("the request comes from a page of another origin".to_owned());
    }
    // Following another site's link only reads; a form that another site's page sends here could change something.
    visitor.is_embedded_elsewhere().then(|| "the request comes from a page of another site".to_owned())
}

#[cfg(test)]
mod tests {
    use super::super::visitor::tests::visitor;
    use super::*;
    use axum::http::Method;

    #[test]
    fn only_direct_local_requests_pass_without_credentials() {
        let host = ("host", "127.0.0.1:8080");
        let cross = [host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")];
        let get = |list: &[(&'static str, &str)]| stranger(&visitor(Method::GET, "127.0.0.1", list));
        assert_eq!(get(&[host]), None);
        assert_eq!(get(&[("host", "localhost:8080")]), None);
        assert_eq!(get(&[("host", "[::1]:8080")]), None);
        assert_eq!(get(&[host, ("origin", "http://127.0.0.1:8080")]), None);
        assert_eq!(get(&cross), None, "somebody follows a link");
        for refused in [
            vec![("host", "evil.example")],
            vec![("host", "127.0.0.1.evil.example:8080")],
            vec![],
            vec![host, ("x-forwarded-for", "10.0.0.1")],
            vec![host, ("forwarded", "for=10.0.0.1")],
            vec![host, ("origin", "http://evil.example")],
            vec![host, ("origin", "null")],
            vec![host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")],
            vec![host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "iframe")],
        ] {
            assert!(get(&refused).is_some(), "{refused:?}");
        }
        for method in [Method::POST, Method::DELETE, Method::PUT, Method::PATCH] {
            for site in ["cross-site", "same-site"] {
                let sent =
                    [host, ("sec-fetch-site", site), ("sec-fetch-mode", "navigate"), ("sec-fetch-dest", "document")];
                assert!(stranger(&visitor(method.clone(), "127.0.0.1", &sent)).is_some(), "{method} {site}");
            }
            assert_eq!(stranger(&visitor(method, "127.0.0.1", &[host])), None, "a program");
        }
    }

    #[test]
    fn bearer_is_case_insensitive_and_nothing_else_passes() {
        let headers = |list: &[(&'static str, &str)]| visitor(Method::GET, "127.0.0.1", list).headers;
        assert_eq!(bearer(&headers(&[])).unwrap(), None);
        assert_eq!(bearer(&headers(&[("authorization", "bearer abc")])).unwrap(), Some("abc"));
        assert!(bearer(&headers(&[("authorization", "Basic abc")])).is_err());
        assert!(bearer(&headers(&[("authorization", "Bearer ")])).is_err());
    }
}
