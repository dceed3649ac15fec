//! Token services (STS) other than AWS's own, such as MinIO's.

use std::collections::HashMap;

use bytes::Bytes;
use http::uri::{Parts, PathAndQuery};
use http::{Request, Response, Uri, header};
use reqsign_core::HttpSend;
use reqsign_http_send_reqwest::ReqwestHttpSend;

use super::Error;

/// The variables that name one, as AWS's own programs know them; the first that is set counts.
const VARIABLES: [&str; 2] = ["AWS_ENDPOINT_URL_STS", "AWS_ENDPOINT_URL"];

/// Sends what is for AWS's token service to the one that the environment names, if it names one. What is signed goes where its signature says.
#[derive(Debug)]
pub(super) struct Redirected {
    client: ReqwestHttpSend,
    endpoint: Option<Uri>,
}

impl Redirected {
    /// # Errors
    ///
    /// What the environment names is no address.
    pub(super) fn new(client: ReqwestHttpSend, environment: &HashMap<String, String>) -> Result<Self, Error> {
        let named = VARIABLES.iter().find_map(|name| Some((name, environment.get(*name)?)));
        let named = named.filter(|(_, text)| !text.is_empty());
        let endpoint = named.map(|(name, text)| {
            let endpoint = text.parse::<Uri>().ok().filter(|uri| uri.scheme().is_some() && uri.authority().is_some());
            endpoint.ok_or_else(|| Error::Away(format!("{name} is {text:?}: expected http:// or https:// and a host")))
        });
        Ok(Self { client, endpoint: endpoint.transpose()? })
    }
}

impl HttpSend for Redirected {
    async fn http_send(&self, mut request: Request<Bytes>) -> reqsign_core::Result<Response<Bytes>> {
        let is_signed = request.headers().contains_key(header::AUTHORIZATION);
        if let Some(endpoint) = &self.endpoint
            && !is_signed
            && let Some(elsewhere) = elsewhere(request.uri(), endpoint)
        {
            *request.uri_mut() = elsewhere;
        }
        self.client.http_send(request).await
    }
}

/// The address at another endpoint of what is for AWS's token service.
fn elsewhere(uri: &Uri, endpoint: &Uri) -> Option<Uri> {
    uri.host().filter(|host| host.starts_with("sts.") && host.contains(".amazonaws.com"))?;
    let path = uri.path_and_query().map_or("/", PathAndQuery::as_str);
    let path = format!("{}{path}", endpoint.path().trim_end_matches('/'));
    let mut parts = Parts::from(endpoint.clone());
    parts.path_and_query = path.parse().ok();
    Uri::from_parts(parts).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_for_awss_token_service_goes_elsewhere_and_nothing_else() {
        let to = |uri: &str, endpoint: &str| {
            elsewhere(&uri.parse().unwrap(), &endpoint.parse().unwrap()).map(|uri| uri.to_string())
        };
        let minio = "http://minio:9000";
        for host in ["sts.amazonaws.com", "sts.eu-west-1.amazonaws.com", "sts.cn-north-1.amazonaws.com.cn"] {
            assert_eq!(to(&format!("https://{host}/"), minio).as_deref(), Some("http://minio:9000/"));
        }
        let below = to("https://sts.amazonaws.com/?Action=x", "https://minio/sts/");
        assert_eq!(below.as_deref(), Some("https://minio/sts/?Action=x"));
        assert_eq!(to("http://169.254.169.254/latest/api/token", minio), None);
        assert_eq!(to("https://portal.sso.eu-west-1.amazonaws.com/", minio), None);
    }
}
