//! The entries of the settings table about LiveKit and the recorder: keys, variables, defaults.

use echosphere_domain::id::ProjectId;

use super::{Setting, chunk, flag, list, livekit_secret, max_duration, sweep_every};
use crate::config::value;

/// In the order of the documentation.
pub(super) const SETTINGS: &[Setting] = &[
    Setting {
        key: "livekit.url",
        variable: "LIVEKIT_URL",
        default: "none",
        meaning: "The address of the LiveKit server whose rooms are recorded. Session uploads need no connection to it.",
        apply: set!(config.livekit_url, value::livekit_url),
    },
    Setting {
        key: "livekit.api_key",
        variable: "LIVEKIT_API_KEY",
        default: "none",
        meaning: "The LiveKit API key of the project default: the key that your agents use.",
        apply: set!(livekit_key, value::text),
    },
    Setting {
        key: "livekit.api_secret",
        variable: "LIVEKIT_API_SECRET",
        default: "none",
        meaning: "The secret of that key.",
        apply: set!(livekit_secret, livekit_secret),
    },
    Setting {
        key: "livekit.ca_file",
        variable: "ECHOSPHERE_LIVEKIT_CA_FILE",
        default: "the public authorities alone",
        meaning: "A certificate authority (PEM file) that LiveKit's certificate may be signed by as well.",
        apply: set!(config.livekit_ca, value::path),
    },
    Setting {
        key: "recorder.auto_record",
        variable: "ECHOSPHERE_RECORDER_AUTO_RECORD",
        default: "none",
        meaning: "Rooms that are recorded without being asked: names, separated by commas, in which * stands for any characters.",
        apply: set!(config.recorder.auto.rooms, list),
    },
    Setting {
        key: "recorder.project",
        variable: "ECHOSPHERE_RECORDER_PROJECT",
        default: "default, else the first that has a LiveKit key pair",
        meaning: "The project whose recordings those are: LiveKit shows all its rooms to each key, so one project asks for them. Of webhooks only those signed by a key of this project begin a recording.",
        apply: |draft, text| {
            draft.config.recorder.project = Some(ProjectId::parse(text).map_err(|error| error.to_string())?);
            Ok(())
        },
    },
    Setting {
        key: "recorder.auto_record_agents",
        variable: "ECHOSPHERE_RECORDER_AUTO_RECORD_AGENTS",
        default: "false",
        meaning: "Whether those rooms are recorded only once an agent is in them.",
        apply: set!(config.recorder.auto.agents, flag),
    },
    Setting {
        key: "recorder.auto_record_percent",
        variable: "ECHOSPHERE_RECORDER_AUTO_RECORD_PERCENT",
        default: "100",
        meaning: "How many of a hundred of those rooms are recorded; the choice follows from the room's id.",
        apply: |draft, text| {
            draft.config.recorder.auto.percent = value::number(text, 0, 100)? as u64;
            Ok(())
        },
    },
    Setting {
        key: "recorder.poll_every",
        variable: "ECHOSPHERE_RECORDER_POLL_EVERY",
        default: "5s",
        meaning: "How often LiveKit is asked for its rooms while its webhooks report nothing.",
        apply: set!(config.recorder.poll_every, sweep_every),
    },
    Setting {
        key: "recorder.live",
        variable: "ECHOSPHERE_RECORDER_LIVE",
        default: "true",
        meaning: "Whether a room can be heard while it goes on; else it is rendered when it has ended.",
        apply: set!(config.recorder.live, flag),
    },
    Setting {
        key: "recorder.keep_log",
        variable: "ECHOSPHERE_RECORDER_KEEP_LOG",
        default: "forever",
        meaning: "How long the capture log of a room, the lossless master, is kept after the end of the recording: forever, or a duration. Without it there are no single tracks, a lost segment cannot be made again, and a later session fills no gaps.",
        apply: |draft, text| {
            draft.config.recorder.keep_log = if text == "forever" { None } else { Some(value::duration(text)?) };
            Ok(())
        },
    },
    Setting {
        key: "recorder.chunk",
        variable: "ECHOSPHERE_RECORDER_CHUNK",
        default: "10s with s3://, else 2s",
        meaning: "How often what is heard in a room is put into object storage (1s to 60s): the disk of this machine has it within half a second, and its loss costs what is younger.",
        apply: set!(config.recorder.chunk, chunk),
    },
    Setting {
        key: "recorder.exclude_kinds",
        variable: "ECHOSPHERE_RECORDER_EXCLUDE_KINDS",
        default: "none",
        meaning: "LiveKit's kinds of participants that are excluded, separated by commas: STANDARD, SIP, AGENT, INGRESS.",
        apply: set!(config.recorder.exclude_kinds, list),
    },
    Setting {
        key: "recorder.max_rooms",
        variable: "ECHOSPHERE_RECORDER_MAX_ROOMS",
        default: "500",
        meaning: "How many rooms are recorded at the same time, at most.",
        apply: |draft, text| {
            draft.config.recorder.max_rooms = value::number(text, 1, 100_000)?;
            Ok(())
        },
    },
    Setting {
        key: "recorder.max_cpu",
        variable: "ECHOSPHERE_RECORDER_MAX_CPU",
        default: "85",
        meaning: "Up to which use of the machine's cores by EchoSphere, in percent over the last 10 s, new rooms are begun.",
        apply: |draft, text| {
            draft.config.recorder.max_cpu = value::number(text, 1, 100)? as u64;
            Ok(())
        },
    },
    Setting {
        key: "recorder.max_spool",
        variable: "ECHOSPHERE_RECORDER_MAX_SPOOL",
        default: "4 GiB",
        meaning: "How much may wait on the disk for object storage before no more rooms are begun; half of it is an alarm.",
        apply: set!(config.recorder.max_spool, value::bytes),
    },
    Setting {
        key: "recorder.min_free_disk",
        variable: "ECHOSPHERE_RECORDER_MIN_FREE_DISK",
        default: "256 MiB",
        meaning: "How much must be free on the disk of the data directory for a room to be begun and for uploads and telemetry to be taken: what is left is for the rooms that are being recorded.",
        apply: set!(config.recorder.min_free_disk, value::bytes),
    },
    Setting {
        key: "recorder.max_duration",
        variable: "ECHOSPHERE_RECORDER_MAX_DURATION",
        default: "12h",
        meaning: "How long a recording of a room may get, at most 48h; then it is ended.",
        apply: set!(config.recorder.max_duration, max_duration),
    },
    Setting {
        key: "recorder.wait_for_people",
        variable: "ECHOSPHERE_RECORDER_WAIT_FOR_PEOPLE",
        default: "60s",
        meaning: "How long an empty room is waited in; if nobody comes, no recording is left.",
        apply: set!(config.recorder.wait_for_people, value::duration),
    },
    Setting {
        key: "recorder.give_up_after",
        variable: "ECHOSPHERE_RECORDER_GIVE_UP_AFTER",
        default: "60s",
        meaning: "How long to try to get back into a room when LiveKit cannot be reached.",
        apply: set!(config.recorder.give_up_after, value::duration),
    },
    Setting {
        key: "recorder.tcp_only",
        variable: "ECHOSPHERE_RECORDER_TCP_ONLY",
        default: "false",
        meaning: "Whether media come over TCP only; else TCP is used when UDP does not get through.",
        apply: set!(config.recorder.tcp_only, flag),
    },
];
