//! What an S3 server's refusals mean.

use super::certificate::untrusted;
use crate::Error;
use crate::error::whole;

/// What a refusal means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Meaning {
    /// There is no such object.
    NoObject,
    /// The object has no byte there.
    NoRange,
    /// There is no such bucket.
    NoBucket,
    /// It may not be done, whenever it is tried.
    Denied,
    /// The credentials have expired.
    Expired,
    /// No space is left.
    Full,
    /// What arrived is not what was sent; the next time it may be.
    Garbled,
    /// The server's certificate is not trusted.
    Untrusted,
    /// The server cannot be reached, is too busy, or says nothing that is known.
    Away,
}

/// A refusal, and what the server says about it.
#[derive(Debug)]
pub(super) struct Refusal {
    pub(super) meaning: Meaning,
    why: String,
}

impl Refusal {
    pub(super) fn of(error: &object_store::Error) -> Self {
        let text = whole(error);
        let (code, message) = (element(&text, "Code"), element(&text, "Message"));
        let meaning = match code {
            Some("NoSuchBucket") => Meaning::NoBucket,
            Some("InvalidRange") => Meaning::NoRange,
            Some("ExpiredToken" | "ExpiredTokenException" | "TokenRefreshRequired") => Meaning::Expired,
            Some("XMinioStorageFull" | "QuotaExceeded" | "InsufficientStorage") => Meaning::Full,
            Some(
                "BadDigest"
                | "IncompleteBody"
                | "RequestTimeout"
                | "XAmzContentSHA256Mismatch"
                | "XAmzContentChecksumMismatch"
                | "InvalidDigest",
            ) => Meaning::Garbled,
            Some(
                "AccessDenied"
                | "AllAccessDisabled"
                | "AccountProblem"
                | "InvalidAccessKeyId"
                | "InvalidToken"
                | "InvalidTokenId"
                | "SignatureDoesNotMatch"
                | "RequestTimeTooSkewed",
            ) => Meaning::Denied,
            _ => match error {
                object_store::Error::NotFound { .. } => Meaning::NoObject,
                object_store::Error::PermissionDenied { .. } | object_store::Error::Unauthenticated { .. } => {
                    Meaning::Denied
                }
                _ if untrusted(error).is_some() => Meaning::Untrusted,
                _ if text.contains("416 Range Not Satisfiable") => Meaning::NoRange,
                _ => Meaning::Away,
            },
        };
        let why = match (code, message) {
            (Some(code), Some(message)) if !message.is_empty() => format!("{code}: {message}"),
            (Some(code), _) => code.to_owned(),
            (None, _) => untrusted(error).map_or(text, str::to_owned),
        };
        Self { meaning, why }
    }

    /// As an error of what was tried.
    pub(super) fn into_error(self, action: &'static str, target: String, bucket: &str) -> Error {
        match self.meaning {
            Meaning::NoBucket => Error::NoBucket { bucket: bucket.to_owned() },
            Meaning::Denied | Meaning::Expired => Error::Refused { action, target, why: self.why },
            Meaning::Untrusted => Error::Untrusted { action, target, why: self.why },
            Meaning::Full => Error::Full { action, target },
            _ => Error::Away { action, target, why: self.why },
        }
    }
}

/// The text of the first XML element of this name that has no others in it.
pub fn element<'t>(text: &'t str, name: &str) -> Option<&'t str> {
    let (_, after) = text.split_once(&format!("<{name}>"))?;
    Some(after.split_once(&format!("</{name}>"))?.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refusal(body: &str) -> Refusal {
        Refusal::of(&object_store::Error::Generic { store: "S3", source: body.to_owned().into() })
    }

    #[test]
    fn an_element_is_found_between_its_tags() {
        let text = "<Key>a/b</Key><UploadId>x+/=</UploadId><Initiated>1";
        assert_eq!((element(text, "Key"), element(text, "UploadId")), (Some("a/b"), Some("x+/=")));
        assert_eq!((element(text, "Initiated"), element(text, "Size")), (None, None));
    }

    #[test]
    fn the_code_decides_and_the_message_is_kept() {
        for (code, meaning) in [
            ("NoSuchBucket", Meaning::NoBucket),
            ("AccessDenied", Meaning::Denied),
            ("ExpiredToken", Meaning::Expired),
            ("SlowDown", Meaning::Away),
            ("BadDigest", Meaning::Garbled),
        ] {
            let body = format!("status 400: <Error><Code>{code}</Code><Message>Not so.</Message></Error>");
            let refusal = refusal(&body);
            assert_eq!((refusal.meaning, refusal.why.as_str()), (meaning, format!("{code}: Not so.").as_str()));
        }
        assert_eq!(refusal("connection refused").meaning, Meaning::Away);
        assert_eq!(refusal("<Code>Accessible").meaning, Meaning::Away);
    }
}
