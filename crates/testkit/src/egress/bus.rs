//! psrpc over Redis: publishes, subscribes, asks and answers (`echosphere_livekit::psrpc` decides).

use std::collections::HashMap;
use std::sync::{Arc, Mutex as StdMutex, PoisonError};
use std::time::Duration;

use echosphere_livekit::psrpc::channel::{self, Method};
use echosphere_livekit::psrpc::claim::{Claims, Decision, Offer, Selection};
use echosphere_livekit::psrpc::message::{ClaimResponse, Message, Refusal, Request, Response};
use echosphere_livekit::psrpc::queue;
use futures_util::StreamExt as _;
use redis::aio::{MultiplexedConnection, PubSubSink, PubSubStream};
use tokio::sync::{Mutex, mpsc};
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until, timeout};

use super::nanos;

type Routes = Arc<StdMutex<HashMap<String, mpsc::UnboundedSender<Vec<u8>>>>>;

/// A connection to Redis. It is gone when its last clone is dropped.
#[derive(Clone)]
pub struct Bus(Arc<Inner>);

struct Inner {
    commands: MultiplexedConnection,
    subscriptions: Mutex<PubSubSink>,
    routes: Routes,
    _reader: JoinSet<()>,
}

/// What is published in a channel from the subscription on.
pub struct Channel {
    /// Bytes as they were published.
    pub published: mpsc::UnboundedReceiver<Vec<u8>>,
}

impl Bus {
    /// Connects to the server at `ADDRESS:PORT`.
    pub async fn connect(address: &str) -> Self {
        let client = redis::Client::open(format!("redis://{address}")).unwrap();
        let commands = client.get_multiplexed_async_connection().await.unwrap();
        let (sink, stream) = client.get_async_pubsub().await.unwrap().split();
        let routes = Routes::default();
        let mut reader = JoinSet::new();
        reader.spawn(read(stream, Arc::clone(&routes)));
        Self(Arc::new(Inner { commands, subscriptions: Mutex::new(sink), routes, _reader: reader }))
    }

    /// Subscribes to a channel; returns when Redis has it.
    pub async fn subscribe(&self, name: &str) -> Channel {
        let (sender, published) = mpsc::unbounded_channel();
        self.0.routes.lock().unwrap_or_else(PoisonError::into_inner).insert(name.to_owned(), sender);
        self.0.subscriptions.lock().await.subscribe(name).await.unwrap();
        Channel { published }
    }

    async fn unsubscribe(&self, name: &str) {
        self.0.routes.lock().unwrap_or_else(PoisonError::into_inner).remove(name);
        self.0.subscriptions.lock().await.unsubscribe(name).await.unwrap();
    }

    async fn publish(&self, channel: &str, message: Message) {
        let mut commands = self.0.commands.clone();
        let mut command = redis::cmd("PUBLISH");
        let () = command.arg(channel).arg(message.encode()).query_async(&mut commands).await.unwrap();
    }

    /// Whether this one of many takes what was published.
    async fn takes(&self, published: &[u8]) -> bool {
        let mut command = redis::cmd("SET");
        command.arg(queue::key(published)).arg(1).arg("NX").arg("EX").arg(queue::HELD.as_secs());
        let answer: Option<String> = command.query_async(&mut self.0.commands.clone()).await.unwrap();
        answer.is_some()
    }

    /// Asks the first server that offers to answer.
    pub async fn ask(&self, method: Method, raw_request: Vec<u8>, patience: Duration) -> Result<Vec<u8>, Refusal> {
        let (client_id, request_id) = (new_id("CLI_"), new_id("REQ_"));
        let names = [channel::claims(method.service, &client_id), channel::responses(method.service, &client_id)];
        let (mut claims, mut responses) = (self.subscribe(&names[0]).await, self.subscribe(&names[1]).await);
        let sent_at = nanos();
        let expiry = sent_at + patience.as_nanos() as i64;
        let request =
            Request { request_id: request_id.clone(), client_id, sent_at, expiry, raw_request, ..Request::default() };
        self.publish(&method.requests(""), Message::Request(request)).await;
        let answer = match claims.choose().await {
            Ok(server_id) => {
                let choice = ClaimResponse { request_id, server_id };
                self.publish(&method.choices(""), Message::ClaimResponse(choice)).await;
                responses.answer(patience).await
            }
            Err(refusal) => Err(refusal),
        };
        for name in names {
            self.unsubscribe(&name).await;
        }
        answer
    }

    /// Serves a method: what is asked of this server, and nobody else, comes out. `affinity` is asked for each request; `None` makes no offer.
    pub async fn serve(
        &self,
        method: Method,
        topic: &str,
        is_for_one_of_many: bool,
        affinity: impl Fn() -> Option<f32> + Send + Sync + 'static,
    ) -> Served {
        let (sender, asked) = mpsc::unbounded_channel();
        let requests = self.subscribe(&method.requests(topic)).await;
        let choices = self.subscribe(&method.choices(topic)).await;
        let server = Server { bus: self.clone(), method, server_id: new_id("SRV_"), is_for_one_of_many, asked: sender };
        let mut tasks = JoinSet::new();
        tasks.spawn(server.run(requests, choices, affinity));
        Served { asked, _tasks: tasks }
    }
}

impl Channel {
    async fn choose(&mut self) -> Result<String, Refusal> {
        let began = Instant::now();
        let mut claims = Claims::new(Selection::FIRST);
        loop {
            let published = tokio::select! {
                published = self.published.recv() => published,
                () = sleep_until(began + claims.due()) => None,
            };
            let Some(published) = published else {
                let code = "unavailable".to_owned();
                return claims.choose().map_err(|nobody| Refusal { code, message: nobody.to_string() });
            };
            if let Message::ClaimRequest(claim) = Message::decode(&published).unwrap()
                && let Some(server) = claims.take(claim, began.elapsed())
            {
                return Ok(server);
            }
        }
    }

    async fn answer(&mut self, patience: Duration) -> Result<Vec<u8>, Refusal> {
        match timeout(patience, self.published.recv()).await.map(|published| published.map(|it| Message::decode(&it))) {
            Ok(Some(Ok(Message::Response(response)))) => response.into_answer(),
            other => {
                let code = "deadline_exceeded".to_owned();
                Err(Refusal { code, message: format!("request timed out: {other:?}") })
            }
        }
    }
}

/// What is asked of a server.
pub struct Served {
    /// One request after another.
    pub asked: mpsc::UnboundedReceiver<Asked>,
    _tasks: JoinSet<()>,
}

/// A request that this server, and nobody else, is to answer.
pub struct Asked {
    /// The request of the method, as protobuf.
    pub raw: Vec<u8>,
    bus: Bus,
    channel: String,
    request_id: String,
    server_id: String,
}

impl Asked {
    /// Answers it.
    pub async fn answer(self, answer: Result<Vec<u8>, Refusal>) {
        let response = Response::to(&self.request_id, &self.server_id, nanos(), answer);
        self.bus.publish(&self.channel, Message::Response(response)).await;
    }
}

struct Server {
    bus: Bus,
    method: Method,
    server_id: String,
    is_for_one_of_many: bool,
    asked: mpsc::UnboundedSender<Asked>,
}

impl Server {
    async fn run(self, mut requests: Channel, mut choices: Channel, affinity: impl Fn() -> Option<f32>) {
        let mut offers: Vec<(Offer, Request)> = Vec::new();
        loop {
            tokio::select! {
                published = requests.published.recv() => {
                    let Some(published) = published else { return };
                    offers.retain(|(offer, _)| offer.expiry > nanos());
                    offers.extend(self.offer(&published, &affinity).await);
                }
                published = choices.published.recv() => {
                    let Some(published) = published else { return };
                    let Ok(Message::ClaimResponse(choice)) = Message::decode(&published) else { continue };
                    let place = offers.iter().position(|(offer, _)| offer.decide(&choice).is_some());
                    let Some((offer, request)) = place.map(|place| offers.remove(place)) else { continue };
                    if offer.decide(&choice) == Some(Decision::Won) {
                        let _ = self.asked.send(self.won(request));
                    }
                }
            }
        }
    }

    async fn offer(&self, published: &[u8], affinity: &impl Fn() -> Option<f32>) -> Option<(Offer, Request)> {
        let Ok(Message::Request(request)) = Message::decode(published) else { return None };
        if self.is_for_one_of_many && !self.bus.takes(published).await {
            return None;
        }
        let (offer, claim) = Offer::make(&request, &self.server_id, affinity()?, nanos())?;
        let channel = channel::claims(self.method.service, &request.client_id);
        self.bus.publish(&channel, Message::ClaimRequest(claim)).await;
        Some((offer, request))
    }

    fn won(&self, request: Request) -> Asked {
        Asked {
            raw: request.raw_request,
            bus: self.bus.clone(),
            channel: channel::responses(self.method.service, &request.client_id),
            request_id: request.request_id,
            server_id: self.server_id.clone(),
        }
    }
}

async fn read(mut stream: PubSubStream, routes: Routes) {
    while let Some(message) = stream.next().await {
        let routes = routes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(route) = routes.get(message.get_channel_name()) {
            let _ = route.send(message.get_payload_bytes().to_vec());
        }
    }
}

/// A prefix and twelve letters and digits.
fn new_id(prefix: &str) -> String {
    use std::hash::{BuildHasher as _, Hasher as _, RandomState};
    let number = RandomState::new().build_hasher().finish();
    format!("{prefix}{:012x}", number & 0xffff_ffff_ffff)
}
