//! Reads from the server's SDP offer which track each SSRC belongs to.
//!
//! Every offer is read anew: the server reuses a media section for another track, with another SSRC. The stream id in `a=msid` is
//! `PA_participant|TR_track` (livekit-server, pkg/rtc, packStreamID).

use std::collections::HashMap;

/// A stream announced by an offer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offered {
    /// The media section.
    pub mid: String,
    /// LiveKit's participant id.
    pub participant_sid: String,
    /// LiveKit's track id.
    pub track_sid: String,
    /// Format parameters of Opus.
    pub fmtp: String,
}

#[derive(Default)]
struct Section<'s> {
    is_audio: bool,
    sends: bool,
    mid: &'s str,
    msid: &'s str,
    ssrc: Option<u32>,
    opus: Option<&'s str>,
    fmtp: HashMap<&'s str, &'s str>,
}

/// The audio streams of an offer, by SSRC.
pub fn audio_streams(sdp: &str) -> HashMap<u32, Offered> {
    let mut streams = HashMap::new();
    let mut section = Section::default();
    for line in sdp.lines().map(str::trim_end).chain(["m=end"]) {
        if let Some(media) = line.strip_prefix("m=") {
            finish(&std::mem::take(&mut section), &mut streams);
            section.is_audio = media.starts_with("audio ");
        } else if let Some(attribute) = line.strip_prefix("a=") {
            attribute_of(&mut section, attribute);
        }
    }
    streams
}

/// The ICE username fragment of an offer; all its media sections share one transport (BUNDLE), and have the same one.
pub fn ice_ufrag(sdp: &str) -> &str {
    sdp.lines().find_map(|line| line.strip_prefix("a=ice-ufrag:")).unwrap_or_default().trim_end()
}

fn attribute_of<'s>(section: &mut Section<'s>, attribute: &'s str) {
    let (name, value) = attribute.split_once(':').unwrap_or((attribute, ""));
    match name {
        "mid" => section.mid = value,
        "msid" => section.msid = value,
        "ssrc" => section.ssrc = section.ssrc.or_else(|| value.split(' ').next()?.parse().ok()),
        "sendrecv" | "sendonly" => section.sends = true,
        "rtpmap" => {
            if let Some((number, codec)) = value.split_once(' ')
                && codec.to_ascii_lowercase().starts_with("opus/")
            {
                section.opus = Some(number);
            }
        }
        "fmtp" => {
            if let Some((number, parameters)) = value.split_once(' ') {
                section.fmtp.insert(number, parameters);
            }
        }
        _ => {}
    }
}

fn finish(section: &Section<'_>, streams: &mut HashMap<u32, Offered>) {
    let Some(ssrc) = section.ssrc.filter(|_| section.is_audio && section.sends) else { return };
    let mut parts = section.msid.split(' ');
    let stream = parts.next().unwrap_or_default();
    let (participant, track) = stream.split_once('|').unwrap_or((stream, parts.next().unwrap_or_default()));
    let fmtp = section.opus.and_then(|number| section.fmtp.get(number)).copied().unwrap_or_default();
    let offered = Offered {
        mid: section.mid.to_owned(),
        participant_sid: participant.to_owned(),
        track_sid: track.to_owned(),
        fmtp: fmtp.to_owned(),
    };
    streams.insert(ssrc, offered);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_offer_as_livekit_makes_it() {
        let sdp = "v=0\r\nm=application 9 UDP/DTLS/SCTP webrtc-datachannel\r\na=mid:0\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n\
                   a=mid:1\r\na=rtpmap:111 opus/48000/2\r\na=fmtp:111 minptime=10;useinbandfec=1\r\na=ssrc:77 cname:PA_x|TR_y\r\n\
                   a=ssrc:77 msid:PA_x|TR_y TR_y\r\na=msid:PA_x|TR_y TR_y\r\na=sendrecv\r\nm=audio 9 UDP/TLS/RTP/SAVPF 111\r\n\
                   a=mid:2\r\na=ssrc:78 cname:a\r\na=msid:PA_z|TR_w TR_w\r\na=inactive\r\n";
        let streams = audio_streams(sdp);
        let expected = Offered {
            mid: "1".into(),
            participant_sid: "PA_x".into(),
            track_sid: "TR_y".into(),
            fmtp: "minptime=10;useinbandfec=1".into(),
        };
        assert_eq!(streams, HashMap::from([(77, expected)]));
    }

    proptest! {
        #[test]
        fn any_text(text in "[ma=:|a-z0-9 \r\n]{0,300}") {
            let _ = audio_streams(&text);
        }
    }
}
