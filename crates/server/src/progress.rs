//! Says on a terminal, in one line, how far a command is.

use std::io::{IsTerminal, Write};

/// How far a command is.
pub struct Progress<'w> {
    what: &'w str,
    all: u64,
    is_terminal: bool,
}

impl<'w> Progress<'w> {
    /// Of so many things, which are called so.
    pub fn new(what: &'w str, all: u64) -> Self {
        Self { what, all, is_terminal: std::io::stdout().is_terminal() }
    }

    /// Says how many are done, if somebody looks.
    pub fn say(&self, done: u64) {
        if !self.is_terminal {
            return;
        }
        let Self { what, all, .. } = self;
        let percent = done.saturating_mul(100).checked_div(*all).unwrap_or(100);
        print!("\r{done} of {all} {what} ({percent} %)");
        if done >= *all {
            println!();
        }
        let _ = std::io::stdout().flush();
    }
}
