//! The recorder's settings as values: limits, exclusions, and which rooms are recorded automatically.

use std::time::Duration;

use echosphere_domain::id::ProjectId;

/// How rooms are recorded.
#[derive(Debug, Clone)]
pub struct Recorder {
    /// Whether segments are rendered while a room goes on.
    pub live: bool,
    /// How long the capture log is kept after the end of a recording; `None` is for ever.
    pub keep_log: Option<Duration>,
    /// How often what is heard is put into object storage; `None` is every 10 s with an S3 server, else every 2 s.
    pub chunk: Option<Duration>,
    /// How many rooms are recorded at the same time, at most.
    pub max_rooms: usize,
    /// The use of the machine's cores by this process up to which new rooms are begun, in percent.
    pub max_cpu: u64,
    /// Bytes that may wait on the disk for object storage before no more rooms are begun.
    pub max_spool: u64,
    /// Bytes that must be free on the disk of the data directory for a room to be begun, and for uploads and telemetry to be taken.
    pub min_free_disk: u64,
    /// The longest that a recording may get.
    pub max_duration: Duration,
    /// How long to wait in an empty room.
    pub wait_for_people: Duration,
    /// How long to try to get back into a room.
    pub give_up_after: Duration,
    /// Whether media come over TCP only.
    pub tcp_only: bool,
    /// LiveKit's kinds of participants that are excluded.
    pub exclude_kinds: Vec<String>,
    /// Which rooms are recorded automatically.
    pub auto: AutoRecord,
    /// The project that those recordings belong to, if it is configured.
    pub project: Option<ProjectId>,
    /// How often LiveKit is asked for its rooms while its webhooks report none.
    pub poll_every: Duration,
}

/// Which rooms are recorded automatically.
#[derive(Debug, Clone, Default)]
pub struct AutoRecord {
    /// Their names; `*` stands for any run of characters.
    pub rooms: Vec<String>,
    /// Whether an agent must be in them.
    pub agents: bool,
    /// How many of them, in percent.
    pub percent: u64,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            live: true,
            keep_log: None,
            chunk: None,
            max_rooms: 500,
            max_cpu: 85,
            max_spool: 4 << 30,
            min_free_disk: 256 << 20,
            max_duration: Duration::from_secs(12 * 3600),
            wait_for_people: Duration::from_secs(60),
            give_up_after: Duration::from_secs(60),
            tcp_only: false,
            exclude_kinds: Vec::new(),
            auto: AutoRecord { percent: 100, ..AutoRecord::default() },
            project: None,
            poll_every: Duration::from_secs(5),
        }
    }
}
