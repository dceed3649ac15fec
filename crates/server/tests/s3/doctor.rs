//! `echosphere doctor` on buckets: what it finds of rights, versions, locks, left-over parts and certificates, at a real server.

use std::process::Command;

use echosphere_testkit::container::Container;
use echosphere_testkit::s3::{Kind, S3Server, wait_for};
use http::Method;

use super::PROGRAM;

/// What the doctor prints with these settings, beside what it says of LiveKit.
fn said(settings: &[(String, String)]) -> String {
    let dir = tempfile::tempdir().unwrap();
    let settings = settings.iter().map(|(name, value)| (name, value));
    let doctor = Command::new(PROGRAM).arg("doctor").env("ECHOSPHERE_DATA_DIR", dir.path()).envs(settings).output();
    String::from_utf8_lossy(&doctor.unwrap().stdout).into_owned()
}

/// The settings of a server whose keys may do everything but this.
fn all_but(s3: &S3Server, action: &str) -> (Container, Vec<(String, String)>) {
    let all = r#"{"Effect": "Allow", "Action": ["s3:*"], "Resource": ["arn:aws:s3:::*"]}"#;
    let not = format!(r#"{{"Effect": "Deny", "Action": ["{action}"], "Resource": ["arn:aws:s3:::*"]}}"#);
    let policy = format!(r#"{{"Version": "2012-10-17", "Statement": [{all}, {not}]}}"#);
    let container = Container::start_under(s3, 900, &policy);
    let settings = [
        ("ECHOSPHERE_STORAGE_URL", "s3://calls/here".to_owned()),
        ("ECHOSPHERE_STORAGE_ENDPOINT", s3.endpoint()),
        ("AWS_CONTAINER_CREDENTIALS_FULL_URI", container.url.clone()),
    ];
    (container, settings.map(|(name, value)| (name.to_owned(), value)).into())
}

fn ask(s3: &S3Server, method: Method, rest: &str, body: &'static str) -> String {
    let store = s3.store("calls");
    let answer = wait_for(store.ask(method, rest, body)).unwrap();
    assert!(answer.status.is_success(), "{rest}: {} {}", answer.status, answer.text);
    answer.text
}

/// The line of a check, and what to do about it.
fn line(said: &str, check: &str) -> String {
    let (_, after) = said.split_once(&format!("{check:<8} ")).unwrap_or_else(|| panic!("no {check}: {said}"));
    let end = after.find("\n  ok").or(after.find("\n  warn")).unwrap_or(after.len());
    after[..end].to_owned()
}

#[test]
fn each_right_that_is_missing_is_named() {
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    for (action, what) in [
        ("s3:PutObject", "put"),
        ("s3:GetObject", "get"),
        ("s3:AbortMultipartUpload", "abort an upload in parts"),
        ("s3:DeleteObject", "delete"),
    ] {
        let (_container, settings) = all_but(&s3, action);
        let said = said(&settings);
        assert!(said.contains("FAIL  rights   these keys may not"), "{action}: {said}");
        let rights = line(&said, "rights");
        assert!(rights.contains(&format!("{what} (")) && rights.contains("AccessDenied"), "{action}: {rights}");
        assert!(rights.contains("docs/s3.md"), "{rights}");
        for other in ["put (", "get (", "list (", "delete ("] {
            // Parts are put, too.
            let is_it = other == format!("{what} (") || what == "put";
            assert!(is_it || !rights.contains(other), "{action} is not {other}: {rights}");
        }
    }
    let (_container, settings) = all_but(&s3, "s3:PutObjectTagging");
    let tags = said(&settings);
    assert!(line(&tags, "rights").contains("tags do not (") && tags.contains("warn  rights"), "{tags}");
    let (_container, settings) = all_but(&s3, "s3:ListBucket");
    let list = said(&settings);
    assert!(list.contains("FAIL  bucket   cannot list") && list.contains("docs/s3.md has the policy"), "{list}");
}

#[test]
fn versions_that_stay_are_told_and_none_of_its_own_are_left() {
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let settings = s3.settings("s3://calls/here");
    assert!(line(&said(&settings), "versions").starts_with("older versions are not kept"));
    let versioning = |state: &str| match state {
        "on" => "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>",
        _ => "<VersioningConfiguration><Status>Suspended</Status></VersioningConfiguration>",
    };
    ask(&s3, Method::PUT, "?versioning", versioning("on"));
    let versions = line(&said(&settings), "versions");
    assert!(versions.contains("what is deleted can be had again; these keys may delete versions"), "{versions}");
    let left = ask(&s3, Method::GET, "?versions", "");
    assert!(!left.contains("<Key>"), "{left}");
    let (_container, narrow) = all_but(&s3, "s3:DeleteObjectVersion");
    let versions = line(&said(&narrow), "versions");
    assert!(
        versions.contains("these keys may not delete versions (") && versions.contains("AccessDenied"),
        "{versions}"
    );
    // The next one that may do so deletes what that one had to leave.
    assert!(ask(&s3, Method::GET, "?versions", "").contains("<Key>here/echosphere-doctor/"));
    said(&settings);
    assert!(!ask(&s3, Method::GET, "?versions", "").contains("<Key>"));
    ask(&s3, Method::PUT, "?versioning", versioning("suspended"));
    let versions = line(&said(&settings), "versions");
    assert!(versions.starts_with("versioning is suspended"), "{versions}");
}

#[test]
fn a_lock_on_versions_is_told_with_its_length() {
    let s3 = S3Server::start(Kind::Minio);
    s3.make_locked_bucket("calls");
    let settings = s3.settings("s3://calls/here");
    let versions = line(&said(&settings), "versions");
    assert!(versions.contains("an object lock may keep them"), "{versions}");
    let rule = "<ObjectLockConfiguration><ObjectLockEnabled>Enabled</ObjectLockEnabled><Rule><DefaultRetention>\
        <Mode>COMPLIANCE</Mode><Days>3</Days></DefaultRetention></Rule></ObjectLockConfiguration>";
    ask(&s3, Method::PUT, "?object-lock", rule);
    let versions = line(&said(&settings), "versions");
    assert!(versions.contains("each for 3 days by the bucket's object lock (COMPLIANCE)"), "{versions}");
    assert!(versions.contains("these keys may not delete versions ("), "{versions}");
}

#[test]
fn parts_that_nobody_put_together_are_told() {
    let s3 = S3Server::start(Kind::Minio);
    s3.make_bucket("calls");
    let settings = s3.settings("s3://calls/here");
    assert!(line(&said(&settings), "uploads").starts_with("no parts"));
    ask(&s3, Method::POST, "/here/recordings/x/1/a.ogg?uploads", "");
    let uploads = line(&said(&settings), "uploads");
    assert!(
        uploads.starts_with("1 unfinished uploads") && uploads.contains("AbortIncompleteMultipartUpload"),
        "{uploads}"
    );
}

#[test]
fn a_certificate_that_is_not_trusted_is_told_with_what_to_do() {
    let s3 = S3Server::minio_with_tls();
    s3.make_bucket("calls");
    let mut settings = s3.settings("s3://calls/here");
    let untrusted = said(&settings);
    assert!(untrusted.contains("FAIL  bucket"), "{untrusted}");
    let bucket = line(&untrusted, "bucket");
    assert!(bucket.contains("certificate is not trusted") && bucket.contains("-> set storage.ca_file"), "{bucket}");
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), s3.authority().unwrap()).unwrap();
    settings.push(("ECHOSPHERE_STORAGE_CA_FILE".to_owned(), file.path().to_str().unwrap().to_owned()));
    let trusted = said(&settings);
    for check in ["bucket", "tls", "rights", "browsers"] {
        assert!(trusted.contains(&format!("  ok    {check:<8} ")), "{check}: {trusted}");
    }
}
