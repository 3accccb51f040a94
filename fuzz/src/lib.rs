//! What the fuzz targets check: any bytes are read or refused, and what is accepted reads the same when written again.

use brubeck_runtime::wire::mongrel2::{self, Incoming, Protocol};
use brubeck_runtime::wire::service::{
    self, DecodeError, Dialect, Request, decode_pull_request, decode_request, decode_response,
};
use brubeck_runtime::wire::{self, Cursor};
use bytes::{Bytes, BytesMut};
use libfuzzer_sys::Corpus;

/// Reads strings one after another until the first that is none.
fn strings(
    data: &[u8],
    decode: fn(&mut Cursor<'_>) -> Result<Bytes, wire::Error>,
    encode: fn(&mut BytesMut, &[u8]),
) -> Corpus {
    let frame = Bytes::copy_from_slice(data);
    let mut cursor = Cursor::new(&frame);
    while let Ok(value) = decode(&mut cursor) {
        let mut written = BytesMut::new();
        encode(&mut written, &value);
        let written = written.freeze();
        assert_eq!(decode(&mut Cursor::new(&written)), Ok(value));
    }
    Corpus::Keep
}

/// The length-prefixed string of the service wire.
pub fn lenstr(data: &[u8]) -> Corpus {
    strings(data, wire::lenstr::decode, wire::lenstr::encode)
}

/// The netstring.
pub fn netstring(data: &[u8]) -> Corpus {
    strings(data, wire::netstring::decode, wire::netstring::encode)
}

/// The tagged netstring.
pub fn tnetstring(data: &[u8]) -> Corpus {
    if let Ok(value) = wire::tnetstring::decode(&Bytes::copy_from_slice(data)) {
        let mut written = BytesMut::new();
        wire::tnetstring::encode(&mut written, &value);
        assert_eq!(wire::tnetstring::decode(&written.freeze()), Ok(value));
    }
    Corpus::Keep
}

/// A frame from Mongrel2, in either protocol.
pub fn mongrel2_request(data: &[u8]) -> Corpus {
    if let Ok(Incoming::Request(request)) = mongrel2::decode(&Bytes::copy_from_slice(data)) {
        for protocol in [Protocol::Json, Protocol::Tnetstring] {
            let read = mongrel2::decode(&request.encode(protocol));
            assert_eq!(read, Ok(Incoming::Request(request.clone())));
        }
    }
    Corpus::Keep
}

/// A frame to Mongrel2.
pub fn mongrel2_reply(data: &[u8]) -> Corpus {
    if let Ok(reply) = mongrel2::decode_reply(&Bytes::copy_from_slice(data)) {
        let frames =
            mongrel2::reply(&reply.ident, &reply.ids, b"payload").expect("what was read can be written");
        let read: Vec<_> = frames
            .map(|frame| mongrel2::decode_reply(&frame).expect("readable"))
            .collect();
        assert!(read.iter().flat_map(|reply| &reply.ids).eq(&reply.ids));
    }
    Corpus::Keep
}

fn read_request(dialect: Dialect, payload: Bytes) -> Result<Request, DecodeError> {
    if dialect.has_sender_in_request() {
        decode_pull_request(&[payload])
    } else {
        decode_request(&[Bytes::from_static(b"id"), payload])
    }
}

/// A request as a service receives it; one in another dialect is left to that dialect's target.
pub fn service_request(dialect: Dialect, data: &[u8]) -> Corpus {
    let request = match read_request(dialect, Bytes::copy_from_slice(data)) {
        Ok(request) if request.envelope.dialect == dialect => request,
        Ok(_) => return Corpus::Reject,
        Err(error) => {
            assert!(error.to_string().starts_with("unreadable request"));
            return Corpus::Keep;
        }
    };
    let _ = (
        request.arguments.object(),
        request.headers.object(),
        request.body.object(),
    );
    // Some of what is accepted is not sent, for the sake of the originals; and an empty field is sent as something else.
    if let Ok(payload) = service::encode_request(&request) {
        let once = read_request(dialect, payload).expect("what was written can be read");
        let payload = service::encode_request(&once).expect("and written again");
        assert_eq!(read_request(dialect, payload), Ok(once));
    }
    Corpus::Keep
}

/// A response as an application receives it.
pub fn service_response(dialect: Dialect, data: &[u8]) -> Corpus {
    let frames = [Bytes::new(), Bytes::copy_from_slice(data)];
    if let Ok(response) = decode_response(dialect, &frames)
        && let Ok([_, delimiter, payload]) = service::encode_response(&response)
    {
        let once = decode_response(dialect, &[delimiter, payload]).expect("what was written can be read");
        assert_eq!(
            (once.status_code, &once.envelope.path),
            (response.status_code, &response.envelope.path)
        );
    }
    Corpus::Keep
}
