//! Redacts the sound of a session: replaces it with silence where nothing may be kept.

use std::fs::File;
use std::io::{self, BufWriter, Read as _, Seek, SeekFrom, Write as _};
use std::ops::Range;
use std::path::Path;

use echosphere_domain::recording::Extent;
use echosphere_domain::time::{MediaTime, WallTime};
use echosphere_media::ogg::{OpusIndex, Silencer};

use super::RedactionSpans;
use crate::error::Error;

/// A session's sound without what must not be kept, in an Ogg file of its own.
pub struct Silenced {
    /// Its index.
    pub index: OpusIndex,
    /// Its length in bytes.
    pub length: u64,
}

/// Writes the sound of a spooled body into a file of its own, with silence where nothing may be kept. `None` when nothing of it
/// would be left.
pub async fn silence(
    spans: &RedactionSpans,
    started_at: WallTime,
    extent: &Extent,
    index: &OpusIndex,
    body: &Path,
    to: &Path,
) -> Result<Option<Silenced>, Error> {
    let stretches = spans.of_sound(started_at);
    let all = 0..i64::try_from(index.total_samples()).unwrap_or(i64::MAX);
    if stretches.iter().any(|stretch| stretch.start <= all.start && stretch.end >= all.end) {
        return Ok(None);
    }
    let (offset, index, body, to) = (extent.offset, index.clone(), body.to_path_buf(), to.to_path_buf());
    let written = tokio::task::spawn_blocking(move || write(offset, &index, &stretches, &body, &to)).await;
    let written = written.unwrap_or_else(|error| Err(io::Error::other(error)));
    written.map(Some).map_err(Error::io("silence a part of an upload"))
}

impl RedactionSpans {
    /// The stretches of a session's sound that become silent, in samples from its beginning, which was at `started_at`.
    pub fn of_sound(&self, started_at: WallTime) -> Vec<Range<i64>> {
        let sample = |nanos: i64| match nanos {
            i64::MIN | i64::MAX => nanos,
            nanos => MediaTime::from_nanos(nanos.saturating_sub(started_at.as_nanos())).as_samples_48k(),
        };
        self.everything().into_iter().map(|stretch| sample(stretch.start)..sample(stretch.end)).collect()
    }
}

fn write(offset: u64, index: &OpusIndex, stretches: &[Range<i64>], body: &Path, to: &Path) -> io::Result<Silenced> {
    let mut body = File::open(body)?;
    let mut out = BufWriter::new(File::create(to)?);
    let mut silencer = Silencer::new(index, stretches);
    let (mut page, mut length) = (Vec::new(), 0);
    while let Some(wanted) = silencer.wanted() {
        body.seek(SeekFrom::Start(offset + wanted.start))?;
        page.clear();
        (&mut body).take(wanted.end - wanted.start).read_to_end(&mut page)?;
        let bytes = silencer.take(&page);
        length += bytes.len() as u64;
        out.write_all(&bytes)?;
    }
    let (rest, index) = silencer.finish();
    out.write_all(&rest)?;
    out.flush()?;
    Ok(Silenced { index, length: length + rest.len() as u64 })
}

#[cfg(test)]
#[allow(clippy::single_range_in_vec_init, reason = "a list of stretches that has one")]
mod tests {
    use super::*;
    use crate::redaction::wider;

    #[test]
    fn wall_clock_to_samples() {
        let at = |second: i64| WallTime::from_millis(second * 1000);
        let spans = RedactionSpans {
            pauses: vec![wider(Some(at(110)), Some(at(120)))],
            user: vec![wider(Some(at(150)), None)],
            ..RedactionSpans::default()
        };
        let second = |second: f64| (second * 48_000.0) as i64;
        assert_eq!(spans.of_sound(at(100)), [second(9.5)..second(20.5), second(49.5)..i64::MAX]);
        let always = RedactionSpans { user: vec![wider(None, None)], ..RedactionSpans::default() };
        assert_eq!(always.of_sound(at(100)), [i64::MIN..i64::MAX]);
    }
}
