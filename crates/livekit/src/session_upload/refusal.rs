//! The only response that makes the SDK retry an upload: a `google.rpc.Status` with a `RetryInfo` detail, in protobuf.

use std::time::Duration;

use prost::Message;

/// The content type of this response.
pub const CONTENT_TYPE: &str = "application/x-protobuf";
/// `google.rpc.Code.UNAVAILABLE`.
const UNAVAILABLE: i32 = 14;

#[derive(Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

#[derive(Message)]
struct Any {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

#[derive(Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<ProtoDuration>,
}

#[derive(Message)]
struct ProtoDuration {
    #[prost(int64, tag = "1")]
    seconds: i64,
    #[prost(int32, tag = "2")]
    nanos: i32,
}

/// The response body that asks the SDK to retry after `delay`.
pub fn try_again(message: &str, delay: Duration) -> Vec<u8> {
    let seconds = i64::try_from(delay.as_secs()).unwrap_or(i64::MAX);
    let nanos = i32::try_from(delay.subsec_nanos()).unwrap_or(0);
    let retry = RetryInfo { retry_delay: Some(ProtoDuration { seconds, nanos }) };
    let detail = Any { type_url: "type.googleapis.com/google.rpc.RetryInfo".to_owned(), value: retry.encode_to_vec() };
    Status { code: UNAVAILABLE, message: message.to_owned(), details: vec![detail] }.encode_to_vec()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_delay_can_be_read_back() {
        let status = Status::decode(try_again("disk full", Duration::from_millis(1_500)).as_slice()).unwrap();
        assert_eq!((status.code, status.message.as_str()), (UNAVAILABLE, "disk full"));
        let delay = RetryInfo::decode(status.details[0].value.as_slice()).unwrap().retry_delay.unwrap();
        assert_eq!((delay.seconds, delay.nanos), (1, 500_000_000));
    }
}
