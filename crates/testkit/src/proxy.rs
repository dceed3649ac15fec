//! A proxy before an HTTP server that lets it fail: busy, refusing, breaking off, hanging, slow, cutting and garbling; and that holds a request,
//! so that whoever asks can be killed in the middle of it.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// 503, `SlowDown`.
    Busy,
    /// 403, `AccessDenied`.
    Denied,
    /// 400, `ExpiredToken`.
    Expired,
    /// The connection is reset before the request was read.
    Reset,
    /// No answer comes.
    Hang,
    /// Requests arrive at 20 kB/s.
    Slow,
    /// Half of the answer comes.
    Half,
    /// A byte of what is sent arrives as another one.
    Garbled,
}

impl Fault {
    /// All of them that no renewal of keys mends.
    pub const ALL: [Self; 7] =
        [Self::Busy, Self::Denied, Self::Reset, Self::Hang, Self::Slow, Self::Half, Self::Garbled];
}

/// A request that is held until it is let go, and then broken off.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hold {
    /// Its method.
    pub method: &'static str,
    /// What its target has.
    pub target: &'static str,
    /// Whether the server carries it out, and its answer is held.
    pub is_carried_out: bool,
}

#[derive(Debug, Default)]
struct State {
    hold: Option<Hold>,
    held: usize,
    fault: Option<Fault>,
    /// One of so many requests goes wrong.
    one_of: usize,
    requests: usize,
    faults: usize,
}

/// A proxy on a port of its own; ends when it is dropped.
#[derive(Debug)]
pub struct FaultProxy {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<Mutex<State>>,
    stopping: Arc<AtomicBool>,
}

fn locked(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FaultProxy {
    /// A proxy before this server. At first nothing goes wrong.
    pub fn start(target: SocketAddr) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (state, stopping) = (Arc::<Mutex<State>>::default(), Arc::<AtomicBool>::default());
        let (shared, stops) = (Arc::clone(&state), Arc::clone(&stopping));
        std::thread::spawn(move || {
            for client in listener.incoming().flatten() {
                if stops.load(Ordering::Relaxed) {
                    return;
                }
                let (state, stops) = (Arc::clone(&shared), Arc::clone(&stops));
                std::thread::spawn(move || serve(client, target, &state, &stops));
            }
        });
        Self { address, state, stopping }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// From now on one of so many requests goes wrong, or none.
    pub fn set(&self, fault: Option<Fault>, one_of: usize) {
        let mut state = locked(&self.state);
        (state.fault, state.one_of, state.faults) = (fault, one_of.max(1), 0);
    }

    /// From now on such requests are held; those that were held before are let go.
    pub fn hold(&self, what: Option<Hold>) {
        let mut state = locked(&self.state);
        (state.hold, state.held) = (what, 0);
    }

    /// Whether a request is held.
    pub fn is_holding(&self) -> bool {
        locked(&self.state).held > 0
    }

    /// How many requests went wrong since [`FaultProxy::set`].
    pub fn faults(&self) -> usize {
        locked(&self.state).faults
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        self.set(None, 1);
        self.hold(None);
        self.stopping.store(true, Ordering::Relaxed);
        let _ = TcpStream::connect(self.address);
    }
}

/// What goes wrong with the next request.
fn next(state: &Mutex<State>) -> Option<Fault> {
    let mut state = locked(state);
    state.requests += 1;
    let fault = state.fault.filter(|_| state.requests.is_multiple_of(state.one_of));
    state.faults += usize::from(fault.is_some());
    fault
}

/// What is to be held of requests, if this is such a one.
fn wanted(state: &Mutex<State>, head: &[u8]) -> Option<Hold> {
    let head = String::from_utf8_lossy(head);
    let (method, target) = head.lines().next()?.split_once(' ')?;
    locked(state).hold.filter(|hold| hold.method == method && target.contains(hold.target))
}

/// Waits until something else is held, or nothing.
fn wait(state: &Mutex<State>, hold: Hold) {
    locked(state).held += 1;
    while locked(state).hold == Some(hold) {
        std::thread::sleep(Duration::from_millis(5));
    }
}

/// Serves the requests of a connection until one goes wrong, or the client goes.
fn serve(client: TcpStream, target: SocketAddr, state: &Mutex<State>, stopping: &AtomicBool) {
    let mut client = BufReader::new(client);
    while let Ok(true) = one(&mut client, target, state, stopping) {}
}

/// Passes a request and its answer on; false when the connection ends after it.
fn one(
    client: &mut BufReader<TcpStream>,
    target: SocketAddr,
    state: &Mutex<State>,
    stopping: &AtomicBool,
) -> io::Result<bool> {
    let head = head(client)?;
    if head.is_empty() {
        return Ok(false);
    }
    let fault = next(state);
    if fault == Some(Fault::Reset) {
        // What is not read when a socket closes resets the connection.
        return Ok(false);
    }
    let mut body = body(client, &head, false)?;
    let hold = wanted(state, &head);
    if let Some(hold) = hold.filter(|hold| !hold.is_carried_out) {
        wait(state, hold);
        return Ok(false);
    }
    match fault {
        Some(Fault::Busy) => return refuse(client, "503 Slow Down", "SlowDown"),
        Some(Fault::Denied) => return refuse(client, "403 Forbidden", "AccessDenied"),
        Some(Fault::Expired) => return refuse(client, "400 Bad Request", "ExpiredToken"),
        Some(Fault::Hang) => {
            while locked(state).fault == Some(Fault::Hang) && !stopping.load(Ordering::Relaxed) {
                std::thread::sleep(Duration::from_millis(100));
            }
            return Ok(false);
        }
        Some(Fault::Garbled) if !body.is_empty() => {
            let middle = body.len() / 2;
            body[middle] ^= 0x20;
        }
        _ => {}
    }
    let answer = ask(target, &head, &body, fault == Some(Fault::Slow))?;
    if let Some(hold) = hold {
        wait(state, hold);
        return Ok(false);
    }
    if fault == Some(Fault::Half) {
        client.get_mut().write_all(&answer[..answer.len() / 2])?;
        return Ok(false);
    }
    client.get_mut().write_all(&answer)?;
    let closes = String::from_utf8_lossy(&head).to_ascii_lowercase().contains("connection: close");
    Ok(!answer.is_empty() && !closes)
}

/// Sends a request to the server, at 20 kB/s or at once, and returns what it answers.
fn ask(target: SocketAddr, head: &[u8], body: &[u8], is_slow: bool) -> io::Result<Vec<u8>> {
    // A connection of its own: one that is kept might end between two requests, and nobody would be told.
    let mut server = BufReader::new(TcpStream::connect(target)?);
    server.get_mut().write_all(head)?;
    for piece in body.chunks(2_000) {
        server.get_mut().write_all(piece)?;
        if is_slow {
            std::thread::sleep(Duration::from_millis(100));
        }
    }
    let has_no_body = head.starts_with(b"HEAD");
    let mut answer = self::head(&mut server)?;
    let body = self::body(&mut server, &answer, has_no_body)?;
    answer.extend_from_slice(&body);
    Ok(answer)
}

fn refuse(client: &mut BufReader<TcpStream>, status: &str, code: &str) -> io::Result<bool> {
    let body = format!("<Error><Code>{code}</Code><Message>a fault of the test</Message></Error>");
    let answer =
        format!("HTTP/1.1 {status}\r\ncontent-type: application/xml\r\ncontent-length: {}\r\n\r\n{body}", body.len());
    client.get_mut().write_all(answer.as_bytes())?;
    Ok(true)
}

/// The head of a message, with the empty line after it; empty when the connection has ended.
fn head(from: &mut impl BufRead) -> io::Result<Vec<u8>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        if from.read_until(b'\n', &mut head)? == 0 {
            return Ok(Vec::new());
        }
    }
    Ok(head)
}

/// The body of a message, as it is on the wire.
fn body(from: &mut impl BufRead, head: &[u8], is_none: bool) -> io::Result<Vec<u8>> {
    let text = String::from_utf8_lossy(head).to_ascii_lowercase();
    let mut body = Vec::new();
    if is_none {
        return Ok(body);
    }
    if text.contains("transfer-encoding: chunked") {
        loop {
            let at = body.len();
            from.read_until(b'\n', &mut body)?;
            let length = String::from_utf8_lossy(&body[at..]);
            let length = u64::from_str_radix(length.trim().split(';').next().unwrap_or_default(), 16).unwrap_or(0);
            from.by_ref().take(length + 2).read_to_end(&mut body)?;
            if length == 0 {
                return Ok(body);
            }
        }
    }
    let length = text.split("content-length:").nth(1).and_then(|rest| rest.lines().next()?.trim().parse().ok());
    from.take(length.unwrap_or(0)).read_to_end(&mut body)?;
    Ok(body)
}
