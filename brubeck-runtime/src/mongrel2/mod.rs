//! Mongrel2: the front end that receives web requests from a Mongrel2 server over ZeroMQ and sends the responses back, a
//! client for its control port, and the means to run a Mongrel2 as a child process.

pub mod codec;
mod control;
mod control_port_monitor;
mod counts;
mod front_end;
mod in_memory;
mod instance_registry;
pub(crate) mod process;
mod server_link;
mod uploads;

pub use control::{Mongrel2Connection, Mongrel2ConnectionKind, Mongrel2Control};
pub use counts::Mongrel2Counts;
pub(crate) use in_memory::InMemoryMessageSocket;

use crate::error::Error;
use crate::handler::{Application, Connection, OpenConnection};
use brubeck_zmtp::{Endpoint, LinkConfig, TransportError};
use control_port_monitor::ControlPortMonitor;
use front_end::FrontEnd;
use front_end::self_waking_task::SelfWakingTask;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join};
use instance_registry::RegisteredLink;
use server_link::LinkEvent;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use uploads::body_location::UploadStore;

/// Time that a start waits for the subscription of Mongrel2, to check its `recv_ident`. A Mongrel2 that is running
/// subscribes within milliseconds.
const FIRST_SUBSCRIPTION_TIMEOUT: Duration = Duration::from_millis(500);

const DEFAULT_KEEP_ALIVE: Duration = Duration::from_secs(30);
const MIN_KEEP_ALIVE: Duration = Duration::from_secs(1);

/// A connection to a Mongrel2 server, which passes web requests to the application.
///
/// ```no_run
/// # use brubeck::prelude::*;
/// # async fn example(routes: Routes<()>) -> brubeck::Result {
/// App::new(routes, ()).serve(Mongrel2::new("tcp://127.0.0.1:9999", "tcp://127.0.0.1:9998")).await
/// # }
/// ```
///
/// The two addresses are the `send_spec` and the `recv_spec` of the `Handler` in Mongrel2's configuration. To use
/// several Mongrel2 servers, add a `Mongrel2` for each further one with [`App::also`](crate::App::also).
///
/// Mongrel2 may be started after the application, and restarted at any time. The application receives requests once
/// Mongrel2 has subscribed to the responses. After a restart, Mongrel2 assigns the same connection ids to other
/// clients. So whenever the connection to Mongrel2 is lost, the handlers of its requests are cancelled, and their
/// responses are dropped.
///
/// The responses on one connection are sent in the order of its requests. If a client disconnects, the handlers of its
/// requests are cancelled. The handler of an accepted WebSocket keeps running, and its [`recv`](crate::WebSocket::recv) returns
/// `None`.
///
/// If an application has several servers, the `recv_ident` of each must not be empty: a server with an empty `recv_ident` would
/// also receive the responses to the other servers. The application fails to start if one of them is empty. If this is detected only
/// after the start, the requests of the server that has just subscribed are ignored, and an error is logged.
///
/// # Limits
///
/// | limit | value | beyond it |
/// |---|---|---|
/// | concurrent requests | 1,024, at most 64 of them on one connection | 503 |
/// | WebSockets | 8,192 | 503 |
/// | messages of a WebSocket that its handler has not received | 4 MiB, or one message if its limit is higher; small ones count as 256 bytes | the WebSocket is closed (1008, `too many messages are waiting`) |
/// | messages in flight to one client, without `download.flow_control` | 12, and 4 MiB with the control port (Mongrel2 disconnects a client at 17 messages) | they wait, and are merged |
/// | bytes in flight to one client, with `download.flow_control` | the credit that Mongrel2 grants | they wait, and are merged |
/// | messages of a [`Broadcast`](crate::Broadcast#slow-members) that wait for a client | 4 MiB if it reads | the broadcast waits |
/// | the same for a client that reads nothing | 16 MiB and ten seconds | the client is disconnected (1008, `the client does not read its messages`) |
/// | body | the body limit of the application or of the route | 413; the connection of an upload is closed |
///
/// # Slow clients
///
/// The rate at which a client reads is known only if the application uses the [control port](Mongrel2::control) or if
/// Mongrel2's setting `download.flow_control` is on. Otherwise, long responses are sent at one MiB per second, and
/// a client that reads a long response more slowly than that is disconnected by Mongrel2.
#[derive(Clone, Debug)]
#[must_use]
pub struct Mongrel2 {
    send_spec: String,
    control: Option<String>,
    /// The template of the upload files, and their folder if this process sees it at another path.
    uploads: Option<(String, Option<PathBuf>)>,
    settings: Settings,
    counts: Mongrel2Counts,
}

/// The settings of the event loop.
#[derive(Clone, Debug)]
struct Settings {
    recv_spec: String,
    keep_alive: Duration,
    upload_store: Option<UploadStore>,
}

impl Mongrel2 {
    /// Receives requests from `send_spec` and sends responses to `recv_spec`. Both are named from the view of
    /// Mongrel2, as in its configuration.
    ///
    /// ```
    /// use brubeck::Mongrel2;
    ///
    /// let mongrel2 = Mongrel2::new("ipc:///run/m2/send", "ipc:///run/m2/recv");
    /// ```
    ///
    /// The application fails to start if one of the endpoints is invalid. It is not an error if Mongrel2 is not
    /// running yet.
    pub fn new(send_spec: impl Into<String>, recv_spec: impl Into<String>) -> Mongrel2 {
        Mongrel2 {
            send_spec: send_spec.into(),
            control: None,
            uploads: None,
            settings: Settings {
                recv_spec: recv_spec.into(),
                keep_alive: DEFAULT_KEEP_ALIVE,
                upload_store: None,
            },
            counts: Mongrel2Counts::default(),
        }
    }

    /// Uses the control port of this Mongrel2, the `control_port` of its configuration.
    ///
    /// ```
    /// use brubeck::Mongrel2;
    ///
    /// let mongrel2 = Mongrel2::new("ipc:///run/m2/send", "ipc:///run/m2/recv").control("ipc:///run/m2/control");
    /// ```
    ///
    /// The control port reports how many bytes Mongrel2 has written to each client, and which connections are open.
    /// With it, long responses are sent as fast as their clients read, and connections that were closed without a
    /// notice are detected within half of the [`keep_alive`](Mongrel2::keep_alive) interval.
    ///
    /// The application fails to start if the endpoint is invalid.
    pub fn control(mut self, endpoint: impl Into<String>) -> Mongrel2 {
        self.control = Some(endpoint.into());
        self
    }

    /// Accepts request bodies that Mongrel2 has written to files. `template` is Mongrel2's setting
    /// `upload.temp_store`, a path that ends in `XXXXXX`.
    ///
    /// ```
    /// use brubeck::Mongrel2;
    ///
    /// let mongrel2 = Mongrel2::new("ipc:///run/m2/send", "ipc:///run/m2/recv").uploads("/var/uploads/upload.XXXXXX");
    /// ```
    ///
    /// A file is removed when its handler has finished, unless the handler has stored it elsewhere. Only Mongrel2 and
    /// this process should have write access to the folder. The application fails to start if the template is invalid.
    ///
    /// If Mongrel2 sees the folder at another path, use [`uploads_at`](Mongrel2::uploads_at). Without either
    /// of the two, a request whose body Mongrel2 writes to a file is answered with 413.
    pub fn uploads(mut self, template: impl Into<String>) -> Mongrel2 {
        self.uploads = Some((template.into(), None));
        self
    }

    /// Accepts request bodies that Mongrel2 has written to files, if Mongrel2 runs in a chroot or in another working
    /// directory.
    ///
    /// ```
    /// use brubeck::Mongrel2;
    ///
    /// // Mongrel2 runs in the chroot `/srv/m2`.
    /// let mongrel2 = Mongrel2::new("ipc:///srv/m2/run/send", "ipc:///srv/m2/run/recv")
    ///     .uploads_at("/tmp/upload.XXXXXX", "/srv/m2/tmp");
    /// ```
    ///
    /// `template` is Mongrel2's setting `upload.temp_store`, and `folder` is the path of its folder for this process.
    /// See [`uploads`](Mongrel2::uploads).
    pub fn uploads_at(mut self, template: impl Into<String>, folder: impl Into<PathBuf>) -> Mongrel2 {
        self.uploads = Some((template.into(), Some(folder.into())));
        self
    }

    /// Sets the interval at which open connections are kept alive. The default is 30 seconds, and the minimum is one second.
    ///
    /// ```
    /// use brubeck::Mongrel2;
    /// use std::time::Duration;
    ///
    /// let mongrel2 = Mongrel2::new("ipc:///run/m2/send", "ipc:///run/m2/recv").keep_alive(Duration::from_secs(60));
    /// ```
    ///
    /// At this interval, Mongrel2's idle timers are reset for WebSockets, connections with pending requests, and message sockets with a
    /// [`SocketSender`](crate::SocketSender), and WebSockets are pinged. The application does not start with 0.
    ///
    /// Unless it is configured otherwise, Mongrel2 closes a connection that has been idle for two minutes, even if
    /// its request is still being processed. If the client of a WebSocket has sent nothing, not even a pong,
    /// in response to three pings, it is disconnected when the fourth one is due.
    pub fn keep_alive(mut self, interval: Duration) -> Mongrel2 {
        self.settings.keep_alive = interval;
        self
    }

    /// Returns counters of the requests and responses of this connection. They are updated while the application
    /// runs.
    ///
    /// ```no_run
    /// # use brubeck::prelude::*;
    /// # async fn example(routes: Routes<()>) -> brubeck::Result {
    /// let mongrel2 = Mongrel2::new("ipc:///run/m2/send", "ipc:///run/m2/recv");
    /// let counts = mongrel2.counts();
    /// App::new(routes, ()).serve(mongrel2).await?;
    /// println!("{} requests", counts.requests());
    /// # Ok(()) }
    /// ```
    pub fn counts(&self) -> Mongrel2Counts {
        self.counts.clone()
    }
}

impl Connection for Mongrel2 {
    fn open(
        self: Box<Self>,
        application: Arc<dyn Application>,
    ) -> BoxFuture<'static, crate::Result<OpenConnection>> {
        Box::pin(async move {
            let Mongrel2 {
                send_spec,
                control,
                uploads,
                mut settings,
                counts,
            } = *self;
            if settings.keep_alive.is_zero() {
                let effect = "connections would be kept alive without a pause";
                return Err(Error::zero_setting(
                    format!("connect to Mongrel2 at {send_spec}"),
                    "Mongrel2::keep_alive",
                    effect,
                ));
            }
            settings.keep_alive = settings.keep_alive.max(MIN_KEEP_ALIVE);
            settings.upload_store = uploads
                .map(|(template, folder)| upload_store(&template, folder))
                .transpose()?;
            let monitor = control
                .map(Mongrel2Control::connect)
                .transpose()?
                .map(ControlPortMonitor::new);
            let requests = parse_endpoint(&send_spec)?;
            let responses = parse_endpoint(&settings.recv_spec)?;
            let (mut link, mut link_driver) = server_link::open(requests, responses, LinkConfig::default())
                .map_err(|error| cannot_connect(&send_spec, error))?;
            let registration = RegisteredLink::new(&application, &settings.recv_spec);
            // A dangerous `recv_ident` should fail the start, so wait for the subscription. But Mongrel2 may be
            // started later, and then the front end checks it.
            let first_event = tokio::select! {
                event = link.inbound.recv() => event,
                () = &mut link_driver => None,
                () = tokio::time::sleep(FIRST_SUBSCRIPTION_TIMEOUT) => None,
            };
            if let Some(LinkEvent::Up { recv_ident, .. }) = &first_event {
                registration.set_recv_ident(recv_ident);
            }
            if let Err(error) = registration.check_recv_idents() {
                // Close the connection before returning. Otherwise Mongrel2 would still send requests to it, and the next start of
                // the application would not receive them.
                join(link.shutdown(Duration::ZERO), link_driver).await;
                return Err(error);
            }
            let address = format!("Mongrel2 {send_spec} {}", settings.recv_spec);
            let front_end = FrontEnd::new(application, settings, registration, monitor, counts);
            Ok(OpenConnection {
                address,
                serve: Box::new(|stop| {
                    let serve = join(link_driver, front_end.serve(link, first_event, stop));
                    Box::pin(SelfWakingTask::new(serve.map(|_| ())))
                }),
                listeners: Vec::new(),
            })
        })
    }
}

fn upload_store(template: &str, folder: Option<PathBuf>) -> crate::Result<UploadStore> {
    UploadStore::new(template, folder).ok_or_else(|| {
        Error::new(format!(
            "`{template}` is not a valid template for upload files; use the value of Mongrel2's `upload.temp_store`, which must \
             end in `XXXXXX`, such as `/var/uploads/upload.XXXXXX`"
        ))
    })
}

/// Parses an endpoint. Returns an error if it is invalid, or only valid for binding.
fn parse_endpoint(spec: &str) -> crate::Result<Endpoint> {
    spec.parse::<Endpoint>()
        .and_then(|endpoint| endpoint.check_connect().map(|()| endpoint.with_absolute_path()))
        .map_err(|error| cannot_connect(spec, error.into()))
}

fn cannot_connect(spec: &str, error: TransportError) -> Error {
    Error::because(format!("cannot connect to Mongrel2 at {spec}"), error)
}
