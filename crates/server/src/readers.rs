//! The threads that parse and inflate what clients send, which a sender may have made as costly as possible.
//!
//! There are few threads, so that little of such data is in memory at once; they give way to everything else on the machine; and
//! each project gets its turn, however much another has sent.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;

use echosphere_domain::id::ProjectId;
use tokio::sync::oneshot;

use crate::priority;

/// Pieces of work of one project that may wait at the same time.
const MAX_WAITING: usize = 256;

/// Why something was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// Too much of its project is waiting.
    #[error("too much that this project sent waits to be read")]
    Full,
    /// The threads are stopping, or the work panicked (which is logged).
    #[error("the reader stopped")]
    Stopped,
}

type Work = Box<dyn FnOnce() + Send>;

#[derive(Default)]
struct Queues {
    /// The waiting work of each project that has any.
    waiting: HashMap<ProjectId, VecDeque<Work>>,
    /// Those projects, in the order of their turns.
    turns: VecDeque<ProjectId>,
    stopped: bool,
}

impl Queues {
    fn push(&mut self, project: &ProjectId, work: Work) -> Result<(), Error> {
        if self.stopped {
            return Err(Error::Stopped);
        }
        let waiting = self.waiting.entry(project.clone()).or_default();
        if waiting.len() >= MAX_WAITING {
            return Err(Error::Full);
        }
        if waiting.is_empty() {
            self.turns.push_back(project.clone());
        }
        waiting.push_back(work);
        Ok(())
    }

    fn pop(&mut self) -> Option<Work> {
        let project = self.turns.pop_front()?;
        let waiting = self.waiting.get_mut(&project)?;
        let work = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&project);
        } else {
            self.turns.push_back(project);
        }
        work
    }
}

#[derive(Default)]
struct Shared {
    queues: Mutex<Queues>,
    wake: Condvar,
}

impl Shared {
    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// The reading threads.
pub struct Readers {
    shared: Arc<Shared>,
}

impl Readers {
    /// Starts `count` threads.
    pub fn start(count: usize) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        for number in 0..count {
            let shared = Arc::clone(&shared);
            thread::Builder::new().name(format!("read-{number}")).spawn(move || run(&shared))?;
        }
        Ok(Self { shared })
    }

    /// Runs a piece of work of a project on one of the threads. It is skipped if the caller has gone away before its turn.
    pub async fn run<T, F>(&self, project: &ProjectId, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        let (done, result) = oneshot::channel();
        let work: Work = Box::new(move || {
            if !done.is_closed() {
                let _ = done.send(work());
            }
        });
        self.shared.queues().push(project, work)?;
        self.shared.wake.notify_one();
        result.await.map_err(|_| Error::Stopped)
    }

    /// Ends the threads after their current work; what waits is dropped.
    pub fn stop(&self) {
        let mut queues = self.shared.queues();
        queues.stopped = true;
        queues.waiting.clear();
        queues.turns.clear();
        drop(queues);
        self.shared.wake.notify_all();
    }
}

impl Drop for Readers {
    fn drop(&mut self) {
        self.stop();
    }
}

fn run(shared: &Shared) {
    priority::give_way("reading");
    loop {
        let mut queues = shared.queues();
        let work = loop {
            if queues.stopped {
                return;
            }
            match queues.pop() {
                Some(work) => break work,
                None => queues = shared.wake.wait(queues).unwrap_or_else(PoisonError::into_inner),
            }
        };
        drop(queues);
        if std::panic::catch_unwind(std::panic::AssertUnwindSafe(work)).is_err() {
            tracing::error!("something that was sent made its reader panic");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(name: &str) -> ProjectId {
        ProjectId::parse(name).unwrap()
    }

    #[test]
    fn each_project_has_its_turn() {
        let mut queues = Queues::default();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut push = |name: &'static str| {
            let order = Arc::clone(&order);
            queues.push(&project(name), Box::new(move || order.lock().unwrap().push(name)))
        };
        for name in ["a", "a", "a", "b", "c", "a", "b"] {
            push(name).unwrap();
        }
        (0..MAX_WAITING - 4).for_each(|_| push("a").unwrap());
        assert_eq!(push("a"), Err(Error::Full));
        push("b").unwrap();
        (0..7).for_each(|_| queues.pop().unwrap()());
        assert_eq!(order.lock().unwrap()[..], ["a", "b", "c", "a", "b", "a", "b"]);
        while let Some(work) = queues.pop() {
            work();
        }
        assert!(queues.waiting.is_empty() && queues.turns.is_empty());
    }

    #[tokio::test]
    async fn a_panic_costs_its_own_work_and_nobody_is_worked_for_in_vain() {
        let readers = Readers::start(1).unwrap();
        assert_eq!(readers.run(&project("a"), || panic!("as wanted")).await, Err::<(), _>(Error::Stopped));
        assert_eq!(readers.run(&project("a"), || 7).await, Ok(7));
        let nice = || rustix::process::getpriority_process(None).unwrap();
        assert_eq!(readers.run(&project("a"), nice).await, Ok(nice().max(priority::NICE)));
        readers.stop();
        assert_eq!(readers.run(&project("a"), || 7).await, Err(Error::Stopped));
    }
}
