//! The table of calls that wait: one more begins, one is answered.

use super::{TIMES, walk};
use crate::Result;
use brubeck::protocol::{
    CallId, CallOptions, Caller, CallerAction, CallerConfig, CallerEvent, Moment, PeerId, Worker,
    WorkerAction, WorkerConfig, WorkerEvent,
};
use brubeck::wire::service::Secret;
use brubeck::wire::v2::{CallRequest, WireReply};
use bytes::Bytes;
use std::time::Duration;

const PEER: PeerId = PeerId(1);
const LINK: u64 = 1;
const NAME: Bytes = Bytes::from_static(b"the caller");
const NOW: Moment = Duration::from_secs(1);

/// A caller and a worker with a session between them.
struct Pair {
    caller: Caller,
    worker: Worker,
}

impl Pair {
    fn new() -> Pair {
        let passphrase = Secret::new("my_shared_secret");
        let caller = CallerConfig {
            passphrase: passphrase.clone(),
            ..CallerConfig::default()
        };
        let worker = WorkerConfig {
            passphrase,
            ..WorkerConfig::default()
        };
        let mut pair = Pair {
            caller: Caller::new(caller, [1; 32]),
            worker: Worker::new(worker, [2; 32]),
        };
        pair.tell(CallerEvent::AddPeer { peer: PEER });
        pair.tell(CallerEvent::LinkUp {
            peer: PEER,
            link: LINK,
        });
        pair
    }

    /// Until neither has more to say because of this.
    fn tell(&mut self, event: CallerEvent) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for frames in sent(&mut self.caller, event) {
                events.extend(self.ask(frames).into_iter().map(heard));
            }
        }
    }

    /// What a worker answers; its handler is done at once.
    fn ask(&mut self, frames: Vec<Bytes>) -> Vec<Vec<Bytes>> {
        let mut events = vec![WorkerEvent::Frames { peer: NAME, frames }];
        let mut answers = Vec::new();
        while let Some(event) = events.pop() {
            let mut actions = Vec::new();
            self.worker.handle_event(NOW, event, &mut actions);
            for action in actions {
                match action {
                    WorkerAction::Send { frames, .. } => answers.push(frames),
                    WorkerAction::Start { job, .. } => events.push(WorkerEvent::Finished {
                        job,
                        reply: Some(WireReply {
                            status: 200,
                            body: Bytes::from_static(b"\"done\""),
                            ..WireReply::default()
                        }),
                    }),
                    _ => {}
                }
            }
        }
        answers
    }
}

fn call(number: u64) -> CallerEvent {
    CallerEvent::Call {
        call: CallId(number),
        request: CallRequest::new("request", "/service/slow").into(),
        deadline: NOW + Duration::from_secs(10),
        options: CallOptions::default(),
    }
}

fn heard(frames: Vec<Bytes>) -> CallerEvent {
    CallerEvent::Frames {
        peer: PEER,
        link: LINK,
        frames,
    }
}

fn sent(caller: &mut Caller, event: CallerEvent) -> Vec<Vec<Bytes>> {
    let mut actions = Vec::new();
    caller.handle_event(NOW, event, &mut actions);
    let sends = actions.into_iter().filter_map(|action| match action {
        CallerAction::Send { frames, .. } => Some(frames),
        _ => None,
    });
    sends.collect()
}

pub(super) fn begin() -> Result {
    let Pair { mut caller, .. } = Pair::new();
    let mut numbers = 1..;
    walk(
        || call(numbers.next().unwrap_or_default()),
        |event| sent(&mut caller, event),
    );
    match caller.pending() as u64 == TIMES + 1 {
        true => Ok(()),
        false => Err("the caller did not call".into()),
    }
}

pub(super) fn reply() -> Result {
    let mut pair = Pair::new();
    // All calls before the first answer is heard, since answers are made in the order of the calls.
    let mut answers = Vec::new();
    for number in 0..=TIMES {
        for frames in sent(&mut pair.caller, call(number)) {
            answers.extend(pair.ask(frames));
        }
    }
    let Pair { mut caller, .. } = pair;
    let mut answers = answers.into_iter();
    walk(
        || heard(answers.next().unwrap_or_default()),
        |event| sent(&mut caller, event),
    );
    match caller.pending() {
        0 => Ok(()),
        left => Err(format!("{left} calls were not answered").into()),
    }
}
