//! What was written, so that it can be proven that it reads so.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use echosphere_storage::{Pieces, Result};
use futures_util::{StreamExt, TryStreamExt};
use sha2::{Digest, Sha256};

/// The length and the digest of what passed.
#[derive(Debug, Clone, Default)]
pub struct Proof {
    passed: Arc<Mutex<(u64, Sha256)>>,
}

impl Proof {
    /// Passes pieces on, and takes what they are.
    pub fn of(pieces: Pieces) -> (Self, Pieces) {
        let proof = Self::default();
        let passing = proof.clone();
        let passed = pieces.inspect_ok(move |piece| {
            let mut passed = passing.passed();
            passed.0 += piece.len() as u64;
            passed.1.update(piece);
        });
        (proof, passed.boxed())
    }

    fn passed(&self) -> MutexGuard<'_, (u64, Sha256)> {
        self.passed.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// How many bytes passed.
    pub fn length(&self) -> u64 {
        self.passed().0
    }

    /// Whether these pieces are what passed.
    pub async fn is(&self, pieces: Pieces) -> Result<bool> {
        let (read, mut pieces) = Self::of(pieces);
        while pieces.try_next().await?.is_some() {}
        let digest = |proof: &Self| proof.passed().1.clone().finalize();
        Ok(read.length() == self.length() && digest(&read) == digest(self))
    }
}
