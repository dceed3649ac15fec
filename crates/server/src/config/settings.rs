//! Every setting: its key in the file, its environment variable, its default, its meaning.

use secrecy::SecretString;

use echosphere_media::aac;

use super::{Config, Redaction, RenderWhen, UnknownRoom, WhenAway, credentials, value};

/// One setting.
pub struct Setting {
    /// Its key in the file, with dots between the levels.
    pub key: &'static str,
    /// Its environment variable, which wins over the file.
    pub variable: &'static str,
    /// Its default, in words.
    pub default: &'static str,
    /// What it means, in one sentence.
    pub meaning: &'static str,
    /// Sets it in the draft from a text; the error says what was expected, and never repeats a secret.
    pub(super) apply: fn(&mut Draft, &str) -> Result<(), String>,
}

/// A configuration in the making.
#[derive(Default)]
pub(super) struct Draft {
    pub(super) config: Config,
    pub(super) livekit_key: Option<String>,
    pub(super) livekit_secret: Option<SecretString>,
    pub(super) storage: super::storage::Draft,
    pub(super) s3_access_key: Option<String>,
    pub(super) s3_secret_key: Option<SecretString>,
}

fn secret(text: &str) -> Result<SecretString, String> {
    credentials::check(text).map(|()| SecretString::from(text))
}

fn livekit_secret(text: &str) -> Result<SecretString, String> {
    credentials::check_livekit(text).map(|()| SecretString::from(text))
}

/// Sets a field of the draft from a parsed value.
macro_rules! set {
    ($field:ident $(. $rest:ident)*, $parse:expr) => {
        |draft, text| {
            draft.$field$(.$rest)* = $parse(text)?.into();
            Ok(())
        }
    };
}

mod recorder;
mod storage;

fn log_json(text: &str) -> Result<bool, String> {
    match text {
        "json" => Ok(true),
        "text" => Ok(false),
        _ => Err(format!("{text:?} is not a log format: expected json or text")),
    }
}

/// A length of time from a second to this many, which are said so.
fn from_a_second_to(text: &str, seconds: u64, said: &str) -> Result<std::time::Duration, String> {
    let duration = value::duration(text)?;
    let bounds = std::time::Duration::from_secs(1)..=std::time::Duration::from_secs(seconds);
    if bounds.contains(&duration) { Ok(duration) } else { Err(format!("{text:?} is not between 1s and {said}")) }
}

fn segment_duration(text: &str) -> Result<std::time::Duration, String> {
    from_a_second_to(text, 30, "30s")
}

fn sweep_every(text: &str) -> Result<std::time::Duration, String> {
    let duration = value::duration(text)?;
    let shortest = std::time::Duration::from_millis(100);
    if duration >= shortest { Ok(duration) } else { Err(format!("{text:?} is shorter than 100ms")) }
}

fn chunk(text: &str) -> Result<std::time::Duration, String> {
    from_a_second_to(text, 60, "60s")
}

fn patience(text: &str) -> Result<std::time::Duration, String> {
    from_a_second_to(text, 86_400, "24h")
}

fn url_ttl(text: &str) -> Result<std::time::Duration, String> {
    from_a_second_to(text, 7 * 86_400, "7d")
}

fn sign_in_life(text: &str) -> Result<std::time::Duration, String> {
    from_a_second_to(text, 365 * 86_400, "365d")
}

fn list(text: &str) -> Result<Vec<String>, String> {
    let items: Vec<String> = text.split(',').map(|item| item.trim().to_owned()).collect();
    let is_empty = items.iter().any(String::is_empty);
    if is_empty { Err(format!("{text:?} has an empty name: expected names, separated by commas")) } else { Ok(items) }
}

fn flag(text: &str) -> Result<bool, String> {
    match text {
        "true" => Ok(true),
        "false" => Ok(false),
        _ => Err(format!("{text:?} is neither true nor false")),
    }
}

fn render_when(text: &str) -> Result<RenderWhen, String> {
    match text {
        "never" => Ok(RenderWhen::Never),
        "asked" | "always" if !aac::IS_BUILT_IN => {
            Err(format!("{text:?} needs an AAC encoder, and this build has none (cargo build --features fdk-aac)"))
        }
        "asked" => Ok(RenderWhen::Asked),
        "always" => Ok(RenderWhen::Always),
        _ => Err(format!("{text:?} is neither asked nor always nor never")),
    }
}

fn when_away(text: &str) -> Result<WhenAway, String> {
    match text {
        "accept" => Ok(WhenAway::Accept),
        "retry" => Ok(WhenAway::Retry),
        _ => Err(format!("{text:?} is neither accept nor retry")),
    }
}

fn redaction(text: &str) -> Result<Redaction, String> {
    match text {
        "refuse" => Ok(Redaction::Refuse),
        "accept" => Ok(Redaction::Accept),
        _ => Err(format!("{text:?} is neither refuse nor accept")),
    }
}

fn unknown_room(text: &str) -> Result<UnknownRoom, String> {
    match text {
        "keep" => Ok(UnknownRoom::Keep),
        "delete" => Ok(UnknownRoom::Delete),
        _ => Err(format!("{text:?} is neither keep nor delete")),
    }
}

fn max_duration(text: &str) -> Result<std::time::Duration, String> {
    from_a_second_to(text, 48 * 3600, "48h")
}

/// All settings, in the order of the documentation. `projects` and `config`, which are not single texts, are not among them.
pub fn all() -> impl Iterator<Item = &'static Setting> {
    BEFORE.iter().chain(storage::SETTINGS).chain(recorder::SETTINGS).chain(AFTER)
}

/// What comes before those of storage, LiveKit and the recorder.
const BEFORE: &[Setting] = &[
    Setting {
        key: "listen",
        variable: "ECHOSPHERE_LISTEN",
        default: "127.0.0.1:8080",
        meaning: "The address and port to listen on. Everybody is asked for credentials, on a loopback address too.",
        apply: set!(config.listen, value::address),
    },
    Setting {
        key: "data_dir",
        variable: "ECHOSPHERE_DATA_DIR",
        default: "echosphere-data in the working directory",
        meaning: "The folder that holds everything: database, objects, uploads under way, secrets.",
        apply: set!(config.data_dir, value::text),
    },
    Setting {
        key: "public_url",
        variable: "ECHOSPHERE_PUBLIC_URL",
        default: "the address that the request called",
        meaning: "How clients reach this server, when a proxy stands before it.",
        apply: |draft, text| {
            draft.config.public_url = Some(value::public_url(text)?);
            Ok(())
        },
    },
    Setting {
        key: "trusted_proxies",
        variable: "ECHOSPHERE_TRUSTED_PROXIES",
        default: "none",
        meaning: "Proxies whose X-Forwarded-For, -Proto and -Host are believed: addresses or networks such as 10.0.0.0/8, separated by commas.",
        apply: |draft, text| {
            draft.config.trusted_proxies = list(text)?.iter().map(|item| item.parse()).collect::<Result<_, _>>()?;
            Ok(())
        },
    },
    Setting {
        key: "sign_in.idle",
        variable: "ECHOSPHERE_SIGN_IN_IDLE",
        default: "12h",
        meaning: "How long a browser that is not used stays signed in.",
        apply: set!(config.sign_in.idle, sign_in_life),
    },
    Setting {
        key: "sign_in.lifetime",
        variable: "ECHOSPHERE_SIGN_IN_LIFETIME",
        default: "7d",
        meaning: "How long a browser stays signed in at the most; with a LiveKit token never longer than that token lives.",
        apply: set!(config.sign_in.lifetime, sign_in_life),
    },
    Setting {
        key: "sign_in.allow_http",
        variable: "ECHOSPHERE_SIGN_IN_ALLOW_HTTP",
        default: "false",
        meaning: "Whether a browser may sign in over plain HTTP from another machine, where everybody on the way can read its key and its cookie.",
        apply: set!(config.sign_in.allow_http, flag),
    },
    Setting {
        key: "metrics.public",
        variable: "ECHOSPHERE_METRICS_PUBLIC",
        default: "false",
        meaning: "Whether /metrics is served without credentials, to everybody who reaches the listener.",
        apply: set!(config.metrics_public, flag),
    },
    Setting {
        key: "database_url",
        variable: "ECHOSPHERE_DATABASE_URL",
        default: "echosphere.db in the data directory",
        meaning: "The database: sqlite://PATH.",
        apply: |draft, text| {
            draft.config.database = Some(value::sqlite_path(text)?);
            Ok(())
        },
    },
];

/// What follows those of LiveKit and the recorder.
const AFTER: &[Setting] = &[
    Setting {
        key: "uploads.max_bytes",
        variable: "ECHOSPHERE_UPLOADS_MAX_BYTES",
        default: "1 GiB",
        meaning: "The largest session upload that is taken (about 17 hours of audio).",
        apply: set!(config.max_upload_bytes, value::bytes),
    },
    Setting {
        key: "uploads.retry_delay",
        variable: "ECHOSPHERE_UPLOADS_RETRY_DELAY",
        default: "15s",
        meaning: "How long the agents SDK is asked to wait before it sends an upload again that could not be taken; it tries four times.",
        apply: set!(config.upload_retry_delay, value::duration),
    },
    Setting {
        key: "uploads.when_storage_is_away",
        variable: "ECHOSPHERE_UPLOADS_WHEN_STORAGE_IS_AWAY",
        default: "accept",
        meaning: "What the agents SDK is told when the S3 server has not taken an upload 30 s after its last byte: accept (only this machine's disk has it until the server takes it) or retry (come again).",
        apply: set!(config.when_storage_is_away, when_away),
    },
    Setting {
        key: "uploads.redaction",
        variable: "ECHOSPHERE_UPLOADS_REDACTION",
        default: "refuse",
        meaning: "What becomes of a session that asks for redaction, which this version cannot do: refuse (nothing of it is kept) or accept (it is kept as it is).",
        apply: set!(config.redaction, redaction),
    },
    Setting {
        key: "uploads.unknown_room_wait",
        variable: "ECHOSPHERE_UPLOADS_UNKNOWN_ROOM_WAIT",
        default: "20s",
        meaning: "How long an upload waits for the name of its room, in a project with excluded_rooms.",
        apply: set!(config.unknown_room_wait, value::duration),
    },
    Setting {
        key: "uploads.unknown_room",
        variable: "ECHOSPHERE_UPLOADS_UNKNOWN_ROOM",
        default: "keep",
        meaning: "What becomes of it when the name stays unknown: keep or delete.",
        apply: set!(config.unknown_room, unknown_room),
    },
    Setting {
        key: "uploads.quarantine_days",
        variable: "ECHOSPHERE_UPLOADS_QUARANTINE_DAYS",
        default: "7",
        meaning: "How many days an upload that could not be read is kept: 1 to 3650.",
        apply: |draft, text| {
            draft.config.quarantine = std::time::Duration::from_secs(value::number(text, 1, 3_650)? as u64 * 86_400);
            Ok(())
        },
    },
    Setting {
        key: "rendering.segment_duration",
        variable: "ECHOSPHERE_RENDERING_SEGMENT_DURATION",
        default: "4s",
        meaning: "The target length of a media segment, for recordings made from now on.",
        apply: set!(config.segment_duration, segment_duration),
    },
    Setting {
        key: "rendering.workers",
        variable: "ECHOSPHERE_RENDERING_WORKERS",
        default: "the number of processors",
        meaning: "How many windows are rendered at the same time. They give way to all else that the machine has to do (nice 10).",
        apply: |draft, text| {
            draft.config.render_workers = value::number(text, 1, 256)?;
            Ok(())
        },
    },
    Setting {
        key: "rendering.when",
        variable: "ECHOSPHERE_RENDERING_WHEN",
        default: "asked",
        meaning: "When segments are rendered for players that want AAC: asked (when somebody listens, and a few ahead), always (all of them, at once) or never (there is nothing but Opus: Apple's browsers and players other than browsers play nothing). What is sent as Opus is played as Opus where a browser takes it, without rendering. Rooms of which recorder.keep_log gives up the log are always rendered. A build without the AAC encoder has only never.",
        apply: set!(config.render_when, render_when),
    },
    Setting {
        key: "rendering.keep",
        variable: "ECHOSPHERE_RENDERING_KEEP",
        default: "7d",
        meaning: "With rendering.when asked: how long rendered segments are kept before they are deleted and rendered again when somebody asks; the addresses that were given out for them live on until they expire.",
        apply: set!(config.render_keep, value::duration),
    },
    Setting {
        key: "playback.url_ttl",
        variable: "ECHOSPHERE_PLAYBACK_URL_TTL",
        default: "twice the recording's length, at least 1h, at most 7d",
        meaning: "How long presigned URLs and links live, never longer than what they were asked for with; the player renews them.",
        apply: |draft, text| {
            draft.config.url_ttl = Some(url_ttl(text)?);
            Ok(())
        },
    },
    Setting {
        key: "http.max_connections",
        variable: "ECHOSPHERE_HTTP_MAX_CONNECTIONS",
        default: "2000",
        meaning: "How many connections are open at the same time, at most, and never more than three quarters of the open files that the system allows. At the limit those go first on which nothing is asked for.",
        apply: |draft, text| {
            draft.config.http.max_connections = value::number(text, 16, 1_000_000)?;
            Ok(())
        },
    },
    Setting {
        key: "http.header_timeout",
        variable: "ECHOSPHERE_HTTP_HEADER_TIMEOUT",
        default: "10s",
        meaning: "How long the headers of a request may take; they have 64 KiB at most.",
        apply: set!(config.http.header_timeout, patience),
    },
    Setting {
        key: "http.idle_timeout",
        variable: "ECHOSPHERE_HTTP_IDLE_TIMEOUT",
        default: "75s",
        meaning: "How long a connection is kept open on which nothing more is asked for.",
        apply: set!(config.http.idle_timeout, patience),
    },
    Setting {
        key: "http.body_timeout",
        variable: "ECHOSPHERE_HTTP_BODY_TIMEOUT",
        default: "60s",
        meaning: "How long a request's body may come to a halt; all in all it may take as long and a second for each KiB.",
        apply: set!(config.http.body_timeout, patience),
    },
    Setting {
        key: "http.write_timeout",
        variable: "ECHOSPHERE_HTTP_WRITE_TIMEOUT",
        default: "60s",
        meaning: "How long an answer may wait for its reader; a reader that takes less than 512 bytes a second is given up as well.",
        apply: set!(config.http.write_timeout, patience),
    },
    Setting {
        key: "http.max_listeners",
        variable: "ECHOSPHERE_HTTP_MAX_LISTENERS",
        default: "1000",
        meaning: "How many may listen to the events of recordings at the same time, at most, a fifth of them to one recording. When all places are taken, a project that has more of them than another gives one up to it.",
        apply: |draft, text| {
            draft.config.http.max_listeners = value::number(text, 1, 100_000)?;
            Ok(())
        },
    },
    Setting {
        key: "http.listener_life",
        variable: "ECHOSPHERE_HTTP_LISTENER_LIFE",
        default: "15m",
        meaning: "How long a listener listens before its stream ends; a browser comes again by itself, and misses nothing.",
        apply: set!(config.http.listener_life, patience),
    },
    Setting {
        key: "shutdown_grace",
        variable: "ECHOSPHERE_SHUTDOWN_GRACE",
        default: "30s",
        meaning: "How long a shutdown waits for requests and uploads under way.",
        apply: set!(config.shutdown_grace, value::duration),
    },
    Setting {
        key: "log.filter",
        variable: "ECHOSPHERE_LOG",
        default: "info",
        meaning: "What is logged: a level, or a list such as info,echosphere_server=debug.",
        apply: set!(config.log_filter, value::text),
    },
    Setting {
        key: "log.format",
        variable: "ECHOSPHERE_LOG_FORMAT",
        default: "json",
        meaning: "json, or text for people.",
        apply: set!(config.log_json, log_json),
    },
];
