//! One at a time for each key: whoever asks for something that is being made waits for it instead of making it too.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use echosphere_domain::key::ObjectKey;
use tokio::sync::OwnedMutexGuard;

type Known = HashMap<ObjectKey, Arc<tokio::sync::Mutex<()>>>;

/// What is being made, by the keys of the objects that it will be.
#[derive(Debug, Default)]
pub struct Turns {
    known: Mutex<Known>,
}

/// Somebody's turn to make something; the next one's begins when this is dropped.
#[derive(Debug)]
pub struct Turn<'t> {
    turns: &'t Turns,
    key: ObjectKey,
    mine: Option<OwnedMutexGuard<()>>,
}

impl Turns {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits for one's turn.
    pub async fn of(&self, key: &ObjectKey) -> Turn<'_> {
        let mutex = Arc::clone(self.known().entry(key.clone()).or_default());
        let mine = Some(mutex.lock_owned().await);
        Turn { turns: self, key: key.clone(), mine }
    }
}

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        let mut known = self.turns.known();
        drop(self.mine.take());
        // Those who wait have it too.
        if known.get(&self.key).is_some_and(|mutex| Arc::strong_count(mutex) == 1) {
            known.remove(&self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn one_waits_for_the_other_and_nothing_is_left() {
        let turns = Turns::default();
        let [one, two] = ["a", "b"].map(|key| key.parse::<ObjectKey>().unwrap());
        let first = turns.of(&one).await;
        let _other = turns.of(&two).await;
        let second = turns.of(&one);
        tokio::pin!(second);
        assert!(tokio::time::timeout(Duration::from_millis(20), second.as_mut()).await.is_err());
        drop(first);
        drop(second.await);
        assert_eq!(turns.known().keys().collect::<Vec<_>>(), [&two]);
    }
}
