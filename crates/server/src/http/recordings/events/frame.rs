//! A server-sent event on the wire (WHATWG HTML, section 9.2.5), whose data many clients may share.

use std::time::Duration;

use bytes::Bytes;

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Frame {
    head: String,
    data: Bytes,
    id: Option<String>,
}

impl Frame {
    /// An event of that name. Its data is JSON, which has no line breaks of its own.
    pub(super) fn new(name: &'static str, data: impl Into<Bytes>) -> Self {
        Self { head: format!("event: {name}\ndata: "), data: data.into(), id: None }
    }

    /// A comment, which is no event, and how soon the client reconnects after its connection broke.
    pub(super) fn comment(text: &'static str, retry: Duration) -> Self {
        Self { head: format!(": {text}\nretry: {}", retry.as_millis()), data: Bytes::new(), id: None }
    }

    /// The same with an id: a client that has received it has all of that state.
    pub(super) fn id(self, id: &str) -> Self {
        Self { id: Some(id.to_owned()), ..self }
    }

    /// Its bytes, in order; the middle ones are shared.
    pub(super) fn into_pieces(self) -> [Bytes; 3] {
        let tail = self.id.map_or_else(|| "\n\n".to_owned(), |id| format!("\nid: {id}\n\n"));
        [self.head.into(), self.data, tail.into()]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_event_is_its_lines() {
        let text = |frame: Frame| String::from_utf8(frame.into_pieces().concat()).unwrap();
        assert_eq!(text(Frame::new("turns", "{}").id("a-1")), "event: turns\ndata: {}\nid: a-1\n\n");
        assert_eq!(text(Frame::new("end", "{}")), "event: end\ndata: {}\n\n");
        assert_eq!(text(Frame::comment("nothing new", Duration::from_secs(2))), ": nothing new\nretry: 2000\n\n");
    }
}
