//! What a Mongrel2 is told: where to listen, and which paths go to which handlers.

mod handler;

pub use handler::Mongrel2Handler;

use super::Mongrel2Server;
use crate::error::{Error, Result};
use handler::check_idents;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

/// The configuration of a Mongrel2 to [start](Mongrel2Config::start).
///
/// ```no_run
/// use brubeck::prelude::*;
/// use brubeck::{Mongrel2Config, Mongrel2Handler};
///
/// # async fn example(routes: Routes<()>) -> brubeck::Result {
/// let (send, recv) = ("tcp://127.0.0.1:9999", "tcp://127.0.0.1:9998");
/// let server = Mongrel2Config::bind("127.0.0.1:6767").handler("/", Mongrel2Handler::new(send, recv)).start().await?;
/// App::new(routes, ()).serve(Mongrel2::new(send, recv)).await?;
/// server.stop().await
/// # }
/// ```
///
/// Unlike Mongrel2 itself it takes request heads of 64 KiB that come in up to 64 pieces, bodies of
/// 1 MiB, and leaves a connection that waits for a slow answer alone for ten minutes.
#[derive(Clone, Debug)]
#[must_use = "a configuration does nothing until it is started"]
pub struct Mongrel2Config {
    listen: String,
    handlers: Vec<(String, Mongrel2Handler)>,
    body_limit: usize,
    idle_limit: Duration,
    settings: Vec<(String, String)>,
}

impl Mongrel2Config {
    /// A server that listens at this address and port; port 0 takes a free one.
    pub fn bind(address: impl Into<String>) -> Mongrel2Config {
        Mongrel2Config {
            listen: address.into(),
            handlers: Vec::new(),
            body_limit: 1 << 20,
            idle_limit: Duration::from_secs(600),
            settings: Vec::new(),
        }
    }

    /// Sends requests whose path begins with `route` to this handler. The longest route wins; and a path
    /// that is the beginning of a route also matches it, which is Mongrel2's rule.
    pub fn handler(mut self, route: impl Into<String>, handler: Mongrel2Handler) -> Mongrel2Config {
        self.handlers.push((route.into(), handler));
        self
    }

    /// The largest body, in bytes; 1 MiB unless set. Mongrel2 answers a larger one with 413.
    pub fn body_limit(mut self, bytes: usize) -> Mongrel2Config {
        self.body_limit = bytes;
        self
    }

    /// How long a connection may be silent, in whole seconds; ten minutes unless set, zero for ever.
    /// Mongrel2 closes it then, even while its request is being answered.
    pub fn idle_limit(mut self, limit: Duration) -> Mongrel2Config {
        self.idle_limit = limit;
        self
    }

    /// Writes bodies beyond the body limit, or 64 KiB if that is less, to files: `template` is a path that ends in `XXXXXX`, where Mongrel2 puts
    /// other characters. [`Mongrel2::uploads`](crate::Mongrel2::uploads) is told the same.
    pub fn uploads(self, template: impl Into<String>) -> Mongrel2Config {
        self.setting("upload.temp_store", template)
    }

    /// Sends bodies beyond the body limit, or 64 KiB if that is less, in parts, as fast as the handler reads them. All parts of one go to one
    /// process only where there is but one for its route.
    pub fn stream_uploads(self) -> Mongrel2Config {
        self.setting("upload.stream", "1")
    }

    /// Tells handlers what each client has read, so that long responses go as fast as their readers; this costs a
    /// message for each that is sent.
    pub fn flow_control(self) -> Mongrel2Config {
        self.setting("download.flow_control", "1")
    }

    /// Any other setting of Mongrel2, such as `("zeromq.threads", "2")`; it replaces what is set here.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Mongrel2Config {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Starts the server and waits until it takes requests, which is half a second.
    ///
    /// # Errors
    ///
    /// Mongrel2 is not installed, the configuration is none, the port is taken, an endpoint cannot be
    /// bound.
    pub async fn start(self) -> Result<Mongrel2Server> {
        Mongrel2Server::start(self).await
    }

    /// The address to listen at, where port 0 has become a free port.
    pub(super) fn address(&self) -> Result<SocketAddr> {
        let address: SocketAddr = self.listen.parse().map_err(|error| {
            Error::because(
                format!(
                    "`{}` is no address to listen at; write it as `127.0.0.1:6767`",
                    self.listen
                ),
                Box::<dyn std::error::Error + Send + Sync>::from(error),
            )
        })?;
        if address.port() != 0 {
            return Ok(address);
        }
        // Mongrel2 cannot choose a port by itself, so one is found free and let go again.
        let found = std::net::TcpListener::bind(address).and_then(|listener| listener.local_addr());
        found.map_err(|error| Error::because(format!("no port is free at {}", address.ip()), error))
    }

    /// Whether another port would do as well, if somebody else takes the one that was found free.
    pub(super) fn any_port(&self) -> bool {
        self.listen.ends_with(":0")
    }

    /// The configuration as `m2sh load` reads it, for a Mongrel2 that somebody else starts: `mongrel2 <database> <id>`.
    /// Its logs, its pid and its control port lie below `folder`, where `run`, `logs` and `tmp` must be there.
    ///
    /// # Errors
    ///
    /// What Mongrel2 cannot be told: an address that is none, a quote in an endpoint, identities that do not fit.
    pub fn conf(&self, id: &str, folder: impl AsRef<Path>) -> Result<String> {
        check_idents(id, id)?;
        self.text(id, self.address()?, folder.as_ref())
    }

    /// Where the control port is.
    pub(super) fn control(&self, folder: &Path) -> String {
        let set = self
            .settings
            .iter()
            .rev()
            .find(|(name, _)| name == "control_port");
        set.map_or_else(
            || format!("ipc://{}/run/control", folder.display()),
            |(_, value)| value.clone(),
        )
    }

    /// The text that `m2sh` reads. `id` becomes the identity of the server, and the beginning of those
    /// of its handlers.
    pub(super) fn text(&self, id: &str, address: SocketAddr, folder: &Path) -> Result<String> {
        let mut handlers = String::new();
        let mut routes = String::new();
        if self.handlers.is_empty() {
            return Err(Error::new(
                "a Mongrel2 without a handler answers nothing; add one with `handler`",
            ));
        }
        let mut written: Vec<&Mongrel2Handler> = Vec::new();
        for (route, handler) in &self.handlers {
            // Mongrel2 would take the second of two handlers at the same endpoints for the first.
            let known = written.iter().position(|known| known.is_at(handler));
            let number = known.unwrap_or(written.len());
            let _ = write!(routes, "{}: handler{number}, ", quote(route)?);
            if let Some(known) = known.and_then(|number| written.get(number)) {
                known.check_same(handler)?;
                continue;
            }
            written.push(handler);
            // Of equal width, because no identity may be the beginning of another.
            let own = format!("{id}-{number:04}");
            let (send_ident, recv_ident) = match &handler.idents {
                Some((send, recv)) => (send.as_str(), recv.as_str()),
                None => (own.as_str(), own.as_str()),
            };
            check_idents(send_ident, recv_ident)?;
            let Mongrel2Handler {
                send_spec,
                recv_spec,
                protocol,
                ..
            } = handler;
            let [send_spec, recv_spec] = [send_spec, recv_spec].map(|text| quote(text));
            let _ = writeln!(
                handlers,
                "handler{number} = Handler(send_spec={}, send_ident=\"{send_ident}\", recv_spec={}, \
                 recv_ident=\"{recv_ident}\", protocol=\"{protocol}\", raw_payload=1)",
                send_spec?, recv_spec?
            );
        }
        let control = self.control(folder);
        let folder = folder.display().to_string();
        let file = |name: &str| quote(&format!("{folder}/{name}"));
        Ok(format!(
            "{handlers}main = Server(uuid=\"{id}\", name=\"main\", default_host=\"localhost\", bind_addr=\"{ip}\", \
             port={port}, access_log={access}, error_log={error}, pid_file={pid}, control_port={control}, \
             hosts=[Host(name=\"localhost\", routes={{{routes}}})])\nservers = [main]\nsettings = {{{settings}}}\n",
            ip = address.ip(),
            port = address.port(),
            access = file("logs/access.log")?,
            error = file("logs/error.log")?,
            pid = file("run/mongrel2.pid")?,
            control = quote(&control)?,
            routes = routes.trim_end_matches(", "),
            settings = self.settings()?,
        ))
    }

    fn settings(&self) -> Result<String> {
        let mut settings: Vec<(&str, String)> = vec![
            // A server that forks away cannot be watched.
            ("server.daemonize", "0".into()),
            ("zeromq.threads", "1".into()),
            ("limits.buffer_size", "65536".into()),
            ("limits.client_read_retries", "64".into()),
            ("limits.content_length", self.body_limit.to_string()),
            ("limits.min_ping", self.idle_limit.as_secs().to_string()),
        ];
        for (name, value) in &self.settings {
            settings.retain(|(known, _)| known != name);
            settings.push((name, value.clone()));
        }
        widen(&mut settings);
        let mut text = Vec::with_capacity(settings.len());
        for (name, value) in settings {
            let number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let value = if number { value } else { quote(&value)? };
            text.push(format!("{}: {value}", quote(name)?));
        }
        Ok(text.join(", "))
    }
}

/// Mongrel2 shrinks its buffer to `limits.content_length` when an upload begins, and what it had read beyond that is lost:
/// the handler gets memory of Mongrel2 instead. So uploads begin no earlier than at the size of the buffer.
fn widen(settings: &mut [(&str, String)]) {
    let number = |settings: &[(&str, String)], name: &str| {
        let found = settings.iter().find(|(known, _)| *known == name);
        found.and_then(|(_, value)| value.parse::<u64>().ok())
    };
    let uploads = settings
        .iter()
        .any(|(name, value)| *name == "upload.temp_store" || (*name == "upload.stream" && value != "0"));
    let sizes = (
        number(settings, "limits.buffer_size"),
        number(settings, "limits.content_length"),
    );
    if let (true, (Some(buffer), Some(length))) = (uploads, sizes)
        && length < buffer
        && let Some((_, value)) = settings
            .iter_mut()
            .find(|(name, _)| *name == "limits.content_length")
    {
        *value = buffer.to_string();
    }
}

/// `m2sh` has no way to write a quote inside a text.
fn quote(text: &str) -> Result<String> {
    match text.chars().any(|c| c == '"' || c.is_control()) {
        true => Err(Error::new(format!(
            "Mongrel2 cannot be told `{}`: it holds a quote or a control character",
            text.escape_debug()
        ))),
        false => Ok(format!("\"{text}\"")),
    }
}

#[cfg(test)]
mod tests;
