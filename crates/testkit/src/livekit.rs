//! Runs a real livekit-server on free ports.

use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use crate::http;
use crate::server::{KEY, SECRET};
use crate::tools::{free_port, program};

/// A running livekit-server; killed when dropped.
pub struct LiveKit {
    child: Child,
    _folder: tempfile::TempDir,
    /// Its port for signalling and its API.
    pub port: u16,
}

impl LiveKit {
    /// Starts the server that `scripts/install.sh test` installed; panics with that command when it is not there.
    pub fn start() -> Self {
        let program = program("livekit-server-v");
        let folder = tempfile::tempdir().unwrap();
        let (port, tcp, udp) = (free_port(), free_port(), free_port());
        let rtc = format!(
            "{{tcp_port: {tcp}, udp_port: {udp}, node_ip: 127.0.0.1, use_external_ip: false, enable_loopback_candidate: true}}"
        );
        let text = format!(
            "port: {port}\nbind_addresses: [\"127.0.0.1\"]\nrtc: {rtc}\nkeys: {{{KEY}: \"{SECRET}\"}}\nlogging: {{level: error}}\n"
        );
        let path = folder.path().join("livekit.yaml");
        std::fs::write(&path, text).unwrap();
        let mut command = Command::new(program);
        command.arg("--config").arg(path).stdout(Stdio::null());
        let child = command.spawn().unwrap();
        let livekit = Self { child, _folder: folder, port };
        livekit.wait();
        livekit
    }

    /// Its URL, as for `LIVEKIT_URL`.
    pub fn url(&self) -> String {
        format!("ws://127.0.0.1:{}", self.port)
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
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
}

impl Drop for LiveKit {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
