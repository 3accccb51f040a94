//! Tests of one session between a caller and a worker, message by message.

use std::sync::Arc;
use std::time::Duration;

use brubeck_runtime::CallError;
use brubeck_runtime::protocol::*;
use brubeck_runtime::wire::v3::{
    ByteStr, CallRequest, Denial, Hello, MessageKind, OperationDeclaration, Position, RawMessage, VERSION,
    Welcome, WireMessage, WireReply, WireRequest, encode,
};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

pub(crate) const PEER: PeerId = PeerId(1);
pub(crate) const LINK: u64 = 1;
const IDENTITY: Bytes = Bytes::from_static(b"caller");

pub(crate) type Frames = Vec<Bytes>;

/// A caller and a worker. The test passes each message between them.
pub(crate) struct Pair {
    pub(crate) caller: Caller,
    pub(crate) worker: Worker,
    now: Moment,
    pub(crate) outcomes: Vec<(CallNumber, Result<WireReply, CallError>)>,
    pub(crate) started: Vec<(JobId, Arc<CallRequest>, Moment)>,
    /// The declarations of the caller, and those of the worker, that differ.
    pub(crate) differences: Vec<(OperationDeclaration, Option<OperationDeclaration>)>,
    dropped: Vec<&'static str>,
}

fn kind(frames: &Frames) -> MessageKind {
    RawMessage::read(frames)
        .expect("the message is valid")
        .head()
        .kind
}

impl Pair {
    pub(crate) fn new(caller: CallerConfig, worker: WorkerConfig) -> Self {
        let mut pair = Self {
            caller: Caller::new(caller, [1; 32]),
            worker: Worker::new(worker, [2; 32]),
            now: Duration::from_secs(1),
            outcomes: Vec::new(),
            started: Vec::new(),
            differences: Vec::new(),
            dropped: Vec::new(),
        };
        assert!(pair.caller_event(CallerEvent::AddPeer { peer: PEER }).is_empty());
        pair
    }

    fn default() -> Self {
        Self::new(CallerConfig::default(), WorkerConfig::default())
    }

    /// Passes an event to the caller. Returns the messages that it sends.
    pub(crate) fn caller_event(&mut self, event: CallerEvent) -> Vec<Frames> {
        let (mut actions, mut sent) = (Vec::new(), Vec::new());
        self.caller.handle_event(self.now, event, &mut actions);
        for action in actions {
            match action {
                CallerAction::Send { frames, .. } => sent.push(frames),
                CallerAction::Finish { call, outcome, .. } => self.outcomes.push((call, outcome)),
                CallerAction::DropLink { reason, .. } => self.dropped.push(reason),
                CallerAction::ContractDiffers { here, there, .. } => self.differences.push((here, there)),
                _ => {}
            }
        }
        sent
    }

    /// Passes an event to the worker. Returns the messages that it sends.
    pub(crate) fn worker_event(&mut self, event: WorkerEvent) -> Vec<Frames> {
        let (mut actions, mut sent) = (Vec::new(), Vec::new());
        self.worker.handle_event(self.now, event, &mut actions);
        for action in actions {
            match action {
                WorkerAction::Send { frames, peer } => {
                    assert_eq!(peer, IDENTITY);
                    sent.push(frames);
                }
                WorkerAction::Start {
                    job,
                    request,
                    deadline,
                    ..
                } => self.started.push((job, request, deadline)),
                _ => {}
            }
        }
        sent
    }

    pub(crate) fn send_to_caller(&mut self, frames: &Frames) -> Vec<Frames> {
        self.caller_event(CallerEvent::Frames {
            peer: PEER,
            link: LINK,
            frames: frames.clone(),
        })
    }

    pub(crate) fn send_to_worker(&mut self, frames: &Frames) -> Vec<Frames> {
        self.worker_event(WorkerEvent::Frames {
            peer: IDENTITY,
            frames: frames.clone(),
        })
    }

    /// Performs the handshake. Returns its two messages, of which the second is `welcome` or `denied`.
    pub(crate) fn open(&mut self) -> [Frames; 2] {
        let only = |mut sent: Vec<Frames>| {
            assert_eq!(sent.len(), 1, "{sent:?}");
            sent.remove(0)
        };
        let hello = only(self.caller_event(CallerEvent::LinkUp {
            peer: PEER,
            link: LINK,
        }));
        let result = only(self.send_to_worker(&hello));
        assert!(self.send_to_caller(&result).is_empty());
        [hello, result]
    }

    fn is_ready(&self) -> bool {
        self.caller
            .peers()
            .all(|peer| peer.state == ConnectivityState::Ready)
    }

    fn call(&mut self, number: u64) -> Vec<Frames> {
        self.call_with_timeout(number, Duration::from_secs(10))
    }

    fn call_with_timeout(&mut self, number: u64, timeout: Duration) -> Vec<Frames> {
        self.caller_event(CallerEvent::Call {
            call: CallNumber(number),
            request: CallRequest {
                body: Bytes::from(number.to_string()),
                ..CallRequest::new("request", "/work")
            }
            .into(),
            deadline: self.now + timeout,
            options: CallOptions::default(),
        })
    }

    pub(crate) fn reply(&mut self, job: JobId) -> Vec<Frames> {
        let body = Bytes::from_static(b"\"done\"");
        let reply = WireReply {
            status: 200,
            body,
            ..WireReply::default()
        };
        self.worker_event(WorkerEvent::Finished {
            job,
            reply: Some(reply),
        })
    }
}

/// Returns a hello of this version.
fn hello(version: u8) -> Frames {
    let hello = Hello {
        version,
        features: 0,
        heartbeat_ms: 1000,
        max_body: 1 << 20,
        name: ByteStr::default(),
        service: ByteStr::default(),
    };
    encode(&WireMessage::Hello(hello), Position::NONE).unwrap()
}

pub(crate) fn decode(frames: &Frames) -> WireMessage {
    RawMessage::read(frames).unwrap().decode().unwrap()
}

#[test]
fn handshake_opens_session_for_calls() {
    let mut pair = Pair::default();
    let kinds = pair.open().map(|frames| kind(&frames));
    assert_eq!(kinds, [MessageKind::Hello, MessageKind::Welcome]);
    assert!(pair.is_ready());

    let request = pair.call(1);
    assert_eq!(kind(&request[0]), MessageKind::Request);
    assert!(pair.send_to_worker(&request[0]).is_empty());
    let (job, request_seen, deadline) = pair.started[0].clone();
    assert_eq!(
        (&request_seen.body[..], deadline),
        (&b"1"[..], pair.now + Duration::from_secs(10))
    );
    let reply = pair.reply(job);
    pair.send_to_caller(&reply[0]);
    assert!(matches!(&pair.outcomes[..], [(CallNumber(1), Ok(reply))] if reply.status == 200));
}

#[test]
fn unprotected_caller_is_denied_and_its_calls_say_so() {
    let worker = WorkerConfig {
        verified_only: true,
        ..WorkerConfig::default()
    };
    let mut pair = Pair::new(CallerConfig::default(), worker.clone());
    let [.., denied] = pair.open();
    assert_eq!(decode(&denied), WireMessage::Denied(Denial::NotSealed));
    assert_eq!(
        (pair.worker.counters().denied, pair.worker.view().sessions),
        (1, 0)
    );
    assert_eq!(pair.dropped, [Denial::NotSealed.advice()]);
    assert!(pair.call(1).is_empty());
    let (_, outcome) = &pair.outcomes[0];
    assert!(
        matches!(outcome, Err(CallError::Refused(reason)) if reason.contains("requires TLS")),
        "{outcome:?}"
    );

    let mut pair = Pair::new(CallerConfig::default(), worker);
    let verified = || WorkerEvent::Verified {
        peer: IDENTITY,
        key: None,
    };
    pair.worker_event(verified());
    pair.open();
    assert!(pair.is_ready());
    // The proof ends with the connection.
    pair.worker_event(WorkerEvent::PeerGone { peer: IDENTITY });
    let answer = pair.send_to_worker(&hello(VERSION));
    assert_eq!(decode(&answer[0]), WireMessage::Denied(Denial::NotSealed));
}

#[test]
fn caller_of_another_service_is_denied_and_its_calls_say_so() {
    let named = |caller: &'static str, worker: &'static str| {
        let caller = CallerConfig {
            service: ByteStr::from(caller),
            ..CallerConfig::default()
        };
        let worker = WorkerConfig {
            service: ByteStr::from(worker),
            ..WorkerConfig::default()
        };
        Pair::new(caller, worker)
    };
    for (caller, worker) in [("thumbs", "thumbs"), ("", "thumbs"), ("thumbs", ""), ("", "")] {
        let mut pair = named(caller, worker);
        pair.open();
        assert!(pair.is_ready(), "{caller} {worker}");
    }
    let mut pair = named("thumbs", "prices");
    let [.., denied] = pair.open();
    assert_eq!(decode(&denied), WireMessage::Denied(Denial::OtherService));
    assert!(pair.call(1).is_empty());
    let (_, outcome) = &pair.outcomes[0];
    assert!(
        matches!(outcome, Err(CallError::Refused(reason)) if reason.contains("another name")),
        "{outcome:?}"
    );
}

#[test]
fn connection_has_one_session() {
    let mut pair = Pair::default();
    let [hello, _] = pair.open();
    assert!(pair.send_to_worker(&hello).is_empty());
    assert_eq!(
        (pair.worker.counters().unexpected, pair.worker.view().sessions),
        (1, 1)
    );
    let request = pair.call(1).remove(0);
    pair.send_to_worker(&request);
    assert_eq!(pair.started.len(), 1);
}

#[test]
fn negotiates_lower_version_and_denies_unsupported_one() {
    let mut pair = Pair::default();
    let answer = pair.send_to_worker(&hello(VERSION + 1));
    assert!(matches!(
        decode(&answer[0]),
        WireMessage::Welcome(Welcome { version: VERSION, .. })
    ));

    let mut pair = Pair::default();
    let answer = pair.send_to_worker(&hello(VERSION - 1));
    assert_eq!(decode(&answer[0]), WireMessage::Denied(Denial::Version));
}

#[test]
fn drops_repeated_messages() {
    let mut pair = Pair::default();
    let [_, welcome] = pair.open();
    let first = pair.call(1).remove(0);
    let second = pair.call(2).remove(0);
    pair.send_to_worker(&first);
    pair.send_to_worker(&second);
    for repeated in [&second, &first] {
        assert!(pair.send_to_worker(repeated).is_empty());
    }
    assert_eq!(pair.started.len(), 2);
    assert_eq!(pair.worker.counters().duplicates, 2);

    let replies: Vec<Frames> = pair
        .started
        .clone()
        .into_iter()
        .flat_map(|(job, ..)| pair.reply(job))
        .collect();
    for reply in &replies {
        pair.send_to_caller(reply);
    }
    for repeated in [&replies[1], &replies[0], &welcome] {
        assert!(pair.send_to_caller(repeated).is_empty());
    }
    assert_eq!(pair.outcomes.len(), 2);
    assert_eq!(pair.caller.counters().duplicates, 3);
}

#[test]
fn drops_misdirected_messages() {
    let mut pair = Pair::default();
    pair.open();
    let request = pair.call(1).remove(0);
    // The request is sent from a different peer, and with the id of another session to both sides.
    let stranger = WorkerEvent::Frames {
        peer: Bytes::from_static(b"stranger"),
        frames: request.clone(),
    };
    assert!(pair.worker_event(stranger).is_empty());
    let mut head = request[0].to_vec();
    head[13] ^= 1;
    let other_session = [vec![Bytes::from(head)], request[1..].to_vec()].concat();
    pair.send_to_worker(&other_session);
    pair.send_to_caller(&other_session);
    let counters = pair.worker.counters();
    assert_eq!((counters.misdirected, counters.unknown_session), (1, 1));
    assert_eq!(pair.caller.counters().misdirected, 1);
    assert!(pair.started.is_empty());
}

#[test]
fn cancelled_call_never_finishes() {
    for late in [Duration::ZERO, Duration::from_millis(1), Duration::from_secs(60)] {
        let mut pair = Pair::default();
        pair.open();
        let request = pair.call(1).remove(0);
        pair.send_to_worker(&request);
        pair.now += Duration::from_secs(10) + late;
        let sent = pair.caller_event(CallerEvent::Cancel { call: CallNumber(1) });
        assert_eq!(kind(&sent[0]), MessageKind::Cancel);
        assert!(pair.outcomes.is_empty(), "{:?}", pair.outcomes);
        pair.caller_event(CallerEvent::Wake);
        assert!(pair.outcomes.is_empty(), "{:?}", pair.outcomes);
        assert_eq!((pair.caller.pending(), pair.caller.counters().cancelled), (0, 1));
    }
}

/// The caller is malicious.
#[test]
fn maximum_request_id_does_not_overflow() {
    for last in [u64::MAX, u64::MAX - 1] {
        let mut pair = Pair::default();
        let [_, welcome] = pair.open();
        let session = RawMessage::read(&welcome).unwrap().head().session;
        let send = |pair: &mut Pair, counter, message: &WireMessage| {
            let position = Position {
                session,
                counter,
                ack: 1,
            };
            let frames = encode(message, position).unwrap();
            pair.send_to_worker(&frames)
        };
        let request = WireMessage::Request(WireRequest {
            id: last,
            timeout_ms: 1000,
            more_waiting: true,
            call: CallRequest::new("request", "/work").into(),
        });
        send(&mut pair, 2, &request);
        assert_eq!(pair.started.len(), 1);
        let ping = WireMessage::Ping {
            stamp: u64::MAX,
            last_request_id: u64::MAX,
        };
        assert_eq!(kind(&send(&mut pair, u64::MAX, &ping)[0]), MessageKind::Pong);
        let (job, ..) = pair.started[0].clone();
        assert_eq!(kind(&pair.reply(job)[0]), MessageKind::Response);
        // No higher counter exists, so the session accepts no further messages and times out.
        assert!(send(&mut pair, u64::MAX, &ping).is_empty());
        assert_eq!(pair.worker.counters().duplicates, 1);
        pair.now += Duration::from_secs(3);
        assert_eq!(kind(&pair.worker_event(WorkerEvent::Wake)[0]), MessageKind::Bye);
    }
}

#[test]
fn heartbeat_interval_is_clamped_to_maximum_of_worker() {
    let caller = CallerConfig {
        heartbeat_interval: Duration::from_secs(600),
        ..CallerConfig::default()
    };
    let worker = WorkerConfig::default();
    let mut pair = Pair::new(caller, worker);
    pair.open();
    let opened = pair.now;
    // The timer of the grace period for connecting expires first.
    pair.now += Duration::from_secs(1);
    pair.caller_event(CallerEvent::Wake);
    assert_eq!(pair.caller.next_wake(), Some(opened + Duration::from_secs(60)));
}

#[test]
fn repeated_stalls_leave_one_timer() {
    let caller = CallerConfig::default();
    let worker = WorkerConfig {
        max_unacknowledged: 2,
        ..WorkerConfig::default()
    };
    let mut pair = Pair::new(caller, worker);
    pair.open();
    let mut number = 0;
    let mut send_calls = |pair: &mut Pair, count| {
        let mut messages = Vec::new();
        for _ in 0..count {
            number += 1;
            let request = pair.call(number).remove(0);
            messages.extend(pair.send_to_worker(&request));
        }
        for (job, ..) in std::mem::take(&mut pair.started) {
            messages.extend(pair.reply(job));
        }
        messages
    };
    for _ in 0..500 {
        let replies = send_calls(&mut pair, 3);
        assert_eq!((replies.len(), pair.worker.view().held), (2, 1));
        for reply in &replies {
            pair.send_to_caller(reply);
        }
        // The next request acknowledges both replies, which releases the third one.
        let replies = send_calls(&mut pair, 1);
        assert_eq!((replies.len(), pair.worker.view().held), (2, 0));
        for reply in &replies {
            pair.send_to_caller(reply);
        }
    }
    assert_eq!(pair.outcomes.len(), 2000);
    // Timers of calls that have ended are removed in batches.
    assert!(pair.worker.view().timer_count < 150, "{:?}", pair.worker.view());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// The worker reacts to garbage at most with messages, no call ends, and an open session remains usable.
    #[test]
    fn arbitrary_messages_do_no_harm(
        noise in vec(vec(vec(any::<u8>(), 0..120), 0..3), 1..20),
        kinds in vec((1_u8..=15, any::<bool>()), 20),
        open in any::<bool>(),
    ) {
        let mut pair = Pair::default();
        if open {
            pair.open();
        }
        for (frames, (kind, valid_prefix)) in noise.into_iter().zip(kinds) {
            let frames: Frames = frames
                .into_iter()
                .map(|frame| {
                    if valid_prefix {
                        [b"\xb2brb\x02".to_vec(), vec![kind], frame].concat().into()
                    } else {
                        frame.into()
                    }
                })
                .collect();
            pair.send_to_caller(&frames);
            let mut actions = Vec::new();
            let peer = Bytes::from_static(b"stranger");
            pair.worker.handle_event(pair.now, WorkerEvent::Frames { peer, frames }, &mut actions);
            let only_sends = actions.iter().all(|action| {
                matches!(
                    action,
                    WorkerAction::Send { .. } | WorkerAction::SessionOpened { .. } | WorkerAction::Denied { .. }
                )
            });
            prop_assert!(only_sends, "{:?}", actions);
        }
        prop_assert!(pair.outcomes.is_empty() && pair.started.is_empty());
        if open {
            prop_assert!(pair.is_ready());
            let request = pair.call(1).remove(0);
            pair.send_to_worker(&request);
            prop_assert_eq!(pair.started.len(), 1);
        }
    }
}

#[test]
fn queues_bursts_and_sheds_load_during_overload() {
    let worker = WorkerConfig {
        concurrency: 4,
        ..WorkerConfig::default()
    };
    let caller = CallerConfig::default();
    let mut pair = Pair::new(caller, worker);
    pair.open();
    let exchange = |pair: &mut Pair, requests: Vec<Frames>| {
        let mut requests = std::collections::VecDeque::from(requests);
        while let Some(request) = requests.pop_front() {
            let mut messages = pair.send_to_worker(&request);
            while let Some((job, ..)) = pair.started.pop() {
                messages.extend(pair.reply(job));
            }
            for frames in messages {
                requests.extend(pair.send_to_caller(&frames));
            }
        }
    };
    let busy = |pair: &Pair| {
        let refused = pair.outcomes.iter();
        refused
            .filter(|(_, outcome)| matches!(outcome, Err(CallError::Busy { .. })))
            .count()
    };
    // The caller measures with the first call that a call takes 20 ms.
    let first = pair.call(1);
    pair.now += Duration::from_millis(20);
    exchange(&mut pair, first);

    let mut requests: Vec<Frames> = (2..258).flat_map(|number| pair.call(number)).collect();
    assert!(pair.caller.queued() > 200 && requests.len() < 20);
    assert_eq!(busy(&pair), 0, "a burst is not an overload");
    let short_timeout = Duration::from_millis(100);
    requests.extend(pair.call_with_timeout(300, short_timeout));
    assert_eq!(busy(&pair), 1, "the call could not meet its deadline");
    requests.extend(pair.call(301));
    assert_eq!(busy(&pair), 1, "a call with a much longer timeout is queued");
    exchange(&mut pair, requests);
    assert_eq!((pair.outcomes.len(), pair.caller.pending()), (259, 0));

    // During the overload, calls are accepted only if a worker has room.
    let free = pair.caller.peers().map(|peer| peer.free).sum::<usize>() as u64;
    let mut requests: Vec<Frames> = (400..400 + free)
        .flat_map(|number| pair.call_with_timeout(number, short_timeout))
        .collect();
    assert_eq!((busy(&pair), pair.caller.queued()), (1, 0));
    requests.extend(pair.call_with_timeout(500, short_timeout));
    assert_eq!((busy(&pair), pair.caller.queued()), (2, 0));

    // After the cooldown, calls are queued again.
    exchange(&mut pair, requests);
    pair.now += Duration::from_secs(1);
    let requests: Vec<Frames> = (600..=600 + free)
        .flat_map(|number| pair.call_with_timeout(number, short_timeout))
        .collect();
    assert_eq!((busy(&pair), pair.caller.queued()), (2, 1));
    exchange(&mut pair, requests);
    assert_eq!(pair.caller.pending(), 0);
}
