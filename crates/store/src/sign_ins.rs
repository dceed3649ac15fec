//! Sign-ins: browsers that presented a credential once and continue with a cookie, and one-time sign-in links.

use async_trait::async_trait;
use echosphere_domain::id::ProjectId;
use echosphere_domain::time::WallTime;

use crate::Result;

/// A browser that has signed in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SignIn {
    /// The SHA-256 of its cookie, hexadecimal.
    pub id: String,
    /// The only project that it has access to.
    pub project: ProjectId,
    /// A keyed hash of the credential that it signed in with, hexadecimal.
    pub credential: String,
    /// When it signed in.
    pub created_at: WallTime,
    /// When it was last seen, to within about a minute.
    pub seen_at: WallTime,
    /// When it ends, however often it is seen.
    pub ends_at: WallTime,
}

/// Sign-ins, and the one-time links that were used for some of them.
#[async_trait]
pub trait SignIns {
    /// Stores a sign-in. If there are more than `most` in total, those seen longest ago are ended. Scope: all projects.
    async fn begin_sign_in(&self, sign_in: &SignIn, most: u32) -> Result<()>;

    /// The sign-in with this id; the row says in which project. Scope: id.
    async fn sign_in(&self, id: &str) -> Result<Option<SignIn>>;

    /// A sign-in was seen. Scope: id.
    async fn see_sign_in(&self, id: &str, at: WallTime) -> Result<()>;

    /// Ends a sign-in; true when there was one. Scope: id.
    async fn end_sign_in(&self, id: &str) -> Result<bool>;

    /// Ends the sign-ins whose credential is none of these; returns how many. Scope: all projects.
    async fn end_sign_ins_but(&self, credentials: &[String]) -> Result<u64>;

    /// Uses up a one-time link, by the nonce in its code; false when it was used before. Scope: id.
    async fn take_sign_in_link(&self, nonce: &str, expires_at: WallTime) -> Result<bool>;

    /// Deletes sign-ins that have ended or were not seen since `seen_before`, and used links that have expired; returns how many.
    /// Scope: all projects.
    async fn forget_sign_ins(&self, now: WallTime, seen_before: WallTime) -> Result<u64>;
}
