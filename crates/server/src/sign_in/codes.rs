//! The codes of sign-in links: `{expiry}.{nonce}.{project}.{mac}`, an HMAC-SHA-256 with a secret of the data directory.
//!
//! A code says by itself for which project and until when it is valid, so that `echosphere link` needs nothing of a running server
//! but that secret. The server remembers which codes were used: each works once (`Store::take_sign_in_link`).

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use echosphere_domain::id::ProjectId;
use echosphere_domain::time::WallTime;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// The longest code that is looked at, in bytes.
const LONGEST: usize = 512;

/// Why a code is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not have our form, or the MAC is wrong.
    #[error("this sign-in link is not valid")]
    Invalid,
    /// It was valid once.
    #[error("this sign-in link has expired")]
    Expired,
}

/// What a valid code says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Code {
    /// The project that it signs in to.
    pub project: ProjectId,
    /// Unique to the code.
    pub nonce: String,
    /// When it expires.
    pub expires: WallTime,
}

/// Makes a code from 16 random bytes, valid until `expires` (whole seconds).
pub fn mint(key: &SecretString, project: &ProjectId, random: [u8; 16], expires: WallTime) -> String {
    let (expires, nonce) = (expires.as_millis().div_euclid(1000), URL_SAFE_NO_PAD.encode(random));
    let mac = mac(key, project, &nonce, expires).finalize().into_bytes();
    format!("{expires}.{nonce}.{project}.{}", URL_SAFE_NO_PAD.encode(mac))
}

/// Reads and verifies a code.
pub fn verify(key: &SecretString, code: &str, now: WallTime) -> Result<Code, Error> {
    let mut parts = code.splitn(4, '.');
    let (Some(expires), Some(nonce), Some(project), Some(sent)) =
        (parts.next(), parts.next(), parts.next(), parts.next().filter(|_| code.len() <= LONGEST))
    else {
        return Err(Error::Invalid);
    };
    let expires: i64 = expires.parse().map_err(|_| Error::Invalid)?;
    let project = ProjectId::parse(project).map_err(|_| Error::Invalid)?;
    let sent = URL_SAFE_NO_PAD.decode(sent).map_err(|_| Error::Invalid)?;
    mac(key, &project, nonce, expires).verify_slice(&sent).map_err(|_| Error::Invalid)?;
    if now.as_millis().div_euclid(1000) >= expires {
        return Err(Error::Expired);
    }
    Ok(Code { project, nonce: nonce.to_owned(), expires: WallTime::from_millis(expires.saturating_mul(1000)) })
}

fn mac(key: &SecretString, project: &ProjectId, nonce: &str, expires: i64) -> Hmac<Sha256> {
    let mut mac = keyed(key);
    mac.update(format!("echosphere sign-in link 1\n{project}\n{nonce}\n{expires}").as_bytes());
    mac
}

/// An HMAC with the data directory's sign-in secret; every text that is put into it begins with its purpose.
pub(super) fn keyed(key: &SecretString) -> Hmac<Sha256> {
    Hmac::<Sha256>::new_from_slice(key.expose_secret().as_bytes()).expect("HMAC takes a key of any length")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn key() -> SecretString {
        SecretString::from("0123456789abcdef0123456789abcdef")
    }

    #[test]
    fn a_code_is_for_one_project_and_an_hour() {
        let (now, later) = (WallTime::from_millis(1_000_000), WallTime::from_millis(4_600_999));
        let project = ProjectId::parse("acme").unwrap();
        let code = mint(&key(), &project, [7; 16], later);
        let read = verify(&key(), &code, now).unwrap();
        assert_eq!((read.project, read.expires), (project.clone(), WallTime::from_millis(4_600_000)));
        assert_ne!(mint(&key(), &project, [8; 16], later), code);
        assert_eq!(verify(&key(), &code, later), Err(Error::Expired));
        let other = SecretString::from("another secret, of another data directory");
        assert_eq!(verify(&other, &code, now), Err(Error::Invalid));
        for forged in [
            code.replace("acme", "other"),
            code.replace("4600.", "9600."),
            code.replacen("Bw", "Cw", 1),
            format!("{code}x"),
            String::new(),
            "a.b.c.d".to_owned(),
        ] {
            assert_eq!(verify(&key(), &forged, now), Err(Error::Invalid), "{forged}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_refused(text in "[a-zA-Z0-9._=-]{0,200}", odd in ".{0,60}") {
            prop_assert!(verify(&key(), &text, WallTime::from_millis(0)).is_err());
            prop_assert!(verify(&key(), &odd, WallTime::from_millis(0)).is_err());
        }
    }
}
