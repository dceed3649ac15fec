//! Refuses weak secrets: anybody who guesses one can sign tokens, or read every recording of its project.

use secrecy::{ExposeSecret, SecretString};
use serde::{Deserialize, Deserializer, de};

/// The shortest secret or API key that is accepted, in bytes. LiveKit asks for 32 (livekit-server, `pkg/config`, `ValidateKeys`),
/// and its own generator makes 43; some of those in use are older and shorter.
const SHORTEST: usize = 16;
/// The shortest secret that LiveKit asks for, in bytes.
const ENOUGH: usize = 32;
/// The pair of `livekit-server --dev`, which everybody knows.
pub(super) const DEV_PAIR: (&str, &str) = ("devkey", "secret");

/// Checks a secret. The error says why the text cannot be one, and never repeats it.
pub(super) fn check(text: &str) -> Result<(), String> {
    let lower = text.trim().to_ascii_lowercase();
    let is_placeholder =
        lower.starts_with("replace-this") || lower.starts_with("changeme") || lower.starts_with("change-me");
    let is_template = text.contains("${") || text.contains("{{") || (text.starts_with('<') && text.ends_with('>'));
    let distinct = text.bytes().collect::<std::collections::BTreeSet<u8>>().len();
    if lower.is_empty() {
        Err("it is empty, so that anybody could sign with it; set it, or leave the key out".to_owned())
    } else if text.trim() != text {
        Err("it begins or ends with white space, which is hardly meant".to_owned())
    } else if is_template {
        Err("it is a variable of a template that nothing was put in for".to_owned())
    } else if is_placeholder {
        Err("it is the placeholder of an example, which everybody knows".to_owned())
    } else if text.len() < SHORTEST {
        Err(format!("it has {} characters, and one of less than {SHORTEST} can be guessed", text.chars().count()))
    } else if distinct < 3 {
        Err(format!("it has only {distinct} different characters, and can be guessed"))
    } else {
        Ok(())
    }
}

/// As [`check`], but accepts the secret of `livekit-server --dev`; where it may be used is checked later.
pub(super) fn check_livekit(text: &str) -> Result<(), String> {
    if text == DEV_PAIR.1 { Ok(()) } else { check(text) }
}

/// Whether a secret is shorter than LiveKit asks for.
pub(super) fn is_short(secret: &SecretString) -> bool {
    secret.expose_secret().len() < ENOUGH
}

/// An API key of the file: checked where it is read, so that the error has its line.
#[derive(Debug, Clone)]
pub(super) struct ApiKey(pub(super) SecretString);

impl<'de> Deserialize<'de> for ApiKey {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        check(&text).map_err(|reason| de::Error::custom(format!("an API key cannot be used: {reason}")))?;
        Ok(Self(SecretString::from(text)))
    }
}

/// The secret of a LiveKit key of the file: checked where it is read, so that the error has its line.
#[derive(Debug, Clone)]
pub(super) struct LiveKitSecret(pub(super) SecretString);

impl<'de> Deserialize<'de> for LiveKitSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        check_livekit(&text).map_err(|reason| de::Error::custom(format!("the secret cannot be used: {reason}")))?;
        Ok(Self(SecretString::from(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_guessed_is_no_secret() {
        for bad in [
            "",
            " ",
            "\t\n",
            "x",
            "secret",
            "fifteen-letters",
            "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
            "${LIVEKIT_API_SECRET_OF_PRODUCTION}",
            "{{ .Values.livekit.secret }}",
            "<your secret goes in here, please>",
            "replace-this-with-a-long-random-key",
            "ChangeMeChangeMeChangeMe",
            " 0123456789abcdef0123456789abcdef",
        ] {
            let error = check(bad).unwrap_err();
            assert!(bad.trim().len() < 6 || !error.contains(bad), "{error}");
        }
        for good in ["sixteen-letters!", "0123456789abcdef0123456789abcdef", "secretsecretsecretsecretsecretsecret"] {
            assert_eq!(check(good), Ok(()), "{good}");
        }
        assert_eq!(check_livekit("secret"), Ok(()));
    }
}
