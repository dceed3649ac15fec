//! Makes sign-in links: one at each start of the server, and others with `echosphere link`.

use std::io::{IsTerminal, Write};

use echosphere_domain::id::ProjectId;
use echosphere_store::Store;
use secrecy::SecretString;

use super::{LINK_LIFE, SECRET, SignIns, codes};
use crate::config::Config;
use crate::data_dir::{self, DataDir, SIGN_IN_LINK as LINK_FILE};
use crate::{clock, entropy};

/// The file in the data directory that contains the URL of the running server.
const ADDRESS_FILE: &str = "server-url";

/// Why no sign-in link can be offered.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The database.
    #[error(transparent)]
    Store(#[from] echosphere_store::Error),
    /// The file of the link.
    #[error(transparent)]
    DataDir(#[from] data_dir::Error),
}

/// Ends the sign-ins of credentials that are no longer in the configuration, and offers a sign-in link: on the terminal, else in a
/// file that only this user can read. The log says where it is, and never has the link itself.
pub async fn begin(sign_ins: &SignIns, store: &dyn Store, config: &Config, data: &DataDir) -> Result<(), Error> {
    let ended = store.end_sign_ins_but(&sign_ins.credentials()).await?;
    if ended > 0 {
        tracing::info!(ended, "browsers were signed out, whose credentials the configuration has no more");
    }
    forget_old(store, config).await;
    data.write_private(ADDRESS_FILE, &base(config))?;
    if config.no_auth {
        data.remove(LINK_FILE)?;
        let project = config.local_project();
        tracing::warn!(%project, "--no-auth: every program and every user of this machine can read, record and delete, without credentials");
        say(&format!(
            "No credentials are asked for (--no-auth): everybody on this machine can read, record and delete in the project {project}."
        ));
        return Ok(());
    }
    let link = url(&base(config), &sign_ins.code(config.local_project(), clock::now()));
    if std::io::stdout().is_terminal() {
        data.remove(LINK_FILE)?;
        say(&format!("Sign in: {link}\n(works once, for an hour; `echosphere link` makes another)"));
        tracing::info!("a link to sign in with is on the terminal; it works once, for an hour");
    } else {
        let path = data.write_private(LINK_FILE, &link)?;
        tracing::info!(path = %path.display(), "a link to sign in with is in this file; it works once, for an hour, and `echosphere link` makes another");
        say(&format!("A link to sign in with is in {} (works once, for an hour).", path.display()));
    }
    Ok(())
}

/// Prints a text. The process that started us may have stopped reading, so errors are ignored.
fn say(text: &str) {
    let _ = writeln!(std::io::stdout(), "{text}");
}

/// Deletes sign-ins that have ended.
pub async fn forget_old(store: &dyn Store, config: &Config) {
    let now = clock::now();
    if let Err(error) = store.forget_sign_ins(now, now.before(config.sign_in.idle)).await {
        tracing::warn!(%error, "sign-ins that have ended cannot be forgotten now");
    }
}

/// A new link, for a server that runs or will run on the configured data directory.
pub fn link(config: &Config, project: Option<&str>) -> Result<String, Box<dyn std::error::Error + Send + Sync>> {
    let project = match project {
        None => config.local_project().clone(),
        Some(name) => named(config, name)?,
    };
    let key: SecretString = DataDir::kept_secret(&config.data_dir, SECRET)?.ok_or_else(|| {
        format!(
            "no server has run on the data directory {}; start it first: echosphere serve",
            config.data_dir.display()
        )
    })?;
    let kept = data_dir::read_private(&config.data_dir, ADDRESS_FILE);
    let base = config.public_url.clone().or(kept).unwrap_or_else(|| base(config));
    Ok(url(&base, &codes::mint(&key, &project, entropy::bytes(), clock::now().after(LINK_LIFE))))
}

fn named(config: &Config, name: &str) -> Result<ProjectId, String> {
    let known = config.projects.iter().find(|project| project.id.as_str() == name);
    known.map(|project| project.id.clone()).ok_or_else(|| {
        let names: Vec<_> = config.projects.iter().map(|project| project.id.as_str()).collect();
        format!("there is no project {name:?}; there is {}", names.join(", "))
    })
}

/// The URL at which a browser reaches the server; a loopback address if it listens on every address.
fn base(config: &Config) -> String {
    let mut address = config.listen;
    if address.ip().is_unspecified() {
        address.set_ip(if address.is_ipv4() { [127, 0, 0, 1].into() } else { std::net::Ipv6Addr::LOCALHOST.into() });
    }
    address.set_ip(address.ip().to_canonical());
    config.public_url.clone().unwrap_or_else(|| format!("http://{address}"))
}

fn url(base: &str, code: &str) -> String {
    format!("{base}/login?code={code}")
}
