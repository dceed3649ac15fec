//! What a server under test asks of its S3 server.

use std::collections::BTreeMap;

use super::Server;

impl Server {
    /// How many requests it has made so far, by what they did and what they were for: `get chunk`.
    pub fn s3_requests(&self) -> BTreeMap<String, u64> {
        let mut counts = BTreeMap::new();
        for line in self.get("/metrics").text().lines() {
            let Some(rest) = line.strip_prefix("echosphere_s3_requests_total{") else { continue };
            let label = |name: &str| rest.split_once(&format!("{name}=\"")).unwrap().1.split('"').next().unwrap();
            let count: u64 = line.rsplit(' ').next().unwrap().parse().unwrap();
            *counts.entry(format!("{} {}", label("request"), label("purpose"))).or_default() += count;
        }
        counts
    }
}
