//! Places: in which of them an object is. One is written to; those that were before the setting was changed stay readable.

use async_trait::async_trait;
use echosphere_domain::id::{ProjectId, RecordingId};
use echosphere_domain::key::ObjectKey;
use echosphere_domain::time::WallTime;

use crate::Result;

/// The number of a place.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceId(pub u32);

/// A place.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// Its number.
    pub id: PlaceId,
    /// The id in its marker.
    pub marker: String,
    /// How it is reached, without keys: JSON of the caller's.
    pub settings: String,
}

/// A live object in a place of before.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ElsewhereObject {
    /// Its key.
    pub key: ObjectKey,
    /// The place.
    pub place: PlaceId,
    /// Whose it is.
    pub project: ProjectId,
    /// The recording that it belongs to.
    pub recording: Option<RecordingId>,
}

/// Where objects are.
#[async_trait]
pub trait Places {
    /// All places, the one that is written to first. Scope: all projects.
    async fn places(&self) -> Result<Vec<Place>>;

    /// From now on objects are announced in the place with this marker, which is a new one if it is not known; sidecars that are
    /// elsewhere then are to be written anew. Scope: all projects.
    async fn use_place(&self, marker: &str, settings: &str, now: WallTime) -> Result<PlaceId>;

    /// Whether an object is, or was left, in a place. Scope: all projects.
    async fn is_in_use(&self, place: PlaceId) -> Result<bool>;

    /// Forgets places that are not written to and have no object. Returns how many. Scope: all projects.
    async fn forget_unused_places(&self) -> Result<u64>;

    /// Those of these keys that are in a place of before, and in which. Scope: id.
    async fn elsewhere(&self, keys: &[ObjectKey]) -> Result<Vec<(ObjectKey, PlaceId)>>;

    /// Those of these objects that have bytes in places of before, and in which: in what counts, or in what was left there. Scope: id.
    async fn copies(&self, keys: &[ObjectKey]) -> Result<Vec<(ObjectKey, PlaceId)>>;

    /// Live objects in places of before but sidecars, which are written anew, in the order of their keys, after one. Scope: all projects.
    async fn all_elsewhere(&self, after: Option<&ObjectKey>, limit: u32) -> Result<Vec<ElsewhereObject>>;

    /// How many these are. Scope: all projects.
    async fn count_elsewhere(&self) -> Result<u64>;

    /// Notes that a live object was copied from a place of before to the one that is written to, and is read there from now on. What is left in
    /// the former is deleted after `left_until`. False when it is not there, or not live, any more. Scope: id.
    async fn moved(&self, key: &ObjectKey, from: PlaceId, left_until: WallTime) -> Result<bool>;

    /// What was left in places of before, and is read there by nobody since before a time, in the order of keys and places, after one. Scope: all
    /// projects.
    async fn left_behind(
        &self,
        before: WallTime,
        after: Option<&(ObjectKey, PlaceId)>,
        limit: u32,
    ) -> Result<Vec<(ObjectKey, PlaceId)>>;

    /// Notes that nothing is left of an object in a place of before. Scope: id.
    async fn nothing_left(&self, key: &ObjectKey, place: PlaceId) -> Result<()>;
}
