//! The `echosphere` command line: its commands, their arguments, and the log.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Parser, Subcommand};
use tracing::Level;
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;
use tracing_subscriber::{EnvFilter, Layer as _};

use crate::config::{self, Config, Environment};
use crate::{backup, demo, doctor, private, rebuild, sign_in, startup, storage_move};

/// Records voice-AI sessions of a self-hosted LiveKit server and replays them with a transcript that follows the audio.
#[derive(Debug, Parser)]
#[command(name = "echosphere", version)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the server.
    Serve {
        /// The configuration file (YAML); without it `ECHOSPHERE_CONFIG` names one.
        #[arg(long)]
        config: Option<PathBuf>,
        /// Ask local clients for no credentials. Only on a loopback address, and where no proxy leads to it.
        #[arg(long)]
        no_auth: bool,
    },
    /// Print a link with which a browser signs in, once, within an hour.
    Link {
        /// The configuration file (YAML); without it `ECHOSPHERE_CONFIG` names one.
        #[arg(long)]
        config: Option<PathBuf>,
        /// The project that the browser sees.
        #[arg(long)]
        project: Option<String>,
    },
    /// Run the server and bring recorded sessions in, through the same upload that an agent uses.
    Demo {
        /// The folder that holds the sessions, each a folder with body.bin and request.json.
        #[arg(long, default_value = "testdata/agent-sessions")]
        sessions: PathBuf,
        /// Stop when everything is in, instead of serving on.
        #[arg(long)]
        once: bool,
        /// Ask local clients for no credentials.
        #[arg(long)]
        no_auth: bool,
    },
    /// Check whether rooms can be recorded from here and kept in the bucket, and say what to do if not.
    Doctor {
        /// The configuration file (YAML); without it `ECHOSPHERE_CONFIG` names one.
        #[arg(long)]
        config: Option<PathBuf>,
        /// Make the bucket if it is missing, and let the page read from it (CORS).
        #[arg(long)]
        fix: bool,
    },
    /// Copy the database into a new file, also while the server runs, and say what else belongs to a backup.
    Backup {
        /// The copy. It must not be there yet.
        file: PathBuf,
        /// The configuration file (YAML); without it `ECHOSPHERE_CONFIG` names one.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Look after object storage.
    #[command(subcommand)]
    Storage(StorageCommand),
    /// Make an empty database whole again from what is in object storage.
    Rebuild {
        /// Where that is, as `storage.url` says it: `s3://BUCKET/PREFIX` or `file:///PATH`.
        #[arg(long)]
        from: Option<String>,
        /// The configuration file (YAML); without it `ECHOSPHERE_CONFIG` names one.
        #[arg(long)]
        config: Option<PathBuf>,
    },
    /// Print the OpenAPI document of the HTTP interface.
    Openapi,
}

#[derive(Debug, Subcommand)]
enum StorageCommand {
    /// Bring what was kept before storage.url was changed to where objects are written now. Goes on where it was stopped; recordings play
    /// all the while.
    Move {
        /// The configuration file (YAML); without it `ECHOSPHERE_CONFIG` names one.
        #[arg(long)]
        config: Option<PathBuf>,
    },
}

/// Runs the command line; errors are printed on standard error.
pub fn main() -> ExitCode {
    let arguments = Arguments::parse();
    private::by_default();
    match run(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("echosphere: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    match command {
        Command::Serve { config, no_auth } => {
            let config = config::load(config.as_deref(), &environment())?;
            let config = if no_auth { config.without_auth()? } else { config };
            start_log(&config)?;
            runtime()?.block_on(startup::run(config, |_| {}))?;
        }
        Command::Link { config, project } => {
            let config = config::load(config.as_deref(), &environment())?;
            println!("{}", sign_in::link(&config, project.as_deref())?);
        }
        Command::Demo { sessions, once, no_auth } => {
            let config = demo::config(&environment())?;
            let config = if no_auth { config.without_auth()? } else { config };
            start_log(&config)?;
            runtime()?.block_on(demo::run(config, &sessions, once))?;
        }
        Command::Doctor { config, fix } => {
            let config = config::load(config.as_deref(), &environment())?;
            println!("EchoSphere {}\n", env!("CARGO_PKG_VERSION"));
            if !runtime()?.block_on(doctor::run(&config, fix)) {
                return Err("something must be mended first".into());
            }
        }
        Command::Storage(StorageCommand::Move { config }) => {
            let config = config::load(config.as_deref(), &environment())?;
            start_log(&config)?;
            runtime()?.block_on(storage_move::run(&config))?;
        }
        Command::Rebuild { from, config } => {
            let mut environment = environment();
            environment.extend(from.map(|from| ("ECHOSPHERE_STORAGE_URL".to_owned(), from)));
            let config = config::load(config.as_deref(), &environment)?;
            start_log(&config)?;
            runtime()?.block_on(rebuild::run(&config))?;
        }
        Command::Backup { file, config } => {
            let config = config::load(config.as_deref(), &environment())?;
            println!("{}", runtime()?.block_on(backup::run(&config, &file))?);
        }
        Command::Openapi => println!("{}", crate::http::openapi().to_pretty_json()?),
    }
    Ok(())
}

/// The environment, as far as it is text.
fn environment() -> Environment {
    let pairs = std::env::vars_os();
    pairs.filter_map(|(key, value)| Some((key.into_string().ok()?, value.into_string().ok()?))).collect()
}

fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread().enable_all().build()
}

/// Starts the log. Dependencies are logged at `info` and above only, whatever the filter says: at `debug` some of them write whole
/// requests, with valid tokens and signatures.
fn start_log(config: &Config) -> Result<(), Box<dyn std::error::Error + Send + Sync>> {
    let filter = EnvFilter::try_new(&config.log_filter).map_err(|error| format!("log.filter: {error}"))?;
    let ours = filter_fn(|metadata| metadata.level() <= &Level::INFO || metadata.target().starts_with("echosphere"));
    let colours = std::io::IsTerminal::is_terminal(&std::io::stderr());
    let log = tracing_subscriber::fmt::layer().with_ansi(colours).with_writer(std::io::stderr);
    let registry = tracing_subscriber::registry().with(filter);
    if config.log_json {
        registry.with(log.json().flatten_event(true).with_filter(ours)).init();
    } else {
        registry.with(log.with_filter(ours)).init();
    }
    Ok(())
}
