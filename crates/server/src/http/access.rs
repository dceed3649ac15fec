//! Who may come in: a LiveKit token, an API key, a signed link, or on a loopback listener a local browser.

use axum::extract::FromRequestParts;
use axum::http::request::Parts;
use axum::http::{HeaderMap, header};
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_livekit::token::Grant;
use secrecy::ExposeSecret;
use subtle::ConstantTimeEq;

use super::problem::Problem;
use crate::app::SharedApp;
use crate::clock;

/// Whoever sent a request, after the door.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The only project that exists for this caller.
    pub project: ProjectId,
    /// The only room that exists for this caller, when its token names one.
    pub room: Option<String>,
}

impl Caller {
    /// Whether a recording of this room exists for the caller.
    pub fn sees_room(&self, room: Option<&str>) -> bool {
        self.room.is_none() || self.room.as_deref() == room
    }
}

impl FromRequestParts<SharedApp> for Caller {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, app: &SharedApp) -> Result<Self, Problem> {
        caller(app, &parts.headers)
    }
}

/// The caller of an API request.
pub fn caller(app: &SharedApp, headers: &HeaderMap) -> Result<Caller, Problem> {
    match bearer(headers)? {
        Some(credential) => with_credential(app, credential),
        None => without_credentials(app, headers),
    }
}

/// The caller of a request that may carry a signature for one recording instead of credentials.
pub fn viewer(
    app: &SharedApp,
    headers: &HeaderMap,
    recording: RecordingId,
    signature: Option<&str>,
) -> Result<Caller, Problem> {
    match signature {
        None => caller(app, headers),
        Some(signature) => {
            let project = app.links.verify(recording, signature, clock::now());
            let project = project.map_err(|error| Problem::forbidden(error.to_string()))?;
            Ok(Caller { project, room: None })
        }
    }
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

fn with_credential(app: &SharedApp, credential: &str) -> Result<Caller, Problem> {
    if let Some(project) = project_of_api_key(app, credential) {
        return Ok(Caller { project, room: None });
    }
    let claims = app.tokens.verify(credential, clock::now(), Grant::RoomRecord);
    let claims = claims.map_err(|error| {
        tracing::info!(%error, "an API request was refused");
        Problem::unauthorized(format!(
            "the credential is no API key, and as a LiveKit token with the roomRecord grant it is refused: {error}"
        ))
    })?;
    Ok(Caller { project: claims.project, room: claims.room })
}

/// Looks at every key, so that the time taken tells nothing.
fn project_of_api_key(app: &SharedApp, credential: &str) -> Option<ProjectId> {
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

fn without_credentials(app: &SharedApp, headers: &HeaderMap) -> Result<Caller, Problem> {
    if !app.config.listen.ip().is_loopback() {
        return Err(Problem::unauthorized(
            "send a LiveKit token with the roomRecord grant, or an API key, as Authorization: Bearer",
        ));
    }
    match stranger(headers) {
        None => Ok(Caller { project: app.config.local_project().clone(), room: None }),
        Some(why) => Err(Problem::unauthorized(format!(
            "{why}; without credentials only a local client that calls this server directly is served"
        ))),
    }
}

/// Why a request on a loopback listener is not from a local client that means it: it came through a proxy, under
/// another host name (DNS rebinding), or from another site's page.
fn stranger(headers: &HeaderMap) -> Option<String> {
    if let Some(name) = headers.keys().find(|name| is_forwarding(name.as_str())) {
        return Some(format!("the request was forwarded (it has a {name} header)"));
    }
    let host = headers.get(header::HOST).and_then(|value| value.to_str().ok()).unwrap_or_default();
    if !is_loopback_host(host) {
        return Some(format!("the request is for the host {host:?}"));
    }
    if let Some(origin) = headers.get(header::ORIGIN)
        && origin.as_bytes() != format!("http://{host}").as_bytes()
    {
        return Some("the request comes from a page of another origin".to_owned());
    }
    let fetch = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
    let foreign = matches!(fetch("sec-fetch-site"), Some("cross-site" | "same-site"));
    (foreign && fetch("sec-fetch-mode") != Some("navigate"))
        .then(|| "the request comes from a page of another site".to_owned())
}

fn is_forwarding(name: &str) -> bool {
    name == "forwarded" || name == "via" || name == "x-real-ip" || name.starts_with("x-forwarded-")
}

/// Whether a Host header names this machine itself.
pub fn is_loopback_host(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
        None => host.rsplit_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<std::net::IpAddr>().is_ok_and(|ip| ip.is_loopback())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(list: &[(&'static str, &str)]) -> HeaderMap {
        list.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn only_direct_local_requests_pass_without_credentials() {
        let host = ("host", "127.0.0.1:8080");
        assert_eq!(stranger(&headers(&[host])), None);
        assert_eq!(stranger(&headers(&[("host", "localhost:8080")])), None);
        assert_eq!(stranger(&headers(&[("host", "[::1]:8080")])), None);
        assert_eq!(stranger(&headers(&[host, ("origin", "http://127.0.0.1:8080")])), None);
        for refused in [
            vec![("host", "evil.example")],
            vec![("host", "127.0.0.1.evil.example:8080")],
            vec![],
            vec![host, ("x-forwarded-for", "10.0.0.1")],
            vec![host, ("forwarded", "for=10.0.0.1")],
            vec![host, ("origin", "http://evil.example")],
            vec![host, ("origin", "null")],
            vec![host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")],
        ] {
            assert!(stranger(&headers(&refused)).is_some(), "{refused:?}");
        }
    }

    #[test]
    fn bearer_is_case_insensitive_and_nothing_else_passes() {
        assert_eq!(bearer(&headers(&[])).unwrap(), None);
        assert_eq!(bearer(&headers(&[("authorization", "bearer abc")])).unwrap(), Some("abc"));
        assert!(bearer(&headers(&[("authorization", "Basic abc")])).is_err());
        assert!(bearer(&headers(&[("authorization", "Bearer ")])).is_err());
    }
}
