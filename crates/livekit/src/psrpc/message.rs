//! The messages (livekit/psrpc, `internal/internal.proto`). Times are in nanoseconds since 1970.

use std::collections::BTreeMap;

use prost::Message as _;

/// What stands before a message's name in its envelope.
const TYPES: &str = "type.googleapis.com/internal.";

/// Why what was published cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is not the protobuf message that it should be.
    #[error("it is not protobuf as expected: {0}")]
    Malformed(#[from] prost::DecodeError),
    /// It is a message that is not used here.
    #[error("messages of the type {0} are not used here")]
    Unknown(String),
}

/// A message of any type.
#[derive(Debug, Clone, PartialEq)]
pub enum Message {
    /// A client asks.
    Request(Request),
    /// A server offers to answer.
    ClaimRequest(ClaimRequest),
    /// The client has chosen a server.
    ClaimResponse(ClaimResponse),
    /// The server answers.
    Response(Response),
}

/// `internal.Msg`: the envelope of all that is published.
#[derive(Clone, PartialEq, prost::Message)]
struct Envelope {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
    #[prost(string, tag = "3")]
    channel: String,
}

/// A client asks.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Request {
    /// Its id, new for each attempt.
    #[prost(string, tag = "1")]
    pub request_id: String,
    /// Who asks.
    #[prost(string, tag = "2")]
    pub client_id: String,
    /// When it was sent.
    #[prost(int64, tag = "3")]
    pub sent_at: i64,
    /// From when on nobody waits for the answer.
    #[prost(int64, tag = "4")]
    pub expiry: i64,
    /// Whether all servers are to answer.
    #[prost(bool, tag = "5")]
    pub multi: bool,
    /// What the client says beside the request.
    #[prost(btree_map = "string, string", tag = "7")]
    pub metadata: BTreeMap<String, String>,
    /// The request of the method, as protobuf.
    #[prost(bytes = "vec", tag = "8")]
    pub raw_request: Vec<u8>,
}

/// A server offers to answer.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ClaimRequest {
    /// The request.
    #[prost(string, tag = "1")]
    pub request_id: String,
    /// Who offers it.
    #[prost(string, tag = "2")]
    pub server_id: String,
    /// How well it suits, from 0 to 1.
    #[prost(float, tag = "3")]
    pub affinity: f32,
}

/// The client has chosen a server.
#[derive(Clone, PartialEq, prost::Message)]
pub struct ClaimResponse {
    /// The request.
    #[prost(string, tag = "1")]
    pub request_id: String,
    /// The one that is to answer; all others are not.
    #[prost(string, tag = "2")]
    pub server_id: String,
}

/// The server answers.
#[derive(Clone, PartialEq, prost::Message)]
pub struct Response {
    /// The request.
    #[prost(string, tag = "1")]
    pub request_id: String,
    /// Who answers.
    #[prost(string, tag = "2")]
    pub server_id: String,
    /// When it was sent.
    #[prost(int64, tag = "3")]
    pub sent_at: i64,
    /// Why it refuses; empty when it does not.
    #[prost(string, tag = "5")]
    pub error: String,
    /// The error's code, as of Twirp: `unavailable`, `invalid_argument`, ...
    #[prost(string, tag = "6")]
    pub code: String,
    /// The answer of the method, as protobuf.
    #[prost(bytes = "vec", tag = "7")]
    pub raw_response: Vec<u8>,
}

/// A server refuses.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{code}: {message}")]
pub struct Refusal {
    /// The code, as of Twirp.
    pub code: String,
    /// Why.
    pub message: String,
}

impl Message {
    /// Reads what was published.
    pub fn decode(published: &[u8]) -> Result<Self, Error> {
        let Envelope { type_url, value, .. } = Envelope::decode(published)?;
        Ok(match type_url.strip_prefix(TYPES) {
            Some("Request") => Self::Request(Request::decode(&*value)?),
            Some("ClaimRequest") => Self::ClaimRequest(ClaimRequest::decode(&*value)?),
            Some("ClaimResponse") => Self::ClaimResponse(ClaimResponse::decode(&*value)?),
            Some("Response") => Self::Response(Response::decode(&*value)?),
            _ => return Err(Error::Unknown(type_url)),
        })
    }

    /// What is to be published.
    pub fn encode(&self) -> Vec<u8> {
        let (name, value) = match self {
            Self::Request(it) => ("Request", it.encode_to_vec()),
            Self::ClaimRequest(it) => ("ClaimRequest", it.encode_to_vec()),
            Self::ClaimResponse(it) => ("ClaimResponse", it.encode_to_vec()),
            Self::Response(it) => ("Response", it.encode_to_vec()),
        };
        Envelope { type_url: format!("{TYPES}{name}"), value, channel: String::new() }.encode_to_vec()
    }
}

impl Response {
    /// An answer to a request.
    pub fn to(request_id: &str, server_id: &str, now: i64, answer: Result<Vec<u8>, Refusal>) -> Self {
        let (raw_response, refusal) = match answer {
            Ok(raw) => (raw, None),
            Err(refusal) => (Vec::new(), Some(refusal)),
        };
        let (code, error) = refusal.map(|refusal| (refusal.code, refusal.message)).unwrap_or_default();
        let (request_id, server_id) = (request_id.to_owned(), server_id.to_owned());
        Self { request_id, server_id, sent_at: now, error, code, raw_response }
    }

    /// The method's answer, or why there is none.
    pub fn into_answer(self) -> Result<Vec<u8>, Refusal> {
        if self.error.is_empty() {
            return Ok(self.raw_response);
        }
        Err(Refusal { code: self.code, message: self.error })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refusal_is_one_on_the_other_side_too() {
        let refusal = Refusal { code: "invalid_argument".to_owned(), message: "not a stream".to_owned() };
        let response = Message::Response(Response::to("REQ_1", "SRV_1", 5, Err(refusal.clone())));
        let Message::Response(read) = Message::decode(&response.encode()).unwrap() else { panic!("another message") };
        assert_eq!((read.request_id.as_str(), read.server_id.as_str(), read.sent_at), ("REQ_1", "SRV_1", 5));
        assert_eq!(read.into_answer(), Err(refusal));
        assert_eq!(Response::to("REQ_1", "SRV_1", 5, Ok(vec![1])).into_answer(), Ok(vec![1]));
    }

    #[test]
    fn what_is_not_used_is_said_by_name() {
        let type_url = "type.googleapis.com/internal.Stream".to_owned();
        let envelope = Envelope { type_url: type_url.clone(), ..Envelope::default() };
        assert_eq!(Message::decode(&envelope.encode_to_vec()), Err(Error::Unknown(type_url)));
        assert!(matches!(Message::decode(b"\xff"), Err(Error::Malformed(_))));
    }
}
