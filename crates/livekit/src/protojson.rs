//! Reads values of protojson (<https://protobuf.dev/programming-guides/json/>) by their names in either spelling, without their types.

use serde_json::Value;

/// A field, by its name in the proto file (`room_name`), or as protojson writes it (`roomName`).
pub fn field<'v>(value: &'v Value, name: &str) -> Option<&'v Value> {
    value.get(name).or_else(|| value.get(camel_case(name)))
}

fn camel_case(name: &str) -> String {
    let mut words = name.split('_');
    let first = words.next().unwrap_or_default().to_owned();
    words.fold(first, |mut all, word| {
        let mut letters = word.chars();
        all.extend(letters.next().map(|letter| letter.to_ascii_uppercase()));
        all.push_str(letters.as_str());
        all
    })
}

/// A number: those of 64 bits are written as text.
pub fn number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_field_has_two_names_and_a_number_two_forms() {
        let value = json!({ "egressId": "EG_1", "updated_at": 3, "size": "-4", "other": [] });
        assert_eq!(field(&value, "egress_id"), Some(&json!("EG_1")));
        assert_eq!(field(&value, "updated_at").and_then(number), Some(3));
        assert_eq!(field(&value, "size").and_then(number), Some(-4));
        assert_eq!((field(&value, "other").and_then(number), field(&value, "none")), (None, None));
    }
}
