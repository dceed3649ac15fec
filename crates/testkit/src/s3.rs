//! Runs real S3 servers on free ports: MinIO and SeaweedFS.

use std::net::{SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use ::http as http_types;
use echosphere_domain::key::ObjectKey;
use echosphere_storage::credentials::{Credentials, Provider};
use echosphere_storage::s3::{Bucket, Observer, Request, S3Store};
use object_store::ClientOptions;
use object_store::aws::{AwsAuthorizer, AwsCredential};
use object_store::client::{HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector};

use crate::session;
use crate::tools::{folder, free_port, program};
use crate::{certificates, http};

/// The access key of a server's owner.
pub const ACCESS_KEY: &str = "tests";
/// Its secret key.
pub const SECRET_KEY: &str = "a-secret-of-the-tests";

/// How long a server may take to start.
const PATIENCE: Duration = Duration::from_secs(60);

/// Which program it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// MinIO.
    Minio,
    /// SeaweedFS.
    Seaweedfs,
}

/// A running S3 server; killed when dropped.
pub struct S3Server {
    kind: Kind,
    folder: tempfile::TempDir,
    ports: [u16; 8],
    /// Of its environment, beside its keys.
    variables: Vec<(String, String)>,
    /// The certificate (PEM) of the authority that vouches for its own, if it speaks TLS.
    authority: Option<String>,
    child: Option<Child>,
}

impl S3Server {
    /// Starts the server that `scripts/install.sh test` installed; panics with that command when it is not there. It has no bucket yet.
    pub fn start(kind: Kind) -> Self {
        Self::prepared(kind, &[]).started()
    }

    /// MinIO, with these variables of its environment.
    pub fn minio_with(variables: &[(&str, &str)]) -> Self {
        Self::prepared(Kind::Minio, variables).started()
    }

    /// MinIO that speaks TLS, with a certificate that an authority of its own signed.
    pub fn minio_with_tls() -> Self {
        let mut server = Self::prepared(Kind::Minio, &[]);
        server.authority = Some(certificates::write(&certs(server.folder.path())));
        server.started()
    }

    fn prepared(kind: Kind, variables: &[(&str, &str)]) -> Self {
        Self {
            kind,
            folder: tempfile::tempdir().unwrap(),
            ports: std::array::from_fn(|_| free_port()),
            variables: variables.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
            authority: None,
            child: None,
        }
    }

    fn started(mut self) -> Self {
        self.start_again();
        self
    }

    /// Which program it is.
    pub fn kind(&self) -> Kind {
        self.kind
    }

    /// Its URL: `http://` or `https://`, address and port.
    pub fn endpoint(&self) -> String {
        let scheme = if self.authority.is_some() { "https" } else { "http" };
        format!("{scheme}://{}", self.address())
    }

    /// The certificate (PEM) of the authority that vouches for its own, if it speaks TLS.
    pub fn authority(&self) -> Option<&str> {
        self.authority.as_deref()
    }

    /// Where it listens.
    pub fn address(&self) -> SocketAddr {
        ([127, 0, 0, 1], self.ports[0]).into()
    }

    /// Ends it at once, and waits until it is gone. What it has stays.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            let _ = child.kill();
            let _ = child.wait();
        }
    }

    /// Starts it again, with what it had.
    pub fn start_again(&mut self) {
        self.stop();
        let mut command = match self.kind {
            Kind::Minio => minio(self.folder.path(), &self.ports),
            Kind::Seaweedfs => seaweedfs(self.folder.path(), &self.ports),
        };
        let log = std::fs::File::create(self.folder.path().join("log")).unwrap();
        command.envs(self.variables.iter().map(|(name, value)| (name, value)));
        let child = command.stdin(Stdio::null()).stdout(log.try_clone().unwrap()).stderr(log).spawn().unwrap();
        self.child = Some(child);
        self.wait();
    }

    /// Starts it anew, with nothing of what it had.
    pub fn lose_everything(&mut self) {
        self.stop();
        std::fs::remove_dir_all(self.folder.path().join("data")).unwrap();
        self.start_again();
    }

    /// A bucket of it, or a folder in one.
    pub fn bucket(&self, name: &str, prefix: Option<&str>) -> Bucket {
        Bucket {
            name: name.to_owned(),
            prefix: prefix.map(|prefix| ObjectKey::parse(prefix).unwrap()),
            region: "ap-northeast-1".to_owned(),
            endpoint: Some(self.endpoint()),
            ca: self.authority.clone().map(String::into_bytes),
            ..Bucket::default()
        }
    }

    /// What is in a bucket, by the keys of the server's owner.
    pub fn store(&self, name: &str) -> S3Store {
        let keys = Provider::fixed(Credentials::fixed(ACCESS_KEY, SECRET_KEY), session::now);
        S3Store::open(self.bucket(name, None), Arc::new(keys), Arc::new(Nobody)).unwrap()
    }

    /// Makes a bucket.
    pub fn make_bucket(&self, name: &str) {
        wait_for(self.store(name).make_bucket()).unwrap();
    }

    /// Makes a bucket whose versions may be locked.
    pub fn make_locked_bucket(&self, name: &str) {
        let owner = AwsCredential { key_id: ACCESS_KEY.to_owned(), secret_key: SECRET_KEY.to_owned(), token: None };
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.method_mut() = http_types::Method::PUT;
        *request.uri_mut() = format!("{}/{name}", self.endpoint()).parse().unwrap();
        let locked = http_types::HeaderValue::from_static("true");
        request.headers_mut().insert("x-amz-bucket-object-lock-enabled", locked);
        AwsAuthorizer::new(&owner, "s3", "us-east-1").try_authorize(&mut request, None).unwrap();
        let client = ReqwestConnector::default().connect(&ClientOptions::new().with_allow_http(true)).unwrap();
        let status = wait_for(client.execute(request)).unwrap().status();
        assert!(status.is_success(), "{status}");
    }

    /// The keys of all objects in a bucket, in order.
    pub fn keys(&self, name: &str) -> Vec<String> {
        let answer = wait_for(self.store(name).ask(http_types::Method::GET, "?list-type=2", "")).unwrap();
        let listed = answer.text.split("<Key>").skip(1);
        let mut keys: Vec<String> = listed.filter_map(|text| Some(text.split_once("</Key>")?.0.to_owned())).collect();
        keys.sort();
        keys
    }

    /// The settings of a server that keeps its objects at this URL (`s3://BUCKET/PREFIX`) of it.
    pub fn settings(&self, url: &str) -> Vec<(String, String)> {
        self.settings_behind(&self.endpoint(), url)
    }

    /// The same, of a server that reaches it at this address.
    pub fn settings_behind(&self, endpoint: &str, url: &str) -> Vec<(String, String)> {
        let settings = [
            ("ECHOSPHERE_STORAGE_URL", url),
            ("ECHOSPHERE_STORAGE_ENDPOINT", endpoint),
            ("ECHOSPHERE_STORAGE_ACCESS_KEY", ACCESS_KEY),
            ("ECHOSPHERE_STORAGE_SECRET_KEY", SECRET_KEY),
        ];
        settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into()
    }

    fn wait(&self) {
        let path = match self.kind {
            Kind::Minio => "/minio/health/ready",
            Kind::Seaweedfs => "/status",
        };
        let began = Instant::now();
        while began.elapsed() < PATIENCE {
            if TcpStream::connect(self.address()).is_ok() && self.answers(path) {
                return;
            }
            std::thread::sleep(Duration::from_millis(100));
        }
        let log = std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default();
        panic!("{:?} did not start: {}", self.kind, log.chars().take(2_000).collect::<String>());
    }
}

impl S3Server {
    fn answers(&self, path: &str) -> bool {
        if self.authority.is_none() {
            return http::get(self.address(), path).status == 200;
        }
        let url = format!("{}{path}", self.endpoint());
        let store = self.store("any-bucket");
        // On a thread of its own: this one may be a runtime's.
        let ask = || wait_for(store.ask_anybody(http_types::Method::GET, &url, &[]));
        std::thread::scope(|scope| scope.spawn(ask).join().unwrap()).is_ok_and(|answer| answer.status == 200)
    }
}

/// The bucket of [`shared`].
pub const SHARED_BUCKET: &str = "tests";

/// A MinIO for all tests of this process. Nothing is dropped when a process ends: a shell sees its own input end then, and ends the server.
pub fn shared() -> &'static S3Server {
    static SHARED: OnceLock<(S3Server, Child)> = OnceLock::new();
    let (server, _) = SHARED.get_or_init(|| {
        let server = S3Server::start(Kind::Minio);
        server.make_bucket(SHARED_BUCKET);
        let pid = server.child.as_ref().unwrap().id().to_string();
        let mut shell = Command::new("sh");
        shell.args(["-c", "cat; kill -9 \"$0\"; rm -rf \"$1\"", &pid]).arg(server.folder.path());
        let shell = shell.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
        (server, shell)
    });
    server
}

/// Waits for a future, where nothing else has to go on.
pub fn wait_for<T>(future: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// Does not care about requests.
#[derive(Debug)]
pub struct Nobody;

impl Observer for Nobody {
    fn answered(&self, _: Request, _: &str, _: Option<http_types::StatusCode>, _: Option<i64>) {}
}

impl Drop for S3Server {
    fn drop(&mut self) {
        self.stop();
    }
}

fn minio(folder: &Path, ports: &[u16; 8]) -> Command {
    let mut command = Command::new(program("minio-v"));
    command.arg("server").args(["--address", &format!("127.0.0.1:{}", ports[0])]);
    command.arg("--certs-dir").arg(certs(folder)).arg(folder.join("data"));
    command.env("MINIO_ROOT_USER", ACCESS_KEY).env("MINIO_ROOT_PASSWORD", SECRET_KEY);
    command.env("MINIO_BROWSER", "off").env("MINIO_UPDATE", "off");
    command
}

/// Where MinIO looks for a certificate.
fn certs(folder: &Path) -> PathBuf {
    folder.join("certs")
}

fn seaweedfs(here: &Path, ports: &[u16; 8]) -> Command {
    let program = folder().join("seaweedfs/bin/weed");
    assert!(program.exists(), "SeaweedFS is missing: scripts/install.sh test");
    let data = here.join("data");
    std::fs::create_dir_all(&data).unwrap();
    let keys = format!(
        r#"{{"identities":[{{"name":"tests","credentials":[{{"accessKey":"{ACCESS_KEY}","secretKey":"{SECRET_KEY}"}}],"actions":["Admin","Read","List","Tagging","Write"]}}]}}"#
    );
    let config = here.join("s3.json");
    std::fs::write(&config, keys).unwrap();
    let mut command = Command::new(program);
    command.args(["server", "-s3", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false"]);
    command.args(["-volume.max=100", "-master.volumeSizeLimitMB=64"]);
    command.arg(format!("-dir={}", data.display())).arg(format!("-s3.config={}", config.display()));
    let names =
        ["s3", "s3.port.grpc", "master", "master.port.grpc", "volume", "volume.port.grpc", "filer", "filer.port.grpc"];
    for (name, port) in names.into_iter().zip(ports) {
        let name = if name.contains("port") { name.to_owned() } else { format!("{name}.port") };
        command.arg(format!("-{name}={port}"));
    }
    command
}
