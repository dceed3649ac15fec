//! Where a request comes from: the client's address, HTTP or HTTPS, the host that was called, and the page that sent it.

use std::convert::Infallible;
use std::net::{IpAddr, SocketAddr};

use axum::extract::{ConnectInfo, FromRequestParts};
use axum::http::request::Parts;
use axum::http::{HeaderMap, Method, header};

use crate::config::{Config, is_loopback_host};
use crate::http::state::SharedApp;

/// The most entries of X-Forwarded-For that are looked at.
const MOST_PROXIES: usize = 16;

/// A request without its body.
#[derive(Debug, Clone)]
pub struct Visitor {
    /// Its method.
    pub method: Method,
    /// Its headers.
    pub headers: HeaderMap,
    /// The other end of its connection.
    pub peer: Option<IpAddr>,
}

impl FromRequestParts<SharedApp> for Visitor {
    type Rejection = Infallible;

    async fn from_request_parts(parts: &mut Parts, _: &SharedApp) -> Result<Self, Infallible> {
        Ok(Self::of(parts))
    }
}

impl Visitor {
    /// From the head of a request.
    pub fn of(parts: &Parts) -> Self {
        let peer = parts.extensions.get::<ConnectInfo<SocketAddr>>().map(|info| info.0.ip().to_canonical());
        Self { method: parts.method.clone(), headers: parts.headers.clone(), peer }
    }

    /// A header as text.
    pub fn header(&self, name: impl header::AsHeaderName) -> Option<&str> {
        self.headers.get(name).and_then(|value| value.to_str().ok())
    }

    /// Whether the request's method only reads.
    pub fn is_safe(&self) -> bool {
        matches!(self.method, Method::GET | Method::HEAD | Method::OPTIONS)
    }

    /// Whether the client is a browser that will show the answer to a person.
    pub fn wants_page(&self) -> bool {
        self.header(header::ACCEPT).is_some_and(|accepted| accepted.contains("text/html"))
    }

    /// Whether a browser says that a page of another site (or another port) sent the request, and that it is not a navigation
    /// whose answer becomes the page (Fetch Metadata, sections 2.1 to 2.3).
    pub fn is_embedded_elsewhere(&self) -> bool {
        let foreign = matches!(self.header("sec-fetch-site"), Some("cross-site" | "same-site"));
        let goes_there = self.is_safe()
            && self.header("sec-fetch-mode") == Some("navigate")
            && !matches!(self.header("sec-fetch-dest"), Some("iframe" | "frame" | "embed" | "object"));
        foreign && !goes_there
    }

    /// Whether our own page sent a request that changes something and is authenticated by its cookie alone.
    pub fn is_from_our_page(&self, config: &Config) -> bool {
        match self.header(header::ORIGIN) {
            // A page with the policy no-referrer sends the origin null (Fetch, section 3.2).
            None | Some("null") => self.header("sec-fetch-site") == Some("same-origin"),
            Some(origin) => self.is_own_origin(origin, config) && !self.is_embedded_elsewhere(),
        }
    }

    /// Whether somebody else's page tries to sign its reader in. Programs send neither an Origin nor Sec-Fetch-Site.
    pub fn is_from_elsewhere(&self, config: &Config) -> bool {
        let says_nothing = !self.headers.contains_key(header::ORIGIN) && !self.headers.contains_key("sec-fetch-site");
        !(says_nothing || self.is_from_our_page(config))
    }

    fn is_own_origin(&self, origin: &str, config: &Config) -> bool {
        let public = config.public_url.as_deref().map(origin_of).map(without_default_port);
        if public.is_some_and(|public| public.eq_ignore_ascii_case(origin)) {
            return true;
        }
        // A proxy that is not configured may have terminated TLS.
        let host = origin.strip_prefix("http://").or_else(|| origin.strip_prefix("https://"));
        host.is_some_and(|host| !host.is_empty() && host.eq_ignore_ascii_case(self.host(config)))
    }

    fn is_trusted_proxy(&self, config: &Config) -> bool {
        self.peer.is_some_and(|peer| config.trusted_proxies.iter().any(|network| network.contains(peer)))
    }

    /// The host that the client called.
    pub fn host(&self, config: &Config) -> &str {
        let forwarded = self.header("x-forwarded-host").filter(|_| self.is_trusted_proxy(config));
        let forwarded = forwarded.and_then(|hosts| hosts.split(',').next_back()).map(str::trim);
        forwarded.or_else(|| self.header(header::HOST)).unwrap_or_default()
    }

    /// Whether the client came over HTTPS, by the public URL or by what a trusted proxy says.
    pub fn is_https(&self, config: &Config) -> bool {
        let public = config.public_url.as_deref().is_some_and(|url| url.starts_with("https://"));
        let forwarded = self.header("x-forwarded-proto").filter(|_| self.is_trusted_proxy(config));
        let forwarded = forwarded.and_then(|protos| protos.split(',').next_back()).map(str::trim);
        public || forwarded.is_some_and(|proto| proto.eq_ignore_ascii_case("https"))
    }

    /// Whether what the client sends stays on its own machine: it called this server by a loopback name, and no proxy that is not
    /// trusted forwarded the request.
    pub fn is_on_loopback(&self, config: &Config) -> bool {
        let public = config.public_url.as_deref().map(origin_of).and_then(|origin| origin.split_once("://"));
        let is_public = public.is_some_and(|(_, host)| !is_loopback_host(host));
        !is_public
            && is_loopback_host(self.host(config))
            && (self.is_trusted_proxy(config) || !is_forwarded(&self.headers))
    }

    /// The client's address, for limits: the last address on the way that is not a trusted proxy's.
    pub fn client(&self, config: &Config) -> IpAddr {
        let unknown = IpAddr::from([0, 0, 0, 0]);
        let mut client = self.peer.unwrap_or(unknown);
        if !self.is_trusted_proxy(config) {
            return client;
        }
        let lines: Vec<_> =
            self.headers.get_all("x-forwarded-for").iter().filter_map(|line| line.to_str().ok()).collect();
        for hop in lines.iter().rev().flat_map(|line| line.rsplit(',')).take(MOST_PROXIES) {
            let Some(address) = address(hop) else { break };
            client = address;
            if !config.trusted_proxies.iter().any(|network| network.contains(address)) {
                break;
            }
        }
        client
    }
}

/// An address as proxies write it: some add a port.
fn address(hop: &str) -> Option<IpAddr> {
    let hop = hop.trim();
    let bare = hop.parse::<IpAddr>().ok().or_else(|| Some(hop.parse::<SocketAddr>().ok()?.ip()));
    bare.map(|address| address.to_canonical())
}

/// `scheme://authority` of a URL.
fn origin_of(url: &str) -> &str {
    let host_at = url.find("://").map_or(0, |at| at + 3);
    let end = url[host_at..].find('/').map_or(url.len(), |at| host_at + at);
    &url[..end]
}

/// An origin as browsers write it (RFC 6454, section 6.2).
fn without_default_port(origin: &str) -> &str {
    let port = if origin.starts_with("https://") { ":443" } else { ":80" };
    origin.strip_suffix(port).unwrap_or(origin)
}

/// Whether a header says that a proxy forwarded the request.
pub fn is_forwarded(headers: &HeaderMap) -> bool {
    headers.keys().any(|name| is_forwarding(name.as_str()))
}

/// Whether a header is one that proxies add.
pub fn is_forwarding(name: &str) -> bool {
    name == "forwarded" || name == "via" || name == "x-real-ip" || name.starts_with("x-forwarded-")
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;
    use proptest::prelude::*;

    pub fn visitor(method: Method, peer: &str, list: &[(&'static str, &str)]) -> Visitor {
        let mut headers = HeaderMap::new();
        for (name, value) in list {
            headers.append(*name, value.parse().unwrap());
        }
        Visitor { method, headers, peer: Some(peer.parse().unwrap()) }
    }

    fn config(public: Option<&str>, proxies: &[&str]) -> Config {
        let trusted_proxies = proxies.iter().map(|proxy| proxy.parse().unwrap()).collect();
        Config { public_url: public.map(str::to_owned), trusted_proxies, ..Config::default() }
    }

    #[test]
    fn only_our_own_page_changes_anything_by_cookie() {
        let host = ("host", "127.0.0.1:8080");
        let post = |list: &[(&'static str, &str)]| visitor(Method::POST, "127.0.0.1", list);
        let public = config(Some("https://rec.example.com/sub"), &[]);
        for own in [
            vec![host, ("origin", "http://127.0.0.1:8080")],
            vec![host, ("origin", "https://rec.example.com")],
            vec![host, ("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")],
            vec![host, ("sec-fetch-site", "same-origin")],
            vec![host, ("origin", "null"), ("sec-fetch-site", "same-origin")],
        ] {
            assert!(post(&own).is_from_our_page(&public), "{own:?}");
        }
        let with_port = config(Some("https://rec.example.com:443"), &[]);
        assert!(post(&[host, ("origin", "https://rec.example.com")]).is_from_our_page(&with_port));
        for other in [
            vec![host],
            vec![],
            vec![("origin", "http://")],
            vec![host, ("origin", "null")],
            vec![host, ("origin", "http://127.0.0.1:8081")],
            vec![host, ("origin", "http://127.0.0.1")],
            vec![host, ("origin", "http://rec.example.com")],
            vec![host, ("origin", "https://rec.example.com.evil.example")],
            vec![host, ("origin", "http://evil.example"), ("sec-fetch-site", "same-origin")],
            vec![host, ("sec-fetch-site", "none")],
            vec![host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")],
            vec![host, ("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate")],
            vec![host, ("origin", "null"), ("sec-fetch-site", "cross-site")],
            vec![host, ("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-site")],
            vec![host, ("origin", "http://evil.example"), ("x-forwarded-host", "evil.example")],
        ] {
            assert!(!post(&other).is_from_our_page(&public), "{other:?}");
        }
    }

    #[test]
    fn nobody_elses_page_signs_anybody_in() {
        let config = config(None, &[]);
        let host = ("host", "127.0.0.1:8080");
        let elsewhere =
            |list: &[(&'static str, &str)]| visitor(Method::POST, "127.0.0.1", list).is_from_elsewhere(&config);
        assert!(!elsewhere(&[host]), "a program");
        assert!(!elsewhere(&[host, ("origin", "http://127.0.0.1:8080"), ("sec-fetch-site", "same-origin")]));
        assert!(!elsewhere(&[host, ("origin", "null"), ("sec-fetch-site", "same-origin")]));
        assert!(elsewhere(&[host, ("origin", "http://evil.example")]));
        assert!(elsewhere(&[host, ("origin", "null")]));
        assert!(elsewhere(&[host, ("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "navigate")]));
        assert!(elsewhere(&[host, ("sec-fetch-site", "same-site"), ("sec-fetch-mode", "navigate")]));
    }

    #[test]
    fn proxies_are_believed_only_when_they_are_trusted() {
        let trusting = config(None, &["127.0.0.1", "10.0.0.0/8"]);
        let forwarded = [
            ("host", "127.0.0.1:8080"),
            ("x-forwarded-for", "6.6.6.6, 203.0.113.7"),
            ("x-forwarded-for", "10.1.1.1"),
            ("x-forwarded-proto", "https"),
            ("x-forwarded-host", "rec.example.com"),
        ];
        let through = visitor(Method::GET, "127.0.0.1", &forwarded);
        assert_eq!(through.client(&trusting).to_string(), "203.0.113.7", "6.6.6.6 is what the client claims");
        assert!(through.is_https(&trusting) && !through.is_on_loopback(&trusting));
        assert_eq!(through.host(&trusting), "rec.example.com");
        let trusting_nobody = config(None, &[]);
        assert_eq!(through.client(&trusting_nobody).to_string(), "127.0.0.1");
        assert!(!through.is_https(&trusting_nobody) && !through.is_on_loopback(&trusting_nobody));
        assert_eq!(through.host(&trusting_nobody), "127.0.0.1:8080");
        let direct = visitor(Method::GET, "192.0.2.1", &forwarded);
        assert_eq!(direct.client(&trusting).to_string(), "192.0.2.1");
        let with_port = visitor(Method::GET, "::ffff:127.0.0.1", &[("x-forwarded-for", "x, [2001:db8::1]:443")]);
        let with_port = Visitor { peer: with_port.peer.map(|peer| peer.to_canonical()), ..with_port };
        assert_eq!(with_port.client(&trusting).to_string(), "2001:db8::1");
    }

    proptest! {
        #[test]
        fn any_header_is_read_without_a_panic(
            values in proptest::collection::vec("[ -~]{0,40}", 8),
            likely in "[a-z0-9:.,\\[\\]/ ]{0,24}",
            peer: u32,
        ) {
            let names = ["host", "origin", "cookie", "sec-fetch-site", "sec-fetch-mode", "x-forwarded-for", "x-forwarded-proto", "x-forwarded-host"];
            let config = config(Some("https://rec.example.com"), &["0.0.0.0/1"]);
            let values: Vec<&str> = values.iter().map(String::as_str).collect();
            for values in [values, vec![likely.as_str(); 8]] {
                let headers: Vec<_> = names.into_iter().zip(values).collect();
                let visitor = visitor(Method::POST, &IpAddr::from(peer.to_be_bytes()).to_string(), &headers);
                let _ = (visitor.client(&config), visitor.is_on_loopback(&config), visitor.is_https(&config));
                let _ = (visitor.is_from_our_page(&config), visitor.is_from_elsewhere(&config));
                let _ = super::super::cookie::of(&config, &visitor);
                let _ = super::super::cookie::set(&config, &visitor, "text", 1);
            }
        }
    }

    #[test]
    fn plain_http_is_for_the_own_machine() {
        let get =
            |config: &Config, host: &str| visitor(Method::GET, "127.0.0.1", &[("host", host)]).is_on_loopback(config);
        let plain = config(None, &[]);
        assert!(get(&plain, "localhost:8080") && get(&plain, "127.0.0.1:8080") && get(&plain, "[::1]:8080"));
        assert!(!get(&plain, "10.0.0.1:8080") && !get(&plain, "rec.example.com") && !get(&plain, ""));
        assert!(!get(&config(Some("http://rec.example.com"), &[]), "127.0.0.1:8080"), "there is a proxy");
        assert!(get(&config(Some("http://localhost:8080"), &[]), "127.0.0.1:8080"));
    }
}
