//! Tests of `token`.

use super::*;
use proptest::prelude::*;

/// The token of the recorded session `order`, and the time of its upload.
const RECORDED: &str = "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJvYnNlcnZhYmlsaXR5Ijp7IndyaXRlIjp0cnVlfSwic3ViIjoiIiwiaXNzIjoiZGV2a2V5IiwibmJmIjoxNzk1NDM5NTYzLCJleHAiOjE3OTU0NjExNjN9.MoKjHBTOz95lbhOWz31RJ0QW_ptecEozGwS0Ex8Rr5Q";
const UPLOADED: WallTime = WallTime::from_millis(1_795_439_563_390);

fn secret() -> SecretString {
    SecretString::from("secretsecretsecretsecretsecretsecret")
}

fn verifier() -> Verifier {
    let acme = ProjectId::parse("acme").unwrap();
    Verifier::new([
        (ProjectId::default(), "devkey".to_owned(), secret()),
        (acme, "acmekey".to_owned(), SecretString::from("another secret, another project")),
    ])
}

#[test]
fn a_recorded_token_is_good_in_its_time() {
    let check = |now, grant| verifier().verify(RECORDED, now, grant);
    let claims = check(UPLOADED, Grant::ObservabilityWrite).unwrap();
    assert_eq!((claims.project, claims.key.as_str(), claims.room), (ProjectId::default(), "devkey", None));
    assert_eq!(claims.expires, WallTime::from_millis(1_795_461_163_000));
    let hours = |n: i64| UPLOADED.plus_nanos(n * 3_600_000_000_000);
    assert_eq!(check(hours(7), Grant::ObservabilityWrite), Err(Error::Expired));
    assert_eq!(check(hours(-1), Grant::ObservabilityWrite), Err(Error::NotYet));
    assert!(check(UPLOADED.plus_nanos(-30_000_000_000), Grant::ObservabilityWrite).is_ok());
    assert_eq!(check(UPLOADED, Grant::RoomRecord), Err(Error::MissingGrant("roomRecord")));
}

fn forged(header: &serde_json::Value, claims: &serde_json::Value) -> String {
    let encode = |value: &serde_json::Value| URL_SAFE_NO_PAD.encode(value.to_string());
    let signed = format!("{}.{}", encode(header), encode(claims));
    let signature = URL_SAFE_NO_PAD.encode(mac(&secret(), &signed).finalize().into_bytes());
    format!("{signed}.{signature}")
}

#[test]
fn nothing_but_hs256_with_an_expiry_passes() {
    let check = |token: &str| verifier().verify(token, UPLOADED, Grant::ObservabilityWrite);
    let good = json!({ "iss": "devkey", "exp": 1_795_461_163, "observability": { "write": true } });
    assert!(check(&forged(&json!({ "alg": "HS256" }), &good)).is_ok());
    for alg in ["none", "None", "HS384", "RS256", ""] {
        assert_eq!(check(&forged(&json!({ "alg": alg }), &good)), Err(Error::Algorithm), "{alg}");
    }
    let unsigned = forged(&json!({ "alg": "HS256" }), &good);
    let unsigned = format!("{}.", unsigned.rsplit_once('.').unwrap().0);
    assert_eq!(check(&unsigned), Err(Error::Signature));
    let no_expiry = json!({ "iss": "devkey", "observability": { "write": true } });
    assert_eq!(check(&forged(&json!({ "alg": "HS256" }), &no_expiry)), Err(Error::NoExpiry));
    let stranger = json!({ "iss": "nobody", "exp": 1_795_461_163, "observability": { "write": true } });
    assert_eq!(check(&forged(&json!({ "alg": "HS256" }), &stranger)), Err(Error::UnknownIssuer));
    let borrowed = json!({ "iss": "acmekey", "exp": 1_795_461_163, "observability": { "write": true } });
    assert_eq!(check(&forged(&json!({ "alg": "HS256" }), &borrowed)), Err(Error::Signature));
}

#[test]
fn whoever_guesses_keys_learns_nothing() {
    let of = |issuer: &str| json!({ "iss": issuer, "exp": 1_795_461_163, "video": { "roomRecord": true } });
    let verified =
        |claims| verifier().verify(&forged(&json!({ "alg": "HS256" }), &claims), UPLOADED, Grant::RoomRecord);
    // `forged` signs with devkey's secret: right for devkey, wrong for acmekey, and `nobody` is not a key at all.
    let (known, unknown) = (verified(of("acmekey")).unwrap_err(), verified(of("nobody")).unwrap_err());
    assert_ne!(known, unknown, "the log may tell them apart");
    assert_eq!(known.public_message(), unknown.public_message());
    // Nothing that depends on the key is checked before the signature: an expired token of a wrong key is wrong, not expired.
    let old = |issuer: &str| json!({ "iss": issuer, "exp": 1, "video": { "roomRecord": true } });
    assert_eq!(verified(old("acmekey")).unwrap_err().public_message(), unknown.public_message());
    assert_eq!(verified(old("devkey")), Err(Error::Expired));
}

#[test]
fn minted_tokens_are_good() {
    for grant in [Grant::ObservabilityWrite, Grant::RoomRecord] {
        let token = mint("devkey", &secret(), grant, UPLOADED, 60);
        assert!(verifier().verify(&token, UPLOADED, grant).is_ok());
    }
    for room in [None, Some("a room")] {
        let token = mint_api("devkey", &secret(), room, UPLOADED, 60);
        let claims = verifier().verify(&token, UPLOADED, Grant::RoomRecord).unwrap();
        assert_eq!((claims.room.as_deref(), claims.expires), (room, WallTime::from_millis(1_795_439_623_000)));
    }
}

proptest! {
    #[test]
    fn any_text_is_refused_without_a_panic(text in "[a-zA-Z0-9._=-]{0,200}") {
        prop_assert!(verifier().verify(&text, UPLOADED, Grant::ObservabilityWrite).is_err());
    }
}
