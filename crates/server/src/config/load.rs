//! Reads the configuration file and the environment into a [`Config`], with errors that a person can act on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_norway::Value;

use super::credentials;
use super::projects::{KeyPair, Project, ProjectEntry};
use super::settings::{self, Draft, Setting};
use super::{Config, Redaction, UnknownRoom};

/// The process's environment, as far as it is text.
pub type Environment = BTreeMap<String, String>;

/// What is wrong with the configuration.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file cannot be read.
    #[error("cannot read the configuration file {path}: {source}")]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The file is not YAML, or not a mapping.
    #[error("the configuration file {path} cannot be understood: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        reason: String,
    },
    /// The file has a key that no setting has.
    #[error("{path}: the key {key} is not known{}", nearest.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The most similar key.
        nearest: Option<&'static str>,
    },
    /// A value that its setting does not accept.
    #[error("{place}: {reason}")]
    Value {
        /// The file and key, or the variable.
        place: String,
        /// What was expected.
        reason: String,
    },
    /// Settings that contradict each other.
    #[error("{0}")]
    Contradiction(String),
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 8080)),
            data_dir: PathBuf::from("echosphere-data"),
            public_url: None,
            trusted_proxies: Vec::new(),
            sign_in: super::SignIn::default(),
            no_auth: false,
            metrics_public: false,
            livekit_url: None,
            livekit_ca: None,
            recorder: super::Recorder::default(),
            database: None,
            storage: None,
            bucket: "echosphere-recordings".to_owned(),
            region: "ap-northeast-1".to_owned(),
            s3_credentials: None,
            sweep_after: Duration::from_secs(24 * 3600),
            sweep_every: Duration::from_secs(3600),
            max_upload_bytes: 1 << 30,
            upload_retry_delay: Duration::from_secs(15),
            redaction: Redaction::Refuse,
            unknown_room_wait: Duration::from_secs(20),
            unknown_room: UnknownRoom::Keep,
            quarantine: Duration::from_secs(7 * 86_400),
            segment_duration: Duration::from_secs(4),
            render_workers: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            url_ttl: None,
            http: super::Http::default(),
            shutdown_grace: Duration::from_secs(30),
            log_filter: "info".to_owned(),
            log_json: true,
            projects: Vec::new(),
        }
    }
}

/// Reads the configuration: defaults, then the file, then the environment. The file is `file`, else the one that
/// `ECHOSPHERE_CONFIG` names, else none.
pub fn load(file: Option<&Path>, environment: &Environment) -> Result<Config, Error> {
    let mut draft = Draft::default();
    let file = file.map(Path::to_path_buf).or_else(|| environment.get("ECHOSPHERE_CONFIG").map(PathBuf::from));
    if let Some(path) = file {
        let text = std::fs::read_to_string(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        apply_file(&mut draft, &path, &text)?;
    }
    for setting in settings::all() {
        if let Some(text) = environment.get(setting.variable) {
            let place = || setting.variable.to_owned();
            (setting.apply)(&mut draft, text).map_err(|reason| Error::Value { place: place(), reason })?;
        }
    }
    finish(draft)
}

fn apply_file(draft: &mut Draft, path: &Path, text: &str) -> Result<(), Error> {
    let syntax = |reason: String| Error::Syntax { path: path.to_path_buf(), reason };
    let document: Value = serde_norway::from_str(text).map_err(|error| syntax(error.to_string()))?;
    let Value::Mapping(mut root) = document else {
        return if document.is_null() { Ok(()) } else { Err(syntax("expected keys and values".to_owned())) };
    };
    if root.remove("projects").is_some_and(|list| !list.is_null()) {
        draft.config.projects = projects(path, text)?;
    }
    apply_mapping(draft, &Source { path, text }, "", root)
}

/// The file that is read.
struct Source<'f> {
    path: &'f Path,
    text: &'f str,
}

impl Source<'_> {
    /// Where a key is in the file, for an error message.
    fn place(&self, key: &str) -> String {
        let line = self.line(key).map(|line| format!(" (line {line})")).unwrap_or_default();
        format!("{}: {key}{line}", self.path.display())
    }

    /// The line of a key, counted from one: each part of the key is searched for after the part before it.
    fn line(&self, key: &str) -> Option<usize> {
        let mut at = 0;
        for part in key.split('.') {
            let is_key = |found: &usize| {
                let before = self.text[..*found].chars().next_back();
                let after = self.text[found + part.len()..].trim_start_matches(['"', '\'', ' ']);
                before.is_none_or(|c| c.is_whitespace() || "{,\"'".contains(c)) && after.starts_with(':')
            };
            let found = self.text[at..].match_indices(part).map(|(found, _)| at + found).find(is_key)?;
            at = found + part.len();
        }
        Some(self.text[..at].lines().count())
    }
}

fn apply_mapping(
    draft: &mut Draft,
    file: &Source<'_>,
    above: &str,
    mapping: serde_norway::Mapping,
) -> Result<(), Error> {
    for (name, value) in mapping {
        let Value::String(name) = name else {
            return Err(Error::Syntax {
                path: file.path.to_path_buf(),
                reason: format!("{above}: a key is not a text"),
            });
        };
        let key = if above.is_empty() { name } else { format!("{above}.{name}") };
        match (find(&key), value) {
            (Some(setting), value) => apply_value(draft, file, setting, value)?,
            (None, Value::Mapping(inner)) if is_section(&key) => apply_mapping(draft, file, &key, inner)?,
            (None, Value::Null) if is_section(&key) => {}
            (None, _) => {
                return Err(Error::UnknownKey { path: file.path.to_path_buf(), nearest: nearest(&key), key });
            }
        }
    }
    Ok(())
}

fn apply_value(draft: &mut Draft, file: &Source<'_>, setting: &Setting, value: Value) -> Result<(), Error> {
    let error = |reason| Error::Value { place: file.place(setting.key), reason };
    let text = match value {
        Value::String(text) => text,
        Value::Number(number) => number.to_string(),
        Value::Bool(flag) => flag.to_string(),
        Value::Null => return Ok(()),
        Value::Sequence(_) | Value::Mapping(_) | Value::Tagged(_) => {
            return Err(error("expected a single value".to_owned()));
        }
    };
    (setting.apply)(draft, &text).map_err(error)
}

/// The projects in the file, read from its text, so that an error has its line.
fn projects(path: &Path, text: &str) -> Result<Vec<Project>, Error> {
    #[derive(Deserialize)]
    struct Document {
        projects: Vec<ProjectEntry>,
    }
    let error = |reason| Error::Value { place: path.display().to_string(), reason };
    let document: Document = serde_norway::from_str(text).map_err(|e| error(e.to_string()))?;
    let of_project = |entry: ProjectEntry| entry.into_project().map_err(|e| error(format!("projects: {e}")));
    document.projects.into_iter().map(of_project).collect()
}

fn find(key: &str) -> Option<&'static Setting> {
    settings::all().find(|setting| setting.key == key)
}

fn is_section(key: &str) -> bool {
    let prefix = format!("{key}.");
    settings::all().any(|setting| setting.key.starts_with(&prefix))
}

/// The known key that is most like this one, if any is like it at all.
fn nearest(key: &str) -> Option<&'static str> {
    let likeness = |known: &str| {
        let last = known.rsplit('.').next().unwrap_or(known);
        strsim::jaro_winkler(key, known).max(strsim::jaro_winkler(key, last))
    };
    let known = settings::all().map(|setting| setting.key).chain(["projects"]);
    let scored = known.map(|known| (likeness(known), known));
    scored.max_by(|a, b| a.0.total_cmp(&b.0)).filter(|(score, _)| *score > 0.7).map(|(_, known)| known)
}

fn finish(draft: Draft) -> Result<Config, Error> {
    let Draft { mut config, livekit_key, livekit_secret, s3_access_key, s3_secret_key } = draft;
    config.s3_credentials = match (s3_access_key, s3_secret_key) {
        (Some(key), Some(secret)) => Some((key, secret)),
        (None, None) => None,
        _ => return Err(contradiction("s3.access_key and s3.secret_key must be set together")),
    };
    let pair = match (livekit_key, livekit_secret) {
        (Some(key), Some(secret)) => Some(KeyPair { key, secret }),
        (None, None) => None,
        _ => return Err(contradiction("livekit.api_key and livekit.api_secret must be set together")),
    };
    let is_needed = config.projects.is_empty() || pair.is_some();
    if let Some(default) = config.projects.iter_mut().find(|project| project.id.is_default()) {
        default.livekit.retain(|known| pair.as_ref().is_none_or(|pair| pair.key != known.key));
        default.livekit.extend(pair);
    } else if is_needed {
        config.projects.push(Project::default_project(pair.into_iter().collect()));
    }
    check_projects(&config)?;
    check_recording_project(&config)?;
    Ok(config)
}

fn check_projects(config: &Config) -> Result<(), Error> {
    let mut names = BTreeSet::new();
    let mut keys = BTreeSet::new();
    let mut api_keys = BTreeSet::new();
    for project in &config.projects {
        if !names.insert(&project.id) {
            return Err(contradiction(&format!("projects: the name {} stands there twice", project.id)));
        }
        for pair in &project.livekit {
            if !keys.insert(&pair.key) {
                return Err(contradiction(&format!(
                    "projects: the LiveKit key {} belongs to two projects; a token's issuer must tell which",
                    pair.key
                )));
            }
            check_dev_pair(config, pair)?;
        }
        for key in &project.api_keys {
            if !api_keys.insert(key.expose_secret()) {
                return Err(contradiction(&format!(
                    "projects: an API key of the project {} stands there twice; it must tell which project it opens",
                    project.id
                )));
            }
        }
    }
    Ok(())
}

/// Checks that the project that automatic recordings belong to exists, and has a key pair.
fn check_recording_project(config: &Config) -> Result<(), Error> {
    let Some(named) = &config.recorder.project else { return Ok(()) };
    match config.project(named) {
        None => Err(contradiction(&format!("recorder.project: there is no project {named} in projects"))),
        Some(project) if project.livekit.is_empty() => {
            Err(contradiction(&format!("recorder.project: the project {named} has no LiveKit key pair to record with")))
        }
        Some(_) => Ok(()),
    }
}

/// The pair of `livekit-server --dev` lets in everybody who can reach this server, so only this machine may.
fn check_dev_pair(config: &Config, pair: &KeyPair) -> Result<(), Error> {
    if pair.secret.expose_secret() != credentials::DEV_PAIR.1 {
        return Ok(());
    }
    let is_dev = pair.key == credentials::DEV_PAIR.0;
    if is_dev && config.listen.ip().is_loopback() && config.public_elsewhere().is_none() {
        return Ok(());
    }
    let only = "is everybody's, and taken only with the key devkey of livekit-server --dev, on a loopback address";
    Err(contradiction(&format!("the secret of the LiveKit key {} {only}; give LiveKit a pair of its own", pair.key)))
}

fn contradiction(text: &str) -> Error {
    Error::Contradiction(text.to_owned())
}

#[cfg(test)]
mod tests {
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
        let projects =
            "projects:\n  - {name: a}\n  - {name: b, livekit: [{api_key: k, api_secret: the-secret-of-k1}]}\n";
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
    fn nobody_but_a_local_client_goes_without_credentials() {
        let no_auth = |yaml: &str| from(yaml, &[]).unwrap().without_auth().map_err(|error| error.to_string());
        for listen in ["127.0.0.1:0", "'[::1]:0'", "'[::ffff:127.0.0.1]:0'", "127.1.2.3:0"] {
            assert!(no_auth(&format!("listen: {listen}")).unwrap().no_auth, "{listen}");
        }
        for public in ["http://localhost:8080", "http://127.0.0.1", "http://[::1]:80/x"] {
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
}
