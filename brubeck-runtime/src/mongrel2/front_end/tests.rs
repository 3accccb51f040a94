//! Tests of the event loop without a link: messages from Mongrel2 in, encoded messages out.

use super::pipeline::ResponseEnd;
use super::*;
use crate::mongrel2::codec::ControlCommand;
use crate::mongrel2::uploads::body_location::UploadStore;
use crate::response::Response;
use crate::tests::CallApplication;
use std::future::pending;

/// Creates an event loop that is connected to a Mongrel2.
fn front_end() -> FrontEnd {
    let application: Arc<dyn Application> = Arc::new(CallApplication(pending::<Response>));
    let registration = RegisteredLink::new(&application, "recv");
    let settings = Settings {
        recv_spec: "recv".into(),
        keep_alive: Duration::from_secs(30),
        upload_store: UploadStore::new("/nonexistent/u.XXXXXX", None),
    };
    let mut front_end = FrontEnd::new(
        application,
        settings,
        registration,
        None,
        Mongrel2Counts::default(),
    );
    front_end.handle_link_event(LinkEvent::Up {
        generation: 1,
        recv_ident: "m2".into(),
    });
    front_end
}

/// Receives a request on connection 7.
fn receive(
    front_end: &mut FrontEnd,
    path: &'static [u8],
    headers: &[(&'static str, &'static str)],
    body: &'static str,
) {
    let headers = headers.iter().copied().chain([("host", "h")]).collect();
    front_end.handle_request(&Mongrel2Request::new("m2", "7", path, headers, body));
}

/// The id of a request on connection 7.
fn client(number: u64) -> ClientId {
    ClientId {
        connection: "7".into(),
        serial: 1,
        number,
    }
}

#[track_caller]
fn assert_aborted(front_end: &mut FrontEnd) {
    let cancel: Vec<Bytes> = codec::control(b"m2", &["7"], ControlCommand::Cancel)
        .unwrap()
        .collect();
    assert_eq!(front_end.outbound, cancel);
    assert!(front_end.connections.get(&"7".into()).is_none());
}

#[tokio::test]
async fn upload_file_that_cannot_be_opened_closes_the_connection() {
    let mut front_end = front_end();
    let start = ("x-mongrel2-upload-start", "/nonexistent/u.aB3xYz");
    let done = ("x-mongrel2-upload-done", "/nonexistent/u.aB3xYz");
    let (method, length) = (("METHOD", "POST"), ("content-length", "30000"));
    receive(&mut front_end, b"/", &[method, length, start], "");
    assert!(front_end.connections.get(&"7".into()).unwrap().upload.is_some());
    receive(&mut front_end, b"/", &[method, length, start, done], "");
    assert_aborted(&mut front_end);
}

#[tokio::test]
async fn message_socket_with_an_invalid_name_is_closed() {
    let mut front_end = front_end();
    receive(&mut front_end, b"@\xff", &[("METHOD", "JSON")], "{}");
    assert_aborted(&mut front_end);
}

#[tokio::test]
async fn response_does_not_end_the_upload_of_a_pipelined_request() {
    let mut front_end = front_end();
    receive(&mut front_end, b"/slow", &[("METHOD", "GET")], "");
    let upload = [
        ("METHOD", "POST"),
        ("content-length", "10"),
        ("UPLOAD_STREAM", "0"),
    ];
    receive(&mut front_end, b"/", &upload, "hello");
    front_end.queue_response(&client(0), [], Some(ResponseEnd::KeepOpen));
    assert!(front_end.connections.get(&"7".into()).unwrap().upload.is_some());
    front_end.queue_response(&client(1), [], Some(ResponseEnd::KeepOpen));
    assert!(front_end.connections.get(&"7".into()).unwrap().upload.is_none());
}

#[tokio::test]
async fn shutdown_sends_no_close_frame_before_the_websocket_is_accepted() {
    let mut front_end = front_end();
    let handshake = [
        ("METHOD", "WEBSOCKET_HANDSHAKE"),
        ("sec-websocket-version", "13"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
    ];
    receive(&mut front_end, b"/", &handshake, "accept");
    assert_eq!(front_end.websocket_count, 1);
    front_end.begin_shutdown();
    assert!(front_end.connections.next_message(Instant::now()).is_none());
    front_end.handle_event(FrontEndEvent::WebSocketAccepted {
        client: client(0),
        head: "HTTP/1.1 101 Switching Protocols\r\n\r\n".into(),
        message_limit: None,
    });
    let message = front_end.connections.next_message(Instant::now()).unwrap();
    assert_eq!(
        &message.bytes[..],
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n\x88\x02\x03\xe9"
    );
}
