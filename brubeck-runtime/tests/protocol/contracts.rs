//! Tests of operations that the caller and the worker declare differently.

use crate::session::{Frames, Pair, decode};
use brubeck_runtime::protocol::*;
use brubeck_runtime::wire::v3::{
    CallRequest, ErrorCode, OPERATION_LIST, OperationDeclaration, Outcome, Position, RawMessage,
    ServedOperations, WireMessage, WireReply, encode, name_digest,
};
use std::time::Duration;

/// The pin of a key that is not that of the caller.
const OTHER_KEY: &str = "36153721245d77fd27a665ca43f7ae61ca18f1ad2453963860cfdc9735bb5f73";

const HERE: &str = "image: Bytes\nwidth: u32\nBytes\nProblem";
const THERE: &str = "image: Bytes\nwidth: u64\nBytes\nProblem";

/// A digest for tests.
fn digest(declaration: &str) -> u64 {
    name_digest(declaration)
}

fn resize(declaration: &str) -> OperationDeclaration {
    OperationDeclaration::parse("thumbs::resize", digest(declaration), declaration)
}

/// Returns a caller and a worker, which serves an operation with this declaration.
fn pair_of(there: &str, worker: WorkerConfig) -> Pair {
    let worker = WorkerConfig {
        operations: ServedOperations::new([resize(there)]),
        ..worker
    };
    let mut pair = Pair::new(CallerConfig::default(), worker);
    pair.open();
    pair
}

/// Calls an operation that the caller declares as [`HERE`].
fn call(pair: &mut Pair, number: u64, operation: &'static str) -> Vec<Frames> {
    pair.caller_event(CallerEvent::Call {
        call: CallNumber(number),
        request: CallRequest {
            operation: operation.into(),
            contract: digest(HERE),
            ..CallRequest::new("request", "/thumbs/resize")
        }
        .into(),
        deadline: Duration::from_secs(10),
        options: CallOptions {
            declaration: Some(HERE),
            ..CallOptions::default()
        },
    })
}

fn operations(sent: &[Frames]) -> Vec<String> {
    let requests = sent.iter().filter_map(|frames| match decode(frames) {
        WireMessage::Request(request) => Some(request.call.operation.to_string()),
        _ => None,
    });
    requests.collect()
}

#[test]
fn equal_declarations_need_no_list() {
    let mut pair = pair_of(HERE, WorkerConfig::default());
    let sent = call(&mut pair, 1, "thumbs::resize");
    assert_eq!(operations(&sent), ["thumbs::resize"]);
}

#[test]
fn list_of_the_worker_says_what_differs_once_and_starts_no_handler() {
    let mut pair = pair_of(THERE, WorkerConfig::default());
    let sent = call(&mut pair, 1, "thumbs::resize");
    assert_eq!(operations(&sent), ["thumbs::resize", OPERATION_LIST]);
    assert!(pair.send_to_worker(&sent[0]).is_empty());
    let list = pair.send_to_worker(&sent[1]);
    assert_eq!(pair.started.len(), 1);
    pair.send_to_caller(&list[0]);

    let (here, there) = pair.differences.pop().unwrap();
    assert_eq!(
        here.difference(&there.unwrap(), "tcp://a"),
        "argument `width`: `u32` here, `u64` at tcp://a"
    );
    let (job, ..) = pair.started[0].clone();
    let reply = pair.reply(job);
    pair.send_to_caller(&reply[0]);
    assert!(matches!(&pair.outcomes[..], [(CallNumber(1), Ok(_))]));
    assert_eq!(pair.caller.counters().late, 0);

    let sent = call(&mut pair, 2, "thumbs::resize");
    assert_eq!(operations(&sent), ["thumbs::resize"]);
    assert!(pair.differences.is_empty());
}

#[test]
fn calls_that_wait_for_the_list_are_compared_with_one_request() {
    let mut pair = pair_of(THERE, WorkerConfig::default());
    let first = call(&mut pair, 1, "thumbs::resize");
    let second = call(&mut pair, 2, "thumbs::resize");
    assert_eq!(operations(&second), ["thumbs::resize"]);
    let list = pair.send_to_worker(&first[1]);
    pair.send_to_caller(&list[0]);
    assert_eq!(pair.differences.len(), 1);
}

#[test]
fn full_worker_sends_its_list_when_it_grants_credit() {
    let full = WorkerConfig {
        concurrency: 1,
        queue: Some(0),
        ..WorkerConfig::default()
    };
    let mut pair = pair_of(THERE, full);
    let sent = call(&mut pair, 1, "thumbs::resize");
    assert_eq!(
        operations(&sent),
        ["thumbs::resize"],
        "there is no credit for the list"
    );
    pair.send_to_worker(&sent[0]);
    let (job, ..) = pair.started[0].clone();
    let reply = pair.reply(job);
    let sent = pair.send_to_caller(&reply[0]);
    assert_eq!(operations(&sent), [OPERATION_LIST]);
    let list = pair.send_to_worker(&sent[0]);
    pair.send_to_caller(&list[0]);
    assert_eq!(pair.differences.len(), 1);
}

#[test]
fn operation_that_the_worker_does_not_list_is_not_compared() {
    let mut pair = pair_of(THERE, WorkerConfig::default());
    let sent = call(&mut pair, 1, "thumbs::crop");
    assert_eq!(operations(&sent), ["thumbs::crop"]);
}

#[test]
fn worker_without_a_list_differs_for_an_unknown_reason() {
    let mut pair = pair_of(THERE, WorkerConfig::default());
    let sent = call(&mut pair, 1, "thumbs::resize");
    let request = match decode(&sent[1]) {
        WireMessage::Request(request) => request,
        other => panic!("{other:?}"),
    };
    let reply = WireMessage::Reply {
        request_id: request.id,
        limit: 10,
        reply: WireReply {
            outcome: Outcome::Rejected,
            status: 404,
            ..WireReply::default()
        },
    };
    let list = pair.send_to_worker(&sent[1]);
    let position = RawMessage::read(&list[0]).unwrap();
    let position = Position {
        session: position.head().session,
        counter: position.head().counter,
        ack: position.head().ack,
    };
    let rejected = encode(&reply, position).unwrap();
    pair.send_to_caller(&rejected);
    assert_eq!(pair.differences, [(resize(HERE), None)]);
    let sent = call(&mut pair, 2, "thumbs::resize");
    assert_eq!(operations(&sent), ["thumbs::resize"]);
}

#[test]
fn list_is_refused_to_a_key_that_is_not_served() {
    let config = WorkerConfig {
        keys: Some([OTHER_KEY.parse().unwrap()].into()),
        ..WorkerConfig::default()
    };
    let mut pair = pair_of(THERE, config);
    let sent = call(&mut pair, 1, "thumbs::resize");
    let refused = pair.send_to_worker(&sent[1]);
    let WireMessage::Error { error, .. } = decode(&refused[0]) else {
        panic!("not refused");
    };
    assert_eq!(error.code, ErrorCode::Refused);
}

#[test]
fn unknown_reserved_operation_is_rejected_by_the_worker() {
    let mut pair = pair_of(HERE, WorkerConfig::default());
    let sent = call(&mut pair, 1, "brubeck::nothing");
    let reply = pair.send_to_worker(&sent[0]);
    assert!(pair.started.is_empty());
    pair.send_to_caller(&reply[0]);
    let (_, outcome) = pair.outcomes.pop().unwrap();
    let reply = outcome.unwrap();
    assert_eq!((reply.outcome, reply.status), (Outcome::Rejected, 404));
}
