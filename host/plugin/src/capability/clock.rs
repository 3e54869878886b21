//! The clocks of `wasi:clocks` for a plugin that was not granted them: they stand still.
//!
//! Invariant: the time of day is 2000-01-01T00:00:00Z and the monotonic clock 0 for the whole call, in every call.
//! Waiting for a duration still takes it, in real time and up to the deadline.

use std::time::Duration;

use wasmtime_wasi::{HostMonotonicClock, HostWallClock};

/// Seconds from the Unix epoch to 2000-01-01T00:00:00Z.
const YEAR_2000: u64 = 946_684_800;

/// Both clocks, standing still.
pub(super) struct Still;

impl HostWallClock for Still {
    fn resolution(&self) -> Duration {
        Duration::from_secs(1)
    }

    fn now(&self) -> Duration {
        Duration::from_secs(YEAR_2000)
    }
}

impl HostMonotonicClock for Still {
    fn resolution(&self) -> u64 {
        1_000_000_000
    }

    fn now(&self) -> u64 {
        0
    }
}
