//! The threads that decode and encode: as many as the configuration says, each with its own renderer.
//!
//! Segments that somebody waits for go first, then those of rooms that go on, then background work. Rooms and background callers
//! await each window before they hand in the next, so their queues stay as short as their number; the interactive queue is bounded
//! here.

use std::collections::VecDeque;

use echosphere_media::render::Renderer;

use crate::threads::{Queue, Refusal, Threads, Work};

/// How urgent a window is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Priority {
    /// Somebody waits for it.
    Interactive,
    /// It is the next of a room that goes on.
    Live,
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

impl From<Refusal> for PoolError {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full => Self::Full,
            Refusal::Stopped => Self::Stopped,
        }
    }
}

/// How many windows that somebody waits for may be queued at the same time.
const MAX_WAITING: usize = 256;

#[derive(Default)]
struct ByPriority {
    interactive: VecDeque<Work<Renderer>>,
    live: VecDeque<Work<Renderer>>,
    background: VecDeque<Work<Renderer>>,
}

impl ByPriority {
    fn of(&mut self, priority: Priority) -> &mut VecDeque<Work<Renderer>> {
        match priority {
            Priority::Interactive => &mut self.interactive,
            Priority::Live => &mut self.live,
            Priority::Background => &mut self.background,
        }
    }
}

impl Queue<Renderer> for ByPriority {
    type Turn = Priority;

    fn push(&mut self, priority: Priority, work: Work<Renderer>) -> bool {
        if priority == Priority::Interactive && self.interactive.len() >= MAX_WAITING {
            return false;
        }
        self.of(priority).push_back(work);
        true
    }

    fn pop(&mut self) -> Option<Work<Renderer>> {
        [Priority::Interactive, Priority::Live, Priority::Background].into_iter().find_map(|p| self.of(p).pop_front())
    }
}

/// The threads that render.
pub struct Pool {
    threads: Threads<Renderer, ByPriority>,
    workers: usize,
}

impl Pool {
    /// Starts `workers` threads. `new_renderer` makes each one's renderer, and a fresh one after a panic.
    pub fn start(workers: usize, new_renderer: fn() -> Renderer) -> std::io::Result<Self> {
        Ok(Self { threads: Threads::start(workers, "render", new_renderer)?, workers })
    }

    /// How many windows are rendered at the same time.
    pub fn workers(&self) -> usize {
        self.workers
    }

    /// Runs a piece of work on one of the threads. It is skipped if the caller has gone away before its turn.
    pub async fn run<T, F>(&self, priority: Priority, work: F) -> Result<T, PoolError>
    where
        T: Send + 'static,
        F: FnOnce(&mut Renderer) -> T + Send + 'static,
    {
        Ok(self.threads.run(priority, work).await?)
    }

    /// Ends the threads after their current windows; what waits is dropped.
    pub fn stop(&self) {
        self.threads.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::priority::NICE;
    use std::sync::{Arc, Mutex};

    #[tokio::test]
    async fn rendering_gives_way_and_nothing_else_does() {
        let pool = Pool::start(1, Renderer::new).unwrap();
        let nice = || rustix::process::getpriority_process(None).unwrap();
        let before = nice();
        assert_eq!(pool.run(Priority::Background, move |_| nice()).await, Ok(before.max(NICE)));
        assert_eq!(nice(), before);
    }

    #[test]
    fn listeners_go_before_rooms_and_rooms_before_the_rest_however_many_rooms_wait() {
        let (mut queue, done) = (ByPriority::default(), Arc::new(Mutex::new(Vec::new())));
        let mut push = |priority| {
            let done = Arc::clone(&done);
            queue.push(priority, Box::new(move |_| done.lock().unwrap().push(priority)))
        };
        assert!(push(Priority::Background));
        assert!((0..=MAX_WAITING).all(|_| push(Priority::Live)));
        assert!((0..MAX_WAITING).all(|_| push(Priority::Interactive)) && !push(Priority::Interactive));
        let mut renderer = Renderer::new();
        while let Some(work) = queue.pop() {
            work(&mut renderer);
        }
        let done = done.lock().unwrap();
        assert!(done.is_sorted_by_key(|priority| *priority as u8), "{done:?}");
        assert_eq!(done.len(), MAX_WAITING * 2 + 2);
    }
}
