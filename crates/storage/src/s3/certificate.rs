//! A server whose certificate is not trusted: whoever asks it again gets the same answer, so nobody does.

use std::error::Error;
use std::io;

use object_store::client::{HttpError, HttpErrorKind};

/// Why a server's certificate is not trusted.
#[derive(Debug, thiserror::Error)]
#[error("its certificate is not trusted: {0}")]
pub(super) struct Untrusted(String);

/// An error that is not tried again, if it is one of a certificate.
pub(super) fn told(error: HttpError) -> HttpError {
    let why = causes(&error).find_map(of_tls);
    match why {
        Some(why) => HttpError::new(HttpErrorKind::Unknown, Untrusted(why)),
        None => error,
    }
}

/// What is wrong with the certificate, if that is why a call failed.
pub(super) fn untrusted<'e>(error: &'e (dyn Error + 'static)) -> Option<&'e str> {
    causes(error).find_map(|cause| Some(cause.downcast_ref::<Untrusted>()?.0.as_str()))
}

fn causes<'e>(error: &'e (dyn Error + 'static)) -> impl Iterator<Item = &'e (dyn Error + 'static)> + 'e {
    std::iter::successors(Some(error), |error| match error.downcast_ref::<io::Error>().and_then(io::Error::get_ref) {
        // An I/O error does not say that what it has inside is its cause.
        Some(inside) => Some(inside),
        None => (*error).source(),
    })
}

/// What TLS says of a certificate.
fn of_tls(error: &(dyn Error + 'static)) -> Option<String> {
    match error.downcast_ref() {
        Some(rustls::Error::InvalidCertificate(why)) => Some(why.to_string()),
        _ => None,
    }
}
