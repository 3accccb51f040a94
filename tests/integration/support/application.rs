//! An application without a connection: the test gives it messages itself.

use brubeck::__private::OpenConnection;
use brubeck::{App, Application, Connection, Running, Stop};
use futures_util::future::BoxFuture;
use std::sync::{Arc, Mutex};

/// Starts an application that is reached through what is returned, and by nobody else.
pub async fn start<S: Send + Sync + 'static>(app: App<S>) -> (Running, Arc<dyn Application>) {
    let slot = Arc::new(Mutex::new(None));
    let running = app.start(Hand(slot.clone())).await.unwrap();
    let application = slot.lock().unwrap().take().unwrap();
    (running, application)
}

/// A connection that hands its application to the test.
struct Hand(Arc<Mutex<Option<Arc<dyn Application>>>>);

impl Connection for Hand {
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
            })
        })
    }
}
