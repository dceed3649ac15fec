//! Limits how often clients may fail to sign in. Pure: the time is passed in.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::time::Duration;

use echosphere_domain::time::WallTime;

/// The time in which failures are counted.
pub const WINDOW: Duration = Duration::from_secs(60);
/// How many failures one address may have in that time (for IPv6 one network of 64 bits, which is one customer's).
const PER_ADDRESS: u32 = 10;
/// How many failures all addresses may have in that time together.
const OVERALL: u32 = 300;
/// How many addresses are remembered; fewer failures than this exceed the limit for all.
const MOST_ADDRESSES: usize = 1_000;

/// Failures in the current window.
#[derive(Debug, Clone, Copy)]
struct Count {
    since: WallTime,
    failures: u32,
}

impl Count {
    fn is_old(&self, now: WallTime) -> bool {
        let age = now.since(self.since);
        // A clock that was set back begins a new window.
        age < 0 || age >= WINDOW.as_nanos() as i64
    }

    fn add(&mut self, now: WallTime) {
        if self.is_old(now) {
            *self = Self { since: now, failures: 0 };
        }
        self.failures = self.failures.saturating_add(1);
    }

    fn is_over(&self, most: u32, now: WallTime) -> bool {
        self.failures >= most && !self.is_old(now)
    }
}

/// Counts failures to sign in.
#[derive(Debug)]
pub struct Attempts {
    by_address: HashMap<IpAddr, Count>,
    all: Count,
}

impl Default for Attempts {
    fn default() -> Self {
        Self { by_address: HashMap::new(), all: Count { since: WallTime::from_nanos(0), failures: 0 } }
    }
}

impl Attempts {
    /// Whether an address may try now, with whatever credential.
    pub fn may_try(&self, address: IpAddr, now: WallTime) -> bool {
        let own = self.by_address.get(&grouped(address));
        !self.all.is_over(OVERALL, now) && !own.is_some_and(|own| own.is_over(PER_ADDRESS, now))
    }

    /// An address has failed; true when that was its last try, or everybody's, for a while.
    pub fn failed(&mut self, address: IpAddr, now: WallTime) -> bool {
        let before = self.may_try(address, now);
        self.count(address, now);
        before && !self.may_try(address, now)
    }

    fn count(&mut self, address: IpAddr, now: WallTime) {
        self.all.add(now);
        let address = grouped(address);
        if !self.by_address.contains_key(&address) && self.by_address.len() >= MOST_ADDRESSES {
            self.by_address.retain(|_, count| !count.is_old(now));
            if self.by_address.len() >= MOST_ADDRESSES {
                return;
            }
        }
        self.by_address.entry(address).or_insert(Count { since: now, failures: 0 }).add(now);
    }
}

fn grouped(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => Ipv6Addr::from_bits(address.to_bits() & !u128::from(u64::MAX)).into(),
        address @ IpAddr::V4(_) => address,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn an_address_waits_after_ten_failures_and_others_do_not() {
        let (mut attempts, now) = (Attempts::default(), WallTime::from_millis(1_000_000));
        for number in 0..10 {
            assert!(attempts.may_try(ip("10.0.0.1"), now), "{number}");
            assert_eq!(attempts.failed(ip("10.0.0.1"), now), number == 9, "said once");
        }
        assert!(!attempts.failed(ip("10.0.0.1"), now));
        assert!(!attempts.may_try(ip("10.0.0.1"), now));
        assert!(!attempts.may_try(ip("::ffff:10.0.0.1"), now), "the same address over an IPv6 socket");
        assert!(attempts.may_try(ip("10.0.0.2"), now));
        assert!(attempts.may_try(ip("10.0.0.1"), now.after(WINDOW)));
        assert!(attempts.may_try(ip("10.0.0.1"), now.before(Duration::from_secs(5))), "the clock was set back");
    }

    #[test]
    fn a_network_of_one_customer_is_one_address() {
        let (mut attempts, now) = (Attempts::default(), WallTime::from_millis(0));
        (0..10).for_each(|n| _ = attempts.failed(ip(&format!("2001:db8::{n:x}")), now));
        assert!(!attempts.may_try(ip("2001:db8::ffff"), now) && attempts.may_try(ip("2001:db8:0:1::1"), now));
    }

    #[test]
    fn many_addresses_are_limited_together_and_do_not_fill_the_memory() {
        let (mut attempts, now) = (Attempts::default(), WallTime::from_millis(0));
        for number in 0..100_000_u32 {
            attempts.failed(IpAddr::from(number.to_be_bytes()), now);
        }
        assert!(attempts.by_address.len() <= MOST_ADDRESSES);
        assert!(!attempts.may_try(ip("192.0.2.1"), now));
        let later = now.after(WINDOW);
        assert!(attempts.may_try(ip("192.0.2.1"), later));
        attempts.failed(ip("192.0.2.1"), later);
        assert_eq!(attempts.by_address.len(), 1, "the old ones went to make room");
    }
}
