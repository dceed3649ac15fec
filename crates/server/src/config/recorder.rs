//! How rooms are recorded.

use std::time::Duration;

use echosphere_domain::id::ProjectId;

/// How rooms are recorded.
#[derive(Debug, Clone)]
pub struct Recorder {
    /// Whether segments are rendered while a room goes on.
    pub live: bool,
    /// How long the capture log is kept behind the end of a recording; for ever when there is no such time.
    pub keep_log: Option<Duration>,
    /// How many rooms are recorded at the same time, at most.
    pub max_rooms: usize,
    /// Up to which use of the machine's cores by this process new rooms are begun, in percent.
    pub max_cpu: u64,
    /// Bytes that may wait on the disk for object storage before no more rooms are begun.
    pub max_spool: u64,
    /// Bytes that must be free on the disk of the data directory for a room to be begun.
    pub min_free_disk: u64,
    /// How long a recording may get.
    pub max_duration: Duration,
    /// How long an empty room is waited in.
    pub wait_for_people: Duration,
    /// How long to try to get back into a room.
    pub give_up_after: Duration,
    /// Whether media come over TCP only.
    pub tcp_only: bool,
    /// LiveKit's kinds of participants that are left out.
    pub exclude_kinds: Vec<String>,
    /// Rooms that are recorded without being asked.
    pub auto: AutoRecord,
    /// Whose recordings those are, when it was said.
    pub project: Option<ProjectId>,
    /// How often LiveKit's rooms are asked for, while no webhook tells of them.
    pub poll_every: Duration,
}

/// Which rooms are recorded without being asked.
#[derive(Debug, Clone, Default)]
pub struct AutoRecord {
    /// Their names; `*` stands for any run of characters.
    pub rooms: Vec<String>,
    /// Whether an agent must be in them.
    pub agents: bool,
    /// How many of a hundred of them.
    pub percent: u64,
}

impl Default for Recorder {
    fn default() -> Self {
        Self {
            live: true,
            keep_log: None,
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
