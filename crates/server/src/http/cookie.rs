//! The cookie of a browser that has signed in (RFC 6265bis).

use axum::http::{HeaderValue, header};

use super::visitor::Visitor;
use crate::config::Config;

/// The cookie's name. Over HTTPS its prefix makes browsers refuse a cookie that was set without `Secure`, or for a whole domain.
/// Over plain HTTP, which is for one machine, several servers may differ by their ports alone, which cookies ignore: the port is in
/// the name.
fn name(config: &Config, visitor: &Visitor) -> String {
    if visitor.is_https(config) {
        return "__Host-echosphere".to_owned();
    }
    let host = visitor.host(config);
    let port = host.rsplit_once(':').map(|(_, port)| port).filter(|port| port.bytes().all(|b| b.is_ascii_digit()));
    port.filter(|port| !port.is_empty()).map_or_else(|| "echosphere".to_owned(), |port| format!("echosphere-{port}"))
}

/// The value of this cookie in a request, if the request has it.
pub fn of<'v>(config: &Config, visitor: &'v Visitor) -> Option<&'v str> {
    let name = name(config, visitor);
    let lines = visitor.headers.get_all(header::COOKIE).iter().filter_map(|line| line.to_str().ok());
    let mut pairs = lines.flat_map(|line| line.split(';')).filter_map(|pair| pair.trim().split_once('='));
    pairs.find(|(key, _)| *key == name).map(|(_, text)| text)
}

/// The header value that sets the cookie, for this many seconds.
pub fn set(config: &Config, visitor: &Visitor, text: &str, seconds: u64) -> Option<HeaderValue> {
    let secure = if visitor.is_https(config) { "; Secure" } else { "" };
    let name = name(config, visitor);
    let line = format!("{name}={text}; Path=/; Max-Age={seconds}; HttpOnly; SameSite=Lax{secure}");
    let mut line = HeaderValue::from_str(&line).ok()?;
    line.set_sensitive(true);
    Some(line)
}

#[cfg(test)]
mod tests {
    use super::super::visitor::tests::visitor;
    use super::*;
    use axum::http::Method;

    #[test]
    fn the_cookie_is_as_strict_as_the_way_allows() {
        let over = |public: Option<&str>, host: &str, cookie: &str| {
            let config = Config { public_url: public.map(str::to_owned), ..Config::default() };
            let visitor = visitor(Method::GET, "127.0.0.1", &[("host", host), ("cookie", cookie)]);
            let line = set(&config, &visitor, "text", 60).unwrap().to_str().unwrap().to_owned();
            (line, of(&config, &visitor).map(str::to_owned))
        };
        let (line, found) = over(None, "127.0.0.1:8080", "a=b; echosphere-8080=x.y; echosphere=z");
        assert_eq!(line, "echosphere-8080=text; Path=/; Max-Age=60; HttpOnly; SameSite=Lax");
        assert_eq!(found.as_deref(), Some("x.y"));
        assert_eq!(over(None, "localhost", "echosphere=z").1.as_deref(), Some("z"));
        assert_eq!(over(None, "[::1]", "echosphere=z").1.as_deref(), Some("z"));
        let (line, found) =
            over(Some("https://rec.example.com"), "rec.example.com", "echosphere=z; __Host-echosphere=s");
        assert_eq!(line, "__Host-echosphere=text; Path=/; Max-Age=60; HttpOnly; SameSite=Lax; Secure");
        assert_eq!(found.as_deref(), Some("s"));
        assert_eq!(over(Some("https://rec.example.com"), "rec.example.com", "echosphere=z").1, None);
    }
}
