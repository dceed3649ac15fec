//! Draws the waveform of a room that goes on while somebody looks at it: its peaks take decoding what is heard, and most rooms are looked at by
//! nobody.

use std::time::Duration;

use super::session::RoomSession;

/// How often to look whether there is something to draw, and how long to wait after it failed.
const PAUSE: Duration = Duration::from_millis(500);
const AFTER_A_FAILURE: Duration = Duration::from_secs(5);

impl RoomSession {
    /// Draws what was not drawn yet while somebody looks, the newest first; goes on for ever.
    pub(super) async fn draw(&self) {
        loop {
            if !self.onlookers.are_there() {
                self.onlookers.wait().await;
                continue;
            }
            let next = self.measured().undrawn();
            let Some(number) = next else {
                tokio::time::sleep(PAUSE).await;
                continue;
            };
            let frames = self.frames(number);
            match self.peaks(number).await {
                Ok(window) => self.measured().draw(number, frames.start, &window.peaks),
                Err(error) => {
                    tracing::debug!(recording = %self.recording.id, %error, "the waveform of a room cannot be drawn now");
                    tokio::time::sleep(AFTER_A_FAILURE).await;
                }
            }
        }
    }
}
