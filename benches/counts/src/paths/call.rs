//! The table of pending calls: beginning a call, and receiving its reply.

use super::{REPETITIONS, measure};
use crate::Result;
use brubeck_runtime::protocol::{
    CallNumber, CallOptions, Caller, CallerAction, CallerConfig, CallerEvent, Moment, PeerId, Worker,
    WorkerAction, WorkerConfig, WorkerEvent,
};
use brubeck_runtime::wire::v3::{CallRequest, WireReply};
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
        let mut pair = Pair {
            caller: Caller::new(CallerConfig::default(), [1; 32]),
            worker: Worker::new(WorkerConfig::default(), [2; 32]),
        };
        pair.handle_event(CallerEvent::AddPeer { peer: PEER });
        pair.handle_event(CallerEvent::LinkUp {
            peer: PEER,
            link: LINK,
        });
        pair
    }

    /// Handles an event, and exchanges frames until both sides are idle.
    fn handle_event(&mut self, event: CallerEvent) {
        let mut events = vec![event];
        while let Some(event) = events.pop() {
            for frames in frames_of(&mut self.caller, event) {
                events.extend(self.serve(frames).into_iter().map(frames_event));
            }
        }
    }

    /// Passes frames to the worker and returns its frames. Handlers finish immediately.
    fn serve(&mut self, frames: Vec<Bytes>) -> Vec<Vec<Bytes>> {
        let mut events = vec![WorkerEvent::Frames { peer: NAME, frames }];
        let mut responses = Vec::new();
        while let Some(event) = events.pop() {
            let mut actions = Vec::new();
            self.worker.handle_event(NOW, event, &mut actions);
            for action in actions {
                match action {
                    WorkerAction::Send { frames, .. } => responses.push(frames),
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
        responses
    }
}

fn call(number: u64) -> CallerEvent {
    CallerEvent::Call {
        call: CallNumber(number),
        request: CallRequest::new("request", "/service/slow").into(),
        deadline: NOW + Duration::from_secs(10),
        options: CallOptions::default(),
    }
}

fn frames_event(frames: Vec<Bytes>) -> CallerEvent {
    CallerEvent::Frames {
        peer: PEER,
        link: LINK,
        frames,
    }
}

fn frames_of(caller: &mut Caller, event: CallerEvent) -> Vec<Vec<Bytes>> {
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
    measure(
        || call(numbers.next().unwrap_or_default()),
        |event| frames_of(&mut caller, event),
    );
    if caller.pending() as u64 == REPETITIONS + 1 {
        Ok(())
    } else {
        Err("the calls are not pending".into())
    }
}

pub(super) fn reply() -> Result {
    let mut pair = Pair::new();
    // Send all calls first, because `measure` takes the replies in the order of the calls.
    let mut responses = Vec::new();
    for number in 0..=REPETITIONS {
        for frames in frames_of(&mut pair.caller, call(number)) {
            responses.extend(pair.serve(frames));
        }
    }
    let Pair { mut caller, .. } = pair;
    let mut responses = responses.into_iter();
    measure(
        || frames_event(responses.next().unwrap_or_default()),
        |event| frames_of(&mut caller, event),
    );
    match caller.pending() {
        0 => Ok(()),
        left => Err(format!("{left} calls got no reply").into()),
    }
}
