//! Runs a real livekit-server on free ports.

use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use echosphere_livekit::token;
use secrecy::SecretString;
use serde_json::Value;

use crate::http::{self, Answer};
use crate::server::{KEY, SECRET};
use crate::session;
use crate::tools::{free_port, program};

/// A running livekit-server; killed when dropped.
pub struct LiveKit {
    child: Child,
    folder: tempfile::TempDir,
    /// Its port for signalling and its API.
    pub port: u16,
}

impl LiveKit {
    /// Starts the server that `scripts/install.sh test` installed; panics with that command when it is not there.
    pub fn start() -> Self {
        Self::start_configured("")
    }

    /// The same, which finds egress workers over this Redis server (`ADDRESS:PORT`) and sends its webhooks to these URLs, signed with
    /// the key pair of all tests.
    pub fn start_with_redis(redis: &str, webhooks: &[&str]) -> Self {
        let urls = webhooks.iter().map(|url| format!("\"{url}\"")).collect::<Vec<_>>().join(", ");
        let webhook = format!("webhook: {{api_key: {KEY}, urls: [{urls}]}}\n");
        let webhook = if webhooks.is_empty() { String::new() } else { webhook };
        Self::start_configured(&format!("redis: {{address: \"{redis}\"}}\n{webhook}"))
    }

    fn start_configured(more: &str) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (port, tcp, udp) = (free_port(), free_port(), free_port());
        let rtc = format!(
            "{{tcp_port: {tcp}, udp_port: {udp}, node_ip: 127.0.0.1, use_external_ip: false, enable_loopback_candidate: true}}"
        );
        let text = format!(
            "port: {port}\nbind_addresses: [\"127.0.0.1\"]\nrtc: {rtc}\nkeys: {{{KEY}: \"{SECRET}\"}}\nlogging: {{level: error}}\n{more}"
        );
        let path = folder.path().join("livekit.yaml");
        std::fs::write(&path, text).unwrap();
        let livekit = Self { child: launch(path), folder, port };
        livekit.wait();
        livekit
    }

    /// Ends it at once and starts it again, on the same ports.
    pub fn restart(&mut self) {
        self.kill();
        self.child = launch(self.folder.path().join("livekit.yaml"));
        self.wait();
    }

    /// Its URL, as for `LIVEKIT_URL`.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Calls a method of its API, such as `Egress/ListEgress`, as who may record, or who may administer this room.
    pub fn call(&self, method: &str, room: &str, body: &Value) -> Answer {
        let secret = SecretString::from(SECRET);
        let token = match method.split_once('/') {
            Some(("Egress", _)) => session::api_token(KEY, SECRET),
            _ => token::mint_room_service(KEY, &secret, Some(room), session::now(), 60),
        };
        let headers = [("authorization", format!("Bearer {token}")), ("content-type", "application/json".to_owned())];
        let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
        let target = format!("/twirp/livekit.{method}");
        http::send(([127, 0, 0, 1], self.port).into(), "POST", &target, &headers, body.to_string().as_bytes())
    }

    fn wait(&self) {
        let began = Instant::now();
        while began.elapsed() < Duration::from_secs(30) {
            if std::net::TcpStream::connect(("127.0.0.1", self.port)).is_ok() {
                let answer = http::get(([127, 0, 0, 1], self.port).into(), "/");
                assert_eq!(answer.status, 200, "{}", answer.text());
                return;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("livekit-server did not start");
    }

    fn kill(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn launch(configuration: PathBuf) -> Child {
    let mut command = Command::new(program("livekit-server-v"));
    command.arg("--config").arg(configuration).stdout(Stdio::null());
    command.spawn().unwrap()
}

impl Drop for LiveKit {
    fn drop(&mut self) {
        self.kill();
    }
}
