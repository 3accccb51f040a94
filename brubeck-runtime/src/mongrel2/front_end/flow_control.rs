//! How fast one client may be sent to: Mongrel2 drops a client for which more than 16 messages wait, and tells nobody.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// How many messages may be on their way to one client. Less than 16, because a close is a message too.
pub(in crate::mongrel2) const MOST: usize = 12;
/// How many bytes may be on their way where Mongrel2 says how many it wrote; one message may go beyond.
const BYTES: u64 = 4 << 20;
/// Where nobody says what was written, a message counts as written after this, ..
const APART: Duration = Duration::from_millis(2);
/// .. or after this where the client has asked for something else since, ..
const APART_ASKED: Duration = Duration::from_micros(250);
/// .. and after the time that a client takes for its bytes: so many in a second.
const RATE: u64 = 1 << 20;

/// What is on its way to one client, and when more may follow.
///
/// A message counts as written when Mongrel2 says so (with `download.flow_control`, or over its control port), or else
/// when a client with a slow line would have read it.
#[derive(Debug)]
pub(in crate::mongrel2) struct FlowControl {
    /// Bytes that may be sent, with `download.flow_control`; that setting replaces the limit of messages.
    credit: Option<u64>,
    /// Whether the control port tells what was written.
    watched: bool,
    sent: u64,
    written: u64,
    in_flight: VecDeque<InFlightMessage>,
}

#[derive(Debug)]
struct InFlightMessage {
    /// The bytes sent up to its end.
    end: u64,
    sent: Instant,
    /// When it counts as written though nobody said so.
    until: Option<Instant>,
}

/// What may be sent now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mongrel2) enum SendWindow {
    /// One message with so many bytes at most.
    For(u64),
    /// Nothing before then; where no time is known, before Mongrel2 says that it wrote something.
    After(Option<Instant>),
}

impl FlowControl {
    /// Of a client to which nothing is on its way. `credit`: what `download.flow_control` allows; `written`: what the
    /// control port says was written already, where there is one.
    pub(in crate::mongrel2) fn new(credit: Option<u64>, written: Option<u64>) -> FlowControl {
        FlowControl {
            credit,
            watched: written.is_some(),
            sent: written.unwrap_or(0),
            written: written.unwrap_or(0),
            in_flight: VecDeque::new(),
        }
    }

    pub(in crate::mongrel2) fn room(&mut self, now: Instant) -> SendWindow {
        if let Some(credit) = self.credit {
            return if credit > 0 {
                SendWindow::For(credit)
            } else {
                SendWindow::After(None)
            };
        }
        self.forget_written(now);
        let until = self.in_flight.front().and_then(|first| first.until);
        let waiting = self.sent.saturating_sub(self.written);
        if self.in_flight.len() < MOST && (waiting < BYTES || self.in_flight.is_empty() || !self.watched) {
            SendWindow::For(u64::MAX)
        } else {
            SendWindow::After(until)
        }
    }

    /// A message with so many bytes was handed over.
    pub(in crate::mongrel2) fn sent(&mut self, bytes: u64, now: Instant) {
        if let Some(credit) = &mut self.credit {
            *credit = credit.saturating_sub(bytes);
            return;
        }
        self.sent += bytes;
        let until = (!self.watched).then(|| {
            let before = self
                .in_flight
                .back()
                .and_then(|last| last.until)
                .map_or(now, |last| last.max(now));
            before + APART + Duration::from_micros(bytes.saturating_mul(1_000_000) / RATE)
        });
        self.in_flight.push_back(InFlightMessage {
            end: self.sent,
            sent: now,
            until,
        });
    }

    /// Mongrel2 wrote so many more bytes.
    pub(in crate::mongrel2) fn credited(&mut self, bytes: u64) {
        if let Some(credit) = &mut self.credit {
            *credit = credit.saturating_add(bytes);
        }
    }

    /// The control port said how many bytes were written in all.
    pub(in crate::mongrel2) fn written(&mut self, bytes: u64, now: Instant) {
        if self.watched {
            self.written = self.written.max(bytes);
            self.forget_written(now);
        }
    }

    /// A client that waits for its answer before it asks again has read what it was sent before.
    pub(in crate::mongrel2) fn asked_again(&mut self) {
        for message in &mut self.in_flight {
            let soon = message.sent + APART_ASKED;
            message.until = Some(message.until.map_or(soon, |until| until.min(soon)));
        }
    }

    /// The control port says nothing any more.
    pub(in crate::mongrel2) fn unwatched(&mut self, now: Instant) {
        self.watched = false;
        let mut until = now;
        for message in &mut self.in_flight {
            until += APART;
            message.until.get_or_insert(until);
        }
    }

    /// Whether nothing is known to be on its way, so that nothing need be remembered.
    pub(in crate::mongrel2) fn is_quiet(&mut self, now: Instant) -> bool {
        self.forget_written(now);
        self.credit.is_none() && !self.watched && self.in_flight.is_empty()
    }

    /// Whether bytes are counted, and not messages.
    pub(in crate::mongrel2) fn counts_bytes(&self) -> bool {
        self.credit.is_some()
    }

    /// Whether only the control port can tell when more may be sent.
    pub(in crate::mongrel2) fn waits_for_control(&self) -> bool {
        self.watched && self.credit.is_none() && !self.in_flight.is_empty()
    }

    fn forget_written(&mut self, now: Instant) {
        while let Some(first) = self.in_flight.front()
            && (first.end <= self.written || first.until.is_some_and(|until| until <= now))
        {
            self.in_flight.pop_front();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn never_more_than_the_most_are_on_their_way() {
        let now = Instant::now();
        for watched in [None, Some(0)] {
            let mut flow_control = FlowControl::new(None, watched);
            let mut sent = 0;
            while flow_control.room(now) == SendWindow::For(u64::MAX) {
                flow_control.sent(100, now);
                sent += 1;
            }
            assert_eq!(sent, MOST);
        }
    }

    #[test]
    fn what_was_written_makes_room() {
        let now = Instant::now();
        let mut flow_control = FlowControl::new(None, Some(0));
        for _ in 0..MOST {
            flow_control.sent(100, now);
        }
        assert_eq!(
            flow_control.room(now + Duration::from_secs(60)),
            SendWindow::After(None)
        );
        assert!(flow_control.waits_for_control());
        flow_control.written(199, now);
        assert_eq!(flow_control.room(now), SendWindow::For(u64::MAX));
        flow_control.sent(1, now);
        assert_eq!(flow_control.room(now), SendWindow::After(None));
        flow_control.unwatched(now);
        assert!(matches!(flow_control.room(now), SendWindow::After(Some(_))));
    }

    #[test]
    fn where_nobody_says_what_was_written_time_does() {
        let now = Instant::now();
        let mut flow_control = FlowControl::new(None, None);
        flow_control.sent(RATE, now);
        for _ in 1..MOST {
            flow_control.sent(1, now);
        }
        let SendWindow::After(Some(then)) = flow_control.room(now) else {
            panic!("no room");
        };
        assert!(then >= now + Duration::from_secs(1) && then < now + Duration::from_secs(2));
        assert_eq!(flow_control.room(then), SendWindow::For(u64::MAX));
        assert!(!flow_control.is_quiet(then));
        assert!(flow_control.is_quiet(then + Duration::from_secs(1)));
    }

    #[test]
    fn a_client_that_asks_again_has_read() {
        let now = Instant::now();
        for watched in [None, Some(0)] {
            let mut flow_control = FlowControl::new(None, watched);
            for _ in 0..MOST {
                flow_control.sent(10_000_000, now);
            }
            flow_control.asked_again();
            assert_eq!(flow_control.room(now + APART_ASKED), SendWindow::For(u64::MAX));
        }
    }

    #[test]
    fn credit_counts_bytes_and_not_messages() {
        let now = Instant::now();
        let mut flow_control = FlowControl::new(Some(1000), None);
        for _ in 0..99 {
            flow_control.sent(10, now);
        }
        assert_eq!(flow_control.room(now), SendWindow::For(10));
        flow_control.sent(10, now);
        assert_eq!(flow_control.room(now), SendWindow::After(None));
        flow_control.credited(500);
        assert_eq!(flow_control.room(now), SendWindow::For(500));
    }
}
