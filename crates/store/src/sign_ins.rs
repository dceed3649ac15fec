//! Sign-ins: browsers that came with a credential once, and go on with a cookie.

use async_trait::async_trait;
use echosphere_domain::id::ProjectId;
use echosphere_domain::time::WallTime;

use crate::Result;

/// A browser that has signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// The SHA-256 of its cookie, hexadecimal.
    pub id: String,
    /// The only project that exists for it.
    pub project: ProjectId,
    /// A keyed hash of the credential that it came with, hexadecimal.
    pub credential: String,
    /// When it signed in.
    pub created_at: WallTime,
    /// When it was seen last, to the minute or so.
    pub seen_at: WallTime,
    /// When it ends, however often it is seen.
    pub ends_at: WallTime,
}

/// Sign-ins, and the one-time links that were used for some of them.
#[async_trait]
pub trait SignIns {
    /// Keeps a sign-in. Of more than `most` in all the ones that were seen longest ago are ended.
    async fn begin_sign_in(&self, sign_in: &SignIn, most: u32) -> Result<()>;

    /// The sign-in of a cookie.
    async fn sign_in(&self, id: &str) -> Result<Option<SignIn>>;

    /// It was seen.
    async fn see_sign_in(&self, id: &str, at: WallTime) -> Result<()>;

    /// Ends it; true when there was one.
    async fn end_sign_in(&self, id: &str) -> Result<bool>;

    /// Ends those whose credential is none of these; returns how many.
    async fn end_sign_ins_but(&self, credentials: &[String]) -> Result<u64>;

    /// Takes a one-time link; false when it was taken before.
    async fn take_sign_in_link(&self, nonce: &str, expires_at: WallTime) -> Result<bool>;

    /// Forgets sign-ins that have ended or were not seen since `seen_before`, and used links that have expired; returns how many.
    async fn forget_sign_ins(&self, now: WallTime, seen_before: WallTime) -> Result<u64>;
}
