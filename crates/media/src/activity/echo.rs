//! Finds and removes echo: one speaker's voice that a telephone or a loudspeaker returns in another's channel, later
//! and fainter.

/// How much later an echo may come, in steps (320 ms).
const LATEST: usize = 30;
/// How much fainter it is, in decibels: less cannot be distinguished from a voice, more is not heard.
const FAINTER: std::ops::RangeInclusive<i16> = 8..=45;
/// The distance of an echo varies by at most this many decibels either way.
const SPREAD: i16 = 4;
/// An echo explains most of what is heard while the other speaks: at least this many steps of a hundred.
const MOST: usize = 55;
/// An echo is looked for where the other speaker is at least this loud, for at least this many steps (2 s).
const LOUD: u8 = 60;
const ENOUGH: usize = 190;
/// How long after the other's voice its echo may die away, in steps (160 ms).
const TAIL: usize = 15;

/// An echo of one channel in another.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Echo {
    /// How much later it comes, in steps.
    pub delay: usize,
    /// How much fainter it is, in decibels.
    pub fainter: u8,
}

impl Echo {
    /// The echo of `other` in `own`, whose levels cover the same time; `None` when there is none.
    pub fn find(own: &[u8], other: &[u8]) -> Option<Self> {
        let best = (0..=LATEST).filter_map(|delay| Self::at(own, other, delay)).max_by_key(|(share, _)| *share);
        best.map(|(_, echo)| echo)
    }

    /// How many of a thousand steps an echo with this delay explains, if it explains most.
    fn at(own: &[u8], other: &[u8], delay: usize) -> Option<(usize, Self)> {
        let mut counts = [0_usize; 128];
        let mut total = 0;
        for (own, other) in own.iter().skip(delay).zip(other).filter(|(_, other)| **other >= LOUD) {
            total += 1;
            if let Ok(fainter) = usize::try_from(i16::from(*other) - i16::from(*own)) {
                counts[fainter.min(127)] += 1;
            }
        }
        let band = |fainter: i16| &counts[(fainter - SPREAD) as usize..=(fainter + SPREAD) as usize];
        let around = |fainter: i16| band(fainter).iter().sum::<usize>();
        let (count, fainter) = FAINTER.map(|fainter| (around(fainter), fainter)).max()?;
        let mean = band(fainter).iter().enumerate().map(|(step, count)| step * count).sum::<usize>() / count.max(1);
        let fainter = (fainter - SPREAD) as u8 + mean as u8;
        (total >= ENOUGH && count * 100 >= total * MOST).then(|| (count * 1_000 / total, Self { delay, fainter }))
    }

    /// Removes the echo of `other` from `own`: what is no louder than the echo becomes silence.
    pub fn remove(self, own: &mut [u8], other: &[u8]) {
        for (at, level) in own.iter_mut().enumerate() {
            let Some(now) = (at + 2).checked_sub(self.delay) else { continue };
            let around = other.get(now.saturating_sub(TAIL)..(now + 1).min(other.len())).unwrap_or_default();
            let loudest = around.iter().copied().max().unwrap_or(super::SILENCE);
            if *level <= loudest.saturating_sub(self.fainter).saturating_add(SPREAD as u8 + 2)
                && loudest >= self.fainter
            {
                *level = super::SILENCE;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// Syllables of 60 to 85 dB between these steps, over silence of 15 dB.
    fn speech(length: usize, spoken: &[std::ops::Range<usize>]) -> Vec<u8> {
        let syllable = |at: usize| 60 + ((at / 6).wrapping_mul(2_654_435_761) >> 7) as u8 % 26;
        let level = |at: usize| if spoken.iter().any(|s| s.contains(&at)) { syllable(at) } else { 15 };
        (0..length).map(level).collect()
    }

    #[test]
    fn an_echo_is_found_and_taken_out_and_the_voice_over_it_stays() {
        let agent = speech(3_000, &[100..700, 1_500..2_300]);
        let mut user = speech(3_000, &[900..1_300, 2_200..2_600]);
        for at in 7..3_000 {
            user[at] = user[at].max(agent[at - 7].saturating_sub(20));
        }
        let echo = Echo::find(&user, &agent).unwrap();
        assert!(echo.delay.abs_diff(7) <= 1 && echo.fainter.abs_diff(20) <= 2, "{echo:?}");
        echo.remove(&mut user, &agent);
        assert!(user[110..715].iter().all(|&level| level == 0));
        assert_eq!(user[900..1_300], speech(3_000, &[900..1_300, 2_200..2_600])[900..1_300]);
        assert!(user[2_200..2_600].iter().filter(|&&level| level > 55).count() > 350);
    }

    #[test]
    fn two_who_talk_with_each_other_have_none() {
        let agent = speech(3_000, &[100..700, 1_500..2_300]);
        for user in [speech(3_000, &[750..1_400, 2_200..2_700]), vec![0; 3_000], vec![48; 3_000], agent.clone()] {
            assert_eq!(Echo::find(&user, &agent), None);
        }
    }

    proptest! {
        #[test]
        fn any_levels(own in prop::collection::vec(0_u8..=255, 0..400), other in prop::collection::vec(0_u8..=255, 0..400)) {
            if let Some(echo) = Echo::find(&own, &other) {
                let mut own = own;
                echo.remove(&mut own, &other);
            }
            let mut own = other.clone();
            Echo { delay: 12, fainter: 20 }.remove(&mut own, &other);
        }
    }
}
