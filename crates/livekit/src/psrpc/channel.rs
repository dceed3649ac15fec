//! The names of Redis channels: parts joined by `|`, of which empty ones are left out (livekit/psrpc, `pkg/info/channels.go`).

/// A method of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Method {
    /// The service's name.
    pub service: &'static str,
    /// Its own.
    pub name: &'static str,
}

impl Method {
    /// Where its requests are published: to every server of the service, or to those that have subscribed to a topic.
    pub fn requests(self, topic: &str) -> String {
        join(&[self.service, self.name, topic, "REQ"])
    }

    /// Where a client says which server it has chosen.
    pub fn choices(self, topic: &str) -> String {
        join(&[self.service, self.name, topic, "RCLAIM"])
    }
}

/// Where a client of a service receives the claims to its requests.
pub fn claims(service: &str, client_id: &str) -> String {
    join(&[service, client_id, "CLAIM"])
}

/// Where a client of a service receives answers.
pub fn responses(service: &str, client_id: &str) -> String {
    join(&[service, client_id, "RES"])
}

fn join(parts: &[&str]) -> String {
    let parts: Vec<String> = parts.iter().filter(|part| !part.is_empty()).map(|part| escape(part)).collect();
    parts.join("|")
}

/// All but ASCII letters, digits and `_` by their number: `u+` and four digits, `U+` and eight above U+FFFF.
fn escape(part: &str) -> String {
    let mut escaped = String::with_capacity(part.len());
    for character in part.chars() {
        let number = u32::from(character);
        match character {
            '0'..='9' | 'A'..='Z' | 'a'..='z' | '_' => escaped.push(character),
            _ if number < 0x1_0000 => escaped.push_str(&format!("u+{number:04x}")),
            _ => escaped.push_str(&format!("U+{number:08x}")),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    const METHOD: Method = Method { service: "EgressHandler", name: "StopEgress" };

    #[test]
    fn a_topic_is_a_part_of_its_own() {
        assert_eq!(METHOD.requests("EG_1"), "EgressHandler|StopEgress|EG_1|REQ");
        assert_eq!(METHOD.requests(""), "EgressHandler|StopEgress|REQ");
        assert_eq!(METHOD.choices("EG_1"), "EgressHandler|StopEgress|EG_1|RCLAIM");
        assert_eq!(claims("IOInfo", "CLI_1"), "IOInfo|CLI_1|CLAIM");
        assert_eq!(responses("IOInfo", "CLI_1"), "IOInfo|CLI_1|RES");
    }

    #[test]
    fn other_characters_are_numbers() {
        assert_eq!(METHOD.requests("a-b|c"), "EgressHandler|StopEgress|au+002dbu+007cc|REQ");
        assert_eq!(METHOD.requests("é\u{1f600}"), "EgressHandler|StopEgress|u+00e9U+0001f600|REQ");
    }
}
