//! Who answers a request: the client's choice among those that offer it, and what a server does until it knows (livekit/psrpc,
//! `pkg/client/rpc.go` and `pkg/server/rpc.go`).
//!
//! Times of a client are since its request was sent.

use std::time::Duration;

use super::message::{ClaimRequest, ClaimResponse, Request};

/// By which rules a client chooses.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Selection {
    /// Who offers this affinity or more is chosen at once.
    pub at_once: f32,
    /// When the best so far is chosen.
    pub patience: Duration,
    /// How long after the first claim the best so far is chosen.
    pub after_first: Duration,
}

impl Selection {
    /// The first claim wins. For methods without an affinity.
    pub const FIRST: Self = Self { at_once: 0.0, patience: Duration::from_secs(1), after_first: Duration::ZERO };
    /// For the start of an egress (livekit/protocol, `rpc/egress_client.go`).
    pub const START_EGRESS: Self =
        Self { at_once: 1.0, patience: Duration::from_secs(1), after_first: Duration::from_millis(500) };
}

/// Nobody was chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum Nobody {
    /// Nobody offered to answer.
    #[error("no response from servers")]
    Answered,
    /// All who offered it did so with an affinity of 0: they are full.
    #[error("no servers available (received {0} responses)")]
    HasRoom(usize),
}

/// The claims to a request, until a server is chosen.
#[derive(Debug, Clone)]
pub struct Claims {
    rules: Selection,
    received: usize,
    best: Option<ClaimRequest>,
    due: Duration,
}

impl Claims {
    /// No claim has come yet.
    pub fn new(rules: Selection) -> Self {
        Self { rules, received: 0, best: None, due: rules.patience }
    }

    /// Takes a claim that came at `since`; returns the chosen server, if that claim decides it.
    pub fn take(&mut self, claim: ClaimRequest, since: Duration) -> Option<String> {
        self.received += 1;
        if self.received == 1 {
            self.due = self.due.min(since.saturating_add(self.rules.after_first));
        }
        if claim.affinity >= self.rules.at_once {
            return Some(claim.server_id);
        }
        let best_affinity = self.best.as_ref().map_or(0.0, |best| best.affinity);
        if claim.affinity > best_affinity {
            self.best = Some(claim);
        }
        None
    }

    /// When [`Claims::choose`] is due.
    pub fn due(&self) -> Duration {
        self.due
    }

    /// The best of those that have offered it: of several the first.
    pub fn choose(self) -> Result<String, Nobody> {
        let nobody = if self.received == 0 { Nobody::Answered } else { Nobody::HasRoom(self.received) };
        self.best.map(|best| best.server_id).ok_or(nobody)
    }
}

/// A server's offer to answer a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    request_id: String,
    server_id: String,
    /// From when on the server waits no longer, in nanoseconds since 1970.
    pub expiry: i64,
}

/// What the client has decided about an [`Offer`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// This server is to answer.
    Won,
    /// Another one is.
    Lost,
}

impl Offer {
    /// Offers to answer a request, with an affinity from 0 (full) to 1; `None` if nobody waits for the answer any more.
    pub fn make(request: &Request, server_id: &str, affinity: f32, now: i64) -> Option<(Self, ClaimRequest)> {
        let (request_id, server_id) = (request.request_id.clone(), server_id.to_owned());
        let claim = ClaimRequest { request_id: request_id.clone(), server_id: server_id.clone(), affinity };
        (now < request.expiry).then_some((Self { request_id, server_id, expiry: request.expiry }, claim))
    }

    /// What a client's choice means for it; `None` if it is about another request.
    pub fn decide(&self, choice: &ClaimResponse) -> Option<Decision> {
        let decision = if choice.server_id == self.server_id { Decision::Won } else { Decision::Lost };
        (choice.request_id == self.request_id).then_some(decision)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim(server: &str, affinity: f32) -> ClaimRequest {
        ClaimRequest { request_id: "REQ_1".to_owned(), server_id: server.to_owned(), affinity }
    }

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn an_affinity_of_one_wins_at_once() {
        let mut claims = Claims::new(Selection::START_EGRESS);
        assert_eq!(claims.take(claim("idle", 0.5), ms(4)), None);
        assert_eq!(claims.take(claim("packs", 1.0), ms(5)), Some("packs".to_owned()));
    }

    #[test]
    fn the_best_wins_half_a_second_after_the_first_claim() {
        let mut claims = Claims::new(Selection::START_EGRESS);
        assert_eq!(claims.due(), ms(1_000));
        for (server, affinity, at) in [("full", 0.0, 100), ("idle", 0.5, 200), ("late", 0.5, 300), ("worse", 0.2, 400)]
        {
            assert_eq!(claims.take(claim(server, affinity), ms(at)), None);
            assert_eq!(claims.due(), ms(600));
        }
        assert_eq!(claims.choose(), Ok("idle".to_owned()));
    }

    #[test]
    fn it_never_takes_longer_than_a_second() {
        let mut claims = Claims::new(Selection::START_EGRESS);
        assert_eq!(claims.take(claim("slow", 0.5), ms(900)), None);
        assert_eq!(claims.due(), ms(1_000));
    }

    #[test]
    fn who_is_full_is_not_chosen() {
        assert_eq!(Claims::new(Selection::START_EGRESS).choose(), Err(Nobody::Answered));
        let mut claims = Claims::new(Selection::START_EGRESS);
        claims.take(claim("full", 0.0), ms(1));
        claims.take(claim("full too", -1.0), ms(1));
        assert_eq!(claims.choose(), Err(Nobody::HasRoom(2)));
    }

    #[test]
    fn the_first_claim_decides_where_no_affinity_is_asked_for() {
        let mut claims = Claims::new(Selection::FIRST);
        assert_eq!(claims.take(claim("any", 0.0), ms(1)), Some("any".to_owned()));
    }

    #[test]
    fn an_offer_is_won_by_its_server_only() {
        let request = Request { request_id: "REQ_1".to_owned(), expiry: 10, ..Request::default() };
        let choice = |request: &str, server: &str| ClaimResponse {
            request_id: request.to_owned(),
            server_id: server.to_owned(),
        };
        assert!(Offer::make(&request, "SRV_1", 0.5, 10).is_none(), "nobody waits any more");
        let (offer, claimed) = Offer::make(&request, "SRV_1", 0.5, 9).unwrap();
        assert_eq!(claimed, claim("SRV_1", 0.5));
        assert_eq!(offer.decide(&choice("REQ_1", "SRV_1")), Some(Decision::Won));
        assert_eq!(offer.decide(&choice("REQ_1", "SRV_2")), Some(Decision::Lost));
        assert_eq!(offer.decide(&choice("REQ_2", "SRV_1")), None);
    }
}
