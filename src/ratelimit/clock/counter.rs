//! The processor's counter, read faster than the system's clock and held to it.
//!
//! By itself the counter is no clock: it begins anew when a machine wakes from hibernation or a guest is
//! restored, and after a move to another machine it may run at another rate. So it counts a second at most
//! from where the system's clock was read.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use quanta::Clock;

/// How long the counter is believed, in nanoseconds.
const BELIEVED: u64 = 1_000_000_000;

/// How long it may take to read the system's clock, in nanoseconds: a thread that was held up between two
/// readings can't tell which of them belong together.
const AT_ONCE: u64 = 10_000;

/// A clock of this process.
#[derive(Debug)]
pub(super) struct Counter {
    clock: Clock,
    began: Instant,
    anchor: Anchor,
}

impl Counter {
    pub(super) fn new() -> Self {
        // Nothing has been counted for longer than it is believed: the first look asks the system.
        let (clock, began) = (Clock::new(), Instant::now());
        let anchor = Anchor::default();
        let long_ago = clock.delta_as_nanos(0, clock.raw()).wrapping_sub(2 * BELIEVED);
        anchor.counted.store(long_ago, Ordering::Relaxed);
        Self { clock, began, anchor }
    }

    /// Nanoseconds since this was made. Where the counter ran ahead of the system's clock, time goes back by as much,
    /// once a second: by microseconds.
    #[inline]
    pub(super) fn now(&self) -> u64 {
        let counted = || self.clock.delta_as_nanos(0, self.clock.raw());
        let system = || u64::try_from(self.began.elapsed().as_nanos()).unwrap_or(u64::MAX);
        self.anchor.time(counted, system)
    }
}

/// Where both were when the system's clock was read.
#[derive(Debug, Default)]
struct Anchor {
    counted: AtomicU64,
    /// By how much the system's clock was ahead.
    ahead: AtomicU64,
}

impl Anchor {
    #[inline]
    fn time(&self, counted: impl Fn() -> u64, system: impl FnOnce() -> u64) -> u64 {
        let (now, since) = (counted(), self.counted.load(Ordering::Acquire));
        // A counter that began anew is behind, which makes a difference that is no second either.
        if now.wrapping_sub(since) < BELIEVED {
            return now.wrapping_add(self.ahead.load(Ordering::Relaxed));
        }
        self.renew(now, counted, system)
    }

    #[cold]
    fn renew(&self, before: u64, counted: impl Fn() -> u64, system: impl FnOnce() -> u64) -> u64 {
        let time = system();
        if counted().wrapping_sub(before) < AT_ONCE {
            // In this order: whoever believes the new anchor knows by how much.
            self.ahead.store(time.wrapping_sub(before), Ordering::Relaxed);
            self.counted.store(before, Ordering::Release);
        }
        time
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// A counter and a system's clock that stand where they are put, in nanoseconds.
    struct Machine {
        anchor: Anchor,
        counter: Cell<u64>,
        /// How long it takes to read the system's clock.
        reading: Cell<u64>,
        system: Cell<u64>,
    }

    impl Machine {
        /// That has read the system's clock as 0 where the counter was.
        fn with_counter_at(counter: u64) -> Self {
            let machine = Self {
                anchor: Anchor::default(),
                counter: Cell::new(counter),
                reading: Cell::new(20),
                system: Cell::new(0),
            };
            assert_eq!(machine.time(), 0);
            machine
        }

        /// Moves the counter and the system's clock.
        fn pass(&self, counted: u64, time: u64) {
            self.counter.set(self.counter.get() + counted);
            self.system.set(self.system.get() + time);
        }

        fn time(&self) -> u64 {
            let system = || {
                self.counter.set(self.counter.get() + self.reading.get());
                self.system.get()
            };
            self.anchor.time(|| self.counter.get(), system)
        }
    }

    #[test]
    fn the_counter_tells_the_time_for_a_second_and_then_the_system_does() {
        let machine = Machine::with_counter_at(5 * BELIEVED);
        machine.pass(1_000, 0);
        assert_eq!(machine.time(), 1_020);
        machine.pass(BELIEVED, BELIEVED + 70_000);
        assert_eq!(machine.time(), BELIEVED + 70_000);
        machine.pass(1_000, 0);
        assert_eq!(machine.time(), BELIEVED + 71_020);
    }

    #[test]
    fn a_counter_that_begins_anew_does_not_stop_the_time() {
        let machine = Machine::with_counter_at(1 << 60);
        machine.counter.set(7);
        machine.system.set(3_000_000);
        assert_eq!(machine.time(), 3_000_000);
        machine.pass(500, 0);
        assert_eq!(machine.time(), 3_000_520);
    }

    #[test]
    fn a_counter_that_jumps_ahead_takes_no_time_with_it() {
        let machine = Machine::with_counter_at(5 * BELIEVED);
        machine.pass(1 << 60, 3_000_000);
        assert_eq!(machine.time(), 3_000_000);
    }

    #[test]
    fn who_was_held_up_between_two_readings_does_not_put_them_together() {
        let machine = Machine::with_counter_at(5 * BELIEVED);
        machine.reading.set(50_000_000);
        machine.pass(2 * BELIEVED, 2 * BELIEVED + 50_000_000);
        assert_eq!(machine.time(), 2 * BELIEVED + 50_000_000);
        machine.reading.set(20);
        machine.pass(1_000, 1_000);
        assert_eq!(machine.time(), 2 * BELIEVED + 50_001_000, "the system is asked again");
    }

    #[test]
    fn the_time_of_this_machine_is_that_of_its_clock() {
        let (before, counter) = (Instant::now(), Counter::new());
        let began = Instant::now();
        for _ in 0..1_000_000 {
            let least = began.elapsed().as_nanos();
            let time = u128::from(counter.now());
            let most = before.elapsed().as_nanos();
            // A second may be off by a thousandth.
            assert!(least <= time + 1_000_000 && time <= most + 1_000_000, "{least} {time} {most}");
        }
    }
}
