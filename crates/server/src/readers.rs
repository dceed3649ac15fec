//! The threads that parse and inflate what clients send, which a sender may have made as costly as possible.
//!
//! There are few threads, so that little of such data is in memory at once; they give way to everything else on the machine; and
//! each project gets its turn, however much another has sent.

use std::collections::{HashMap, VecDeque};

use echosphere_domain::id::ProjectId;

use crate::threads::{Queue, Refusal, Threads, Work};

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

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        match refusal {
            Refusal::Full => Self::Full,
            Refusal::Stopped => Self::Stopped,
        }
    }
}

#[derive(Default)]
struct Turns {
    /// The waiting work of each project that has any.
    waiting: HashMap<ProjectId, VecDeque<Work<()>>>,
    /// Those projects, in the order of their turns.
    order: VecDeque<ProjectId>,
}

impl Queue<()> for Turns {
    type Turn = ProjectId;

    fn push(&mut self, project: ProjectId, work: Work<()>) -> bool {
        let waiting = self.waiting.entry(project.clone()).or_default();
        if waiting.len() >= MAX_WAITING {
            return false;
        }
        if waiting.is_empty() {
            self.order.push_back(project);
        }
        waiting.push_back(work);
        true
    }

    fn pop(&mut self) -> Option<Work<()>> {
        let project = self.order.pop_front()?;
        let waiting = self.waiting.get_mut(&project)?;
        let work = waiting.pop_front();
        if waiting.is_empty() {
            self.waiting.remove(&project);
        } else {
            self.order.push_back(project);
        }
        work
    }
}

/// The reading threads.
pub struct Readers(Threads<(), Turns>);

impl Readers {
    /// Starts `count` threads.
    pub fn start(count: usize) -> std::io::Result<Self> {
        Threads::start(count, "read", || ()).map(Self)
    }

    /// Runs a piece of work of a project on one of the threads. It is skipped if the caller has gone away before its turn.
    pub async fn run<T, F>(&self, project: &ProjectId, work: F) -> Result<T, Error>
    where
        T: Send + 'static,
        F: FnOnce() -> T + Send + 'static,
    {
        Ok(self.0.run(project.clone(), |()| work()).await?)
    }

    /// Ends the threads after their current work; what waits is dropped.
    pub fn stop(&self) {
        self.0.stop();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::priority;
    use std::sync::{Arc, Mutex};

    fn project(name: &str) -> ProjectId {
        ProjectId::parse(name).unwrap()
    }

    #[test]
    fn each_project_has_its_turn() {
        let mut turns = Turns::default();
        let order = Arc::new(Mutex::new(Vec::new()));
        let mut push = |name: &'static str| {
            let order = Arc::clone(&order);
            turns.push(project(name), Box::new(move |()| order.lock().unwrap().push(name)))
        };
        for name in ["a", "a", "a", "b", "c", "a", "b"] {
            assert!(push(name));
        }
        (0..MAX_WAITING - 4).for_each(|_| assert!(push("a")));
        assert!(!push("a") && push("b"), "another project's may wait");
        (0..7).for_each(|_| turns.pop().unwrap()(&mut ()));
        assert_eq!(order.lock().unwrap()[..], ["a", "b", "c", "a", "b", "a", "b"]);
        while let Some(work) = turns.pop() {
            work(&mut ());
        }
        assert!(turns.waiting.is_empty() && turns.order.is_empty());
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
