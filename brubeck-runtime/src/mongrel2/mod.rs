//! Behind a Mongrel2 web server: requests are pulled from it, replies published to it.

pub mod codec;
mod control;
mod control_port_monitor;
mod counts;
mod front_end;
mod instance_registry;
#[cfg(unix)]
pub(crate) mod process;
mod server_link;
mod uploads;

pub use control::{Mongrel2Connection, Mongrel2ConnectionKind, Mongrel2Control};
pub use counts::Mongrel2Counts;

use crate::error::Error;
use crate::handler::{Application, Connection, OpenConnection};
use crate::mongrel2::server_link::LinkEvent;
use brubeck_zmtp::{Endpoint, LinkConfig, TransportError};
use control_port_monitor::ControlPortMonitor;
use front_end::FrontEnd;
use front_end::self_waking_task::SelfWakingTask;
use futures_util::FutureExt;
use futures_util::future::{BoxFuture, join};
use instance_registry::RegisteredLink;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use uploads::body_location::UploadStore;

/// How long a start waits for a Mongrel2, to see what it subscribes to. One that is there answers within milliseconds.
const SEEN: Duration = Duration::from_millis(500);

/// Web requests through a Mongrel2 server.
///
/// ```no_run
/// # use brubeck::prelude::*;
/// # async fn example(routes: Routes<()>) -> brubeck::Result {
/// App::new(routes, ()).serve(Mongrel2::new("tcp://127.0.0.1:9999", "tcp://127.0.0.1:9998")).await
/// # }
/// ```
///
/// The two addresses are the `send_spec` and the `recv_spec` of the `Handler` in Mongrel2's configuration.
/// Mongrel2 may start later, and start again: requests are taken once it listens for the replies, and a
/// reply to a request of an earlier start is dropped, because its connection is somebody else's by now.
/// Replies to one browser connection leave in the order of its requests. A browser that goes away stops
/// its handlers. An application may have several Mongrel2 servers, each [`also`](crate::App::also) one of these.
///
/// | limit | default | beyond it |
/// |---|---|---|
/// | requests worked on at once | 1,024, of them 64 of one connection | 503 |
/// | WebSockets | 8,192 | 503 |
/// | messages on their way to one client | 12; Mongrel2 drops a client at 17 | they are joined, and wait |
/// | body | the application's limit, or that of the route | 413, closed |
///
/// How fast a client reads is only known with [`control`](Mongrel2::control), or with Mongrel2's setting
/// `download.flow_control`. Without either a client is taken to read a megabyte in a second, and one that reads a long
/// response more slowly is dropped by Mongrel2.
#[derive(Clone, Debug)]
#[must_use]
pub struct Mongrel2 {
    send_spec: String,
    control: Option<String>,
    uploads: Option<(String, Option<PathBuf>)>,
    settings: Settings,
    counts: Mongrel2Counts,
}

/// What the loop must know.
#[derive(Clone, Debug)]
struct Settings {
    recv_spec: String,
    keep_alive: Duration,
    store: Option<UploadStore>,
}

impl Mongrel2 {
    /// Pulls requests from `send_spec` and publishes replies to `recv_spec`, in Mongrel2's words.
    pub fn new(send_spec: impl Into<String>, recv_spec: impl Into<String>) -> Mongrel2 {
        Mongrel2 {
            send_spec: send_spec.into(),
            control: None,
            uploads: None,
            settings: Settings {
                recv_spec: recv_spec.into(),
                keep_alive: Duration::from_secs(30),
                store: None,
            },
            counts: Mongrel2Counts::default(),
        }
    }

    /// The control port of this Mongrel2, by which it tells how much each client has read, and which clients are gone:
    /// long responses go as fast as their readers, and nothing is kept for those that left without a word.
    pub fn control(mut self, endpoint: impl Into<String>) -> Mongrel2 {
        self.control = Some(endpoint.into());
        self
    }

    /// Takes the files to which Mongrel2 writes large bodies. The template is its setting `upload.temp_store`, and ends in
    /// `XXXXXX`; a file is removed when its handler is done with it. Nobody but Mongrel2 and this process should be able
    /// to write to the folder.
    pub fn uploads(mut self, template: impl Into<String>) -> Mongrel2 {
        self.uploads = Some((template.into(), None));
        self
    }

    /// As [`uploads`](Mongrel2::uploads), where Mongrel2 runs in a chroot or another working folder: `folder` is where the
    /// files are for this process.
    pub fn uploads_at(mut self, template: impl Into<String>, folder: impl Into<PathBuf>) -> Mongrel2 {
        self.uploads = Some((template.into(), Some(folder.into())));
        self
    }

    /// How often Mongrel2 is told to leave a waiting connection open, and the client of a quiet WebSocket is asked whether
    /// it is there; 30 seconds unless set. Mongrel2 closes what is quiet for two minutes.
    pub fn keep_alive(mut self, interval: Duration) -> Mongrel2 {
        self.settings.keep_alive = interval.max(Duration::from_secs(1));
        self
    }

    /// What goes over this link from now on, in numbers.
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
            let cannot = |spec: &str, error: TransportError| {
                Error::because(format!("cannot connect to Mongrel2 at {spec}"), error)
            };
            let endpoint = |spec: &str| {
                spec.parse::<Endpoint>()
                    .map_err(|error| cannot(spec, error.into()))
            };
            if let Some((template, folder)) = uploads {
                settings.store = Some(UploadStore::new(&template, folder).ok_or_else(|| {
                    Error::new(format!(
                        "`{template}` is no template for uploads: write it as Mongrel2's upload.temp_store, `/folder/name.XXXXXX`"
                    ))
                })?);
            }
            let watch = control
                .map(Mongrel2Control::connect)
                .transpose()?
                .map(ControlPortMonitor::new);
            let (requests, replies) = (endpoint(&send_spec)?, endpoint(&settings.recv_spec)?);
            let (mut link, mut carry) = server_link::open(requests, replies, LinkConfig::default())
                .map_err(|error| cannot(&send_spec, error))?;
            let registration = RegisteredLink::new(&application, &settings.recv_spec);
            let first = tokio::select! {
                first = link.inbound.recv() => first,
                () = &mut carry => None,
                () = tokio::time::sleep(SEEN) => None,
            };
            if let Some(LinkEvent::Up { recv_ident, .. }) = &first {
                registration.subscribed(recv_ident);
            }
            if let Err(refused) = registration.check() {
                // Whoever tries again must not lose requests to this one.
                join(link.shutdown(Duration::ZERO), carry).await;
                return Err(refused);
            }
            let address = format!("Mongrel2 {send_spec} {}", settings.recv_spec);
            let front_end = FrontEnd::new(application, settings, registration, watch, counts);
            Ok(OpenConnection {
                address,
                serve: Box::new(|stop| {
                    let serve = join(carry, front_end.serve(link, first, stop));
                    Box::pin(SelfWakingTask::new(serve.map(|_| ())))
                }),
            })
        })
    }
}
