//! Receives webhooks, remembers them, and waits for them.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::{self, Request};

/// A webhook as it came.
#[derive(Debug, Clone)]
pub struct Webhook {
    /// Its `Authorization`.
    pub authorization: String,
    /// Its `Content-Type`.
    pub content_type: String,
    /// Its exact body.
    pub text: String,
    /// The same, as JSON.
    pub body: Value,
}

/// An HTTP server that answers every request and remembers its body.
pub struct Receiver {
    address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    received: Mutex<Vec<Webhook>>,
    news: Condvar,
    status: AtomicU16,
}

impl Receiver {
    /// Listens on a free port, for as long as the process lives.
    pub fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared { received: Mutex::default(), news: Condvar::new(), status: AtomicU16::new(200) });
        let theirs = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let shared = Arc::clone(&theirs);
                // A sender that breaks off has sent nothing.
                std::thread::spawn(move || shared.receive(&stream));
            }
        });
        Self { address, shared }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}/", self.address)
    }

    /// Answers with this status from now on.
    pub fn answer_with(&self, status: u16) {
        self.shared.status.store(status, Ordering::Relaxed);
    }

    /// All that came, in order.
    pub fn received(&self) -> Vec<Webhook> {
        self.shared.received.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Waits for a webhook; panics with the names of those that came when this one does not.
    pub fn wait_for(&self, what: &str, is_it: impl Fn(&Value) -> bool) -> Webhook {
        let until = Instant::now() + Duration::from_secs(90);
        let mut received = self.shared.received.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            if let Some(found) = received.iter().find(|webhook| is_it(&webhook.body)) {
                return found.clone();
            }
            let left = until.saturating_duration_since(Instant::now());
            assert!(!left.is_zero(), "no {what}, only {:?}", received.iter().map(name).collect::<Vec<_>>());
            received = self.shared.news.wait_timeout(received, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

fn name(webhook: &Webhook) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    format!("{} {}", text(&webhook.body["event"]), text(&webhook.body["egressInfo"]["status"]))
}

impl Shared {
    fn receive(&self, stream: &TcpStream) -> Option<()> {
        let request = Request::read(stream)?;
        let header = |name: &str| request.header(name).to_owned();
        let (authorization, content_type) = (header("authorization"), header("content-type"));
        let text = String::from_utf8(request.body).ok()?;
        let body = serde_json::from_str(&text).ok()?;
        let webhook = Webhook { authorization, content_type, text, body };
        let status = self.status.load(Ordering::Relaxed);
        if status < 300 {
            self.received.lock().unwrap_or_else(PoisonError::into_inner).push(webhook);
            self.news.notify_all();
        }
        http::answer(stream, status, "").ok()
    }
}
