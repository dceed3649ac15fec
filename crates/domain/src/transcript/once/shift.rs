//! Finds how far apart the clocks of two accounts are, from the lines that both have.

use std::collections::HashMap;

use super::super::Role;
use super::line::{Line, NEAR};

/// The fewest words with which a line counts as the same wherever it occurs.
const WORDS: usize = 3;
/// The fewest such lines that have to agree.
const LINES: usize = 2;

/// How much later the clock of `here` is than that of `there`, in nanoseconds. 0 unless most lines that occur once in `there` agree
/// on it, and it is more than lines on one clock may differ by.
pub fn shift(here: &[Line], there: &[Line]) -> i64 {
    let (here, there) = (said_once(here), said_once(there));
    let mut apart: Vec<i64> =
        there.iter().filter_map(|(words, line)| Some(here.get(words)?.from.saturating_sub(line.from))).collect();
    apart.sort_unstable();
    let Some(&median) = apart.get(apart.len() / 2) else { return 0 };
    let agree = apart.iter().filter(|other| other.saturating_sub(median).saturating_abs() <= NEAR).count();
    let agree_here = apart.iter().filter(|other| other.saturating_abs() <= NEAR).count();
    let is_sure = agree >= LINES && agree * 10 >= there.len() * 6 && agree > agree_here;
    if is_sure && median.saturating_abs() > NEAR { median } else { 0 }
}

fn said_once(lines: &[Line]) -> HashMap<(u8, &str), &Line> {
    let mut once: HashMap<(u8, &str), Option<&Line>> = HashMap::new();
    for line in lines.iter().filter(|line| line.spoken.words() >= WORDS) {
        let role = u8::from(line.role == Role::Agent);
        once.entry((role, line.spoken.letters.as_str())).and_modify(|known| *known = None).or_insert(Some(line));
    }
    once.into_iter().filter_map(|(words, line)| Some((words, line?))).collect()
}
