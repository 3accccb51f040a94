//! Bytes in contracts: beside the JSON in brubeck's protocol, and as numbers in it in the dialects of the Python original.

use crate::support::with_timeout;
use brubeck::prelude::*;
use brubeck::{Dialect, Limits, Service, ServiceAddress, ServiceRequest, TestSite};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::future::IntoFuture;

const SECRET: &str = "my_shared_secret";

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Album {
    title: String,
    cover: Option<Bytes>,
    pictures: Vec<Picture>,
    by_name: BTreeMap<String, Bytes>,
    #[serde(with = "brubeck::as_bytes")]
    shared: Bytes,
    #[serde(with = "brubeck::as_bytes")]
    notes: Vec<u8>,
    #[serde(default, with = "brubeck::as_bytes")]
    back: Option<Vec<u8>>,
}

/// Bytes that are handed over inside of a structure.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Frame {
    number: u32,
    #[serde(with = "brubeck::as_bytes")]
    data: Bytes,
    #[serde(with = "brubeck::as_bytes")]
    mask: Option<Bytes>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind")]
pub enum Picture {
    Empty,
    Full { data: Bytes },
}

#[service_client]
pub trait Pictures {
    #[call("/pictures/bytes", timeout = "30s")]
    async fn bytes(&self, data: Bytes) -> Result<Bytes, Bytes>;
    #[call("/pictures/vec")]
    async fn vec(&self, data: Vec<u8>) -> Result<Vec<u8>, Problem>;
    #[call("/pictures/album/{name}")]
    async fn album(&self, name: String, album: Album) -> Result<Album, Problem>;
    #[call("/pictures/sized")]
    async fn sized(&self, length: u64) -> Result<Bytes, Problem>;
    #[call("/pictures/frames")]
    async fn frames(&self, frames: Vec<Frame>) -> Result<Vec<Frame>, Problem>;
    #[call("/pictures/several")]
    async fn several(
        &self,
        first: Option<Bytes>,
        number: u128,
        others: Vec<Bytes>,
    ) -> Result<(Option<Bytes>, u128, Vec<Bytes>), Problem>;
}

struct Echo;

impl Pictures for Echo {
    async fn bytes(&self, data: Bytes) -> Result<Bytes, Bytes> {
        if data.is_empty() { Err(image(3)) } else { Ok(data) }
    }

    async fn vec(&self, data: Vec<u8>) -> Result<Vec<u8>, Problem> {
        Ok(data)
    }

    async fn album(&self, name: String, album: Album) -> Result<Album, Problem> {
        Ok(Album {
            title: format!("{name}: {}", album.title),
            ..album
        })
    }

    async fn sized(&self, length: u64) -> Result<Bytes, Problem> {
        Ok(image(usize::try_from(length).unwrap()))
    }

    async fn frames(&self, frames: Vec<Frame>) -> Result<Vec<Frame>, Problem> {
        Ok(frames)
    }

    async fn several(
        &self,
        first: Option<Bytes>,
        number: u128,
        others: Vec<Bytes>,
    ) -> Result<(Option<Bytes>, u128, Vec<Bytes>), Problem> {
        Ok((first, number, others))
    }
}

/// A handler without a contract, whose body contains bytes.
#[service_handler("/plain/album")]
async fn plain_album(album: Json<Album>) -> String {
    album.0.title
}

/// A handler without a contract, with bytes as an argument.
#[service_handler("/plain/bytes")]
async fn plain_bytes(data: Arg<Bytes>) -> Response {
    Response::bytes(Status::OK, "image/png", data.0)
}

const ROUTES: Routes<Echo> = routes![..pictures::routes::<Echo>(), plain_album, plain_bytes];
serves!(ROUTES => pictures);

const NONE: Routes<()> = routes![];

/// Bytes that are no UTF-8.
fn image(length: usize) -> Bytes {
    (0..length)
        .map(|n| 255 - u8::try_from(n % 250).unwrap())
        .collect::<Vec<u8>>()
        .into()
}

fn album() -> Album {
    Album {
        title: "é".into(),
        cover: Some(image(100_000)),
        pictures: vec![
            Picture::Full { data: image(1000) },
            Picture::Empty,
            Picture::Full { data: Bytes::new() },
        ],
        by_name: BTreeMap::from([("$bytes".to_owned(), image(5))]),
        shared: image(2000),
        notes: image(300).to_vec(),
        back: Some(Vec::new()),
    }
}

async fn assert_bytes_round_trip(client: Client) {
    let pictures = PicturesClient::new(client.clone());
    assert_eq!(pictures.bytes(image(300_000)).await.unwrap(), image(300_000));
    match pictures.bytes(Bytes::new()).await {
        Err(CallError::Failure { status, error, .. }) => assert_eq!((status.code(), error), (400, image(3))),
        other => panic!("{other:?}"),
    }
    assert_eq!(pictures.vec(image(5000).to_vec()).await.unwrap(), image(5000));
    let frame = Frame {
        number: 1,
        data: image(70_000),
        mask: None,
    };
    let frames = vec![frame.clone(), frame];
    assert_eq!(pictures.frames(frames.clone()).await.unwrap(), frames);
    let returned = pictures.album("a/b c".into(), album()).await.unwrap();
    let expected = Album {
        title: "a/b c: é".into(),
        ..album()
    };
    assert_eq!(returned, expected);
    // More bytes than one message has parts.
    let others: Vec<Bytes> = (0..100).map(image).collect();
    for first in [None, Some(image(7)), Some(Bytes::new())] {
        let returned = pictures
            .several(first.clone(), u128::MAX, others.clone())
            .await
            .unwrap();
        assert_eq!(returned, (first, u128::MAX, others.clone()));
    }

    let request = ServiceRequest::new("/plain/album").body(album());
    assert_eq!(client.send(request).await.unwrap().body, "é");
    let text = client
        .request("/plain/bytes")
        .argument("data", Bytes::from_static(b"text"))
        .await
        .unwrap();
    assert_eq!(text.body, "text");
}

#[tokio::test]
async fn bytes_round_trip_over_sockets_and_in_a_test_site() {
    let service = || Service::bind("tcp://127.0.0.1:0", SECRET);
    let running = App::new(ROUTES, Echo).start(service()).await.unwrap();
    let address = ServiceAddress::new(running.address(), SECRET);
    with_timeout(assert_bytes_round_trip(Client::connect(&address).unwrap())).await;
    running.stop().await.unwrap();

    let service = Service::bind("ipc://run/pictures", SECRET);
    let site = TestSite::new(NONE, ()).service(service, App::new(ROUTES, Echo));
    let site = site.start().await.unwrap();
    let client = site
        .client(&ServiceAddress::new("ipc://run/pictures", SECRET))
        .unwrap();
    with_timeout(assert_bytes_round_trip(client)).await;
}

#[tokio::test]
async fn bytes_are_numbers_in_a_dialect() {
    let service = Service::bind("tcp://127.0.0.1:0", SECRET).dialects("short");
    let running = App::new(ROUTES, Echo).start(service).await.unwrap();
    for dialect in [Dialect::Branch, Dialect::Seed] {
        let address = ServiceAddress::new(running.address(), "short").dialect(dialect);
        let client = Client::connect(&address).unwrap();
        with_timeout(assert_bytes_round_trip(client)).await;
    }
    running.stop().await.unwrap();
}

#[tokio::test]
async fn bytes_that_are_no_text_are_a_part_of_the_response_of_any_handler() {
    let service = Service::bind("tcp://127.0.0.1:0", SECRET);
    let running = App::new(ROUTES, Echo).start(service).await.unwrap();
    let client = Client::connect(&ServiceAddress::new(running.address(), SECRET)).unwrap();
    let response = with_timeout(
        client
            .request("/plain/bytes")
            .argument("data", image(3))
            .into_future(),
    );
    assert_eq!(response.await.unwrap().body, serde_json::json!({"$bytes": 0}));
    running.stop().await.unwrap();
}

/// In memory the sender and the receiver have the same bytes, unless something between them copies them.
#[tokio::test]
async fn bytes_are_not_copied_between_the_caller_and_the_handler() {
    let service = Service::bind("ipc://run/pictures", SECRET);
    let site = TestSite::new(NONE, ()).service(service, App::new(ROUTES, Echo));
    let site = site.start().await.unwrap();
    let client = site
        .client(&ServiceAddress::new("ipc://run/pictures", SECRET))
        .unwrap();
    let pictures = PicturesClient::new(client);
    let sent = image(5_000_000);
    let whole = with_timeout(pictures.bytes(sent.clone()).into_future())
        .await
        .unwrap();
    assert_eq!((whole.as_ptr(), whole.len()), (sent.as_ptr(), sent.len()));

    let frames: Vec<Frame> = (0..3)
        .map(|number| Frame {
            number,
            data: sent.slice(4_000_000 + 100_000 * number as usize..),
            mask: (number > 0).then(|| image(100)),
        })
        .collect();
    let returned = with_timeout(pictures.frames(frames.clone()).into_future())
        .await
        .unwrap();
    assert_eq!(returned, frames);
    for (returned, sent) in returned.iter().zip(&frames) {
        assert_eq!(returned.data.as_ptr(), sent.data.as_ptr());
        let [returned, sent] = [returned, sent].map(|frame| frame.mask.as_ref().map(|mask| mask.as_ptr()));
        assert_eq!(returned, sent);
    }
}

/// The limit applies to the body and its parts together, up to its last bytes.
#[tokio::test]
async fn bytes_up_to_the_body_limit_pass_and_an_error_names_size_limit_and_setting() {
    const LIMIT: usize = 1 << 20;
    const ENVELOPE: usize = r#"{"data":{"$bytes":0}}"#.len();
    let service = Service::bind("tcp://127.0.0.1:0", SECRET).body_limit(LIMIT);
    let running = App::new(ROUTES, Echo).start(service).await.unwrap();
    let address = || ServiceAddress::new(running.address(), SECRET);
    let small = PicturesClient::new(Client::connect(&address().body_limit(LIMIT)).unwrap());
    let large = PicturesClient::new(Client::connect(&address()).unwrap());
    for pictures in [&small, &large] {
        let data = image(LIMIT - ENVELOPE);
        assert_eq!(
            with_timeout(pictures.bytes(data.clone()).into_future())
                .await
                .unwrap(),
            data
        );
    }
    for (pictures, setting) in [
        (small, "ServiceAddress::body_limit"),
        (large, "Service::body_limit"),
    ] {
        let error = with_timeout(pictures.bytes(image(LIMIT)).into_future())
            .await
            .unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, CallError::TooLarge(_)), "{text}");
        for part in [&(LIMIT + ENVELOPE).to_string(), &LIMIT.to_string(), setting] {
            assert!(text.contains(part), "{text}");
        }
    }
    // A much larger request must not end the connection, and with it the other calls.
    let large = PicturesClient::new(Client::connect(&address().body_limit(8 * LIMIT)).unwrap());
    let error = with_timeout(large.bytes(image(3 * LIMIT)).into_future())
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, CallError::TooLarge(_)), "{text}");
    for part in [
        (3 * LIMIT + ENVELOPE).to_string(),
        LIMIT.to_string(),
        "`Service::body_limit`".into(),
    ] {
        assert!(text.contains(&part), "{text}");
    }
    running.stop().await.unwrap();

    // The response exceeds the limit of the caller.
    let running = App::new(ROUTES, Echo)
        .start(Service::bind("tcp://127.0.0.1:0", SECRET))
        .await
        .unwrap();
    let address = ServiceAddress::new(running.address(), SECRET).body_limit(LIMIT);
    let pictures = PicturesClient::new(Client::connect(&address).unwrap());
    let error = with_timeout(pictures.sized(2 * LIMIT as u64).into_future())
        .await
        .unwrap_err();
    let text = error.to_string();
    assert!(matches!(error, CallError::BadReply(_)), "{text}");
    let size = (2 * LIMIT + r#"{"$bytes":0}"#.len()).to_string();
    for part in [
        &size,
        &LIMIT.to_string(),
        "`ServiceAddress`",
        "`Service`",
        "`body_limit`",
    ] {
        assert!(text.contains(part), "{text}");
    }
    running.stop().await.unwrap();

    // The limit of a route, and those of the protocol.
    let app = App::new(routes![plain_bytes], ()).limit::<plain_bytes>(Limits::new().body_limit(100));
    let running = app
        .start(Service::bind("tcp://127.0.0.1:0", SECRET))
        .await
        .unwrap();
    let client = Client::connect(&ServiceAddress::new(running.address(), SECRET)).unwrap();
    let call = client.request("/plain/bytes").argument("data", image(200));
    let response = with_timeout(call.into_future()).await.unwrap();
    assert_eq!(response.status.code(), 413);
    let text = response.status.text();
    for part in [&(200 + ENVELOPE).to_string(), "100 bytes", "`Limits::body_limit`"] {
        assert!(text.contains(part), "{text}");
    }
    let call = client
        .request("/plain/bytes")
        .header("x-long", "v".repeat(20_000));
    let text = with_timeout(call.into_future()).await.unwrap_err().to_string();
    assert!(
        text.contains("20006 bytes") && text.contains("16384 bytes"),
        "{text}"
    );
    let call = client.request(format!("/{}", "p".repeat(9000)));
    let text = with_timeout(call.into_future()).await.unwrap_err().to_string();
    assert!(
        text.contains("9001 bytes") && text.contains("8192 bytes"),
        "{text}"
    );
    running.stop().await.unwrap();
}
