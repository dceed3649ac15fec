//! The life of one egress, from the request to its end.

use std::sync::Arc;

use echosphere_livekit::psrpc::egress::{self, StartEgressRequest};
use echosphere_livekit::psrpc::message::Refusal;
use livekit_protocol as proto;
use prost::Message as _;
use proto::EgressStatus;
use tokio::sync::watch;
use tokio::time::{Instant, sleep_until};

use super::bus::{Asked, Bus, Served};
use super::nanos;
use super::output::Output;
use super::presence::{Happened, Presence};
use super::recorded::Recorded;
use super::reports::Reports;
use super::script::{Fault, Script};

/// What a worker gives to each of its egresses.
#[derive(Clone)]
pub struct Means {
    /// The connection to Redis.
    pub bus: Bus,
    /// LiveKit's URL.
    pub livekit: String,
    /// What it plays.
    pub recorded: Arc<Recorded>,
    /// How much faster than it was recorded.
    pub speed: f64,
    /// What goes wrong.
    pub script: Script,
    /// Where its state is to be seen.
    pub seen: Arc<watch::Sender<Option<proto::EgressInfo>>>,
}

/// Why it ends.
enum End {
    /// It is asked to.
    Stopped(Asked),
    /// The room is over.
    Left,
    /// The script says so.
    Fault(Fault),
    /// An upload failed.
    Upload(String),
}

/// An egress that has begun.
pub struct Life {
    means: Means,
    reports: Reports,
    output: Output,
    /// As it was first reported.
    first: proto::EgressInfo,
    info: proto::EgressInfo,
    is_active: bool,
}

/// Who asks it for something.
struct Handlers {
    stop: Served,
    update_stream: Served,
}

/// Begins an egress, answers the request for it, and lives until it is over.
pub async fn live(means: Means, request: StartEgressRequest, asked: Asked, output: Output) {
    let info = request.begun(nanos());
    tokio::time::sleep(means.script.start_delay()).await;
    let handlers = Handlers {
        stop: means.bus.serve(egress::STOP, &info.egress_id, true, || Some(1.0)).await,
        update_stream: means.bus.serve(egress::UPDATE_STREAM, &info.egress_id, true, || Some(1.0)).await,
    };
    let reports = Reports::new(means.bus.clone(), means.script.clone());
    reports.create(&info).await;
    means.seen.send_replace(Some(info.clone()));
    asked.answer(Ok(info.encode_to_vec())).await;
    let mut life = Life { reports, output, first: info.clone(), info, is_active: false, means };
    // The process that records is another one, with a beginning of its own.
    life.info.started_at = nanos();
    life.run(handlers).await;
}

impl Life {
    async fn run(mut self, mut handlers: Handlers) {
        let room = self.info.room_name.clone();
        let mut presence = Presence::join(&self.means.livekit, &room, &self.info.egress_id);
        let end = self.record(&mut presence, &mut handlers).await;
        match end {
            End::Fault(Fault::Crashes { .. }) => return,
            End::Fault(Fault::Freezes { .. }) => {
                drop(handlers);
                std::future::pending::<()>().await;
            }
            End::Fault(Fault::Killed { .. }) => {
                drop(presence);
                self.info = self.first.clone();
                self.fail("signal: killed", 500).await;
            }
            End::Fault(_) => self.finish(presence, "CPU exhausted", None).await,
            End::Stopped(asked) => self.finish(presence, "StopEgress API", Some(asked)).await,
            End::Left => self.finish(presence, "Source closed", None).await,
            End::Upload(error) => self.refused(presence, &error).await,
        }
        self.reports.all_sent().await;
    }

    /// Records until something ends it.
    async fn record(&mut self, presence: &mut Presence, handlers: &mut Handlers) -> End {
        let mut heard_at = None;
        loop {
            if let Some(fault) = self.means.script.end_after(self.output.written()).filter(|_| self.is_active) {
                return End::Fault(fault.clone());
            }
            let due = heard_at.zip(self.output.next(&self.means.recorded)).map(|(heard_at, number): (Instant, _)| {
                heard_at + self.means.recorded.end_of(number).div_f64(self.means.speed)
            });
            tokio::select! {
                biased;
                Some(asked) = handlers.stop.asked.recv() => return End::Stopped(asked),
                Some(asked) = handlers.update_stream.asked.recv() => asked.answer(Err(not_a_stream())).await,
                happened = presence.next() => match happened {
                    Happened::Left => return End::Left,
                    Happened::Heard => {
                        heard_at = Some(Instant::now());
                        self.becomes_active().await;
                    }
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    if let Err(error) = self.write().await {
                        return End::Upload(error);
                    }
                }
            }
        }
    }

    async fn becomes_active(&mut self) {
        self.is_active = true;
        self.output.begins(nanos());
        self.report(EgressStatus::EgressActive).await;
    }

    async fn write(&mut self) -> Result<(), String> {
        let is_lost = self.means.script.loses(self.output.written());
        self.output.segment(&self.means.recorded, is_lost).await
    }

    /// Ends as it should. A segment that had begun is written whole.
    async fn finish(&mut self, presence: Presence, reason: &str, asked: Option<Asked>) {
        self.info.details = format!("End reason: {reason}");
        self.report(EgressStatus::EgressEnding).await;
        if let Some(asked) = asked {
            asked.answer(Ok(self.info.encode_to_vec())).await;
        }
        if !self.is_active {
            presence.leave().await;
            "Start signal not received".clone_into(&mut self.info.error);
            self.info.error_code = 412;
            return self.report_end(EgressStatus::EgressAborted).await;
        }
        match self.write_the_rest(reason).await {
            Ok(manifest) => self.info.manifest_location = manifest,
            Err(error) => return self.refused(presence, &error).await,
        }
        presence.leave().await;
        self.report_end(EgressStatus::EgressComplete).await;
    }

    async fn write_the_rest(&mut self, reason: &str) -> Result<String, String> {
        if reason != "CPU exhausted" {
            self.write().await?;
        }
        self.info.ended_at = nanos();
        self.output.end(&self.means.recorded, &self.info).await
    }

    /// Ends because storage refuses.
    async fn refused(&mut self, presence: Presence, error: &str) {
        presence.leave().await;
        "End reason: Source closed".clone_into(&mut self.info.details);
        self.output.breaks_off();
        self.fail(error, 400).await;
    }

    async fn fail(&mut self, error: &str, code: i32) {
        error.clone_into(&mut self.info.error);
        self.info.error_code = code;
        self.report_end(EgressStatus::EgressFailed).await;
    }

    async fn report_end(&mut self, status: EgressStatus) {
        self.info.ended_at = nanos();
        self.report(status).await;
    }

    async fn report(&mut self, status: EgressStatus) {
        self.info.set_status(status);
        self.info.updated_at = nanos();
        // What a killed process had written is not known to who reports its end.
        if self.info.error_code != 500 {
            self.output.describe(&mut self.info);
        }
        self.reports.update(&self.info).await;
        self.means.seen.send_replace(Some(self.info.clone()));
    }
}

fn not_a_stream() -> Refusal {
    Refusal { code: "invalid_argument".to_owned(), message: "it does not stream".to_owned() }
}
