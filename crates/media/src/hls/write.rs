//! Writes playlists: pure text from plain numbers.

use std::fmt::Write;

/// What a multivariant playlist says about its one variant.
#[derive(Debug, Clone, Copy)]
pub struct Variant<'a> {
    /// The media playlist.
    pub uri: &'a str,
    /// The highest bit rate of any segment, in bits per second.
    pub bandwidth: u64,
    /// The mean bit rate.
    pub average_bandwidth: u64,
    /// RFC 6381 codecs.
    pub codecs: &'a str,
}

/// What a media playlist says about a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// Its length in ticks of 90 kHz.
    pub ticks: u64,
    /// The wall-clock time of its first sample, in milliseconds since the Unix epoch.
    pub wall_millis: i64,
    /// Whether its encoding or timestamps do not continue the one before.
    pub discontinuity: bool,
    /// Whether it is missing (EXT-X-GAP).
    pub gap: bool,
    /// The number of its init section (EXT-X-MAP), if it has one.
    pub map: Option<usize>,
}

/// Whether more segments will come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Everything is there: VOD with an end.
    Ended,
    /// Segments are still added at the end.
    Growing,
}

/// Writes a multivariant playlist (RFC 8216 section 4.3.4).
pub fn multivariant(variant: Variant<'_>) -> String {
    format!(
        "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-INDEPENDENT-SEGMENTS\n\
         #EXT-X-STREAM-INF:BANDWIDTH={},AVERAGE-BANDWIDTH={},CODECS=\"{}\"\n{}\n",
        variant.bandwidth, variant.average_bandwidth, variant.codecs, variant.uri
    )
}

/// What a media playlist gives an address of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Address {
    /// The segment with this position in the playlist.
    Segment(usize),
    /// The init section with this number.
    Init(usize),
}

/// Writes a media playlist. `write_uri` appends addresses.
pub fn media(kind: Kind, segments: &[Segment], write_uri: &mut dyn FnMut(Address, &mut String)) -> String {
    let mut out = String::with_capacity(256 + segments.len() * 480);
    let has_maps = segments.iter().any(|segment| segment.map.is_some());
    let version = if segments.iter().any(|segment| segment.gap) { 8 } else { 3 }.max(if has_maps { 7 } else { 3 });
    // EXTINF, rounded to whole seconds, must not exceed it (section 4.3.3.1).
    let target = segments.iter().map(|segment| (segment.ticks + 45_000) / 90_000).max().unwrap_or(1).max(1);
    let kind_tag = if kind == Kind::Ended { "VOD" } else { "EVENT" };
    let head = write!(
        out,
        "#EXTM3U\n#EXT-X-VERSION:{version}\n#EXT-X-TARGETDURATION:{target}\n#EXT-X-MEDIA-SEQUENCE:0\n\
         #EXT-X-PLAYLIST-TYPE:{kind_tag}\n#EXT-X-INDEPENDENT-SEGMENTS\n"
    );
    head.expect("writing to a String does not fail");
    if kind == Kind::Growing {
        // A player may ask for the segment that comes next (RFC 8216bis, section 4.4.3.8).
        out.push_str("#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES\n");
    }
    let mut date = DateWriter::default();
    let mut map = None;
    for (position, segment) in segments.iter().enumerate() {
        if segment.discontinuity {
            out.push_str("#EXT-X-DISCONTINUITY\n");
        }
        if let Some(number) = segment.map.filter(|_| segment.map != map) {
            out.push_str("#EXT-X-MAP:URI=\"");
            write_uri(Address::Init(number), &mut out);
            out.push_str("\"\n");
            map = segment.map;
        }
        date.write(segment.wall_millis, &mut out);
        if segment.gap {
            out.push_str("#EXT-X-GAP\n");
        }
        let micros = (segment.ticks * 100 + 4) / 9;
        out.push_str("#EXTINF:");
        push_number(micros / 1_000_000, 1, &mut out);
        out.push('.');
        push_number(micros % 1_000_000, 6, &mut out);
        out.push_str(",\n");
        write_uri(Address::Segment(position), &mut out);
        out.push('\n');
    }
    if kind == Kind::Ended {
        out.push_str("#EXT-X-ENDLIST\n");
    }
    out
}

/// Appends a number with at least `digits` digits. A playlist has thousands; the formatting machinery is ten times slower.
fn push_number(mut number: u64, digits: usize, out: &mut String) {
    let mut buffer = [b'0'; 20];
    let mut at = buffer.len();
    while number > 0 || buffer.len() - at < digits {
        at -= 1;
        buffer[at] = b'0' + (number % 10) as u8;
        number /= 10;
    }
    out.extend(buffer[at..].iter().map(|&digit| char::from(digit)));
}

/// Writes EXT-X-PROGRAM-DATE-TIME (section 4.3.2.6), computing the date once per day.
#[derive(Default)]
struct DateWriter {
    day: Option<i64>,
    date: String,
}

impl DateWriter {
    fn write(&mut self, millis: i64, out: &mut String) {
        let (day, rest) = (millis.div_euclid(86_400_000), millis.rem_euclid(86_400_000) as u64);
        if self.day != Some(day) {
            let midnight = jiff::Timestamp::from_millisecond(day.saturating_mul(86_400_000));
            let midnight = midnight.unwrap_or(jiff::Timestamp::UNIX_EPOCH);
            self.date = midnight.strftime("#EXT-X-PROGRAM-DATE-TIME:%Y-%m-%dT").to_string();
            self.day = Some(day);
        }
        out.push_str(&self.date);
        push_number(rest / 3_600_000, 2, out);
        out.push(':');
        push_number(rest / 60_000 % 60, 2, out);
        out.push(':');
        push_number(rest / 1000 % 60, 2, out);
        out.push('.');
        push_number(rest % 1000, 3, out);
        out.push_str("Z\n");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(ticks: u64, wall_millis: i64) -> Segment {
        Segment { ticks, wall_millis, discontinuity: false, gap: false, map: None }
    }

    fn write(address: Address, out: &mut String) {
        out.push_str(&match address {
            Address::Segment(position) => format!("{position}.ts"),
            Address::Init(number) => format!("init-{number}.mp4"),
        });
    }

    #[test]
    fn an_ended_recording() {
        let segments = [segment(187 * 1920, 1_795_439_500_386), segment(188 * 1920, 1_795_439_504_375)];
        assert_eq!(
            media(Kind::Ended, &segments, &mut write),
            "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:4\n#EXT-X-MEDIA-SEQUENCE:0\n#EXT-X-PLAYLIST-TYPE:VOD\n\
             #EXT-X-INDEPENDENT-SEGMENTS\n\
             #EXT-X-PROGRAM-DATE-TIME:2026-11-23T13:11:40.386Z\n#EXTINF:3.989333,\n0.ts\n\
             #EXT-X-PROGRAM-DATE-TIME:2026-11-23T13:11:44.375Z\n#EXTINF:4.010667,\n1.ts\n#EXT-X-ENDLIST\n"
        );
    }

    #[test]
    fn a_gap_is_listed_and_raises_the_version() {
        let mut missing = segment(360_000, 0);
        missing.gap = true;
        let text = media(Kind::Growing, &[segment(360_000, 0), missing], &mut write);
        assert!(text.contains("#EXT-X-VERSION:8") && text.contains("#EXT-X-GAP\n#EXTINF:4.000000,\n1.ts"));
        assert!(!text.contains("ENDLIST") && text.contains("EVENT") && text.contains("CAN-BLOCK-RELOAD=YES"));
        assert!(!media(Kind::Ended, &[missing], &mut write).contains("CAN-BLOCK-RELOAD"));
    }

    #[test]
    fn an_init_section_is_named_where_it_changes() {
        let at = |map| Segment { map: Some(map), ..segment(360_000, 0) };
        let text = media(Kind::Ended, &[at(0), at(0), at(2)], &mut write);
        assert!(text.contains("#EXT-X-VERSION:7\n"), "{text}");
        let order: Vec<&str> = text.lines().filter(|line| !line.starts_with("#EXT") || line.contains("MAP")).collect();
        let map = |number| format!("#EXT-X-MAP:URI=\"init-{number}.mp4\"");
        assert_eq!(order, [&map(0), "0.ts", "1.ts", &map(2), "2.ts"]);
    }

    #[test]
    fn the_target_covers_every_rounded_length() {
        assert!(media(Kind::Ended, &[segment(405_000, 0)], &mut write).contains("TARGETDURATION:5"));
        assert!(media(Kind::Ended, &[segment(404_999, 0)], &mut write).contains("TARGETDURATION:4"));
        assert!(media(Kind::Ended, &[segment(1920, 0)], &mut write).contains("TARGETDURATION:1"));
    }
}
