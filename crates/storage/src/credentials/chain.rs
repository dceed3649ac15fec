//! AWS's ways to find keys, one after another as AWS's own programs go, and why each of them has none.

use reqsign_aws_v4::{
    AssumeRoleWithWebIdentityCredentialProvider, Credential, ECSCredentialProvider, EnvCredentialProvider,
    IMDSv2CredentialProvider, ProcessCredentialProvider, ProfileCredentialProvider, SSOCredentialProvider,
};
use reqsign_core::{Context, ProvideCredentialDyn};

use super::Error;
use crate::error::whole;

type Way = Box<dyn ProvideCredentialDyn<Credential = Credential>>;

/// The ways, by their names.
#[derive(Debug)]
pub(super) struct Chain {
    context: Context,
    ways: [(&'static str, Way); 7],
}

impl Chain {
    pub(super) fn new(context: Context) -> Self {
        let ways: [(&'static str, Way); 7] = [
            ("the environment", Box::new(EnvCredentialProvider::new())),
            ("a profile", Box::new(ProfileCredentialProvider::default())),
            ("SSO", Box::new(SSOCredentialProvider::default())),
            ("a web identity", Box::new(AssumeRoleWithWebIdentityCredentialProvider::default())),
            ("a process", Box::new(ProcessCredentialProvider::default())),
            ("a container", Box::new(ECSCredentialProvider::default())),
            ("an instance", Box::new(IMDSv2CredentialProvider::default())),
        ];
        Self { context, ways }
    }

    /// The keys of the first way that has some.
    ///
    /// # Errors
    ///
    /// None of them has; it says why of those that were meant to.
    pub(super) async fn provide(&self) -> Result<Credential, Error> {
        let mut failed = String::new();
        for (name, way) in &self.ways {
            match way.provide_credential_dyn(&self.context).await {
                Ok(Some(keys)) => return Ok(keys),
                Ok(None) => {}
                Err(error) => failed.push_str(&format!("; {name}: {}", whole(&error))),
            }
        }
        Err(Error::None(failed))
    }
}
