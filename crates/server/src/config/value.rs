//! Parses the text of a setting into its value.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;

/// A size in bytes: a whole number, optionally followed by `KiB`, `MiB` or `GiB`.
pub fn bytes(text: &str) -> Result<u64, String> {
    let text = text.trim();
    let (number, factor) = [("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)]
        .into_iter()
        .find_map(|(unit, factor)| Some((text.strip_suffix(unit)?.trim_end(), factor)))
        .unwrap_or((text, 1_u64));
    let wanted = || format!("{text:?} is not a size: expected bytes, or a number with KiB, MiB or GiB, such as 1 GiB");
    number.parse::<u64>().ok().and_then(|n| n.checked_mul(factor)).ok_or_else(wanted)
}

/// A length of time: a whole number followed by `ms`, `s`, `m`, `h` or `d`.
pub fn duration(text: &str) -> Result<Duration, String> {
    let text = text.trim();
    let wanted = || format!("{text:?} is not a length of time: expected a number with ms, s, m, h or d, such as 24h");
    let unit_at = text.find(|c: char| c.is_ascii_alphabetic()).ok_or_else(wanted)?;
    let (number, unit) = text.split_at(unit_at);
    let millis = match unit {
        "ms" => 1,
        "s" => 1_000,
        "m" => 60_000,
        "h" => 3_600_000,
        "d" => 86_400_000,
        _ => return Err(wanted()),
    };
    let number: u64 = number.trim_end().parse().map_err(|_| wanted())?;
    number.checked_mul(millis).map(Duration::from_millis).ok_or_else(wanted)
}

/// An address with a port, such as `127.0.0.1:8080`.
pub fn address(text: &str) -> Result<SocketAddr, String> {
    let text = text.replace("localhost", "127.0.0.1");
    text.parse().map_err(|_| format!("{text:?} is not an address with a port, such as 127.0.0.1:8080"))
}

/// The public URL of this server: of a host, without a path, because presigned URLs sign the path under which the bucket is served.
pub fn public_url(text: &str) -> Result<String, String> {
    let url = url(text, &["http", "https"], "https://echosphere.example.com")?;
    let path = url.split_once("://").and_then(|(_, rest)| rest.split_once('/'));
    match path {
        None => Ok(url),
        Some((_, path)) => Err(format!(
            "/{path} is a path: EchoSphere needs a host of its own, such as https://echosphere.example.com"
        )),
    }
}

/// The URL of a LiveKit server, which the SDKs write with either pair of schemes.
pub fn livekit_url(text: &str) -> Result<String, String> {
    url(text, &["ws", "wss", "http", "https"], "wss://livekit.example.com")
}

fn url(text: &str, schemes: &[&str], example: &str) -> Result<String, String> {
    let wanted = || format!("expected a URL of {}, such as {example}", schemes.join(", "));
    let uri: http::Uri = text.parse().map_err(|_| wanted())?;
    let scheme_ok = uri.scheme_str().is_some_and(|scheme| schemes.contains(&scheme));
    if !scheme_ok || uri.authority().is_none() || uri.query().is_some() {
        return Err(wanted());
    }
    Ok(text.trim_end_matches('/').to_owned())
}

/// The file of a `sqlite://` URL or a plain path.
pub fn sqlite_path(text: &str) -> Result<PathBuf, String> {
    match text.split_once("://") {
        None | Some(("sqlite" | "file", _)) => {
            let path = text.split_once("://").map_or(text, |(_, path)| path);
            if path.is_empty() { Err("the database's path is empty".to_owned()) } else { Ok(PathBuf::from(path)) }
        }
        Some((scheme, _)) => {
            Err(format!("{scheme}:// is not a database that this version knows: expected sqlite://PATH"))
        }
    }
}

/// A file or folder.
pub fn path(text: &str) -> Result<PathBuf, String> {
    self::text(text).map(PathBuf::from)
}

/// A bucket name by S3's rules for new buckets.
pub fn bucket_name(text: &str) -> Result<String, String> {
    let good = (3..=63).contains(&text.len())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-' || b == b'.')
        && text.starts_with(|c: char| c.is_ascii_alphanumeric())
        && text.ends_with(|c: char| c.is_ascii_alphanumeric())
        && !text.contains("..");
    let wanted = || format!("{text:?} is not a bucket name: expected 3 to 63 of a-z, 0-9, '-' and '.'");
    if good { Ok(text.to_owned()) } else { Err(wanted()) }
}

/// A bucket name that is not one of the first path segments that this server itself uses.
pub fn bucket(text: &str) -> Result<String, String> {
    let taken =
        ["v1", "recordings", "assets", "observability", "livekit", "healthz", "readyz", "metrics", "login", "logout"];
    if taken.contains(&text) {
        return Err(format!("{text:?} is a path of the server itself and cannot be a bucket's name"));
    }
    bucket_name(text)
}

/// A text that is not blank.
pub fn text(text: &str) -> Result<String, String> {
    if text.trim().is_empty() { Err("it is empty".to_owned()) } else { Ok(text.to_owned()) }
}

/// A whole number within bounds.
pub fn number(text: &str, low: usize, high: usize) -> Result<usize, String> {
    let wanted = || format!("{text:?} is not a whole number from {low} to {high}");
    text.trim().parse().ok().filter(|n| (low..=high).contains(n)).ok_or_else(wanted)
}

/// A key and its secret, which are set together.
pub fn pair(
    key: Option<String>,
    secret: Option<SecretString>,
    names: &str,
) -> Result<Option<(String, SecretString)>, String> {
    match (key, secret) {
        (Some(key), Some(secret)) => Ok(Some((key, secret))),
        (None, None) => Ok(None),
        _ => Err(format!("{names} must be set together")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_and_lengths_have_units() {
        assert_eq!(bytes("1 GiB"), Ok(1 << 30));
        assert_eq!(bytes("500"), Ok(500));
        assert!(bytes("1 GB").is_err());
        assert!(bytes("99999999999999 GiB").is_err());
        assert_eq!(duration("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(duration("250ms"), Ok(Duration::from_millis(250)));
        assert!(duration("24").is_err());
        assert!(duration("").is_err());
    }

    #[test]
    fn what_later_versions_will_know_is_refused_by_name() {
        assert!(sqlite_path("postgres://u:p@h/db").unwrap_err().contains("postgres"));
        assert!(!sqlite_path("postgres://u:secret@h/db").unwrap_err().contains("secret"));
    }

    #[test]
    fn a_bucket_never_hides_a_route() {
        assert!(bucket("echosphere-recordings").is_ok());
        assert!(bucket("recordings").is_err());
        assert!(bucket("a/b").is_err());
    }
}
