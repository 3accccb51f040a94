//! Contracts that the caller and the service declare differently: the warning of the caller says what differs, and the calls run.

use crate::support::logs::CapturedLogs;
use crate::support::with_timeout;
use brubeck::prelude::*;
use brubeck::{Service, ServiceAddress, TestSite};
use tracing::Level;

const SECRET: &str = "my_shared_secret";

/// The contract as the service has it.
mod served {
    use super::*;

    #[service_client]
    pub trait Slides {
        #[call("/slides/scale")]
        async fn scale(&self, image: Bytes, width: u64) -> Result<Vec<u64>, Problem>;
        #[call("/slides/crop")]
        async fn crop(&self, left: u32, scale: Option<u8>) -> Result<u32, Problem>;
        #[call("/slides/count")]
        async fn count(&self) -> Result<u32, Problem>;
    }
}

/// The contract as the caller has it.
mod called {
    use super::*;

    #[service_client]
    pub trait Slides {
        #[call("/slides/scale")]
        async fn scale(&self, image: Bytes, width: u32) -> Result<Vec<u64>, Problem>;
        #[call("/slides/crop")]
        async fn crop(&self, left: u32, right: u32) -> Result<u64, Problem>;
        #[call("/slides/count")]
        async fn count(&self) -> Result<u32, Problem>;
        #[call("/slides/merge")]
        async fn merge(&self) -> Result<u32, Problem>;
    }
}

struct Site;

impl served::Slides for Site {
    async fn scale(&self, image: Bytes, width: u64) -> Result<Vec<u64>, Problem> {
        Ok(vec![image.len() as u64, width])
    }

    async fn crop(&self, left: u32, scale: Option<u8>) -> Result<u32, Problem> {
        Ok(left + u32::from(scale.unwrap_or(1)))
    }

    async fn count(&self) -> Result<u32, Problem> {
        Ok(3)
    }
}

const ROUTES: Routes<Site> = served::slides::routes::<Site>();
const NONE: Routes<()> = routes![];
const WARNING: &str = "the service declares this operation differently";

/// Waits for the warning, which may arrive after the response of the call.
async fn warning(logs: &CapturedLogs) -> String {
    with_timeout(async {
        while logs.count(WARNING) == 0 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    logs.lines(WARNING).remove(0)
}

#[tokio::test]
async fn caller_warns_once_what_the_service_declares_differently() {
    let logs = CapturedLogs::start(Level::WARN);
    let service = Service::bind("tcp://127.0.0.1:0", SECRET);
    let running = App::new(ROUTES, Site).start(service).await.unwrap();
    let address = running.address().to_owned();
    let connect = || called::SlidesClient::at(address.clone(), SECRET);
    let slides = connect();
    assert_eq!(with_timeout(async { slides.count().await }).await.unwrap(), 3);
    let error = with_timeout(async { slides.merge().await }).await.unwrap_err();
    assert!(error.to_string().contains("does not serve"), "{error}");
    assert_eq!(logs.count(WARNING), 0, "{}", logs.text());

    let scaled = with_timeout(async { slides.scale(Bytes::from_static(b"abc"), 200).await });
    assert_eq!(scaled.await.unwrap(), [3, 200]);
    let warning = warning(&logs).await;
    assert!(warning.contains("slides::scale"), "{warning}");
    let difference = format!("argument `width`: `u32` here, `u64` at {address}");
    assert!(warning.contains(&difference), "{warning}");

    // Neither another call nor another connection repeats it.
    for slides in [slides, connect()] {
        for _ in 0..3 {
            with_timeout(async { slides.scale(Bytes::new(), 1).await })
                .await
                .unwrap();
        }
    }
    assert_eq!(logs.count(WARNING), 1, "{}", logs.text());
    assert_eq!(
        logs.count("a caller declares this operation"),
        1,
        "{}",
        logs.text()
    );
    running.stop().await.unwrap();
}

#[tokio::test]
async fn caller_in_memory_warns_of_missing_arguments_and_another_result() {
    let logs = CapturedLogs::start(Level::WARN);
    let service = Service::bind("ipc://run/slides", SECRET);
    let site = TestSite::new(NONE, ()).service(service, App::new(ROUTES, Site));
    let site = site.start().await.unwrap();
    let client = site
        .client(&ServiceAddress::new("ipc://run/slides", SECRET))
        .unwrap();
    let slides = called::SlidesClient::new(client);
    let cropped = with_timeout(async { slides.crop(4, 5).await }).await.unwrap();
    assert_eq!(cropped, 5);
    let warning = warning(&logs).await;
    for part in [
        "slides::crop",
        "argument `right` is missing at ipc://run/slides; argument `scale` is missing here; result: `u64` here, `u32` at ipc://run/slides",
    ] {
        assert!(warning.contains(part), "{warning}");
    }
}
