//! Threads for blocking work, and the queue in which it waits: what the renderers and the readers have in common.

use std::marker::PhantomData;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::{io, thread};

use tokio::sync::oneshot;

use crate::priority;

/// A piece of work on a thread that has an `S` of its own.
pub type Work<S> = Box<dyn FnOnce(&mut S) + Send>;

/// The queue: in which order work is done, and how much may wait.
pub trait Queue<S>: Default + Send + 'static {
    /// What decides when a piece of work has its turn.
    type Turn;

    /// Adds a piece of work; false when too much of its kind waits.
    fn push(&mut self, turn: Self::Turn, work: Work<S>) -> bool;

    /// Takes the next piece.
    fn pop(&mut self) -> Option<Work<S>>;
}

/// Why work was not done.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// Too much waits.
    Full,
    /// The threads are stopping, or the work panicked (which is logged).
    Stopped,
}

/// What the threads share; `None` in it when they have to stop.
struct Shared<Q> {
    queue: Mutex<Option<Q>>,
    wake: Condvar,
}

impl<Q> Shared<Q> {
    fn queue(&self) -> MutexGuard<'_, Option<Q>> {
        // A panic in a critical section cannot leave the queue half changed: each one is a single push or pop.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next<S>(&self) -> Option<Work<S>>
    where
        Q: Queue<S>,
    {
        let mut queue = self.queue();
        loop {
            if let Some(work) = queue.as_mut()?.pop() {
                return Some(work);
            }
            queue = self.wake.wait(queue).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The threads. Their work gives way to everything else on the machine: sound that is not received now is lost.
pub struct Threads<S, Q> {
    shared: Arc<Shared<Q>>,
    of: PhantomData<fn(S)>,
}

impl<S: 'static, Q: Queue<S>> Threads<S, Q> {
    /// Starts `count` threads, which do what `what` says. `new` makes each one's `S`, and a fresh one after a panic.
    pub fn start(count: usize, what: &'static str, new: fn() -> S) -> io::Result<Self> {
        let shared = Arc::new(Shared { queue: Mutex::new(Some(Q::default())), wake: Condvar::new() });
        for number in 0..count {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name(format!("{what}-{number}")).spawn(move || run(&shared, what, new))?;
        }
        Ok(Self { shared, of: PhantomData })
    }

    /// Runs a piece of work on one of the threads. It is skipped if the caller has gone away before its turn.
    pub async fn run<T, F>(&self, turn: Q::Turn, work: F) -> Result<T, Refusal>
    where
        T: Send + 'static,
        F: FnOnce(&mut S) -> T + Send + 'static,
    {
        let (done, result) = oneshot::channel();
        let work: Work<S> = Box::new(move |state| {
            if !done.is_closed() {
                let _ = done.send(work(state));
            }
        });
        if !self.shared.queue().as_mut().ok_or(Refusal::Stopped)?.push(turn, work) {
            return Err(Refusal::Full);
        }
        self.shared.wake.notify_one();
        result.await.map_err(|_| Refusal::Stopped)
    }
}

impl<S, Q> Threads<S, Q> {
    /// Ends the threads after their current work; what waits is dropped.
    pub fn stop(&self) {
        let waiting = self.shared.queue().take();
        self.shared.wake.notify_all();
        drop(waiting);
    }
}

impl<S, Q> Drop for Threads<S, Q> {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run<S, Q: Queue<S>>(shared: &Shared<Q>, what: &'static str, new: fn() -> S) {
    priority::give_way(what);
    let mut state = new();
    while let Some(work) = shared.next::<S>() {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&mut state)));
        if outcome.is_err() {
            tracing::error!(what, "a piece of work panicked; its thread begins anew");
            state = new();
        }
    }
}
