//! The errors that callers receive.

use super::{PRIVATE, SECRET, STORE, Store, called, served};
use crate::support::with_timeout;
use brubeck::prelude::*;
use brubeck::{Dialect, Service, ServiceAddress};
use std::error::Error as _;
use std::future::IntoFuture;
use std::time::Duration;

async fn store(service: Service) -> (brubeck::Running, ServiceAddress) {
    let running = App::new(STORE, Store).start(service).await.unwrap();
    let address = ServiceAddress::new(running.address(), SECRET);
    (running, address)
}

/// Each error has the place of its call, says if its handler may have run, and includes the text of its source.
#[tokio::test]
async fn errors_know_their_operation_worker_trace_and_source() {
    let (running, address) = store(Service::bind("tcp://127.0.0.1:0", SECRET)).await;
    let client = Client::connect(&address).unwrap();
    let (served, called) = (
        served::StockClient::new(client.clone()),
        called::StockClient::new(client),
    );
    let fails = with_timeout(served.fails().into_future()).await.unwrap_err();
    let panics = with_timeout(served.panics().into_future()).await.unwrap_err();
    let counts = with_timeout(called.counts("x".into()).into_future())
        .await
        .unwrap_err();
    let newer = with_timeout(called.newer().into_future()).await.unwrap_err();
    let shelf = with_timeout(called.shelf().into_future()).await.unwrap_err();
    let sleeps = served.sleeps().timeout(Duration::from_millis(50)).into_future();
    let sleeps = with_timeout(sleeps).await.unwrap_err();

    let refusal = |error: &CallError| match error {
        CallError::Refused(reason) => reason.status().map(Status::code),
        other => panic!("{other:?}"),
    };
    assert_eq!((refusal(&counts), refusal(&newer)), (Some(400), Some(404)));
    assert!(matches!(panics, CallError::Panicked(_)), "{panics:?}");
    let runs = [
        (&fails, "stock::fails", true, true),
        (&panics, "stock::panics", true, false),
        (&counts, "stock::counts", false, false),
        (&newer, "stock::newer", false, false),
        (&shelf, "stock::shelf", true, true),
        (&sleeps, "stock::sleeps", true, false),
    ];
    for (error, operation, may_have_run, has_source) in runs {
        let site = error.site();
        assert_eq!(site.operation(), Some(operation));
        assert_eq!(
            (site.address(), site.worker()),
            (Some(running.address()), Some(running.address()))
        );
        let trace_id = site.trace_id().unwrap();
        assert_eq!(trace_id.len(), 32);
        let text = error.to_string();
        for part in [operation, running.address(), trace_id] {
            assert!(text.contains(part), "{part}: {text}");
        }
        assert_eq!(error.may_have_run(), may_have_run, "{text}");
        let source = error.source().map(ToString::to_string);
        assert_eq!(source.is_some(), has_source, "{text}");
        assert!(text.contains(&source.unwrap_or_default()), "{text}");
    }
    // The refusal quotes the argument, and its text is cut for the envelope and for the error.
    let long = with_timeout(called.counts("é".repeat(50_000)).into_future())
        .await
        .unwrap_err();
    assert_eq!(refusal(&long), Some(400));
    assert!(long.to_string().len() < 3000, "{long}");
    let problem = Problem::from(shelf.clone());
    assert_eq!((problem.status().code(), problem.detail()), (502, "Bad Gateway"));
    assert!(problem.source().unwrap().to_string().contains("boxes[0].amount"));
    assert!(!serde_json::to_string(&problem).unwrap().contains("amount"));
    running.stop().await.unwrap();
}

/// A dialect has no outcomes and no trace of its own, but the caller knows where the call went.
#[tokio::test]
async fn errors_in_a_dialect_know_their_operation_address_and_trace() {
    let (running, address) = store(Service::bind("tcp://127.0.0.1:0", SECRET).dialects(SECRET)).await;
    let client = Client::connect(&address.dialect(Dialect::Branch)).unwrap();
    let (served, called) = (
        served::StockClient::new(client.clone()),
        called::StockClient::new(client),
    );
    let fails = with_timeout(served.fails().into_future()).await.unwrap_err();
    let panics = with_timeout(served.panics().into_future()).await.unwrap_err();
    let shelf = with_timeout(called.shelf().into_future()).await.unwrap_err();
    let sleeps = served.sleeps().timeout(Duration::from_millis(50)).into_future();
    let sleeps = with_timeout(sleeps).await.unwrap_err();
    for (error, parts) in [
        (&fails, ["stock::fails", PRIVATE]),
        (&panics, ["stock::panics", "500"]),
        (&shelf, ["stock::shelf", "`boxes[0].amount`: invalid type"]),
        (&sleeps, ["stock::sleeps", "raise the timeout"]),
    ] {
        let text = error.to_string();
        for part in parts
            .into_iter()
            .chain([running.address(), error.site().trace_id().unwrap()])
        {
            assert!(text.contains(part), "{part}: {text}");
        }
    }
    // The handler of `sleeps` never ends, and a dialect cannot cancel it.
    drop(running);
}
