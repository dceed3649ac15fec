//! Limits how many clients receive events of recordings, and shares these places fairly between projects.
//!
//! The clients of one recording may have a fifth of the places. When all are taken, the project that has the most gives its oldest
//! one to a project that has at least two fewer: so each project gets its share however many another wants, and one alone may have
//! them all.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use echosphere_domain::id::{ProjectId, RecordingId};
use tokio::sync::Notify;

#[derive(Debug)]
struct Taken {
    project: ProjectId,
    recording: RecordingId,
    end: Arc<Notify>,
}

#[derive(Debug, Default)]
struct Inner {
    next: u64,
    taken: HashMap<u64, Taken>,
}

/// The places.
#[derive(Debug)]
pub(super) struct Places {
    most: usize,
    inner: Mutex<Inner>,
}

/// A place that is taken until this is dropped.
#[derive(Debug)]
pub(super) struct Place {
    places: Arc<Places>,
    number: u64,
    /// Notified when the place has to be given up.
    pub(super) end: Arc<Notify>,
}

impl Drop for Place {
    fn drop(&mut self) {
        self.places.inner().taken.remove(&self.number);
    }
}

impl Places {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, inner: Mutex::default() })
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes a place for a client of a project's recording, if there is one or another project has to give one up.
    pub(super) fn take(self: &Arc<Self>, project: &ProjectId, recording: RecordingId) -> Option<Place> {
        let mut inner = self.inner();
        let listening = inner.taken.values().filter(|taken| taken.recording == recording).count();
        if listening >= (self.most / 5).max(1) {
            return None;
        }
        if inner.taken.len() >= self.most {
            let given_up = inner.most_taken(project)?;
            if let Some(taken) = inner.taken.remove(&given_up) {
                taken.end.notify_one();
            }
        }
        let (number, end) = (inner.next, Arc::new(Notify::new()));
        inner.next += 1;
        let taken = Taken { project: project.clone(), recording, end: Arc::clone(&end) };
        inner.taken.insert(number, taken);
        Some(Place { places: Arc::clone(self), number, end })
    }
}

impl Inner {
    /// The oldest place of the project that has the most, if it has more than the asking project would have with one more.
    fn most_taken(&self, asking: &ProjectId) -> Option<u64> {
        let mut counts: HashMap<&ProjectId, usize> = HashMap::new();
        for taken in self.taken.values() {
            *counts.entry(&taken.project).or_default() += 1;
        }
        let own = counts.get(asking).copied().unwrap_or_default();
        let (most, count) = counts.into_iter().max_by_key(|(project, count)| (*count, project.as_str().to_owned()))?;
        if count <= own + 1 {
            return None;
        }
        self.taken.iter().filter(|(_, taken)| taken.project == *most).map(|(number, _)| *number).min()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn project(name: &str) -> ProjectId {
        ProjectId::parse(name).unwrap()
    }

    fn recording(number: u128) -> RecordingId {
        RecordingId::new(uuid::Uuid::from_u128(number))
    }

    #[test]
    fn one_recording_has_a_fifth_of_the_places() {
        let places = Places::new(100);
        let a = project("a");
        let mut held: Vec<_> = (0..20).map(|_| places.take(&a, recording(1)).unwrap()).collect();
        assert!(places.take(&a, recording(1)).is_none());
        assert!(places.take(&a, recording(2)).is_some());
        held.pop();
        assert!(places.take(&a, recording(1)).is_some(), "a place that is given back is there again");
    }

    #[test]
    fn a_project_that_has_more_gives_up_its_oldest() {
        let places = Places::new(10);
        let (a, b, c) = (project("a"), project("b"), project("c"));
        let all: Vec<_> = (0..10).map(|n| places.take(&a, recording(n)).unwrap()).collect();
        assert!(places.take(&a, recording(99)).is_none(), "its own it does not take");
        let others: Vec<_> = (0..20).filter_map(|n| places.take(&b, recording(100 + n))).collect();
        assert_eq!(others.len(), 5, "as many as the other has left");
        let third: Vec<_> = (0..20).filter_map(|n| places.take(&c, recording(200 + n))).collect();
        assert_eq!(third.len(), 3);
        assert!(places.take(&a, recording(300)).is_none() || places.inner().taken.len() <= 10);
        drop((all, others, third));
        assert!(places.inner().taken.is_empty());
    }

    #[tokio::test]
    async fn who_gives_up_a_place_is_notified() {
        let places = Places::new(5);
        let first = places.take(&project("a"), recording(1)).unwrap();
        let _rest: Vec<_> = (2..6).map(|n| places.take(&project("a"), recording(n)).unwrap()).collect();
        let _other = places.take(&project("b"), recording(9)).unwrap();
        first.end.notified().await;
    }
}
