//! How long everybody waits for `/healthz`, the cheapest of all answers, while something else goes on.

use std::fmt::{self, Display, Formatter};
use std::time::{Duration, Instant};

use echosphere_testkit::http;
use echosphere_testkit::server::Server;

/// Times of `/healthz`.
#[derive(Default)]
pub struct Health(Vec<Duration>);

impl Health {
    /// Asks once more, and rests for so long.
    pub fn ask(&mut self, server: &Server, rest: Duration) {
        let asked = Instant::now();
        assert_eq!(http::get(server.address, "/healthz").status, 200);
        self.0.push(asked.elapsed());
        std::thread::sleep(rest);
    }
}

impl Display for Health {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let mut times = self.0.clone();
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        write!(f, "/healthz {} times: p50 {:5.1}, p99 {:5.1}, worst {:5.1} ms", times.len(), at(0.5), at(0.99), at(1.0))
    }
}
