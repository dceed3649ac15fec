//! Runs the server under test as a process, on a free port and in a folder of its own; its objects are there, or in a bucket of MinIO
//! (`ECHOSPHERE_TEST_STORAGE=minio`).

mod requests;
mod storage;

use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::http::{self, Answer};
pub use crate::keys::{KEY, SECRET};
use crate::session;

use self::storage::Storage;

/// A running server; killed when dropped.
pub struct Server {
    program: PathBuf,
    dir: PathBuf,
    storage: Storage,
    variables: Vec<(String, String)>,
    arguments: Vec<String>,
    child: Child,
    /// A token of the key pair, used for requests to the server: `Bearer ...`.
    pub authorization: String,
    /// The address on which it listens.
    pub address: SocketAddr,
    /// The time from the start of the process to its first response.
    pub started_in: Duration,
}

impl Server {
    /// Starts the program on a data directory, with additional environment variables.
    pub fn start(program: &str, dir: &Path, variables: &[(&str, &str)]) -> Self {
        Self::start_with(program, dir, &[], variables)
    }

    /// The same, with additional arguments of `serve`.
    pub fn start_with(program: &str, dir: &Path, arguments: &[&str], variables: &[(&str, &str)]) -> Self {
        let mut variables: Vec<_> = variables.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let storage = Storage::of(dir, &variables);
        variables.extend(storage.settings());
        let arguments: Vec<_> = arguments.iter().map(|argument| (*argument).to_owned()).collect();
        let (program, dir) = (PathBuf::from(program), dir.to_path_buf());
        let (child, address, started_in) = launch(&program, &dir, &arguments, &variables);
        let authorization = format!("Bearer {}", session::api_token(KEY, SECRET));
        Self { program, dir, storage, variables, arguments, child, authorization, address, started_in }
    }

    /// Ends the process at once (SIGKILL), as a power failure would, and waits until it is gone.
    pub fn kill9(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// Ends it at once and starts it again on the same folder.
    pub fn restart(&mut self) {
        self.kill9();
        (self.child, self.address, self.started_in) =
            launch(&self.program, &self.dir, &self.arguments, &self.variables);
    }

    /// Asks it to stop (SIGTERM) and waits; true when it exited successfully.
    pub fn stop(&mut self) -> bool {
        let pid = rustix::process::Pid::from_child(&self.child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        self.child.wait().unwrap().success()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The value in MiB of a line of its `/proc/PID/status` that is a size, such as `VmHWM:`.
    pub fn memory(&self, line: &str) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let value = status.lines().find_map(|text| text.strip_prefix(line)).unwrap();
        value.trim_matches(|c: char| !c.is_ascii_digit()).parse::<f64>().unwrap() / 1024.0
    }

    /// What it has logged since its first start.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("server.log")).unwrap_or_default()
    }

    /// Its data directory.
    pub fn data(&self) -> PathBuf {
        self.dir.join("data")
    }

    /// The paths of what is in object storage, but sidecars, and notes that something was deleted.
    pub fn objects(&self) -> Vec<PathBuf> {
        self.storage.paths().into_iter().filter(|path| !is_in(path, "sidecars") && !is_in(path, "deleted")).collect()
    }

    /// The paths of sidecars.
    pub fn sidecars(&self) -> Vec<PathBuf> {
        self.storage.paths().into_iter().filter(|path| is_in(path, "sidecars")).collect()
    }

    /// Takes the only object of this name away, behind the server's back.
    pub fn lose(&self, name: &str) {
        let found: Vec<_> = self.objects().into_iter().filter(|path| path.ends_with(name)).collect();
        assert_eq!(found.len(), 1, "{name}: {found:?}");
        self.storage.remove(&found[0]);
    }

    /// All that it has kept, in files and as objects: each path and its bytes. What goes meanwhile is left out.
    pub fn kept(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let files = files(&self.data()).into_iter().filter_map(|path| Some((path.clone(), std::fs::read(path).ok()?)));
        let mut all: Vec<_> = files.collect();
        if let Storage::Bucket(_) = self.storage {
            let objects = self.objects().into_iter();
            all.extend(objects.filter_map(|path| Some((path.clone(), self.storage.read(&path)?))));
        }
        all
    }

    /// GET of a path.
    pub fn get(&self, target: &str) -> Answer {
        self.send("GET", target, &[], &[])
    }

    /// Sends a request with the server's credential.
    pub fn send(&self, method: &str, target: &str, headers: &[(&str, &str)], body: &[u8]) -> Answer {
        let mut headers = headers.to_vec();
        headers.push(("authorization", &self.authorization));
        http::send(self.address, method, target, &headers, body)
    }

    /// GET of a path, following a redirect to object storage, whose URL is signed itself.
    pub fn fetch(&self, target: &str) -> Answer {
        let answer = self.get(target);
        match answer.header("location") {
            Some(location) if answer.status == 302 => http::fetch(location),
            _ => answer,
        }
    }

    /// The recordings, newest first.
    pub fn recordings(&self) -> Vec<Value> {
        let answer = self.get("/v1/recordings?limit=200");
        assert_eq!(answer.status, 200, "{}", answer.text());
        answer.json()["items"].as_array().unwrap().clone()
    }

    /// One recording.
    pub fn recording(&self, id: &str) -> Value {
        self.get(&format!("/v1/recordings/{id}")).json()
    }

    /// Waits until no task is open, then returns every recording, page by page.
    pub fn settled_all(&self) -> Vec<Value> {
        let mut all = self.settled();
        let mut page = self.get("/v1/recordings?limit=200").json();
        while let Some(cursor) = page["next_cursor"].as_str() {
            page = self.get(&format!("/v1/recordings?limit=200&cursor={cursor}")).json();
            all.extend(page["items"].as_array().unwrap().iter().cloned());
        }
        all
    }

    /// Waits until no task is open, then returns the recordings. Panics with the log when there is no progress for two minutes.
    pub fn settled(&self) -> Vec<Value> {
        let (mut open, mut since) = (u64::MAX, Instant::now());
        while since.elapsed() < Duration::from_secs(120) {
            let metrics = self.get("/metrics").text();
            let counts = metrics.lines().filter(|line| line.starts_with("echosphere_tasks{") && line.contains("open"));
            let now = counts.map(|line| line.rsplit(' ').next().unwrap().parse::<u64>().unwrap()).sum();
            if now == 0 {
                return self.recordings();
            }
            if now != open {
                (open, since) = (now, Instant::now());
            }
            std::thread::sleep(Duration::from_millis(50));
        }
        panic!("{open} tasks are left, and nothing gets done:\n{}", self.log());
    }
}

fn is_in(path: &Path, folder: &str) -> bool {
    path.components().any(|part| part.as_os_str() == folder)
}

/// Starts a server on a folder, with these settings and others.
pub fn start_on(program: &str, dir: &Path, settings: &[(String, String)], others: &[(&str, &str)]) -> Server {
    let settings = settings.iter().map(|(name, value)| (&**name, &**value));
    let variables: Vec<(&str, &str)> = settings.chain(others.iter().copied()).collect();
    Server::start(program, dir, &variables)
}

/// The time that a process has had of processors so far, in seconds: user and system (proc(5), /proc/PID/stat), in hundredths.
pub fn cpu_seconds(pid: u32) -> f64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit(')').next().unwrap().split_whitespace().collect();
    (fields[11].parse::<f64>().unwrap() + fields[12].parse::<f64>().unwrap()) / 100.0
}

/// Waits until there is something, at most so long; panics with what was waited for.
pub fn until<T>(what: &str, patience: Duration, mut look: impl FnMut() -> Option<T>) -> T {
    let began = Instant::now();
    while began.elapsed() < patience {
        if let Some(found) = look() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(50));
    }
    panic!("waited in vain for {what}");
}

/// The files in a folder, at any depth; none when there is no folder.
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    paths.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill9();
    }
}

fn launch(
    program: &Path,
    dir: &Path,
    arguments: &[String],
    variables: &[(String, String)],
) -> (Child, SocketAddr, Duration) {
    let log = std::fs::OpenOptions::new().create(true).append(true).open(dir.join("server.log")).unwrap();
    let began = Instant::now();
    let mut command = Command::new(program);
    command.arg("serve").args(arguments).env_clear().current_dir(dir);
    command.env("ECHOSPHERE_LISTEN", "127.0.0.1:0").env("ECHOSPHERE_DATA_DIR", dir.join("data"));
    command.env("LIVEKIT_API_KEY", KEY).env("LIVEKIT_API_SECRET", SECRET);
    command.envs(variables.iter().map(|(k, v)| (k, v)));
    let mut child = command.stdout(Stdio::piped()).stderr(log).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let address = line.trim().strip_prefix("EchoSphere is listening on http://").unwrap_or_else(|| {
        let log = std::fs::read_to_string(dir.join("server.log")).unwrap_or_default();
        panic!("the server did not start: {line:?}\n{log}")
    });
    let address = address.parse().unwrap();
    assert_eq!(http::get(address, "/healthz").status, 200);
    (child, address, began.elapsed())
}
