//! What is wrong with a segment, and where.

/// The most problems that are kept.
pub const MOST_PROBLEMS: usize = 100;

/// Something that is wrong with a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Problem {
    /// The number of the packet, from 0, in which it is, or in which the PES packet begins that it is in.
    pub packet: usize,
    /// What it is.
    pub kind: Kind,
}

/// What may be wrong with a segment. Sections are those of ISO/IEC 13818-1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Kind {
    /// There are bytes between two packets (section 2.4.3.2).
    #[error("{0} bytes before it belong to no packet")]
    OutOfSync(usize),
    /// The segment ends in the middle of a packet.
    #[error("the last packet has only {0} bytes")]
    PacketCut(usize),
    /// A packet's header contradicts itself, or is marked as damaged (`transport_error_indicator`).
    #[error("the packet is damaged")]
    PacketDamaged,
    /// A packet is scrambled, and is not read.
    #[error("the packet is scrambled")]
    Scrambled,
    /// The continuity counter does not continue (section 2.4.3.3): packets are missing before this one.
    #[error("packets of stream {0:#x} are missing before it")]
    PacketsMissing(u16),
    /// A PAT or PMT is damaged: its checksum is wrong (Annex A), or it is not whole.
    #[error("a table of stream {0:#x} is damaged")]
    TableDamaged(u16),
    /// A later PMT names other streams than the first.
    #[error("the streams change in the middle")]
    StreamsChange,
    /// The PAT names several programs, of which the first is read (RFC 8216, section 3.2: a segment has one).
    #[error("there are several programs")]
    SeveralPrograms,
    /// Sound or pictures come before PAT and PMT (RFC 8216, section 3.2).
    #[error("sound or pictures come before the tables that describe them")]
    TablesLate,
    /// A PES packet's header cannot be read (section 2.4.3.6).
    #[error("a PES packet of stream {0:#x} is damaged")]
    PesDamaged(u16),
    /// A PES packet is shorter than it says.
    #[error("a PES packet of stream {0:#x} is cut")]
    PesCut(u16),
    /// A timestamp is before that of the picture decoded before.
    #[error("the time of stream {0:#x} goes back")]
    TimeGoesBack(u16),
    /// A stream of AAC or H.264 has nothing that is whole and has a time.
    #[error("stream {0:#x} has nothing that can be played")]
    NothingInStream(u16),
    /// There are bytes between two frames of AAC.
    #[error("{0} bytes of AAC belong to no frame")]
    BytesBetweenFrames(usize),
    /// The last frame of AAC is not whole.
    #[error("the last frame of AAC is cut")]
    FrameCut,
    /// Sample rate, channels or object type change between two frames of AAC.
    #[error("the format of the AAC changes in the middle")]
    FormatChanges,
    /// The time of a frame of AAC is this many ticks of 90 kHz after the end of the frame before: above zero something is missing,
    /// below zero something is there twice.
    #[error("the sound jumps by {0} ticks of 90 kHz")]
    Jump(i64),
    /// There is no sequence parameter set that can be read before the end of the segment.
    #[error("the H.264 does not say what it is")]
    NoParameters,
    /// Profile, level or resolution change between two pictures.
    #[error("the H.264 changes in the middle")]
    PicturesChange,
}

/// The problems found so far, in the order in which they were found.
#[derive(Debug, Default)]
pub struct Problems(pub Vec<Problem>);

impl Problems {
    /// Keeps a problem, if there are not too many.
    pub fn add(&mut self, packet: usize, kind: Kind) {
        if self.0.len() < MOST_PROBLEMS {
            self.0.push(Problem { packet, kind });
        }
    }
}
