//! Tests of `sign_in`.

use super::*;
use crate::config::Environment;
use echosphere_store::SignIns as _;

fn of(yaml: &str) -> (SignIns, Config) {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), yaml).unwrap();
    let config = config::load(Some(file.path()), &Environment::new()).unwrap();
    (SignIns::new(SecretString::from("a secret of the data directory"), &config), config)
}

const TWO: &str = "projects: [{name: acme, api_keys: [first-api-key-0123456789abcdef], livekit: [{api_key: k, api_secret: s-0123456789abcdef0123456789abcdef}]}, {name: other}]";
const NOW: WallTime = WallTime::from_millis(1_795_439_500_500);

fn api_key() -> Credential {
    let key = SecretString::from("first-api-key-0123456789abcdef");
    Credential::ApiKey(ProjectId::parse("acme").unwrap(), key)
}

#[tokio::test]
async fn a_cookie_is_good_for_its_time_and_nothing_of_it_is_kept() {
    let dir = tempfile::tempdir().unwrap();
    let store = echosphere_store::sqlite::open(&dir.path().join("db")).await.unwrap();
    let (door, config) = of(TWO);
    let cookie = door.sign_in(&store, &config, api_key(), NOW).await.unwrap().unwrap();
    let hours = |n: u64| NOW.after(Duration::from_secs(n * 3600));
    assert_eq!(door.known(&store, &cookie.text, hours(13)).await.unwrap(), None, "not used for 12 h");
    for hour in (0..168).step_by(8) {
        let known = door.known(&store, &cookie.text, hours(hour)).await.unwrap().unwrap();
        assert_eq!((known.project.as_str(), known.room), ("acme", None));
    }
    assert_eq!(door.known(&store, &cookie.text, hours(168)).await.unwrap(), None, "used, but seven days old");
    let file = std::fs::read(dir.path().join("db-wal")).unwrap();
    let has = |text: &str| file.windows(text.len()).any(|window| window == text.as_bytes());
    assert!(has(&id(&cookie.text)), "the row is in what was searched");
    assert!(!has(&cookie.text) && !has("first-api-key"));
    for wrong in ["", "x", ".", "a.b", &format!("{}.QQ", cookie.text), &"a".repeat(9_999)] {
        assert_eq!(door.known(&store, wrong, NOW).await.unwrap(), None, "{wrong}");
    }
}

#[tokio::test]
async fn a_token_narrows_its_sign_in_to_its_room_and_its_life() {
    let dir = tempfile::tempdir().unwrap();
    let store = echosphere_store::sqlite::open(&dir.path().join("db")).await.unwrap();
    let (door, config) = of(TWO);
    let expires = WallTime::from_millis(1_795_439_560_000);
    let project = ProjectId::parse("acme").unwrap();
    let claims =
        |room: &str| Claims { project: project.clone(), key: "k".to_owned(), room: Some(room.to_owned()), expires };
    let cookie =
        door.sign_in(&store, &config, Credential::Token(claims("Sprechzimmer é")), NOW).await.unwrap().unwrap();
    let known = door.known(&store, &cookie.text, NOW).await.unwrap().unwrap();
    assert_eq!((known.room.as_deref(), known.until), (Some("Sprechzimmer é"), expires));
    assert_eq!(door.known(&store, &cookie.text, expires).await.unwrap(), None);
    let (secret, _) = cookie.text.split_once('.').unwrap();
    for other in [secret.to_owned(), format!("{secret}.{}", URL_SAFE_NO_PAD.encode("another room"))] {
        assert_eq!(door.known(&store, &other, NOW).await.unwrap(), None, "{other}");
    }
    let long = "r".repeat(LONGEST_ROOM + 1);
    assert!(door.sign_in(&store, &config, Credential::Token(claims(&long)), NOW).await.unwrap().is_none());
}

#[tokio::test]
async fn a_key_that_is_gone_ends_its_sign_ins() {
    let dir = tempfile::tempdir().unwrap();
    let store = echosphere_store::sqlite::open(&dir.path().join("db")).await.unwrap();
    let (door, config) = of(TWO);
    let code = door.read_code(&door.code(&ProjectId::parse("acme").unwrap(), NOW), NOW).unwrap();
    let by_key = door.sign_in(&store, &config, api_key(), NOW).await.unwrap().unwrap().text;
    let by_link = door.sign_in(&store, &config, Credential::Link(code), NOW).await.unwrap().unwrap().text;
    let signed_in = async |door: &SignIns, cookie: &str| door.known(&store, cookie, NOW).await.unwrap().is_some();
    // The key has moved to another project: it opens another project's recordings, with a new sign-in.
    let (moved, _) = of("projects: [{name: acme}, {name: other, api_keys: [first-api-key-0123456789abcdef]}]");
    assert!(!signed_in(&moved, &by_key).await && signed_in(&moved, &by_link).await);
    let (gone, _) = of("projects: [{name: other}]");
    assert!(!signed_in(&gone, &by_key).await && !signed_in(&gone, &by_link).await);
    assert!(signed_in(&door, &by_key).await && signed_in(&door, &by_link).await);
    assert_eq!(store.end_sign_ins_but(&moved.credentials()).await.unwrap(), 1);
    assert!(!signed_in(&door, &by_key).await && signed_in(&door, &by_link).await);
}
