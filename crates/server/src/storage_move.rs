//! `echosphere storage move`: brings over what was kept before `storage.url` was changed, by the running server or, where none runs, by
//! this process.

use std::sync::Arc;
use std::time::Duration;

use echosphere_domain::id::TaskId;
use echosphere_store::{NewTask, Store, TaskKind, sqlite};

use crate::clock::Clock;
use crate::config::Config;
use crate::data_dir::{self, DataDir};
use crate::jobs::moving::{Mover, Tally};
use crate::objects::Objects;
use crate::progress::Progress;
use crate::signals::Stop;
use crate::{entropy, startup};

type Error = Box<dyn std::error::Error + Send + Sync>;

/// How often the running server is looked at.
const LOOK: Duration = Duration::from_secs(1);

/// Moves everything, and prints how far it is.
///
/// # Errors
///
/// Something cannot be copied: it is where it was, and the next run goes on.
pub async fn run(config: &Config) -> Result<(), Error> {
    match DataDir::open(&config.data_dir) {
        Ok(data) => alone(config, &data).await,
        Err(data_dir::Error::Locked { .. }) => by_the_server(config).await,
        Err(error) => Err(error.into()),
    }
}

async fn alone(config: &Config, data: &DataDir) -> Result<(), Error> {
    let clock = Clock::system();
    let (store, stored) = startup::open_stores(config, data).await?;
    let objects = Objects::new(Arc::clone(&store), stored.bytes, stored.earlier, clock.clone());
    let all = store.count_elsewhere().await?;
    if all == 0 {
        println!("Everything is where objects are written now; there is nothing to move.");
        store.close().await;
        return Ok(());
    }
    let stop = Stop::new();
    let interrupted = stop.clone();
    tokio::spawn(async move {
        if tokio::signal::ctrl_c().await.is_ok() {
            interrupted.cancel();
        }
    });
    let progress = Progress::new("objects", all);
    let mover = Mover { objects, store: Arc::clone(&store), clock, stop };
    let Tally { moved, bytes, lost, failed } = mover.run(|tally| progress.say(tally.moved)).await?;
    println!("{moved} objects were moved, {} MiB.", bytes >> 20);
    store.close().await;
    if lost > 0 {
        println!("{lost} objects were not where they were kept; the log names them.");
    }
    if failed > 0 {
        return Err(format!("{failed} objects could not be copied and are where they were; run it again").into());
    }
    println!(
        "Copies stay where they were for seven days, for addresses that were handed out; the server deletes them after that."
    );
    Ok(())
}

async fn by_the_server(config: &Config) -> Result<(), Error> {
    let clock = Clock::system();
    let store: Arc<dyn Store> = Arc::new(sqlite::open(&data_dir::database_of(config)).await?);
    let all = store.count_elsewhere().await?;
    if all == 0 {
        println!(
            "Everything is where the running server writes objects; there is nothing to move. (A new storage.url counts from its next start on.)"
        );
        return Ok(());
    }
    let now = clock.now();
    let id = TaskId::new(entropy::uuid(now));
    store.enqueue(&NewTask { id, kind: TaskKind::Move, payload: String::new(), run_at: now }).await?;
    println!("The running server moves {all} objects; it goes on with that if this command is stopped.");
    let progress = Progress::new("objects", all);
    loop {
        tokio::time::sleep(LOOK).await;
        let left = store.count_elsewhere().await?;
        progress.say(all.saturating_sub(left));
        let counts = store.task_counts().await?;
        if counts.iter().any(|count| count.kind == TaskKind::Move && count.open > 0) {
            continue;
        }
        println!("{} objects were moved, {left} are where they were.", all.saturating_sub(left));
        return if left == 0 { Ok(()) } else { Err("the server's log says why the others are not moved".into()) };
    }
}
