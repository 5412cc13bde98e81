//! Free addresses on this machine, for processes that are started here.
//!
//! They lie outside of the range from which the kernel takes ports for outgoing connections. A port from inside is
//! soon lost to one, before its process has it or while that is started again; and a client that tries to reach
//! a port there while nobody listens will at some time be given that very port, and be connected to itself.

use std::collections::VecDeque;
use std::fs;
use std::io;
use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use rand::RngExt;

/// The least port that is given out; below are ports that people know.
const LOWEST: u16 = 15_000;
/// Where the kernel's range begins if it does not say so.
const USUAL_START: u16 = 32_768;
/// How many ports are tried before the kernel is asked for one of its own.
const TRIES: u32 = 200;

/// How many ports are remembered as given out.
const REMEMBERED: usize = 1000;

/// The ports that this process gave out last: whoever has one may not listen yet, or be between two starts.
static GIVEN: Mutex<VecDeque<u16>> = Mutex::new(VecDeque::new());

/// Finds a loopback address that nobody listens on, none of the last ones again. Another process may take it first.
///
/// # Errors
/// When there is none.
pub fn free_address() -> io::Result<SocketAddr> {
    let range = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range").unwrap_or_default();
    for _ in 0..TRIES {
        // At random, so that two processes that look at once do not find the same.
        let address = SocketAddr::from((Ipv4Addr::LOCALHOST, rand::rng().random_range(admitted(&range))));
        if is_free(address) && give(address.port()) {
            return Ok(address);
        }
    }
    TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()
}

/// Notes that `port` is given out, and says whether it may be: not if it was lately.
fn give(port: u16) -> bool {
    let mut given = GIVEN.lock().unwrap_or_else(PoisonError::into_inner);
    if given.contains(&port) {
        return false;
    }
    if given.len() == REMEMBERED {
        given.pop_front();
    }
    given.push_back(port);
    true
}

/// Says whether `address` can be listened on.
pub fn is_free(address: SocketAddr) -> bool {
    TcpListener::bind(address).is_ok()
}

/// Returns the larger of the ranges below and above the kernel's, which it writes as `32768 60999`.
fn admitted(kernels: &str) -> Range<u16> {
    let mut ends = kernels.split_ascii_whitespace().map(str::parse);
    let (start, end) = match (ends.next(), ends.next()) {
        (Some(Ok(start)), Some(Ok(end))) => (start, end),
        _ => (USUAL_START, u16::MAX),
    };
    let (below, above) = (LOWEST..start, end.max(LOWEST)..u16::MAX);
    if below.len() >= above.len() && !below.is_empty() { below } else { above.start.min(u16::MAX - 1)..u16::MAX }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ports_lie_outside_of_the_kernels_range() {
        for (kernels, expected) in [
            ("32768\t60999\n", 15_000..32_768),
            ("", 15_000..32_768),
            ("1024 65535", 65_534..65_535),
            ("16000 40000", 40_000..65_535),
        ] {
            assert_eq!(admitted(kernels), expected, "{kernels}");
        }
    }

    #[test]
    fn an_address_that_is_found_can_be_listened_on() {
        let address = free_address().unwrap();
        let _taken = TcpListener::bind(address).unwrap();
        assert!(!is_free(address));
    }

    #[test]
    fn no_address_is_given_again_at_once() {
        let found: std::collections::HashSet<SocketAddr> = (0..500).map(|_| free_address().unwrap()).collect();
        assert_eq!(found.len(), 500);
    }
}
