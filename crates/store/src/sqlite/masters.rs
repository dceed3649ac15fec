//! Implements `Masters` on SQLite.

use async_trait::async_trait;
use echosphere_domain::id::CaptureId;
use echosphere_domain::master::{Master, Part};
use echosphere_domain::time::WallTime;

use super::SqliteStore;
use crate::rows::MasterRows;
use crate::{Divided, Lease, Masters, Result, rules};

#[async_trait]
impl Masters for SqliteStore {
    async fn masters(&self, capture: CaptureId) -> Result<Vec<(Part, Master)>> {
        self.reader("read what is kept of a capture").await?.masters_of(capture).await
    }

    async fn divided(&self, divided: &Divided, lease: &Lease) -> Result<bool> {
        let (divided, lease) = (divided.clone(), *lease);
        self.write("divide a master", move |rows| {
            Box::pin(async move { rules::masters::divided(rows, &divided, &lease).await })
        })
        .await
    }

    async fn stays_whole(&self, capture: CaptureId, why: &str, lease: &Lease) -> Result<()> {
        let (why, lease) = (why.to_owned(), *lease);
        self.write("leave a master whole", move |rows| {
            Box::pin(async move { rules::masters::stays_whole(rows, capture, &why, &lease).await })
        })
        .await
    }

    async fn divide_all(&self, after: Option<CaptureId>, limit: u32, now: WallTime) -> Result<Option<CaptureId>> {
        self.write("look for masters to divide", move |rows| {
            Box::pin(async move { rules::masters::divide_all(rows, after, limit, now).await })
        })
        .await
    }

    async fn give_up_logs(&self, ended_before: WallTime, now: WallTime) -> Result<u64> {
        self.write("give up capture logs", move |rows| {
            Box::pin(async move { rules::masters::give_up_logs(rows, ended_before, now).await })
        })
        .await
    }
}
