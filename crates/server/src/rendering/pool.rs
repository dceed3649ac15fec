//! The threads that decode and encode: as many as the configuration says, each with its own renderer.
//!
//! Segments that somebody waits for go before background work. Background callers await each window before they hand in the next,
//! so their queue stays as short as their number; the interactive queue is bounded here.

use std::collections::VecDeque;
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use echosphere_media::render::Renderer;
use tokio::sync::oneshot;

use crate::priority;

/// How urgent a window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Somebody waits for it.
    Interactive,
    /// Nobody does yet.
    Background,
}

/// Why a window was not rendered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PoolError {
    /// More requests wait than the pool admits.
    #[error("too many segments are being rendered at once")]
    Full,
    /// The pool is stopping, or the window made the renderer panic (which is logged).
    #[error("the renderer stopped")]
    Stopped,
}

/// How many windows that somebody waits for may be queued at the same time.
const MAX_WAITING: usize = 256;

type Work = Box<dyn FnOnce(&mut Renderer) + Send>;

#[derive(Default)]
struct Queues {
    interactive: VecDeque<Work>,
    background: VecDeque<Work>,
    stopped: bool,
}

#[derive(Default)]
struct Shared {
    queues: Mutex<Queues>,
    wake: Condvar,
}

impl Shared {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        // A panic in a critical section cannot leave the queues half changed: each one is a single push or pop.
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn next(&self) -> Option<Work> {
        let mut queues = self.queues();
        loop {
            if queues.stopped {
                return None;
            }
            if let Some(work) = queues.interactive.pop_front().or_else(|| queues.background.pop_front()) {
                return Some(work);
            }
            queues = self.wake.wait(queues).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// The threads that render.
pub struct Pool {
    shared: Arc<Shared>,
    workers: usize,
}

impl Pool {
    /// Starts `workers` threads. `new_renderer` makes each one's renderer, and a fresh one after a panic.
    pub fn start(workers: usize, new_renderer: fn() -> Renderer) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        for number in 0..workers {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name(format!("render-{number}")).spawn(move || run(&shared, new_renderer))?;
        }
        Ok(Self { shared, workers })
    }

    /// How many windows are rendered at the same time.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Runs a piece of work on one of the threads.
    pub async fn run<T, F>(&self, priority: Priority, work: F) -> Result<T, PoolError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Renderer) -> T + Send + 'static,
    {
        let (done, result) = oneshot::channel();
        let work: Work = Box::new(move |renderer| {
            // A caller that went away needs no result, and no work either.
            if !done.is_closed() {
                let _ = done.send(work(renderer));
            }
        });
        {
            let mut queues = self.shared.queues();
            match priority {
                _ if queues.stopped => return Err(PoolError::Stopped),
                Priority::Interactive if queues.interactive.len() >= MAX_WAITING => return Err(PoolError::Full),
                Priority::Interactive => queues.interactive.push_back(work),
                Priority::Background => queues.background.push_back(work),
            }
        }
        self.shared.wake.notify_one();
        result.await.map_err(|_| PoolError::Stopped)
    }

    /// Ends the threads after their current windows; what waits is dropped.
    pub fn stop(&self) {
        let mut queues = self.shared.queues();
        queues.stopped = true;
        queues.interactive.clear();
        queues.background.clear();
        drop(queues);
        self.shared.wake.notify_all();
    }
}

impl Drop for Pool {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(shared: &Shared, new_renderer: fn() -> Renderer) {
    // Sound that is not received now is lost; what is not rendered now is rendered later.
    priority::give_way("rendering");
    let mut renderer = new_renderer();
    while let Some(work) = shared.next() {
        let outcome = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(&mut renderer)));
        if outcome.is_err() {
            tracing::error!("a renderer panicked; it is replaced by a new one");
            renderer = new_renderer();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::priority::NICE;

    #[tokio::test]
    async fn rendering_gives_way_and_nothing_else_does() {
        let pool = Pool::start(1, Renderer::new).unwrap();
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        assert_eq!(pool.run(Priority::Background, move |_| nice()).await, Ok(before.max(NICE)));
        assert_eq!(nice(), before);
    }
}
