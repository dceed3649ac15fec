//! File and environment to [`Config`], with errors that a person can act on.

use std::collections::BTreeMap;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_norway::Value;

use super::Config;
use super::projects::{KeyPair, Project, ProjectEntry};
use super::settings::{Draft, SETTINGS, Setting};

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
    /// The file is no YAML, or no mapping.
    #[error("the configuration file {path} cannot be understood: {reason}")]
    Syntax {
        /// The file.
        path: PathBuf,
        /// What and where.
        reason: String,
    },
    /// The file has a key that means nothing.
    #[error("{path}: the key {key} is not known{}", nearest.as_ref().map(|n| format!("; did you mean {n}?")).unwrap_or_default())]
    UnknownKey {
        /// The file.
        path: PathBuf,
        /// The key.
        key: String,
        /// The most similar key.
        nearest: Option<&'static str>,
    },
    /// A value is not what the setting takes.
    #[error("{place}: {reason}")]
    Value {
        /// The file and key, or the variable.
        place: String,
        /// What was expected.
        reason: String,
    },
    /// Settings that do not go together.
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
            segment_duration: Duration::from_secs(4),
            render_workers: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            url_ttl: None,
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
    for setting in SETTINGS {
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
    if let Some(list) = root.remove("projects") {
        draft.config.projects = projects(path, list)?;
    }
    apply_mapping(draft, path, "", root)
}

fn apply_mapping(draft: &mut Draft, path: &Path, above: &str, mapping: serde_norway::Mapping) -> Result<(), Error> {
    for (name, value) in mapping {
        let Value::String(name) = name else {
            return Err(Error::Syntax { path: path.to_path_buf(), reason: format!("{above}: a key is not a text") });
        };
        let key = if above.is_empty() { name } else { format!("{above}.{name}") };
        match (find(&key), value) {
            (Some(setting), value) => apply_value(draft, path, setting, value)?,
            (None, Value::Mapping(inner)) if is_section(&key) => apply_mapping(draft, path, &key, inner)?,
            (None, Value::Null) if is_section(&key) => {}
            (None, _) => {
                return Err(Error::UnknownKey { path: path.to_path_buf(), nearest: nearest(&key), key });
            }
        }
    }
    Ok(())
}

fn apply_value(draft: &mut Draft, path: &Path, setting: &Setting, value: Value) -> Result<(), Error> {
    let error = |reason| Error::Value { place: format!("{}: {}", path.display(), setting.key), reason };
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

fn projects(path: &Path, list: Value) -> Result<Vec<Project>, Error> {
    let error = |reason| Error::Value { place: format!("{}: projects", path.display()), reason };
    let entries: Vec<ProjectEntry> = serde_norway::from_value(list).map_err(|e| error(e.to_string()))?;
    entries.into_iter().map(|entry| entry.into_project().map_err(error)).collect()
}

fn find(key: &str) -> Option<&'static Setting> {
    SETTINGS.iter().find(|setting| setting.key == key)
}

fn is_section(key: &str) -> bool {
    let prefix = format!("{key}.");
    SETTINGS.iter().any(|setting| setting.key.starts_with(&prefix))
}

/// The known key that is most like this one, if any is like it at all.
fn nearest(key: &str) -> Option<&'static str> {
    let likeness = |known: &str| {
        let last = known.rsplit('.').next().unwrap_or(known);
        strsim::jaro_winkler(key, known).max(strsim::jaro_winkler(key, last))
    };
    let known = SETTINGS.iter().map(|setting| setting.key).chain(["projects"]);
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
    check_projects(&config.projects)?;
    Ok(config)
}

fn check_projects(projects: &[Project]) -> Result<(), Error> {
    let mut names = std::collections::BTreeSet::new();
    let mut keys = std::collections::BTreeSet::new();
    for project in projects {
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
        }
    }
    Ok(())
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
            ("listen: 8080", "FILE: listen: \"8080\" is not an address with a port, such as 127.0.0.1:8080"),
            ("listen: [1]", "FILE: listen: expected a single value"),
            ("livekit: {api_key: k}", "livekit.api_key and livekit.api_secret must be set together"),
        ] {
            assert_eq!(from(yaml, &[]).unwrap_err(), expected);
        }
        assert!(from("a: [", &[]).unwrap_err().starts_with("the configuration file FILE cannot be understood"));
    }

    #[test]
    fn projects_have_their_own_keys() {
        let yaml = "projects:\n  - name: acme\n    livekit: [{api_key: k1, api_secret: s1}]\n    api_keys: [a]\n";
        let config = from(yaml, &[]).unwrap();
        assert_eq!(config.local_project().as_str(), "acme");
        let both = from(yaml, &[("LIVEKIT_API_KEY", "k2"), ("LIVEKIT_API_SECRET", "s2")]).unwrap();
        assert_eq!(both.projects.len(), 2);
        assert_eq!(both.local_project().as_str(), "default");
        let clash = from(yaml, &[("LIVEKIT_API_KEY", "k1"), ("LIVEKIT_API_SECRET", "s2")]).unwrap_err();
        assert!(clash.contains("belongs to two projects"), "{clash}");
        let unknown = from("projects: [{name: a, apikeys: []}]", &[]).unwrap_err();
        assert!(unknown.contains("apikeys"), "{unknown}");
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
        let environment = [("LIVEKIT_API_KEY", "devkey"), ("LIVEKIT_API_SECRET", "hush-hush")];
        assert!(!format!("{:?}", from("", &environment).unwrap()).contains("hush-hush"));
    }
}
