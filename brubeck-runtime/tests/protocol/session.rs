//! A caller and a worker, message by message: what opens a session, and what is refused in one.

use std::sync::Arc;
use std::time::Duration;

use brubeck_runtime::CallError;
use brubeck_runtime::protocol::*;
use brubeck_runtime::wire::service::Secret;
use brubeck_runtime::wire::v2::{
    CallRequest, Denial, Hello, MessageKind, Position, RawMessage, SessionKeys, VERSION, WireMessage,
    WireReply, WireRequest, encode_unsealed, seal,
};
use bytes::Bytes;
use proptest::collection::vec;
use proptest::prelude::*;

const PEER: PeerId = PeerId(1);
const LINK: u64 = 1;
const NAME: Bytes = Bytes::from_static(b"the caller");

type Frames = Vec<Bytes>;

/// One of each, and a wire between them that does nothing by itself.
struct Pair {
    caller: Caller,
    worker: Worker,
    now: Moment,
    outcomes: Vec<(CallId, Result<WireReply, CallError>)>,
    started: Vec<(JobId, Arc<CallRequest>, Moment)>,
    dropped: Vec<&'static str>,
}

fn secret(text: &str) -> Secret {
    Secret::new(text.as_bytes().to_vec())
}

fn kind(frames: &Frames) -> MessageKind {
    RawMessage::read(frames).expect("a message of ours").head().kind
}

impl Pair {
    fn new(caller: CallerConfig, worker: WorkerConfig) -> Self {
        let mut pair = Self {
            caller: Caller::new(caller, [1; 32]),
            worker: Worker::new(worker, [2; 32]),
            now: Duration::from_secs(1),
            outcomes: Vec::new(),
            started: Vec::new(),
            dropped: Vec::new(),
        };
        assert!(pair.caller(CallerEvent::AddPeer { peer: PEER }).is_empty());
        pair
    }

    fn with(caller: &str, worker: &str) -> Self {
        Self::new(
            CallerConfig {
                passphrase: secret(caller),
                ..CallerConfig::default()
            },
            WorkerConfig {
                passphrase: secret(worker),
                ..WorkerConfig::default()
            },
        )
    }

    /// What the caller sends because of this.
    fn caller(&mut self, event: CallerEvent) -> Vec<Frames> {
        let (mut actions, mut sent) = (Vec::new(), Vec::new());
        self.caller.handle_event(self.now, event, &mut actions);
        for action in actions {
            match action {
                CallerAction::Send { frames, .. } => sent.push(frames),
                CallerAction::Finish { call, outcome } => self.outcomes.push((call, outcome)),
                CallerAction::DropLink { reason, .. } => self.dropped.push(reason),
                _ => {}
            }
        }
        sent
    }

    /// What the worker sends because of this.
    fn worker(&mut self, event: WorkerEvent) -> Vec<Frames> {
        let (mut actions, mut sent) = (Vec::new(), Vec::new());
        self.worker.handle_event(self.now, event, &mut actions);
        for action in actions {
            match action {
                WorkerAction::Send { frames, peer } => {
                    assert_eq!(peer, NAME);
                    sent.push(frames);
                }
                WorkerAction::Start {
                    job,
                    request,
                    deadline,
                } => self.started.push((job, request, deadline)),
                _ => {}
            }
        }
        sent
    }

    fn caller_hears(&mut self, frames: &Frames) -> Vec<Frames> {
        self.caller(CallerEvent::Frames {
            peer: PEER,
            link: LINK,
            frames: frames.clone(),
        })
    }

    fn worker_hears(&mut self, frames: &Frames) -> Vec<Frames> {
        self.worker(WorkerEvent::Frames {
            peer: NAME,
            frames: frames.clone(),
        })
    }

    /// Opens the session; the four messages.
    fn open(&mut self) -> [Frames; 4] {
        let only = |mut sent: Vec<Frames>| {
            assert_eq!(sent.len(), 1, "{sent:?}");
            sent.remove(0)
        };
        let hello = only(self.caller(CallerEvent::LinkUp {
            peer: PEER,
            link: LINK,
        }));
        let challenge = only(self.worker_hears(&hello));
        let proof = only(self.caller_hears(&challenge));
        let answer = only(self.worker_hears(&proof));
        assert!(self.caller_hears(&answer).is_empty());
        [hello, challenge, proof, answer]
    }

    fn is_ready(&self) -> bool {
        self.caller
            .peers()
            .all(|peer| peer.state == ConnectivityState::Ready)
    }

    fn call(&mut self, number: u64) -> Vec<Frames> {
        self.call_within(number, Duration::from_secs(10))
    }

    fn call_within(&mut self, number: u64, time: Duration) -> Vec<Frames> {
        self.caller(CallerEvent::Call {
            call: CallId(number),
            request: CallRequest {
                body: Bytes::from(number.to_string()),
                ..CallRequest::new("request", "/work")
            }
            .into(),
            deadline: self.now + time,
            options: CallOptions::default(),
        })
    }

    fn reply(&mut self, job: JobId) -> Vec<Frames> {
        let body = Bytes::from_static(b"\"done\"");
        let reply = WireReply {
            status: 200,
            body,
            ..WireReply::default()
        };
        self.worker(WorkerEvent::Finished {
            job,
            reply: Some(reply),
        })
    }
}

/// The frames, with one bit of the first one changed.
fn changed(frames: &Frames, at: usize) -> Frames {
    let mut frames = frames.clone();
    let mut head = frames[0].to_vec();
    head[at] ^= 1;
    frames[0] = head.into();
    frames
}

#[test]
fn four_messages_open_a_session() {
    let mut pair = Pair::with("secret", "secret");
    let kinds = pair.open().map(|frames| kind(&frames));
    assert_eq!(
        kinds,
        [
            MessageKind::Hello,
            MessageKind::Challenge,
            MessageKind::Proof,
            MessageKind::Welcome
        ]
    );
    assert!(pair.is_ready());

    let request = pair.call(1);
    assert_eq!(kind(&request[0]), MessageKind::Request);
    assert!(pair.worker_hears(&request[0]).is_empty());
    let (job, asked, deadline) = pair.started[0].clone();
    assert_eq!(
        (&asked.body[..], deadline),
        (&b"1"[..], pair.now + Duration::from_secs(10))
    );
    let reply = pair.reply(job);
    pair.caller_hears(&reply[0]);
    assert!(matches!(&pair.outcomes[..], [(CallId(1), Ok(reply))] if reply.status == 200));
}

#[test]
fn another_passphrase_opens_nothing_and_the_call_says_so() {
    let mut pair = Pair::with("secret", "Secret");
    let [.., answer] = pair.open();
    assert_eq!(kind(&answer), MessageKind::Denied);
    assert_eq!(
        (pair.worker.counters().denied, pair.worker.view().sessions),
        (1, 0)
    );
    assert_eq!(pair.dropped, ["the worker denied the session"]);
    assert!(pair.call(1).is_empty());
    let (_, outcome) = &pair.outcomes[0];
    assert!(
        matches!(outcome, Err(CallError::Refused(why)) if why.contains("passphrase")),
        "{outcome:?}"
    );
}

#[test]
fn a_worker_that_does_not_know_the_passphrase_gets_no_call() {
    let mut pair = Pair::with("secret", "secret");
    let mut thief = Pair::with("guess", "guess");
    thief.open();
    let hello = pair.caller(CallerEvent::LinkUp {
        peer: PEER,
        link: LINK,
    });
    let challenge = thief.worker(WorkerEvent::Frames {
        peer: NAME,
        frames: hello[0].clone(),
    });
    assert_eq!(kind(&pair.caller_hears(&challenge[0])[0]), MessageKind::Proof);
    // It cannot write a welcome with the right code, so it tries with one of another session.
    let mut other = Pair::with("guess", "guess");
    let [_, _, _, welcome] = other.open();
    pair.caller_hears(&welcome);
    assert!(!pair.is_ready());
    assert!(pair.call(1).is_empty(), "a request went to who knows whom");
    assert_eq!(pair.caller.counters().forged, 1);
}

#[test]
fn the_passphrase_before_is_good_while_it_is_changed() {
    let mut pair = Pair::new(
        CallerConfig {
            passphrase: secret("old"),
            ..CallerConfig::default()
        },
        WorkerConfig {
            passphrase: secret("new"),
            previous_passphrase: Some(secret("old")),
            ..WorkerConfig::default()
        },
    );
    pair.open();
    assert!(pair.is_ready());
}

#[test]
fn a_hello_that_comes_again_gets_the_same_challenge_and_not_for_ever() {
    let mut pair = Pair::with("secret", "secret");
    let hello = pair.caller(CallerEvent::LinkUp {
        peer: PEER,
        link: LINK,
    });
    let first = pair.worker_hears(&hello[0]);
    for _ in 1..8 {
        assert_eq!(pair.worker_hears(&hello[0]), first);
    }
    assert!(pair.worker_hears(&hello[0]).is_empty(), "more than 8 challenges");
}

#[test]
fn the_lower_version_of_the_two_is_spoken() {
    let hello = |version| {
        let hello = Hello {
            version,
            features: 0,
            nonce: [7; 32],
        };
        encode_unsealed(&WireMessage::Hello(hello), 0).unwrap()
    };
    let open = |frames: &Frames| {
        RawMessage::read(frames)
            .unwrap()
            .decode_unsealed()
            .unwrap()
            .unwrap()
    };

    let mut pair = Pair::with("secret", "secret");
    let answer = pair.worker_hears(&hello(VERSION + 1));
    assert!(matches!(
        open(&answer[0]),
        WireMessage::Challenge(Hello { version: VERSION, .. })
    ));

    let mut pair = Pair::with("secret", "secret");
    let answer = pair.worker_hears(&hello(VERSION - 1));
    assert_eq!(open(&answer[0]), WireMessage::Denied(Denial::Version));
}

#[test]
fn a_message_that_comes_again_is_dropped() {
    let mut pair = Pair::with("secret", "secret");
    let [_, _, proof, welcome] = pair.open();
    let first = pair.call(1).remove(0);
    let second = pair.call(2).remove(0);
    pair.worker_hears(&first);
    pair.worker_hears(&second);
    // The same, one from before, and the one that opened the session.
    for again in [&second, &first, &proof] {
        assert!(pair.worker_hears(again).is_empty());
    }
    assert_eq!(pair.started.len(), 2);
    assert_eq!(pair.worker.counters().replayed, 3);

    let replies: Vec<Frames> = pair
        .started
        .clone()
        .into_iter()
        .flat_map(|(job, ..)| pair.reply(job))
        .collect();
    for reply in &replies {
        pair.caller_hears(reply);
    }
    for again in [&replies[1], &replies[0], &welcome] {
        assert!(pair.caller_hears(again).is_empty());
    }
    assert_eq!(pair.outcomes.len(), 2);
    assert_eq!(pair.caller.counters().replayed, 3);
}

/// Session, counter and ack stand behind the code like everything else.
#[test]
fn no_bit_of_a_head_can_be_changed() {
    let mut pair = Pair::with("secret", "secret");
    pair.open();
    let request = pair.call(1).remove(0);
    for at in 0..request[0].len() {
        assert!(pair.worker_hears(&changed(&request, at)).is_empty(), "byte {at}");
        assert!(pair.started.is_empty(), "byte {at}");
    }
    pair.worker_hears(&request);
    let (job, ..) = pair.started[0].clone();
    let reply = pair.reply(job).remove(0);
    for at in 0..reply[0].len() {
        assert!(pair.caller_hears(&changed(&reply, at)).is_empty(), "byte {at}");
        assert!(pair.outcomes.is_empty(), "byte {at}");
    }
    // None of that did any harm: the counter of a forged message is not believed.
    pair.caller_hears(&reply);
    assert_eq!(pair.outcomes.len(), 1);
}

#[test]
fn a_message_is_good_only_where_it_was_sent_to() {
    let mut pair = Pair::with("secret", "secret");
    pair.open();
    let request = pair.call(1).remove(0);
    // From another peer, to another worker with the same passphrase, and back to where it came from.
    let stranger = WorkerEvent::Frames {
        peer: Bytes::from_static(b"somebody else"),
        frames: request.clone(),
    };
    assert!(pair.worker(stranger).is_empty());
    let mut other = Pair::with("secret", "secret");
    other.open();
    other
        .worker
        .handle_event(other.now, WorkerEvent::PeerGone { peer: NAME }, &mut Vec::new());
    assert!(other.worker_hears(&request).is_empty());
    pair.caller_hears(&request);
    assert_eq!(
        (pair.worker.counters().forged, pair.caller.counters().forged),
        (1, 1)
    );
    assert!(pair.started.is_empty() && other.started.is_empty());
}

#[test]
fn nothing_follows_a_call_that_was_given_up_however_late() {
    for late in [Duration::ZERO, Duration::from_millis(1), Duration::from_secs(60)] {
        let mut pair = Pair::with("secret", "secret");
        pair.open();
        let request = pair.call(1).remove(0);
        pair.worker_hears(&request);
        pair.now += Duration::from_secs(10) + late;
        let sent = pair.caller(CallerEvent::Cancel { call: CallId(1) });
        assert_eq!(kind(&sent[0]), MessageKind::Cancel);
        assert!(pair.outcomes.is_empty(), "{:?}", pair.outcomes);
        pair.caller(CallerEvent::Wake);
        assert!(pair.outcomes.is_empty(), "{:?}", pair.outcomes);
        assert_eq!((pair.caller.pending(), pair.caller.counters().cancelled), (0, 1));
    }
}

/// A caller that knows the passphrase and means no good.
#[test]
fn the_last_id_there_is_breaks_nothing() {
    for last in [u64::MAX, u64::MAX - 1] {
        let mut pair = Pair::with("secret", "secret");
        let [hello, challenge, ..] = pair.open();
        let keys = SessionKeys::derive(&secret("secret"), &hello[0], &challenge[0]);
        let session = RawMessage::read(&challenge).unwrap().head().session;
        let say = |pair: &mut Pair, counter, message: &WireMessage| {
            let position = Position {
                session,
                counter,
                ack: 1,
            };
            let frames = seal(message, position, &keys.to_worker).unwrap();
            pair.worker_hears(&frames)
        };
        let request = WireMessage::Request(WireRequest {
            id: last,
            timeout_ms: 1000,
            more_waiting: true,
            call: CallRequest::new("request", "/work").into(),
        });
        say(&mut pair, 2, &request);
        assert_eq!(pair.started.len(), 1);
        let ping = WireMessage::Ping {
            stamp: u64::MAX,
            last_request_id: u64::MAX,
        };
        assert_eq!(kind(&say(&mut pair, u64::MAX, &ping)[0]), MessageKind::Pong);
        let (job, ..) = pair.started[0].clone();
        assert_eq!(kind(&pair.reply(job)[0]), MessageKind::Reply);
        // No counter is higher, so this session hears nothing more, and ends by itself.
        assert!(say(&mut pair, u64::MAX, &ping).is_empty());
        assert_eq!(pair.worker.counters().replayed, 1);
        pair.now += Duration::from_secs(3);
        assert_eq!(kind(&pair.worker(WorkerEvent::Wake)[0]), MessageKind::Bye);
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    /// Whatever is sent to whom, before and after a session is open, it costs nobody anything.
    #[test]
    fn any_bytes_do_no_harm(
        noise in vec(vec(vec(any::<u8>(), 0..120), 0..3), 1..20),
        kinds in vec((1_u8..=15, any::<bool>()), 20),
        open in any::<bool>(),
    ) {
        let mut pair = Pair::with("secret", "secret");
        if open {
            pair.open();
        }
        for (frames, (kind, like_ours)) in noise.into_iter().zip(kinds) {
            let frames: Frames = frames
                .into_iter()
                .map(|frame| match like_ours {
                    true => [b"\xb2brb\x02".to_vec(), vec![kind], frame].concat().into(),
                    false => frame.into(),
                })
                .collect();
            pair.caller_hears(&frames);
            let mut actions = Vec::new();
            let peer = Bytes::from_static(b"somebody else");
            pair.worker.handle_event(pair.now, WorkerEvent::Frames { peer, frames }, &mut actions);
            let only_says = actions.iter().all(|action| matches!(action, WorkerAction::Send { .. }));
            prop_assert!(only_says, "{:?}", actions);
        }
        prop_assert!(pair.outcomes.is_empty() && pair.started.is_empty());
        if open {
            prop_assert!(pair.is_ready());
            let request = pair.call(1).remove(0);
            pair.worker_hears(&request);
            prop_assert_eq!(pair.started.len(), 1);
        }
    }
}

#[test]
fn a_burst_waits_and_what_comes_while_calls_must_be_refused_does_not() {
    let worker = WorkerConfig {
        passphrase: secret("secret"),
        concurrency: 4,
        ..WorkerConfig::default()
    };
    let caller = CallerConfig {
        passphrase: secret("secret"),
        ..CallerConfig::default()
    };
    let mut pair = Pair::new(caller, worker);
    pair.open();
    let exchange = |pair: &mut Pair, requests: Vec<Frames>| {
        let mut requests = std::collections::VecDeque::from(requests);
        while let Some(request) = requests.pop_front() {
            let mut said = pair.worker_hears(&request);
            while let Some((job, ..)) = pair.started.pop() {
                said.extend(pair.reply(job));
            }
            for frames in said {
                requests.extend(pair.caller_hears(&frames));
            }
        }
    };
    let busy = |pair: &Pair| {
        let refused = pair.outcomes.iter();
        refused
            .filter(|(_, outcome)| matches!(outcome, Err(CallError::Busy { .. })))
            .count()
    };
    // A call takes 20 ms.
    let first = pair.call(1);
    pair.now += Duration::from_millis(20);
    exchange(&mut pair, first);

    let mut requests: Vec<Frames> = (2..258).flat_map(|number| pair.call(number)).collect();
    assert!(pair.caller.queued() > 200 && requests.len() < 20);
    assert_eq!(busy(&pair), 0, "a burst is no overload");
    let hurried = Duration::from_millis(100);
    requests.extend(pair.call_within(300, hurried));
    assert_eq!(busy(&pair), 1, "it could not be in time");
    requests.extend(pair.call(301));
    assert_eq!(busy(&pair), 1, "one with much more time waits");
    exchange(&mut pair, requests);
    assert_eq!((pair.outcomes.len(), pair.caller.pending()), (259, 0));

    // What finds a position is taken, and what would have to wait for one is not.
    let places = pair.caller.peers().map(|peer| peer.free).sum::<usize>() as u64;
    let mut requests: Vec<Frames> = (400..400 + places)
        .flat_map(|number| pair.call_within(number, hurried))
        .collect();
    assert_eq!((busy(&pair), pair.caller.queued()), (1, 0));
    requests.extend(pair.call_within(500, hurried));
    assert_eq!((busy(&pair), pair.caller.queued()), (2, 0));

    // After a while in which nothing had to be refused, calls wait again.
    exchange(&mut pair, requests);
    pair.now += Duration::from_secs(1);
    let requests: Vec<Frames> = (600..=600 + places)
        .flat_map(|number| pair.call_within(number, hurried))
        .collect();
    assert_eq!((busy(&pair), pair.caller.queued()), (2, 1));
    exchange(&mut pair, requests);
    assert_eq!(pair.caller.pending(), 0);
}
