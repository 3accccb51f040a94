//! Decoding and encoding messages.

use super::measure;
use crate::Result;
use brubeck::Dialect;
use brubeck_runtime::wire::mongrel2::{self, Mongrel2Headers, Protocol};
use brubeck_runtime::wire::service::{self, Secret};
use brubeck_runtime::wire::v3::{self, CallRequest, Position, RawMessage, WireMessage, WireReply};
use bytes::Bytes;

const BODY: &[u8] = br#"{"id":7,"name":"a name of some length","text":"some text, of a length that is not rare","last":true}"#;
const POSITION: Position = Position {
    session: 7,
    counter: 2,
    ack: 1,
};

pub(super) fn v3_decode() -> Result {
    let request = CallRequest {
        body: Bytes::from_static(BODY),
        traceparent: "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01".into(),
        headers: vec![("content-type".into(), "application/json".into())],
        ..CallRequest::new("request", "/service/slow")
    };
    let request = WireMessage::Request(v3::WireRequest {
        id: 1,
        timeout_ms: 10_000,
        more_waiting: false,
        call: request.into(),
    });
    let frames = v3::encode(&request, POSITION)?;
    measure(
        || frames.clone(),
        |frames| RawMessage::read(&frames).map(|raw| raw.decode()),
    );
    Ok(())
}

pub(super) fn v3_encode() -> Result {
    let reply = reply();
    measure(|| reply.clone(), |reply| v3::encode(&reply, POSITION));
    Ok(())
}

fn reply() -> WireMessage {
    let reply = WireReply {
        status: 200,
        message: "OK".into(),
        headers: vec![("content-type".into(), "application/json".into())],
        body: Bytes::from_static(BODY),
        ..WireReply::default()
    };
    WireMessage::Reply {
        request_id: 1,
        limit: 9,
        reply,
    }
}

fn branch_request() -> service::LegacyRequest {
    let mut request = service::LegacyRequest::new(Dialect::Branch, "42", "/service/slow", "request");
    request.envelope.passphrase = Secret::new("my_shared_secret");
    request.body = BODY.into();
    request
}

fn branch_frames() -> Result<[Bytes; 2]> {
    let payload = service::encode_request(&branch_request())?;
    Ok([Bytes::from_static(b"application-1"), payload])
}

pub(super) fn branch_decode() -> Result {
    let frames = branch_frames()?;
    measure(|| frames.clone(), |frames| service::decode_request(&frames));
    Ok(())
}

pub(super) fn branch_encode() -> Result {
    let request = service::decode_request(&branch_frames()?)?;
    let mut response = service::LegacyResponse::to(&request.envelope, 200, "OK");
    response.body = BODY.into();
    measure(
        || response.clone(),
        |response| service::encode_response(&response),
    );
    Ok(())
}

pub(super) fn mongrel2_decode() -> Result {
    let headers = Mongrel2Headers::from_iter([
        ("PATH", "/user/7"),
        ("x-forwarded-for", "127.0.0.1"),
        ("accept-language", "en-GB,en;q=0.5"),
        ("accept-encoding", "gzip, deflate"),
        ("connection", "keep-alive"),
        (
            "accept",
            "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
        ),
        (
            "user-agent",
            "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
        ),
        ("host", "localhost:6767"),
        ("cookie", "session=0123456789abcdef0123456789abcdef"),
        ("METHOD", "GET"),
        ("VERSION", "HTTP/1.1"),
        ("URI", "/user/7"),
        ("PATTERN", "/"),
        ("URL_SCHEME", "http"),
        ("REMOTE_ADDR", "127.0.0.1"),
    ]);
    let frame = mongrel2::Mongrel2Request::new("web-1", "42", "/user/7", headers, "").encode(Protocol::Json);
    measure(|| frame.clone(), |frame| mongrel2::decode(&frame));
    Ok(())
}

pub(super) fn mongrel2_encode() -> Result {
    let response: &[u8] =
        b"HTTP/1.1 200 OK\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 5\r\n\
        date: Tue, 24 Nov 2026 12:00:00 GMT\r\n\r\nhello";
    measure(
        || [Bytes::from_static(b"42")],
        |to| mongrel2::reply(b"web-1", &to, response).map(|mut replies| replies.next()),
    );
    Ok(())
}
