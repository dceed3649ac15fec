//! Signed links: the right to watch one recording for a while, without other credentials.
//!
//! A media player that is handed a `playlist_url` sends no Authorization header, so the URL carries
//! `sig={expiry}.{project}.{mac}`, an HMAC-SHA-256 over recording, project and expiry.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::time::WallTime;
use hmac::{Hmac, KeyInit, Mac};
use secrecy::{ExposeSecret, SecretString};
use sha2::Sha256;

/// Why a link's signature is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It does not have our form, or the MAC is wrong.
    #[error("the link's signature is not valid for this recording; get a new link from the recording")]
    Invalid,
    /// It was valid once.
    #[error("the link has expired; get a new one from the recording")]
    Expired,
}

/// Makes and checks signed links.
pub struct Links {
    key: SecretString,
}

impl Links {
    /// `key` is a secret of at least 32 random bytes.
    pub fn new(key: SecretString) -> Self {
        Self { key }
    }

    /// The signature for a recording, valid until `expires` (whole seconds).
    pub fn sign(&self, project: &ProjectId, recording: RecordingId, expires: WallTime) -> String {
        let expires = expires.as_millis().div_euclid(1000);
        let mac = self.mac(project, recording, expires).finalize().into_bytes();
        format!("{expires}.{project}.{}", URL_SAFE_NO_PAD.encode(mac))
    }

    /// The project that a valid signature was made for, and when it expires.
    pub fn verify(
        &self,
        recording: RecordingId,
        signature: &str,
        now: WallTime,
    ) -> Result<(ProjectId, WallTime), Error> {
        let mut parts = signature.splitn(3, '.');
        let (Some(expires), Some(project), Some(mac)) = (parts.next(), parts.next(), parts.next()) else {
            return Err(Error::Invalid);
        };
        let expires: i64 = expires.parse().map_err(|_| Error::Invalid)?;
        let project = ProjectId::parse(project).map_err(|_| Error::Invalid)?;
        let mac = URL_SAFE_NO_PAD.decode(mac).map_err(|_| Error::Invalid)?;
        self.mac(&project, recording, expires).verify_slice(&mac).map_err(|_| Error::Invalid)?;
        let until = WallTime::from_millis(expires.saturating_mul(1000));
        if now.as_millis().div_euclid(1000) < expires { Ok((project, until)) } else { Err(Error::Expired) }
    }

    fn mac(&self, project: &ProjectId, recording: RecordingId, expires: i64) -> Hmac<Sha256> {
        let key = self.key.expose_secret().as_bytes();
        let mut mac = Hmac::<Sha256>::new_from_slice(key).expect("HMAC takes a key of any length");
        mac.update(format!("echosphere link 1\n{project}\n{recording}\n{expires}").as_bytes());
        mac
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_link_is_for_one_recording_one_project_and_a_while() {
        let links = Links::new(SecretString::from("0123456789abcdef0123456789abcdef"));
        let recording: RecordingId = "0193a3a0-1111-7222-8333-444455556666".parse().unwrap();
        let other: RecordingId = "0193a3a0-1111-7222-8333-444455556667".parse().unwrap();
        let (now, later) = (WallTime::from_millis(1_000_000), WallTime::from_millis(2_000_000));
        let project = ProjectId::parse("acme").unwrap();
        let signature = links.sign(&project, recording, later);
        assert_eq!(links.verify(recording, &signature, now), Ok((project, later)));
        assert_eq!(links.verify(recording, &signature, later), Err(Error::Expired));
        assert_eq!(links.verify(other, &signature, now), Err(Error::Invalid));
        for forged in [signature.replace("acme", "other"), signature.replace("2000.", "9000."), String::new()] {
            assert_eq!(links.verify(recording, &forged, now), Err(Error::Invalid), "{forged}");
        }
    }
}
