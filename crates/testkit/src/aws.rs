//! Stands in for two of AWS's services that hand out keys: the token service, which takes a web identity, and the metadata of an instance. The keys
//! are real ones, of MinIO's own token service.

use std::net::{TcpListener, TcpStream};

use echosphere_domain::time::WallTime;
use serde_json::{Value, json};

use crate::container::{assume_role, rfc3339};
use crate::http::{self, Request};
use crate::s3::{S3Server, wait_for};
use crate::session;

/// The role that may be assumed.
pub const ROLE: &str = "arn:aws:iam::123456789012:role/calls";
/// The web identity that may assume it.
pub const WEB_IDENTITY: &str = "the-identity-of-a-pod";
/// What who asks for metadata has to ask for first.
const SESSION: &str = "the-session-of-an-instance";
/// Where the metadata of an instance names its role.
const ROLES: &str = "/latest/meta-data/iam/security-credentials/";

/// Both services at one address, until the test ends.
pub struct Aws {
    /// The address: `AWS_ENDPOINT_URL_STS`, or `AWS_EC2_METADATA_SERVICE_ENDPOINT`.
    pub url: String,
}

impl Aws {
    /// Hands out keys of this server, which say that they are valid for so many seconds.
    pub fn start(s3: &S3Server, seconds: i64) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let endpoint = s3.endpoint();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let keys = || {
                    let mut keys: Value = serde_json::from_str(&wait_for(assume_role(&endpoint, ""))).unwrap();
                    let until = WallTime::from_nanos(session::now().as_nanos() + seconds * 1_000_000_000);
                    keys["Expiration"] = json!(rfc3339(until));
                    keys
                };
                serve(&stream, keys);
            }
        });
        Self { url }
    }
}

fn serve(stream: &TcpStream, keys: impl Fn() -> Value) {
    let Some(request) = Request::read(stream) else { return };
    let (status, body) = answer(&request, keys);
    let _ = http::answer(stream, status, &body);
}

fn answer(request: &Request, keys: impl Fn() -> Value) -> (u16, String) {
    let has_session = request.header("x-aws-ec2-metadata-token") == SESSION;
    match (request.method.as_str(), request.target.as_str(), request.target.strip_prefix(ROLES)) {
        ("PUT", "/latest/api/token", _) => (200, SESSION.to_owned()),
        ("GET", _, Some(_)) if !has_session => (401, String::new()),
        ("GET", _, Some("")) => (200, "calls".to_owned()),
        ("GET", _, Some("calls")) => {
            let mut keys = keys();
            keys["Code"] = json!("Success");
            (200, keys.to_string())
        }
        ("POST", "/", _) => token_service(&String::from_utf8_lossy(&request.body), keys),
        _ => (404, String::new()),
    }
}

fn token_service(form: &str, keys: impl Fn() -> Value) -> (u16, String) {
    let role = ROLE.replace(':', "%3A").replace('/', "%2F");
    let wanted = [
        "Action=AssumeRoleWithWebIdentity".to_owned(),
        format!("RoleArn={role}"),
        format!("WebIdentityToken={WEB_IDENTITY}"),
    ];
    if !wanted.iter().all(|pair| form.split('&').any(|given| given == pair)) {
        let error = "<Code>InvalidIdentityToken</Code><Message>Not this one</Message>";
        return (400, format!("<ErrorResponse><Error>{error}</Error></ErrorResponse>"));
    }
    let keys = keys();
    let element = |name: &str, key: &str| format!("<{name}>{}</{name}>", keys[key].as_str().unwrap());
    let credentials = [
        element("AccessKeyId", "AccessKeyId"),
        element("SecretAccessKey", "SecretAccessKey"),
        element("SessionToken", "Token"),
        element("Expiration", "Expiration"),
    ];
    let result = format!("<Credentials>{}</Credentials>", credentials.concat());
    let name = "AssumeRoleWithWebIdentity";
    (200, format!("<{name}Response><{name}Result>{result}</{name}Result></{name}Response>"))
}
