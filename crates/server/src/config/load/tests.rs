//! Tests of `load`.

use super::*;
use echosphere_domain::id::ProjectId;

fn from(yaml: &str, environment: &[(&str, &str)]) -> Result<Config, String> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("echosphere.yaml");
    std::fs::write(&path, yaml).unwrap();
    let environment = environment.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
    load(Some(&path), &environment).map_err(|error| error.to_string().replace(path.to_str().unwrap(), "FILE"))
}

#[test]
fn nothing_set_is_a_working_configuration() {
    let config = from("", &[]).unwrap();
    assert_eq!(config.listen.to_string(), "127.0.0.1:8080");
    assert_eq!(config.projects.len(), 1);
    assert_eq!(config.local_project(), &ProjectId::default());
}

#[test]
fn the_environment_wins_over_the_file() {
    let yaml = "listen: 127.0.0.1:9000\nuploads: {max_bytes: 5 MiB}\n";
    let config = from(yaml, &[("ECHOSPHERE_LISTEN", "127.0.0.1:9001")]).unwrap();
    assert_eq!((config.listen.port(), config.max_upload_bytes), (9001, 5 << 20));
}

#[test]
fn mistakes_are_named_with_their_place() {
    for (yaml, expected) in [
        ("lisen: x", "FILE: the key lisen is not known; did you mean listen?"),
        ("uploads: {max_byte: 1}", "FILE: the key uploads.max_byte is not known; did you mean uploads.max_bytes?"),
        ("qqq: 1", "FILE: the key qqq is not known"),
        ("listen: 8080", "FILE: listen (line 1): \"8080\" is not an address with a port, such as 127.0.0.1:8080"),
        ("listen: [1]", "FILE: listen (line 1): expected a single value"),
        ("livekit: {api_key: k}", "livekit.api_key and livekit.api_secret must be set together"),
    ] {
        assert_eq!(from(yaml, &[]).unwrap_err(), expected);
    }
    assert!(from("a: [", &[]).unwrap_err().starts_with("the configuration file FILE cannot be understood"));
}

#[test]
fn projects_have_their_own_keys() {
    let yaml = "projects:\n  - name: acme\n    livekit: [{api_key: k1, api_secret: the-secret-of-k1}]\n    api_keys: [a-key-of-sixteen]\n";
    let config = from(yaml, &[]).unwrap();
    assert_eq!(config.local_project().as_str(), "acme");
    let both = from(yaml, &[("LIVEKIT_API_KEY", "k2"), ("LIVEKIT_API_SECRET", "the-secret-of-k2")]).unwrap();
    assert_eq!(both.projects.len(), 2);
    assert_eq!(both.local_project().as_str(), "default");
    let clash = from(yaml, &[("LIVEKIT_API_KEY", "k1"), ("LIVEKIT_API_SECRET", "the-secret-of-k2")]).unwrap_err();
    assert!(clash.contains("belongs to two projects"), "{clash}");
    let unknown = from("projects: [{name: a, apikeys: []}]", &[]).unwrap_err();
    assert!(unknown.contains("apikeys"), "{unknown}");
}

#[test]
fn a_secret_that_can_be_guessed_is_refused_with_its_line() {
    for (yaml, place) in [
        ("projects:\n  - name: a\n    livekit:\n      - {api_key: k, api_secret: \"\"}\n", "line 4"),
        ("projects:\n  - name: a\n    livekit: [{api_key: k, api_secret: hunter2-hunter2}]\n", "line 3"),
        ("projects:\n  - name: a\n    api_keys:\n      - \"\"\n", "line 4"),
        ("projects:\n  - name: a\n    api_keys: [0123456789abcde]\n", "line 3"),
        ("livekit: {api_key: k, api_secret: short}\n", "FILE: livekit.api_secret (line 1)"),
        (
            "log: {filter: info}\nlivekit:\n  api_key: k\n  api_secret: \"${SECRET}\"\n",
            "FILE: livekit.api_secret (line 4)",
        ),
        ("s3:\n  access_key: k\n  secret_key: ' '\n", "FILE: s3.secret_key (line 3)"),
    ] {
        let error = from(yaml, &[]).unwrap_err();
        assert!(error.contains(place) && error.contains("FILE"), "{error}");
        assert!(!error.contains("hunter2") && !error.contains("0123456789abcde"), "{error}");
    }
    for secret in ["", " ", "s", "secret"] {
        let error = from("", &[("LIVEKIT_API_KEY", "k"), ("LIVEKIT_API_SECRET", secret)]).unwrap_err();
        assert!(error.contains("LIVEKIT_API_SECRET") || error.contains("LiveKit key k"), "{secret:?}: {error}");
    }
    let twice = "projects: [{name: a, api_keys: [a-key-of-sixteen]}, {name: b, api_keys: [a-key-of-sixteen]}]";
    assert!(from(twice, &[]).unwrap_err().contains("stands there twice"));
}

#[test]
fn one_project_records_rooms_and_it_is_said_which() {
    let projects = "projects:\n  - {name: a}\n  - {name: b, livekit: [{api_key: k, api_secret: the-secret-of-k1}]}\n";
    assert_eq!(from(projects, &[]).unwrap().recording_project().as_str(), "b");
    let with = |name: &str| from(&format!("recorder: {{project: {name}}}\n{projects}"), &[]);
    assert_eq!(with("b").unwrap().recording_project().as_str(), "b");
    assert!(with("a").unwrap_err().contains("no LiveKit key pair"));
    assert!(with("c").unwrap_err().contains("there is no project c"));
}

#[test]
fn the_pair_of_a_livekit_for_development_is_taken_on_this_machine_alone() {
    let pair = [("LIVEKIT_API_KEY", "devkey"), ("LIVEKIT_API_SECRET", "secret")];
    from("", &pair).unwrap();
    from("public_url: http://localhost:9000", &pair).unwrap();
    for yaml in ["listen: 0.0.0.0:8080", "public_url: https://calls.example.com"] {
        assert!(from(yaml, &pair).unwrap_err().contains("everybody's"), "{yaml}");
    }
}

#[test]
fn a_public_url_is_a_hosts() {
    for good in ["https://calls.example.com", "https://calls.example.com:8443/"] {
        assert_eq!(from(&format!("public_url: {good}"), &[]).unwrap().public_url.unwrap(), good.trim_end_matches('/'));
    }
    let error = from("public_url: https://example.com/calls", &[]).unwrap_err();
    assert!(error.contains("public_url") && error.contains("/calls is a path"), "{error}");
}

#[test]
fn nobody_but_a_local_client_goes_without_credentials() {
    let no_auth = |yaml: &str| from(yaml, &[]).unwrap().without_auth().map_err(|error| error.to_string());
    for listen in ["127.0.0.1:0", "'[::1]:0'", "'[::ffff:127.0.0.1]:0'", "127.1.2.3:0"] {
        assert!(no_auth(&format!("listen: {listen}")).unwrap().no_auth, "{listen}");
    }
    for public in ["http://localhost:8080", "http://127.0.0.1", "http://[::1]:80/"] {
        assert!(no_auth(&format!("public_url: {public}")).is_ok(), "{public}");
    }
    for listen in ["0.0.0.0:0", "'[::]:0'", "10.0.0.1:0", "'[::ffff:10.0.0.1]:0'"] {
        assert!(no_auth(&format!("listen: {listen}")).unwrap_err().contains("loopback"), "{listen}");
    }
    for public in ["https://recordings.example.com", "http://10.0.0.1:8080", "http://localhost.example.com"] {
        assert!(no_auth(&format!("public_url: {public}")).unwrap_err().contains("public_url"), "{public}");
    }
}

#[test]
fn secrets_stay_out_of_debug_output() {
    let environment = [("LIVEKIT_API_KEY", "devkey"), ("LIVEKIT_API_SECRET", "hush-hush, tell nobody")];
    assert!(!format!("{:?}", from("", &environment).unwrap()).contains("hush"));
}
