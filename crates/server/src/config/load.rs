//! Reads the configuration file and the environment into a [`Config`], with errors that a person can act on.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::time::Duration;

use echosphere_media::aac;
use secrecy::ExposeSecret;
use serde::Deserialize;
use serde_norway::Value;

use super::credentials;
use super::projects::{KeyPair, Project, ProjectEntry};
use super::settings::{self, Draft, Setting};
use super::{Config, Redaction, RenderWhen, UnknownRoom, value};

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
            storage: super::Storage::default(),
            s3_credentials: None,
            sweep_after: Duration::from_secs(24 * 3600),
            sweep_every: Duration::from_secs(3600),
            max_upload_bytes: 1 << 30,
            upload_retry_delay: Duration::from_secs(15),
            when_storage_is_away: super::WhenAway::Accept,
            redaction: Redaction::Refuse,
            unknown_room_wait: Duration::from_secs(20),
            unknown_room: UnknownRoom::Keep,
            quarantine: Duration::from_secs(7 * 86_400),
            segment_duration: Duration::from_secs(4),
            render_workers: std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
            render_when: if aac::IS_BUILT_IN { RenderWhen::Asked } else { RenderWhen::Never },
            render_keep: Duration::from_secs(7 * 86_400),
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
    finish(draft, environment)
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
    apply_mapping(draft, &SettingSource { path, text }, "", root)
}

/// The file that is read.
struct SettingSource<'f> {
    path: &'f Path,
    text: &'f str,
}

impl SettingSource<'_> {
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
    file: &SettingSource<'_>,
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

fn apply_value(draft: &mut Draft, file: &SettingSource<'_>, setting: &Setting, value: Value) -> Result<(), Error> {
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

fn finish(draft: Draft, environment: &Environment) -> Result<Config, Error> {
    let Draft { mut config, livekit_key, livekit_secret, storage, s3_access_key, s3_secret_key } = draft;
    config.storage = storage.finish(environment).map_err(Error::Contradiction)?;
    let together = |key, secret, names| value::pair(key, secret, names).map_err(Error::Contradiction);
    config.s3_credentials = together(s3_access_key, s3_secret_key, "s3.access_key and s3.secret_key")?;
    let pair = together(livekit_key, livekit_secret, "livekit.api_key and livekit.api_secret")?;
    let pair = pair.map(|(key, secret)| KeyPair { key, secret });
    let is_needed = config.projects.is_empty() || pair.is_some();
    if let Some(default) = config.projects.iter_mut().find(|project| project.id.is_default()) {
        default.livekit.retain(|known| pair.as_ref().is_none_or(|pair| pair.key != known.key));
        default.livekit.extend(pair);
    } else if is_needed {
        config.projects.push(Project::default_project(pair.into_iter().collect()));
    }
    check_projects(&config)?;
    check_recording_project(&config)?;
    if config.recorder.keep_log.is_some() && !config.makes_aac() {
        return Err(contradiction(
            "recorder.keep_log gives up what rooms are played from, but for what is rendered of it; with rendering.when: never that is nothing",
        ));
    }
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
mod tests;
