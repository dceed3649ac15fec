//! The transport to LiveKit: TLS, WebSocket and HTTP.
//!
//! The signalling library asks for a transport and leaves TLS to it. Ours trusts the public certificate authorities, and those in
//! one more file if the configuration names it: self-hosted servers often issue their own certificates.

use std::fs::File;
use std::io::{self, BufReader};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::{SplitSink, SplitStream};
use futures_util::{SinkExt as _, StreamExt as _};
use livekit_net::{
    Header, HttpClient, HttpMethod, HttpResponse, TransportError, WsClient, WsConnectResult, WsConnection,
};
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::pem::PemObject as _;
use rustls_pki_types::{CertificateDer, ServerName};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio::sync::Mutex;
use tokio_rustls::TlsConnector;
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::client::IntoClientRequest as _;
use tokio_tungstenite::tungstenite::http::{HeaderName, HeaderValue};
use tokio_tungstenite::tungstenite::{Error as WsError, Message};

/// How long a plain HTTP request may take.
const HTTP_TIMEOUT: Duration = Duration::from_secs(10);

/// Why the transport could not be created.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file with additional certificate authorities cannot be read.
    #[error("the certificate authority in {path} cannot be read: {reason}")]
    Authority {
        /// The file.
        path: String,
        /// The reason.
        reason: String,
    },
    /// TLS or HTTP cannot be set up.
    #[error("TLS cannot be set up: {0}")]
    Setup(String),
}

/// The clients through which every connection to LiveKit is made.
#[derive(Clone)]
pub struct Wire {
    tls: Arc<ClientConfig>,
    /// The client for LiveKit's HTTP interface.
    pub http: reqwest::Client,
}

impl Wire {
    /// A transport that trusts the public certificate authorities, and those in `authority` (PEM) as well.
    pub fn new(authority: Option<&Path>) -> Result<Self, Error> {
        let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
        if let Some(path) = authority {
            let failed = |reason: String| Error::Authority { path: path.display().to_string(), reason };
            for certificate in certificates(path).map_err(failed)? {
                roots.add(certificate).map_err(|error| failed(error.to_string()))?;
            }
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let tls = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
        let tls = tls.map_err(|error| Error::Setup(error.to_string()))?;
        let tls = tls.with_root_certificates(roots).with_no_client_auth();
        let http = reqwest::Client::builder().tls_backend_preconfigured(tls.clone()).timeout(HTTP_TIMEOUT).build();
        let http = http.map_err(|error| Error::Setup(error.to_string()))?;
        Ok(Self { tls: Arc::new(tls), http })
    }

    /// Makes the signalling library use this transport. The first one of a process wins.
    pub fn install(&self) {
        let transport = Arc::new(self.clone());
        livekit_net::set_ws_client(transport.clone());
        livekit_net::set_http_client(transport);
    }

    async fn dial(&self, url: &reqwest::Url) -> io::Result<Box<dyn Stream>> {
        let (host, port) = authority(url)?;
        let socket = TcpStream::connect((host, port)).await?;
        socket.set_nodelay(true)?;
        if url.scheme() != "wss" {
            return Ok(Box::new(socket));
        }
        let name = ServerName::try_from(host.to_owned()).map_err(io::Error::other)?;
        Ok(Box::new(TlsConnector::from(Arc::clone(&self.tls)).connect(name, socket).await?))
    }
}

/// Host and port of a LiveKit URL; an IPv6 address without its brackets.
pub(crate) fn authority(url: &reqwest::Url) -> io::Result<(&str, u16)> {
    let host = url.host_str().ok_or_else(|| io::Error::other("the URL has no host"))?;
    let port = url.port_or_known_default().ok_or_else(|| io::Error::other("the URL has no port"))?;
    Ok((host.trim_matches(['[', ']']), port))
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, String> {
    let file = File::open(path).map_err(|error| error.to_string())?;
    let found: Result<Vec<_>, _> = CertificateDer::pem_reader_iter(BufReader::new(file)).collect();
    let found = found.map_err(|error| error.to_string())?;
    if found.is_empty() { Err("there is no certificate in it".to_owned()) } else { Ok(found) }
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

type Socket = WebSocketStream<Box<dyn Stream>>;

#[async_trait]
impl WsClient for Wire {
    async fn connect(
        &self,
        url: String,
        headers: Vec<Header>,
        timeout_ms: u64,
    ) -> Result<WsConnectResult, TransportError> {
        let parsed = reqwest::Url::parse(&url).map_err(|error| TransportError::Connection(error.to_string()))?;
        let request = url.into_client_request();
        let mut request = request.map_err(|error| TransportError::Connection(error.to_string()))?;
        for header in headers {
            let name = header.name.parse::<HeaderName>();
            let value = HeaderValue::from_str(&header.value);
            if let (Ok(name), Ok(value)) = (name, value) {
                request.headers_mut().insert(name, value);
            }
        }
        let connect = async {
            let socket = self.dial(&parsed).await.map_err(|error| TransportError::Connection(error.to_string()))?;
            match tokio_tungstenite::client_async(request, socket).await {
                Ok((socket, _)) => Ok(socket),
                Err(WsError::Http(answer)) => Err(TransportError::Http { status: answer.status().as_u16() }),
                Err(error) => Err(TransportError::Connection(error.to_string())),
            }
        };
        let socket = tokio::time::timeout(Duration::from_millis(timeout_ms), connect).await;
        let (writer, reader) = socket.map_err(|_| TransportError::Timeout)??.split();
        let connection = Connection { writer: Mutex::new(writer), reader: Mutex::new(reader) };
        Ok(WsConnectResult { connection: Arc::new(connection) })
    }
}

struct Connection {
    writer: Mutex<SplitSink<Socket, Message>>,
    reader: Mutex<SplitStream<Socket>>,
}

#[async_trait]
impl WsConnection for Connection {
    async fn send(&self, frame: Vec<u8>) -> Result<(), TransportError> {
        let sent = self.writer.lock().await.send(Message::Binary(frame.into())).await;
        sent.map_err(|error| TransportError::Connection(error.to_string()))
    }

    async fn recv(&self) -> Result<Option<Vec<u8>>, TransportError> {
        let mut reader = self.reader.lock().await;
        loop {
            match reader.next().await {
                Some(Ok(Message::Binary(frame))) => return Ok(Some(frame.to_vec())),
                Some(Ok(Message::Ping(payload))) => {
                    // A failure shows up at the next read.
                    let _ = self.writer.lock().await.send(Message::Pong(payload)).await;
                }
                Some(Ok(Message::Text(_) | Message::Pong(_) | Message::Frame(_))) => {}
                Some(Ok(Message::Close(_)) | Err(WsError::ConnectionClosed | WsError::AlreadyClosed)) | None => {
                    return Ok(None);
                }
                Some(Err(error)) => return Err(TransportError::Connection(error.to_string())),
            }
        }
    }

    async fn close(&self) {
        let _ = self.writer.lock().await.close().await;
    }
}

#[async_trait]
impl HttpClient for Wire {
    async fn request(
        &self,
        method: HttpMethod,
        url: String,
        headers: Vec<Header>,
        body: Option<Vec<u8>>,
    ) -> Result<HttpResponse, TransportError> {
        let failed = |error: reqwest::Error| TransportError::Connection(error.without_url().to_string());
        let mut request = match method {
            HttpMethod::Get => self.http.get(&url),
            HttpMethod::Post => self.http.post(&url),
        };
        for header in &headers {
            request = request.header(&header.name, &header.value);
        }
        if let Some(body) = body {
            request = request.body(body);
        }
        let answer = request.send().await.map_err(failed)?;
        let status = answer.status().as_u16();
        let headers = answer.headers().iter().filter_map(|(name, value)| {
            Some(Header { name: name.as_str().to_owned(), value: value.to_str().ok()?.to_owned() })
        });
        let headers = headers.collect();
        let body = answer.bytes().await.map_err(failed)?.to_vec();
        Ok(HttpResponse { status, headers, body })
    }
}
