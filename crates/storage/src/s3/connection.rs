//! The HTTP of S3: each request has a time that its length needs, and is told to whoever counts them.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use async_trait::async_trait;
use bytes::Bytes;
use echosphere_domain::time::WallTime;
use http::{HeaderMap, Method, StatusCode, header};
use http_body::{Body, Frame};
use object_store::ClientOptions;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpErrorKind, HttpRequest, HttpResponse, HttpResponseBody, HttpService,
    ReqwestConnector,
};
use tokio::time::Sleep;

use super::certificate;
use super::clocks::Clocks;

/// How long a server may take to answer, and to go on with an answer.
const PATIENCE: Duration = Duration::from_secs(30);
/// As many bytes a second are expected of the slowest line.
const SLOWEST: u32 = 16 << 10;

/// What a request did.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Request {
    /// Wrote an object or a part of one, or began, ended or gave up several parts.
    Put,
    /// Read one, or what is known of it.
    Get,
    /// Listed objects.
    List,
    /// Deleted some.
    Delete,
}

impl Request {
    /// Its name, as a label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Put => "put",
            Self::Get => "get",
            Self::List => "list",
            Self::Delete => "delete",
        }
    }

    fn of(request: &HttpRequest) -> Self {
        let query = request.uri().query().unwrap_or_default();
        match *request.method() {
            Method::GET if query.contains("list-type=2") || query.contains("uploads=") => Self::List,
            Method::GET | Method::HEAD => Self::Get,
            Method::DELETE if query.contains("uploadId=") => Self::Put,
            Method::DELETE => Self::Delete,
            // Many are deleted by one POST.
            Method::POST if query.split('&').any(|part| part == "delete" || part == "delete=") => Self::Delete,
            _ => Self::Put,
        }
    }
}

/// Is told of requests, those that are tried again each time.
pub trait Observer: std::fmt::Debug + Send + Sync + 'static {
    /// A request to this path was answered with this status, or not at all; the server's clock is so many milliseconds ahead, if it told its time.
    fn answered(&self, request: Request, path: &str, status: Option<StatusCode>, ahead: Option<i64>);
}

/// Makes clients whose requests are watched.
#[derive(Debug)]
pub(super) struct Connector {
    pub(super) observer: Arc<dyn Observer>,
    pub(super) clocks: Arc<Clocks>,
}

impl HttpConnector for Connector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        let (observer, clocks) = (Arc::clone(&self.observer), Arc::clone(&self.clocks));
        Ok(HttpClient::new(Watched { client, observer, clocks }))
    }
}

#[derive(Debug)]
struct Watched {
    client: HttpClient,
    observer: Arc<dyn Observer>,
    clocks: Arc<Clocks>,
}

#[async_trait]
impl HttpService for Watched {
    async fn call(&self, request: HttpRequest) -> Result<HttpResponse, HttpError> {
        let (kind, path) = (Request::of(&request), request.uri().path().to_owned());
        let length = u32::try_from(request.body().content_length()).unwrap_or(u32::MAX);
        let patience = PATIENCE + Duration::from_secs((length / SLOWEST).into());
        let answer = tokio::time::timeout(patience, self.client.execute(request)).await;
        let answer = answer.unwrap_or_else(|_| Err(late("the server did not answer in time")));
        let answer = answer.map_err(certificate::told);
        let (status, ahead) = match &answer {
            Ok(answer) => (Some(answer.status()), date(answer.headers()).map(|date| self.clocks.hear(date))),
            Err(_) => (None, None),
        };
        self.observer.answered(kind, &path, status, ahead);
        Ok(answer?.map(|body| HttpResponseBody::new(Watchful { body, waited: None })))
    }
}

/// The clock of who answered.
fn date(headers: &HeaderMap) -> Option<WallTime> {
    let text = headers.get(header::DATE)?.to_str().ok()?;
    let time = jiff::fmt::rfc2822::DateTimeParser::new().parse_timestamp(text).ok()?;
    Some(WallTime::from_millis(time.as_millisecond()))
}

fn late(what: &'static str) -> HttpError {
    HttpError::new(HttpErrorKind::Timeout, std::io::Error::new(std::io::ErrorKind::TimedOut, what))
}

/// A body that ends with an error when nothing more of it comes.
struct Watchful {
    body: HttpResponseBody,
    /// While somebody waits for more of it.
    waited: Option<Pin<Box<Sleep>>>,
}

impl Body for Watchful {
    type Data = Bytes;
    type Error = HttpError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, HttpError>>> {
        if let Poll::Ready(frame) = Pin::new(&mut self.body).poll_frame(context) {
            self.waited = None;
            return Poll::Ready(frame);
        }
        let waited = self.waited.get_or_insert_with(|| Box::pin(tokio::time::sleep(PATIENCE)));
        match waited.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(Some(Err(late("the server did not go on with its answer")))),
            Poll::Pending => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> http_body::SizeHint {
        self.body.size_hint()
    }
}
