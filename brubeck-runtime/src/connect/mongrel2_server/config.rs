//! What a Mongrel2 is told: where to listen, and which paths go to which handlers.

use super::Mongrel2Server;
use crate::error::{Error, Result};
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

/// Where Mongrel2 meets the processes that answer a path.
#[derive(Clone, Debug)]
pub struct Mongrel2Handler {
    send_spec: String,
    recv_spec: String,
    idents: Option<(String, String)>,
    protocol: &'static str,
}

impl Mongrel2Handler {
    /// Requests are sent to `send_spec` and replies are received from `recv_spec`, both of which
    /// Mongrel2 binds: the same two endpoints, in this order, that [`Mongrel2::new`](crate::Mongrel2::new)
    /// takes. Whoever can connect to them can read requests and write to browsers, so use
    /// `ipc://` or the loopback.
    pub fn new(send_spec: impl Into<String>, recv_spec: impl Into<String>) -> Mongrel2Handler {
        Mongrel2Handler {
            send_spec: send_spec.into(),
            recv_spec: recv_spec.into(),
            idents: None,
            protocol: "json",
        }
    }

    /// The identity that requests carry, and the prefix of the identities that replies may carry;
    /// unless set, one that no other Mongrel2 has.
    pub fn idents(mut self, send_ident: impl Into<String>, recv_ident: impl Into<String>) -> Mongrel2Handler {
        self.idents = Some((send_ident.into(), recv_ident.into()));
        self
    }

    /// Sends the headers of requests as a tnetstring instead of JSON.
    pub fn tnetstring(mut self) -> Mongrel2Handler {
        self.protocol = "tnetstring";
        self
    }
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
        for (number, (route, handler)) in self.handlers.iter().enumerate() {
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
            let quoted = [send_spec, recv_spec, route].map(|text| quote(text));
            let [send_spec, recv_spec, route] = quoted;
            let _ = writeln!(
                handlers,
                "handler{number} = Handler(send_spec={}, send_ident=\"{send_ident}\", recv_spec={}, \
                 recv_ident=\"{recv_ident}\", protocol=\"{protocol}\")",
                send_spec?, recv_spec?
            );
            let _ = write!(routes, "{}: handler{number}, ", route?);
        }
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
            control = quote(&format!("ipc://{folder}/run/control"))?,
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
        let mut text = Vec::with_capacity(settings.len());
        for (name, value) in settings {
            let number = !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit());
            let value = if number { value } else { quote(&value)? };
            text.push(format!("{}: {value}", quote(name)?));
        }
        Ok(text.join(", "))
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

fn check_idents(send: &str, recv: &str) -> Result<()> {
    if send.is_empty() || send.len() > 255 || !send.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-') {
        return Err(Error::new(format!(
            "`{}` is no identity for Mongrel2: it must be 1 to 255 letters, digits or `-`",
            send.escape_debug()
        )));
    }
    match send.starts_with(recv) {
        true => Ok(()),
        false => Err(Error::new(format!(
            "replies to `{send}` would never arrive: recv_ident `{}` is not its beginning; use the same text for both",
            recv.escape_debug()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(config: &Mongrel2Config) -> Result<String> {
        config.text("m2-1", "127.0.0.1:6767".parse().unwrap(), Path::new("/tmp/m2-1"))
    }

    fn one() -> Mongrel2Config {
        Mongrel2Config::bind("127.0.0.1:6767").handler("/", Mongrel2Handler::new("ipc://a", "ipc://b"))
    }

    #[test]
    fn every_handler_has_an_identity_of_its_own() {
        let text =
            text(&one().handler("/b/", Mongrel2Handler::new("ipc://c", "ipc://d").tnetstring())).unwrap();
        assert!(text.contains(
            r#"handler0 = Handler(send_spec="ipc://a", send_ident="m2-1-0000", recv_spec="ipc://b", recv_ident="m2-1-0000", protocol="json")"#
        ), "{text}");
        assert!(text.contains(r#"send_ident="m2-1-0001", recv_spec="ipc://d", recv_ident="m2-1-0001", protocol="tnetstring")"#), "{text}");
        assert!(
            text.contains(r#"routes={"/": handler0, "/b/": handler1}"#),
            "{text}"
        );
    }

    #[test]
    fn a_setting_replaces_the_one_that_is_there() {
        let config = one()
            .setting("limits.buffer_size", "16384")
            .setting("upload.temp_store", "/tmp/u.XXXXXX");
        let text = text(&config).unwrap();
        assert!(
            text.contains(r#""limits.buffer_size": 16384, "upload.temp_store": "/tmp/u.XXXXXX"}"#),
            "{text}"
        );
        assert!(!text.contains("65536"), "{text}");
    }

    #[test]
    fn what_mongrel2_would_misread_is_refused() {
        for config in [
            Mongrel2Config::bind("127.0.0.1:6767"),
            one().handler("/\"", Mongrel2Handler::new("ipc://a", "ipc://b")),
            one().handler("/b", Mongrel2Handler::new("ipc://a\nservers = []", "ipc://b")),
            one().handler(
                "/b",
                Mongrel2Handler::new("ipc://a", "ipc://b").idents("a_b", "a_b"),
            ),
            one().handler("/b", Mongrel2Handler::new("ipc://a", "ipc://b").idents("", "")),
            one().handler(
                "/b",
                Mongrel2Handler::new("ipc://a", "ipc://b").idents("one", "two"),
            ),
            one().setting("a\"b", "1"),
        ] {
            assert!(text(&config).is_err(), "{config:?}");
        }
        assert!(Mongrel2Config::bind("localhost").address().is_err());
    }

    #[test]
    fn port_zero_becomes_a_free_port() {
        let config = Mongrel2Config::bind("127.0.0.1:0");
        assert!(config.any_port());
        assert_ne!(config.address().unwrap().port(), 0);
    }
}
