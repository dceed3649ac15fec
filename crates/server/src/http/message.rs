//! Refuses ambiguous requests, which a proxy and this server might understand differently.

use axum::extract::Request;
use axum::http::{HeaderMap, HeaderName, Version, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};

use super::problem::Problem;

/// Refuses such a request before anything looks at it.
pub(super) async fn check(request: Request, next: Next) -> Response {
    match ambiguity(request.version(), request.headers()) {
        Some(what) => Problem::bad_request(what).into_response(),
        None => next.run(request).await,
    }
}

/// What is ambiguous about a request: its host (RFC 9112, section 3.2, requires exactly one), or who sends it.
fn ambiguity(version: Version, headers: &HeaderMap) -> Option<&'static str> {
    let count = |name: HeaderName| headers.get_all(name).iter().count();
    let hosts = count(header::HOST);
    if hosts > 1 {
        return Some("the request has more than one Host header");
    }
    if hosts == 0 && version >= Version::HTTP_11 {
        return Some("the request has no Host header");
    }
    if headers.get(header::HOST).is_some_and(|host| !is_host(host.as_bytes())) {
        return Some("the Host header is no host");
    }
    (count(header::AUTHORIZATION) > 1).then_some("the request has more than one Authorization header")
}

/// Whether this may be a host with or without a port (RFC 3986, section 3.2.2). It may be empty.
fn is_host(host: &[u8]) -> bool {
    host.len() <= 300 && host.iter().all(|byte| byte.is_ascii_alphanumeric() || b"-._~!$&'()*+;=:[]%".contains(byte))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(version: Version, list: &[(&'static str, &str)]) -> Option<&'static str> {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(*name, value.parse().unwrap());
        }
        ambiguity(version, &headers)
    }

    #[test]
    fn a_request_is_for_one_host_and_from_one_sender() {
        let host = ("host", "127.0.0.1:8080");
        for good in [vec![host], vec![("host", "[::1]:8080")], vec![("host", "")], vec![host, ("authorization", "a")]] {
            assert_eq!(of(Version::HTTP_11, &good), None, "{good:?}");
        }
        for bad in [
            vec![],
            vec![host, ("host", "evil.example")],
            vec![host, host],
            vec![("host", "a, b")],
            vec![("host", "user@a")],
            vec![("host", "a/b")],
            vec![host, ("authorization", "a"), ("authorization", "b")],
        ] {
            assert!(of(Version::HTTP_11, &bad).is_some(), "{bad:?}");
        }
        assert_eq!(of(Version::HTTP_10, &[]), None);
        assert!(of(Version::HTTP_10, &[host, host]).is_some());
    }
}
