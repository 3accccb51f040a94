//! Flow control for one client: Mongrel2 disconnects a client without a notice if more than 16 messages for it are
//! waiting.
//!
//! There are three ways to decide whether a further message may be sent:
//!
//! * With `download.flow_control`, Mongrel2 grants credit in bytes, and does not limit the number of messages.
//! * With the control port, Mongrel2 reports the number of bytes that it has written to each client.
//! * Otherwise a message is assumed to be written once a client with a slow connection would have read it.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// Limit of messages in flight to one client. It is less than 16 because a close is a message, too, and is not counted
/// here.
pub(in crate::mongrel2) const MAX_IN_FLIGHT_MESSAGES: usize = 12;

/// Limit of bytes in flight to one client if the control port reports what was written. The last message may exceed it.
const MAX_IN_FLIGHT_BYTES: u64 = 4 << 20;

/// Limit of bytes in one message if the control port reports what was written. Mongrel2 counts a message when all of it is written, so a
/// client that reads a larger one would seem to read nothing.
const MAX_MONITORED_MESSAGE_BYTES: u64 = 256 << 10;

/// Time after which a message is assumed to be written, in addition to the time that its bytes take at
/// [`ASSUMED_READ_RATE`].
const ASSUMED_WRITE_TIME: Duration = Duration::from_millis(2);

/// The same for a client with more data waiting than the next message. The messages in flight are not needed to keep it busy then, and
/// Mongrel2 may have no time to write them at once, because it has to pass a burst to many clients.
const ASSUMED_BURST_WRITE_TIME: Duration = Duration::from_millis(40);

/// Time after which a message of any size is assumed to be written if the client has sent another request since: then
/// it has read the preceding response.
const ASSUMED_WRITE_TIME_AFTER_REQUEST: Duration = Duration::from_micros(250);

/// Time for a message to Mongrel2 to arrive.
const MAX_TRANSFER_TIME: Duration = Duration::from_millis(10);

/// Bytes that a client is assumed to read in a second.
const ASSUMED_READ_RATE: u64 = 1 << 20;

/// The messages in flight to one client, and the limits for further ones.
#[derive(Debug)]
pub(in crate::mongrel2) struct FlowControl {
    /// The number of bytes that may be sent, if `download.flow_control` is on. The other fields are not used then.
    credit: Option<u64>,
    /// `true` if the control port reports the number of written bytes.
    is_monitored: bool,
    bytes_sent: u64,
    bytes_written: u64,
    in_flight: VecDeque<InFlightMessage>,
    last_sent_at: Option<Instant>,
    /// `true` since more data was waiting than the next message, until all messages are written.
    is_burst: bool,
}

#[derive(Debug)]
struct InFlightMessage {
    /// The value of `bytes_sent` after this message.
    end: u64,
    bytes: u64,
    sent_at: Instant,
    /// The time at which it is assumed to be written. `None` if only the control port can report this.
    assumed_written_at: Option<Instant>,
}

/// What a report of the control port says about a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mongrel2) enum ReadReport {
    /// The client has read something, or nothing is in flight to it.
    Advanced,
    /// The client has read nothing since the report before, although a message was in flight, at least since this time.
    Stalled(Instant),
    /// Mongrel2 may not have received the messages in flight when it made the report.
    Unknown,
}

/// The permission to send a message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::mongrel2) enum SendWindow {
    /// One message with at most this many bytes may be sent now.
    Open(u64),
    /// No message may be sent before this time, or before Mongrel2 reports progress if there is no time.
    Closed(Option<Instant>),
}

impl FlowControl {
    /// Creates the state for a client without messages in flight.
    ///
    /// `credit` is the initial credit if `download.flow_control` is on. `bytes_written` is the number of
    /// bytes that Mongrel2 had written to the client before, if the control port is used.
    pub(in crate::mongrel2) fn new(credit: Option<u64>, bytes_written: Option<u64>) -> FlowControl {
        FlowControl {
            credit,
            is_monitored: bytes_written.is_some(),
            bytes_sent: bytes_written.unwrap_or(0),
            bytes_written: bytes_written.unwrap_or(0),
            in_flight: VecDeque::new(),
            last_sent_at: None,
            is_burst: false,
        }
    }

    /// Returns the permission to send the next message.
    pub(in crate::mongrel2) fn send_window(&mut self, now: Instant) -> SendWindow {
        if let Some(credit) = self.credit {
            return if credit > 0 {
                SendWindow::Open(credit)
            } else {
                SendWindow::Closed(None)
            };
        }
        self.remove_written(now);
        let unwritten = self.bytes_sent.saturating_sub(self.bytes_written);
        // If the client is not monitored, the assumed read rate limits the bytes.
        let bytes_fit = !self.is_monitored || unwritten < MAX_IN_FLIGHT_BYTES || self.in_flight.is_empty();
        if self.in_flight.len() < MAX_IN_FLIGHT_MESSAGES && bytes_fit {
            SendWindow::Open(if self.is_monitored {
                MAX_MONITORED_MESSAGE_BYTES
            } else {
                u64::MAX
            })
        } else {
            let oldest = self.in_flight.front();
            SendWindow::Closed(oldest.and_then(|message| message.assumed_written_at))
        }
    }

    /// Records that a message was passed to Mongrel2.
    pub(in crate::mongrel2) fn message_sent(&mut self, bytes: u64, now: Instant) {
        if let Some(credit) = &mut self.credit {
            *credit = credit.saturating_sub(bytes);
            return;
        }
        self.bytes_sent += bytes;
        self.last_sent_at = Some(now);
        let assumed_written_at = (!self.is_monitored).then(|| {
            // The client reads this message after the preceding one.
            let begins_at = self
                .in_flight
                .back()
                .and_then(|last| last.assumed_written_at)
                .map_or(now, |last| last.max(now));
            begins_at + self.assumed_time(bytes)
        });
        self.in_flight.push_back(InFlightMessage {
            end: self.bytes_sent,
            bytes,
            sent_at: now,
            assumed_written_at,
        });
    }

    /// Assumes that the messages in flight take longer, because the window is closed and more data waits than the next message. Returns the
    /// time at which the window opens, if it is known.
    pub(in crate::mongrel2) fn slow_down(&mut self) -> Option<Instant> {
        if self.credit.is_none() && !self.is_monitored && !self.is_burst {
            self.is_burst = true;
            let mut previous: Option<Instant> = None;
            for index in 0..self.in_flight.len() {
                let time = self
                    .in_flight
                    .get(index)
                    .map_or(Duration::ZERO, |message| self.assumed_time(message.bytes));
                if let Some(InFlightMessage {
                    sent_at,
                    assumed_written_at: Some(written_at),
                    ..
                }) = self.in_flight.get_mut(index)
                {
                    let begins_at = previous.map_or(*sent_at, |previous| previous.max(*sent_at));
                    *written_at = (begins_at + time).max(*written_at);
                    previous = Some(*written_at);
                }
            }
        }
        self.in_flight.front()?.assumed_written_at
    }

    /// Returns the time that a message is assumed to take once the messages before it are written.
    fn assumed_time(&self, bytes: u64) -> Duration {
        let read_time = Duration::from_micros(bytes.saturating_mul(1_000_000) / ASSUMED_READ_RATE);
        if self.is_burst {
            read_time.max(ASSUMED_BURST_WRITE_TIME)
        } else {
            read_time + ASSUMED_WRITE_TIME
        }
    }

    /// Adds credit that Mongrel2 granted.
    pub(in crate::mongrel2) fn add_credit(&mut self, bytes: u64) {
        if let Some(credit) = &mut self.credit {
            *credit = credit.saturating_add(bytes);
        }
    }

    /// Sets the total number of bytes that Mongrel2 has written to this client, as the control port reported it to a request at
    /// `requested_at`.
    pub(in crate::mongrel2) fn set_bytes_written(
        &mut self,
        bytes: u64,
        requested_at: Instant,
        now: Instant,
    ) -> ReadReport {
        if !self.is_monitored {
            self.begin_monitoring(bytes, requested_at, now);
            return ReadReport::Unknown;
        }
        let has_progress = bytes > self.bytes_written;
        self.bytes_written = self.bytes_written.max(bytes);
        self.remove_written(now);
        match self.in_flight.front() {
            Some(oldest) if !has_progress => {
                let received_at = oldest.sent_at + MAX_TRANSFER_TIME;
                if received_at > requested_at {
                    ReadReport::Unknown
                } else {
                    ReadReport::Stalled(received_at)
                }
            }
            _ => ReadReport::Advanced,
        }
    }

    /// Ends the estimates, if all messages are assumed to be written, and were sent before the request of the report.
    fn begin_monitoring(&mut self, bytes: u64, requested_at: Instant, now: Instant) {
        self.remove_written(now);
        let is_counted = self
            .last_sent_at
            .is_none_or(|sent_at| sent_at + MAX_TRANSFER_TIME <= requested_at);
        if self.credit.is_none() && self.in_flight.is_empty() && is_counted {
            self.is_monitored = true;
            (self.bytes_sent, self.bytes_written) = (bytes, bytes);
        }
    }

    /// Records that the client sent another request when no response was pending or queued. So it has probably read the
    /// responses, and they are assumed to be written earlier.
    pub(in crate::mongrel2) fn request_received(&mut self) {
        for message in &mut self.in_flight {
            let early = message.sent_at + ASSUMED_WRITE_TIME_AFTER_REQUEST;
            let time = message.assumed_written_at.map_or(early, |time| time.min(early));
            message.assumed_written_at = Some(time);
        }
    }

    /// Falls back to estimates, because a request to the control port failed.
    pub(in crate::mongrel2) fn control_port_lost(&mut self, now: Instant) {
        self.is_monitored = false;
        let mut time = now;
        for message in &mut self.in_flight {
            time += ASSUMED_WRITE_TIME;
            message.assumed_written_at.get_or_insert(time);
        }
    }

    /// Returns `true` if this state equals that of a new client, so it can be dropped. Always `false` with credit or the
    /// control port, whose state depends on what was sent before.
    pub(in crate::mongrel2) fn is_initial(&mut self, now: Instant) -> bool {
        self.remove_written(now);
        self.credit.is_none() && !self.is_monitored && self.in_flight.is_empty()
    }

    /// Returns `true` if Mongrel2 limits bytes, and not messages.
    pub(in crate::mongrel2) fn uses_credit(&self) -> bool {
        self.credit.is_some()
    }

    /// Returns `true` if a report of the control port can open the window, or open it earlier.
    pub(in crate::mongrel2) fn needs_control_port(&self) -> bool {
        self.is_monitored && self.credit.is_none() && !self.in_flight.is_empty()
    }

    /// Removes the messages that are written, or are assumed to be.
    fn remove_written(&mut self, now: Instant) {
        while let Some(oldest) = self.in_flight.front()
            && (oldest.end <= self.bytes_written || oldest.assumed_written_at.is_some_and(|time| time <= now))
        {
            self.in_flight.pop_front();
        }
        self.is_burst &= !self.in_flight.is_empty();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn limits_messages_in_flight() {
        let now = Instant::now();
        for bytes_written in [None, Some(0)] {
            let mut flow_control = FlowControl::new(None, bytes_written);
            let mut sent = 0;
            while let SendWindow::Open(100..) = flow_control.send_window(now) {
                flow_control.message_sent(100, now);
                sent += 1;
            }
            assert_eq!(sent, MAX_IN_FLIGHT_MESSAGES);
        }
    }

    #[test]
    fn report_of_control_port_opens_the_window() {
        let now = Instant::now();
        let mut flow_control = FlowControl::new(None, Some(0));
        for _ in 0..MAX_IN_FLIGHT_MESSAGES {
            flow_control.message_sent(100, now);
        }
        let later = now + Duration::from_secs(60);
        assert_eq!(flow_control.send_window(later), SendWindow::Closed(None));
        assert!(flow_control.needs_control_port());
        let soon = now + MAX_TRANSFER_TIME / 2;
        let mut report =
            |bytes, requested_at| flow_control.set_bytes_written(bytes, requested_at, requested_at);
        assert_eq!(report(0, soon), ReadReport::Unknown);
        assert_eq!(report(0, later), ReadReport::Stalled(now + MAX_TRANSFER_TIME));
        assert_eq!(report(199, later), ReadReport::Advanced);
        assert_eq!(
            flow_control.send_window(now),
            SendWindow::Open(MAX_MONITORED_MESSAGE_BYTES)
        );
        flow_control.message_sent(1, now);
        assert_eq!(flow_control.send_window(now), SendWindow::Closed(None));
        flow_control.control_port_lost(now);
        assert!(matches!(
            flow_control.send_window(now),
            SendWindow::Closed(Some(_))
        ));
    }

    #[test]
    fn late_report_ends_the_estimates() {
        let now = Instant::now();
        let later = now + Duration::from_secs(60);
        let mut flow_control = FlowControl::new(None, None);
        flow_control.message_sent(100, now);
        // It may not count the message.
        flow_control.set_bytes_written(1000, now, later);
        assert_eq!(flow_control.send_window(later), SendWindow::Open(u64::MAX));
        flow_control.set_bytes_written(1100, later, later);
        assert!(!flow_control.needs_control_port());
        flow_control.message_sent(100, later);
        assert!(flow_control.needs_control_port());
        let report = flow_control.set_bytes_written(1200, later, later);
        assert_eq!(report, ReadReport::Advanced);
        assert!(!flow_control.needs_control_port());
        // The port is lost for a while.
        flow_control.control_port_lost(later);
        flow_control.message_sent(100, later);
        assert!(!flow_control.needs_control_port());
    }

    #[test]
    fn window_opens_at_the_assumed_read_rate() {
        let now = Instant::now();
        let mut flow_control = FlowControl::new(None, None);
        flow_control.message_sent(ASSUMED_READ_RATE, now);
        for _ in 1..MAX_IN_FLIGHT_MESSAGES {
            flow_control.message_sent(1, now);
        }
        let SendWindow::Closed(Some(opens_at)) = flow_control.send_window(now) else {
            panic!("the window is open");
        };
        assert!(opens_at >= now + Duration::from_secs(1) && opens_at < now + Duration::from_secs(2));
        assert_eq!(flow_control.send_window(opens_at), SendWindow::Open(u64::MAX));
        assert!(!flow_control.is_initial(opens_at));
        assert!(flow_control.is_initial(opens_at + Duration::from_secs(1)));
    }

    #[test]
    fn burst_leaves_time_to_mongrel2() {
        let now = Instant::now();
        let mut flow_control = FlowControl::new(None, None);
        for _ in 0..MAX_IN_FLIGHT_MESSAGES {
            flow_control.message_sent(10, now);
        }
        let soon = SendWindow::Closed(Some(now + ASSUMED_WRITE_TIME + Duration::from_micros(9)));
        assert_eq!(flow_control.send_window(now), soon);
        let later = now + ASSUMED_BURST_WRITE_TIME;
        assert_eq!(flow_control.slow_down(), Some(later));
        assert_eq!(flow_control.send_window(now), SendWindow::Closed(Some(later)));
        assert_eq!(flow_control.slow_down(), Some(later));
        // Not more than one message in this time.
        let mut sent = 0;
        for millisecond in 0..400 {
            let now = later + Duration::from_millis(millisecond);
            while flow_control.send_window(now) == SendWindow::Open(u64::MAX) {
                flow_control.message_sent(10, now);
                sent += 1;
            }
        }
        assert_eq!(sent, 10);
        // A burst ends when everything is written.
        let end = later + 100 * ASSUMED_BURST_WRITE_TIME;
        assert_eq!(flow_control.send_window(end), SendWindow::Open(u64::MAX));
        flow_control.message_sent(10, end);
        assert!(flow_control.is_initial(end + ASSUMED_WRITE_TIME * 2));
    }

    #[test]
    fn next_request_opens_the_window() {
        let now = Instant::now();
        for bytes_written in [None, Some(0)] {
            let mut flow_control = FlowControl::new(None, bytes_written);
            for _ in 0..MAX_IN_FLIGHT_MESSAGES {
                flow_control.message_sent(10_000_000, now);
            }
            flow_control.request_received();
            assert!(matches!(
                flow_control.send_window(now + ASSUMED_WRITE_TIME_AFTER_REQUEST),
                SendWindow::Open(_)
            ));
        }
    }

    #[test]
    fn credit_limits_bytes_and_not_messages() {
        let now = Instant::now();
        let mut flow_control = FlowControl::new(Some(1000), None);
        for _ in 0..99 {
            flow_control.message_sent(10, now);
        }
        assert_eq!(flow_control.send_window(now), SendWindow::Open(10));
        flow_control.message_sent(10, now);
        assert_eq!(flow_control.send_window(now), SendWindow::Closed(None));
        flow_control.add_credit(500);
        assert_eq!(flow_control.send_window(now), SendWindow::Open(500));
    }
}
