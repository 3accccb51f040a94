//! The configuration of a Mongrel2: its address, and the handlers of its routes.

mod handler;

pub use handler::Mongrel2Handler;

use super::Mongrel2Server;
use crate::error::{Error, Result};
use handler::check_idents;
use std::fmt::Write as _;
use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

const DEFAULT_BODY_LIMIT: usize = 1 << 20;
const DEFAULT_IDLE_LIMIT: Duration = Duration::from_secs(600);

/// A configuration of a Mongrel2 server: its address, the handlers of its routes, and settings.
///
/// ```no_run
/// use brubeck::{Mongrel2Config, Mongrel2Handler};
/// use brubeck::prelude::*;
///
/// # async fn example(routes: Routes<()>) -> brubeck::Result {
/// let (send, recv) = ("tcp://127.0.0.1:9999", "tcp://127.0.0.1:9998");
/// let server = Mongrel2Config::bind("127.0.0.1:6767").handler("/", Mongrel2Handler::new(send, recv)).start().await?;
/// App::new(routes, ()).serve(Mongrel2::new(send, recv)).await?;
/// server.stop().await
/// # }
/// ```
///
/// [`start`](Mongrel2Config::start) runs a Mongrel2 with it. [`conf`](Mongrel2Config::conf) returns it as a text for
/// `m2sh`. [`Routes::mongrel2_conf`](crate::Routes::mongrel2_conf) creates it from the routes of an application.
///
/// # Defaults
///
/// Some defaults differ from those of Mongrel2: the head of a request may have 64 KiB and arrive in up to 64 packets,
/// a body may have 1 MiB, and an idle connection is closed after ten minutes.
#[derive(Clone, Debug)]
#[must_use = "a configuration does nothing until it is started"]
pub struct Mongrel2Config {
    listen_address: String,
    handlers: Vec<(String, Mongrel2Handler)>,
    body_limit: usize,
    idle_limit: Duration,
    settings: Vec<(String, String)>,
}

impl Mongrel2Config {
    /// Creates a configuration of a server that listens on `address`, an IP address and a port. Port 0 selects a free
    /// port.
    ///
    /// ```
    /// use brubeck::Mongrel2Config;
    ///
    /// let config = Mongrel2Config::bind("127.0.0.1:0");
    /// ```
    ///
    /// An invalid address is reported by [`start`](Mongrel2Config::start) and [`conf`](Mongrel2Config::conf).
    pub fn bind(address: impl Into<String>) -> Mongrel2Config {
        Mongrel2Config {
            listen_address: address.into(),
            handlers: Vec::new(),
            body_limit: DEFAULT_BODY_LIMIT,
            idle_limit: DEFAULT_IDLE_LIMIT,
            settings: Vec::new(),
        }
    }

    /// Sends requests to `handler` if their path begins with `route`. The longest matching route wins.
    ///
    /// ```
    /// use brubeck::{Mongrel2Config, Mongrel2Handler};
    ///
    /// let pages = Mongrel2Handler::new("ipc:///run/m2/pages-send", "ipc:///run/m2/pages-recv");
    /// let chat = Mongrel2Handler::new("ipc:///run/m2/chat-send", "ipc:///run/m2/chat-recv");
    /// let config = Mongrel2Config::bind("0.0.0.0:80").handler("/", pages).handler("/chat/", chat);
    /// ```
    ///
    /// Mongrel2 also matches a path that is a prefix of a route: the route `/abc` receives `/ab` as well.
    pub fn handler(mut self, route: impl Into<String>, handler: Mongrel2Handler) -> Mongrel2Config {
        self.handlers.push((route.into(), handler));
        self
    }

    /// Sets the limit of a request body, in bytes. The default is 1 MiB. Mongrel2 answers a larger body with 413,
    /// unless uploads are enabled.
    ///
    /// ```
    /// use brubeck::Mongrel2Config;
    ///
    /// let config = Mongrel2Config::bind("0.0.0.0:80").body_limit(1 << 20);
    /// ```
    pub fn body_limit(mut self, bytes: usize) -> Mongrel2Config {
        self.body_limit = bytes;
        self
    }

    /// Sets the time after which Mongrel2 closes an idle connection. The default is ten minutes; zero disables it.
    /// Fractions of a second are cut off, so less than one second is zero.
    ///
    /// ```
    /// use brubeck::Mongrel2Config;
    /// use std::time::Duration;
    ///
    /// let config = Mongrel2Config::bind("0.0.0.0:80").idle_limit(Duration::from_secs(30));
    /// ```
    ///
    /// A connection is idle, too, while a handler works on its request. But the application keeps such connections
    /// open, see [`Mongrel2::keep_alive`](crate::Mongrel2::keep_alive).
    pub fn idle_limit(mut self, limit: Duration) -> Mongrel2Config {
        self.idle_limit = limit;
        self
    }

    /// Makes Mongrel2 write large bodies to files.
    ///
    /// ```
    /// use brubeck::{Mongrel2, Mongrel2Config, Mongrel2Handler};
    ///
    /// let (send, recv) = ("ipc:///run/m2/send", "ipc:///run/m2/recv");
    /// let template = "/var/uploads/upload.XXXXXX";
    /// let config = Mongrel2Config::bind("0.0.0.0:80").handler("/", Mongrel2Handler::new(send, recv)).uploads(template);
    /// let connection = Mongrel2::new(send, recv).uploads(template);
    /// ```
    ///
    /// `template` is a path that ends in `XXXXXX`, which Mongrel2 replaces by random characters.
    /// [`Mongrel2::uploads`](crate::Mongrel2::uploads) needs the same template.
    ///
    /// A body is large if it exceeds the [`body_limit`](Mongrel2Config::body_limit), which is then at least 64 KiB. The folder must exist, and
    /// Mongrel2 must be able to write to it. The template is not checked here: if it does not end in `XXXXXX`, Mongrel2 starts, and every
    /// large upload fails.
    pub fn uploads(self, template: impl Into<String>) -> Mongrel2Config {
        self.setting("upload.temp_store", template)
    }

    /// Makes Mongrel2 send large bodies in parts, as fast as the handler reads them.
    ///
    /// ```
    /// use brubeck::Mongrel2Config;
    ///
    /// let config = Mongrel2Config::bind("0.0.0.0:80").stream_uploads();
    /// ```
    ///
    /// A body is large if it exceeds the body limit, which is then at least 64 KiB. If several processes serve a
    /// route, Mongrel2 distributes the parts of one body among them, and the upload fails. So use one process for
    /// such a route.
    pub fn stream_uploads(self) -> Mongrel2Config {
        self.setting("upload.stream", "1")
    }

    /// Makes Mongrel2 report how many bytes it has written to each client.
    ///
    /// ```
    /// use brubeck::Mongrel2Config;
    ///
    /// let config = Mongrel2Config::bind("0.0.0.0:80").flow_control();
    /// ```
    ///
    /// So long responses are sent as fast as their clients read. This costs one additional message for each response. The
    /// [control port](crate::Mongrel2::control) has the same purpose.
    pub fn flow_control(self) -> Mongrel2Config {
        self.setting("download.flow_control", "1")
    }

    /// Sets any other setting of Mongrel2. It replaces the value that this configuration has.
    ///
    /// ```
    /// use brubeck::Mongrel2Config;
    ///
    /// let config = Mongrel2Config::bind("127.0.0.1:6767").setting("zeromq.threads", "2");
    /// ```
    ///
    /// The names are those of [Mongrel2's manual](https://mongrel2.org/manual/book-finalch4.html), such as `limits.header_count` or `superpoll.max_fd`. A value of digits is written as a
    /// number, and any other as a text. Mongrel2 ignores a name that it does not know, so check the spelling.
    ///
    /// With uploads, `limits.content_length` is raised to `limits.buffer_size`, because Mongrel2 would lose data otherwise.
    pub fn setting(mut self, name: impl Into<String>, value: impl Into<String>) -> Mongrel2Config {
        self.settings.push((name.into(), value.into()));
        self
    }

    /// Starts the server and waits until it accepts requests: see the example of [`Mongrel2Config`].
    ///
    /// This takes about half a second.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if Mongrel2 is not installed, the configuration is invalid, the address or an endpoint cannot be
    /// bound, or Mongrel2 is not ready within 15 seconds.
    pub async fn start(self) -> Result<Mongrel2Server> {
        Mongrel2Server::start(self).await
    }

    /// Returns the address to listen on. If the port is 0, selects a free one.
    pub(super) fn address(&self) -> Result<SocketAddr> {
        let address: SocketAddr = self.listen_address.parse().map_err(|error| {
            Error::because(
                format!(
                    "`{}` is not an IP address with a port; write it as `127.0.0.1:6767`",
                    self.listen_address
                ),
                Box::<dyn std::error::Error + Send + Sync>::from(error),
            )
        })?;
        if address.port() != 0 {
            return Ok(address);
        }
        // Mongrel2 cannot select a port by itself. So let the system select one, and release it for Mongrel2.
        let free = std::net::TcpListener::bind(address).and_then(|listener| listener.local_addr());
        free.map_err(|error| Error::because(format!("cannot find a free port on {}", address.ip()), error))
    }

    /// Returns `true` if the port is 0. Then the system selects a port, and if that is taken before Mongrel2 binds it, another
    /// one can be tried.
    pub(super) fn uses_any_port(&self) -> bool {
        self.listen_address.ends_with(":0")
    }

    /// Returns the configuration as a text for `m2sh load`, to run Mongrel2 without this process: `mongrel2
    /// <database> <id>`.
    ///
    /// ```
    /// use brubeck::{Mongrel2Config, Mongrel2Handler};
    ///
    /// let handler = Mongrel2Handler::new("ipc:///run/m2/send", "ipc:///run/m2/recv");
    /// let config = Mongrel2Config::bind("127.0.0.1:6767").handler("/", handler);
    /// let text = config.conf("web-1", "/var/lib/m2")?;
    /// assert!(text.contains(r#"control_port="ipc:///var/lib/m2/run/control""#), "{text}");
    /// # Ok::<(), brubeck::Error>(())
    /// ```
    ///
    /// `id` becomes the `uuid` of the server and must be a valid identity. The log files, the pid file and the
    /// control port are in `folder`, which must have the subfolders `run`, `logs` and `tmp`. If the port of the address
    /// is 0, the text has one that is free now.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if there is no handler, the address or an identity is invalid, two handlers have the same
    /// endpoints but different settings, or a text contains a quote or a control character.
    pub fn conf(&self, id: &str, folder: impl AsRef<Path>) -> Result<String> {
        check_idents(id, id)?;
        self.to_text(id, self.address()?, folder.as_ref())
    }

    /// Returns the endpoint of the control port.
    pub(super) fn control_port(&self, folder: &Path) -> String {
        let configured = self
            .settings
            .iter()
            .rev()
            .find(|(name, _)| name == "control_port");
        configured.map_or_else(
            || format!("ipc://{}/run/control", folder.display()),
            |(_, value)| value.clone(),
        )
    }

    /// Returns the text for `m2sh load`. `id` is the identity of the server, and the prefix of the default identities
    /// of its handlers.
    pub(super) fn to_text(&self, id: &str, address: SocketAddr, folder: &Path) -> Result<String> {
        let mut handlers = String::new();
        let mut routes = String::new();
        if self.handlers.is_empty() {
            return Err(Error::new(
                "the configuration of Mongrel2 has no handler; add one with `Mongrel2Config::handler`",
            ));
        }
        let mut written: Vec<&Mongrel2Handler> = Vec::new();
        for (route, handler) in &self.handlers {
            // Mongrel2 merges handlers with the same endpoints, so write one of them.
            let existing = written.iter().position(|other| other.has_same_endpoints(handler));
            let number = existing.unwrap_or(written.len());
            let _ = write!(routes, "{}: handler{number}, ", quote(route)?);
            if let Some(existing) = existing.and_then(|number| written.get(number)) {
                existing.check_equal(handler)?;
                continue;
            }
            written.push(handler);
            // The numbers have the same width, because no identity may be a prefix of another.
            let default_ident = format!("{id}-{number:04}");
            let (send_ident, recv_ident) = match &handler.idents {
                Some((send, recv)) => (send.as_str(), recv.as_str()),
                None => (default_ident.as_str(), default_ident.as_str()),
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
        let control = self.control_port(folder);
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
            // A server that forks into the background cannot be supervised.
            ("server.daemonize", "0".into()),
            ("zeromq.threads", "1".into()),
            ("limits.buffer_size", "65536".into()),
            ("limits.client_read_retries", "64".into()),
            ("limits.content_length", self.body_limit.to_string()),
            ("limits.min_ping", self.idle_limit.as_secs().to_string()),
        ];
        for (name, value) in &self.settings {
            settings.retain(|(default, _)| default != name);
            settings.push((name, value.clone()));
        }
        raise_upload_threshold(&mut settings);
        let mut text = Vec::with_capacity(settings.len());
        for (name, value) in settings {
            let is_number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let value = if is_number { value } else { quote(&value)? };
            text.push(format!("{}: {value}", quote(name)?));
        }
        Ok(text.join(", "))
    }
}

/// Raises `limits.content_length`, the size at which uploads begin, to the size of the buffer.
///
/// When an upload begins, Mongrel2 shrinks its buffer to `limits.content_length`. Bytes that it had read beyond that
/// are lost, and the handler receives other memory of Mongrel2 in their place. So uploads must not be smaller than
/// the buffer.
fn raise_upload_threshold(settings: &mut [(&str, String)]) {
    let number = |settings: &[(&str, String)], name: &str| {
        let found = settings.iter().find(|(other, _)| *other == name);
        found.and_then(|(_, value)| value.parse::<u64>().ok())
    };
    let uploads = settings
        .iter()
        .any(|(name, value)| *name == "upload.temp_store" || (*name == "upload.stream" && value != "0"));
    if uploads
        && let Some(buffer_size) = number(settings, "limits.buffer_size")
        && let Some(content_length) = number(settings, "limits.content_length")
        && content_length < buffer_size
        && let Some((_, value)) = settings
            .iter_mut()
            .find(|(name, _)| *name == "limits.content_length")
    {
        *value = buffer_size.to_string();
    }
}

/// Puts a text in quotes.
///
/// # Errors
///
/// Returns an error if it contains a quote or a control character. `m2sh` has no escapes.
fn quote(text: &str) -> Result<String> {
    if text.chars().any(|c| c == '"' || c.is_control()) {
        return Err(Error::new(format!(
            "`{}` contains a quote or a control character, which a configuration of Mongrel2 cannot represent",
            text.escape_debug()
        )));
    }
    Ok(format!("\"{text}\""))
}

#[cfg(test)]
mod tests;
