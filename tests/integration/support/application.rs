//! An application without a front end: the test passes messages to it directly.

use brubeck::{App, Connection, Running};
use brubeck_runtime::{Application, OpenConnection, Stop};
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex};

/// Starts an application that can be reached only through the returned [`Application`].
pub async fn start<S: Send + Sync + 'static>(app: App<S>) -> (Running, Arc<dyn Application>) {
    let slot = Arc::new(Mutex::new(None));
    let running = app.start(CaptureConnection(slot.clone())).await.unwrap();
    let application = slot.lock().unwrap().take().unwrap();
    (running, application)
}

/// A connection that stores its application where the test can take it.
struct CaptureConnection(Arc<Mutex<Option<Arc<dyn Application>>>>);

impl Connection for CaptureConnection {
    fn open(
        self: Box<Self>,
        application: Arc<dyn Application>,
    ) -> BoxFuture<'static, brubeck::Result<OpenConnection>> {
        *self.0.lock().unwrap() = Some(application);
        let serve =
            |mut stop: Stop| -> BoxFuture<'static, ()> { Box::pin(async move { stop.requested().await }) };
        Box::pin(async move {
            Ok(OpenConnection {
                address: "memory".into(),
                serve: Box::new(serve),
                listeners: Vec::new(),
            })
        })
    }
}
