//! Agents that upload to a server which may die under them, and remember what it acknowledged.

use std::net::SocketAddr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread::Scope;

use crate::session::Session;

/// Sends one session again and again, each time as another job.
pub struct Senders {
    session: Session,
    sent: AtomicUsize,
    acknowledged: Mutex<Vec<String>>,
}

impl Senders {
    /// Nothing is sent yet.
    pub fn new(session: Session) -> Self {
        Self { session, sent: AtomicUsize::new(0), acknowledged: Mutex::default() }
    }

    /// Sends it twice at once, while the scope lasts.
    pub fn send_two<'s>(&'s self, scope: &'s Scope<'s, '_>, address: SocketAddr) {
        for _ in 0..2 {
            scope.spawn(move || {
                let number = self.sent.fetch_add(1, Ordering::Relaxed);
                let body = self.session.renamed(number);
                // The process dies under us; whoever got an answer was promised something.
                let answer = std::panic::catch_unwind(|| body.upload(address));
                if answer.is_ok_and(|answer| answer.status == 200) {
                    let mut acknowledged = self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner);
                    acknowledged.push(format!("AJ_{number:012}"));
                }
            });
        }
    }

    /// How often it was sent.
    pub fn sent(&self) -> usize {
        self.sent.load(Ordering::Relaxed)
    }

    /// The jobs whose sessions were acknowledged.
    pub fn acknowledged(&self) -> Vec<String> {
        self.acknowledged.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
