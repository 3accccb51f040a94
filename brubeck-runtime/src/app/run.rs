//! A running application and its shutdown.

use super::signals::{SignalListener, StopSignal, end_process_soon};
use crate::error::{Error, Result};
use crate::handler::{Application, Connection, Stop};
use crate::rpc::api::DetachedCalls;
use brubeck_sockets::ListenerGuard;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// The time that response handlers have, after the drain limit, to handle the errors of the `nowait` calls that are given up. It is shorter than
/// the second after which a process that a signal stops ends.
const RESPONSE_HANDLER_GRACE: Duration = Duration::from_millis(500);

/// A running application, returned by [`App::start`](crate::App::start).
///
/// [`stop`](Running::stop) completes the requests in progress, within the time of [`App::drain`](crate::App::drain). Dropping
/// the value stops the application without waiting for them.
///
/// # Examples
///
/// ```no_run
/// # use brubeck::prelude::*;
/// # async fn example(routes: Routes<()>) -> brubeck::Result {
/// let running = App::new(routes, ()).start(Http::bind("127.0.0.1:0")).await?;
/// println!("listening at {}", running.address());
/// running.stop().await
/// # }
/// ```
#[must_use = "dropping a running application stops it"]
pub struct Running {
    application: Arc<dyn Application>,
    addresses: Vec<String>,
    connections: JoinSet<()>,
    /// Closed when the application is dropped: the tasks of the connections end later, and until then the next start would find the
    /// addresses in use.
    listeners: Vec<ListenerGuard>,
    stop: watch::Sender<bool>,
    drain: Duration,
}

impl Running {
    pub(super) async fn open(
        application: Arc<dyn Application>,
        connections: Vec<Box<dyn Connection>>,
        drain: Duration,
    ) -> Result<Running> {
        let mut opened = Vec::with_capacity(connections.len());
        for connection in connections {
            opened.push(connection.open(application.clone()).await?);
        }
        let (stop, stop_signal) = Stop::new(drain);
        let mut running = Running {
            application,
            addresses: Vec::new(),
            connections: JoinSet::new(),
            listeners: Vec::new(),
            stop,
            drain,
        };
        for connection in opened {
            tracing::info!(address = connection.address, "serving");
            running.addresses.push(connection.address);
            running.listeners.extend(connection.listeners);
            running.connections.spawn((connection.serve)(stop_signal.clone()));
        }
        Ok(running)
    }

    /// Returns the address of the connection that was passed to [`App::start`](crate::App::start), such as
    /// `http://127.0.0.1:6767`. A port of 0 is replaced by the actual port.
    ///
    /// ```no_run
    /// # use brubeck::prelude::*;
    /// # async fn example(app: App<()>) -> brubeck::Result {
    /// let running = app.start(Http::bind("127.0.0.1:0")).await?;
    /// println!("open {} in a browser", running.address()); // http://127.0.0.1:41873
    /// running.until_signal().await
    /// # }
    /// ```
    pub fn address(&self) -> &str {
        self.addresses.first().map_or("", String::as_str)
    }

    /// Returns the addresses of all connections.
    ///
    /// ```no_run
    /// # use brubeck::prelude::*;
    /// # async fn example(app: App<()>) -> brubeck::Result {
    /// let running = app.start(Http::bind("127.0.0.1:0")).await?;
    /// println!("listening on {}", running.addresses().join(", "));
    /// running.until_signal().await
    /// # }
    /// ```
    ///
    /// That of [`App::start`](crate::App::start) is the first, followed by those of [`App::also`](crate::App::also) in the order in which
    /// they were added.
    pub fn addresses(&self) -> &[String] {
        &self.addresses
    }

    /// Returns a handle that stops the application from another task or thread.
    ///
    /// # Examples
    ///
    /// ```no_run
    /// # use brubeck::prelude::*;
    /// # async fn example(routes: Routes<()>) -> brubeck::Result {
    /// let running = App::new(routes, ()).start(Http::bind("127.0.0.1:0")).await?;
    /// let handle = running.handle();
    /// std::thread::spawn(move || handle.drain());
    /// running.until_signal().await
    /// # }
    /// ```
    pub fn handle(&self) -> Handle {
        Handle(self.stop.clone())
    }

    /// Stops accepting messages, and returns when the requests in progress are complete, and the calls that were made with
    /// [`nowait`](crate::Call::nowait) and their response handlers.
    ///
    /// ```no_run
    /// # use brubeck::prelude::*;
    /// # async fn example(app: App<()>) -> brubeck::Result {
    /// let running = app.start(Http::bind("127.0.0.1:0")).await?;
    /// // Send requests to `running.address()`.
    /// running.stop().await
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if they take longer than [`App::drain`](crate::App::drain) allows.
    pub async fn stop(mut self) -> Result {
        self.drain().await
    }

    async fn drain(&mut self) -> Result {
        self.stop.send_replace(true);
        self.application.begin_drain();
        let finished = tokio::time::timeout(self.drain, async {
            while self.connections.join_next().await.is_some() {}
            if let Some(calls) = self.application.detached_calls() {
                calls.all_ended().await;
            }
        });
        if finished.await.is_ok() {
            return Ok(());
        }
        let error = Error::new(format!(
            "requests were still in progress {:?} after the shutdown began, {} among them; raise this limit with `App::drain`",
            self.drain,
            running_work(&*self.application)
        ));
        give_up(&*self.application).await;
        Err(error)
    }

    /// Waits for SIGINT, SIGTERM or [`Handle::drain`], then [stops](Running::stop). Also returns if all connections have ended.
    ///
    /// ```no_run
    /// # use brubeck::prelude::*;
    /// # async fn example(app: App<()>) -> brubeck::Result {
    /// let running = app.start(Http::bind("127.0.0.1:0")).await?;
    /// running.until_signal().await
    /// # }
    /// ```
    ///
    /// If a signal has stopped the application and the requests in progress take longer than [`App::drain`](crate::App::drain) allows, the process ends
    /// at the latest one second after that, with the exit code 1, even if handlers block its threads.
    ///
    /// A second signal ends the process at once, without running destructors, with the exit code 130 after SIGINT and 143 after SIGTERM. So does a
    /// signal that arrives after this method has returned, unless another application waits for signals.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if the requests in progress take longer than [`App::drain`](crate::App::drain) allows.
    pub async fn until_signal(mut self) -> Result {
        let mut signals = SignalListener::new();
        let mut first_signal = async || match &mut signals {
            Some(signals) => signals.first().await,
            None => std::future::pending().await,
        };
        let mut stop_requested = self.stop.subscribe();
        let ended = async { while self.connections.join_next().await.is_some() {} };
        let mut signal = tokio::select! {
            signal = first_signal() => Some(signal),
            _ = stop_requested.wait_for(|stop| *stop) => None,
            () = ended => {
                tracing::info!("shutting down: all connections have ended");
                None
            }
        };
        match signal {
            Some(signal) => log_drain(signal, &*self.application, self.drain),
            None if self.connections.is_empty() => {}
            None => tracing::info!("shutting down: drain requested"),
        }
        let (application, limit) = (self.application.clone(), self.drain);
        let mut drain = std::pin::pin!(self.drain());
        let drained = loop {
            tokio::select! {
                drained = &mut drain => break drained,
                later = first_signal(), if signal.is_none() => {
                    log_drain(later, &*application, limit);
                    signal = Some(later);
                }
            }
        };
        if drained.is_err() && signal.is_some() {
            // Threads that are still blocked would keep the process alive: the runtime waits for them when it is dropped.
            end_process_soon();
        }
        drained
    }
}

/// Says what a stopping application waits for.
fn log_drain(signal: StopSignal, application: &dyn Application, limit: Duration) {
    let work = running_work(application);
    tracing::info!(
        "{signal}: finishing {work} and open responses, for at most {limit:?}; send it again to stop at once"
    );
}

/// Gives up the handlers and the `nowait` calls. Returns when the response handlers of these calls have returned, or after
/// [`RESPONSE_HANDLER_GRACE`].
pub(crate) async fn give_up(application: &dyn Application) {
    application.give_up_handlers();
    if let Some(calls) = application.detached_calls() {
        // Response handlers that take longer are dropped, which is logged.
        let _ = tokio::time::timeout(RESPONSE_HANDLER_GRACE, calls.all_ended()).await;
        calls.end();
    }
}

fn running_work(application: &dyn Application) -> String {
    let handlers = match application.running_handlers() {
        1 => "1 running handler".to_owned(),
        count => format!("{count} running handlers"),
    };
    match application.detached_calls().map_or(0, DetachedCalls::running) {
        0 => handlers,
        1 => format!("{handlers}, 1 `nowait` call"),
        count => format!("{handlers}, {count} `nowait` calls"),
    }
}

impl Drop for Running {
    /// Stops the connections that have tasks of their own, such as those of the embedded server. Aborting the tasks in
    /// `connections` does not end these, and a [`Handle`] keeps the channel open.
    fn drop(&mut self) {
        self.stop.send_replace(true);
        self.application.begin_drain();
    }
}

/// A handle that stops a running application. Cloning is cheap. A handle does not keep the application running.
///
/// ```no_run
/// # use brubeck::prelude::*;
/// use brubeck::Handle;
///
/// # async fn example(app: App<()>) -> brubeck::Result {
/// let running = app.start(Http::bind("127.0.0.1:6767")).await?;
/// let handle: Handle = running.handle();
/// std::thread::spawn(move || {
///     // Stops when the standard input ends.
///     let _ = std::io::copy(&mut std::io::stdin(), &mut std::io::sink());
///     handle.drain();
/// });
/// running.until_signal().await
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct Handle(watch::Sender<bool>);

impl Handle {
    /// Starts a graceful shutdown and returns immediately.
    ///
    /// ```no_run
    /// # use brubeck::prelude::*;
    /// # async fn example(app: App<()>) -> brubeck::Result {
    /// let running = app.start(Http::bind("127.0.0.1:6767")).await?;
    /// let handle = running.handle();
    /// tokio::spawn(async move {
    ///     tokio::time::sleep(std::time::Duration::from_secs(3600)).await;
    ///     handle.drain();
    /// });
    /// running.until_signal().await
    /// # }
    /// ```
    ///
    /// The application stops accepting connections. The next response on each HTTP/1 connection says that it is closed, and connections
    /// without a request are closed after a second, or half of the time of [`App::drain`](crate::App::drain) if that is less; HTTP/2
    /// connections get a GOAWAY. WebSockets are closed, and callers of a service are directed to other workers.
    /// [`until_signal`](Running::until_signal) returns when the requests in progress are complete, or after the time of
    /// [`App::drain`](crate::App::drain).
    pub fn drain(&self) {
        self.0.send_replace(true);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::App;
    use crate::handler::OpenConnection;
    use crate::routing::table;
    use futures_util::future::BoxFuture;
    use tokio::sync::oneshot;

    /// A connection that serves in a task of its own, and reports when that task is stopped.
    struct DetachedConnection(oneshot::Sender<()>);

    impl Connection for DetachedConnection {
        fn open(
            self: Box<Self>,
            _: Arc<dyn Application>,
        ) -> BoxFuture<'static, crate::Result<OpenConnection>> {
            let serve = Box::new(|mut stop: Stop| -> BoxFuture<'static, ()> {
                tokio::spawn(async move {
                    stop.requested().await;
                    let _ = self.0.send(());
                });
                Box::pin(std::future::pending())
            });
            let address = "test".to_owned();
            let listeners = Vec::new();
            Box::pin(async {
                Ok(OpenConnection {
                    address,
                    serve,
                    listeners,
                })
            })
        }
    }

    #[tokio::test(start_paused = true)]
    async fn dropping_it_requests_the_stop_even_if_a_handle_exists() {
        let (stopped, is_stopped) = oneshot::channel();
        let app = App::new(table::<()>(&[]), ());
        let running = app.start(DetachedConnection(stopped)).await.unwrap();
        let handle = running.handle();
        // Let the connection start its task.
        tokio::task::yield_now().await;
        drop(running);
        tokio::time::timeout(Duration::from_secs(1), is_stopped)
            .await
            .expect("a stop")
            .unwrap();
        drop(handle);
    }
}
