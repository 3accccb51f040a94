//! A typed client for the control port of a Mongrel2 server.

use crate::codec::tnetstring::{self, Value};
use crate::error::{Error, Result};
use brubeck_zmtp::{ClientEvent, DealerClient, Endpoint, LinkConfig, Transport, Zmtp};
use bytes::{Bytes, BytesMut};
use std::time::Duration;
use tokio::runtime::{self, Handle};
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

/// Time to connect and receive the response. A running Mongrel2 responds within a millisecond.
const RESPONSE_TIMEOUT: Duration = Duration::from_secs(2);

/// A client for the control port of a running Mongrel2.
///
/// ```no_run
/// use brubeck::Mongrel2Control;
///
/// # async fn example() -> brubeck::Result {
/// let control = Mongrel2Control::connect("ipc:///var/www/run/control")?;
/// for connection in control.connections().await? {
///     println!("{}: {} bytes written", connection.id, connection.bytes_written);
/// }
/// # Ok(())
/// # }
/// ```
///
/// The endpoint is the `control_port` of Mongrel2's configuration. Concurrent calls are sent one after the other, and
/// each fails if Mongrel2 does not respond within two seconds of its turn. After such a failure, the next call connects
/// again, as does a call in another tokio runtime than the previous one.
#[derive(Debug)]
pub struct Mongrel2Control {
    endpoint: Endpoint,
    /// The client, and the runtime that it belongs to. Another runtime replaces it.
    client: Mutex<Option<(runtime::Id, DealerClient)>>,
}

/// A connection of a client to Mongrel2, as [`Mongrel2Control::connections`] returns it.
///
/// ```no_run
/// use brubeck::{Mongrel2Connection, Mongrel2Control};
///
/// # async fn example(control: Mongrel2Control) -> brubeck::Result {
/// let connections: Vec<Mongrel2Connection> = control.connections().await?;
/// let busiest = connections.iter().max_by_key(|connection| connection.bytes_written);
/// if let Some(Mongrel2Connection { id, kind, bytes_read, bytes_written, last_read, .. }) = busiest {
///     println!("{id} ({kind:?}): {bytes_read} bytes read, {bytes_written} written, quiet for {last_read:?}");
/// }
/// # Ok(()) }
/// ```
///
/// Mongrel2 measures the times in whole seconds.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mongrel2Connection {
    /// The connection id that requests contain, or -1 if no request of this connection has been sent to a handler
    /// yet.
    pub id: i64,
    /// The protocol of the connection, such as HTTP or a WebSocket.
    pub kind: Mongrel2ConnectionKind,
    /// The time since the last request, WebSocket frame or keep-alive of the application.
    pub last_ping: Duration,
    /// The time since Mongrel2 last read from the client.
    pub last_read: Duration,
    /// The time since Mongrel2 last wrote to the client.
    pub last_write: Duration,
    /// The number of bytes read from the client.
    pub bytes_read: u64,
    /// The number of bytes written to the client.
    pub bytes_written: u64,
}

/// The protocol of a [`Mongrel2Connection`].
///
/// ```no_run
/// use brubeck::{Mongrel2ConnectionKind, Mongrel2Control};
///
/// # async fn example(control: Mongrel2Control) -> brubeck::Result {
/// let connections = control.connections().await?;
/// let sockets = connections.iter().filter(|connection| connection.kind == Mongrel2ConnectionKind::WebSocket);
/// println!("{} WebSockets are open", sockets.count());
/// # Ok(()) }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mongrel2ConnectionKind {
    /// A connection for HTTP requests, which web handlers answer.
    Http,
    /// A message socket, for JSON or XML messages, which [`#[json_socket]`](../brubeck/attr.json_socket.html) handlers answer.
    Message,
    /// A WebSocket, which [`#[websocket]`](../brubeck/attr.websocket.html) handlers serve.
    WebSocket,
    /// Not determined yet, or unknown to this version of brubeck.
    Other,
}

impl Mongrel2Control {
    /// Creates a client. It connects when it is first used.
    ///
    /// ```
    /// use brubeck::Mongrel2Control;
    ///
    /// let control = Mongrel2Control::connect("tcp://127.0.0.1:9997")?;
    /// # Ok::<(), brubeck::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if `endpoint` is not a valid endpoint. It is not an error if Mongrel2 is not running.
    pub fn connect(endpoint: impl AsRef<str>) -> Result<Mongrel2Control> {
        let endpoint = endpoint.as_ref();
        let parsed = endpoint.parse::<Endpoint>().and_then(|parsed| {
            parsed.check_connect()?;
            Ok(parsed.with_absolute_path())
        });
        let parsed = parsed.map_err(|error| {
            Error::because(
                format!("`{endpoint}` is not a valid endpoint for the control port of Mongrel2"),
                error,
            )
        })?;
        Ok(Mongrel2Control {
            endpoint: parsed,
            client: Mutex::new(None),
        })
    }

    /// Returns all connections of clients: see the example of [`Mongrel2Connection`].
    ///
    /// It is the command `status net` of the control port.
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if Mongrel2 does not respond or refuses the command, or the response is not a table of
    /// connections.
    pub async fn connections(&self) -> Result<Vec<Mongrel2Connection>> {
        let table = self
            .send_command("status", vec![("what".into(), Value::String("net".into()))])
            .await?;
        table.rows().map(|row| parse_connection(&table, row)).collect()
    }

    /// Closes the connection with this [`id`](Mongrel2Connection::id). Mongrel2 sends the handlers no notice about
    /// it.
    ///
    /// ```no_run
    /// use brubeck::Mongrel2Control;
    /// use std::time::Duration;
    ///
    /// # async fn example(control: Mongrel2Control) -> brubeck::Result {
    /// // Close the connections that have not sent anything for an hour.
    /// for connection in control.connections().await? {
    ///     if connection.id >= 0 && connection.last_read > Duration::from_secs(3600) {
    ///         control.kill(connection.id).await?;
    ///     }
    /// }
    /// # Ok(())
    /// # }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if Mongrel2 does not respond or refuses the command: there is no such connection, or the id is 65,536 or above.
    pub async fn kill(&self, id: i64) -> Result {
        self.send_command("kill", vec![("id".into(), Value::Integer(id))])
            .await
            .map(drop)
    }

    /// Reopens the log files and clears the cache of certificates. Mongrel2 does not read its configuration again.
    ///
    /// ```no_run
    /// # async fn example() -> brubeck::Result {
    /// let control = brubeck::Mongrel2Control::connect("ipc:///var/lib/m2/run/control")?;
    /// control.reload().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if Mongrel2 does not respond or refuses the command.
    pub async fn reload(&self) -> Result {
        self.send_command("reload", Vec::new()).await.map(drop)
    }

    /// Stops the server. It closes all connections without waiting for responses.
    ///
    /// ```no_run
    /// # async fn example() -> brubeck::Result {
    /// let control = brubeck::Mongrel2Control::connect("ipc:///var/lib/m2/run/control")?;
    /// control.terminate().await?;
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if Mongrel2 does not respond or refuses the command.
    pub async fn terminate(&self) -> Result {
        self.send_command("terminate", Vec::new()).await.map(drop)
    }

    /// Returns the `uuid` of the server in its configuration.
    ///
    /// ```no_run
    /// # async fn example() -> brubeck::Result {
    /// let control = brubeck::Mongrel2Control::connect("ipc:///var/lib/m2/run/control")?;
    /// println!("this is {}", control.uuid().await?);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    ///
    /// Returns an [`Error`] if Mongrel2 does not respond or refuses the command, or the response is not an identity.
    pub async fn uuid(&self) -> Result<String> {
        let table = self.send_command("uuid", Vec::new()).await?;
        let value = table.rows().next().and_then(|row| row.first());
        match value {
            Some(Value::String(text)) => Ok(String::from_utf8_lossy(text).into_owned()),
            _ => Err(unexpected("uuid")),
        }
    }

    async fn send_command(
        &self,
        command: &'static str,
        arguments: Vec<(Bytes, Value)>,
    ) -> Result<StatusTable> {
        let mut request = BytesMut::new();
        let parts = vec![Value::String(command.into()), Value::Dictionary(arguments)];
        tnetstring::encode(&mut request, &Value::List(parts));
        let mut slot = self.client.lock().await;
        let runtime = Handle::try_current()
            .map_err(|error| Error::because(format!("cannot send `{command}` to Mongrel2"), error))?
            .id();
        let mut client = match slot.take() {
            Some((opened_in, client)) if opened_in == runtime => client,
            _ => Zmtp
                .client(self.endpoint.clone(), LinkConfig::default())
                .map_err(|error| Error::because(self.no_response(), error))?,
        };
        // If this fails or is cancelled, the client is dropped, and not put back: a late response must not be taken for
        // the response to the next request.
        let response = exchange(&mut client, request.freeze())
            .await
            .ok_or_else(|| Error::new(self.no_response()))?;
        *slot = Some((runtime, client));
        drop(slot);
        let response = tnetstring::decode(&response).map_err(|error| {
            Error::because(
                format!("the response of Mongrel2 to `{command}` is malformed"),
                error,
            )
        })?;
        match (
            response.get(b"headers"),
            response.get(b"rows"),
            response.get(b"error"),
        ) {
            (Some(Value::List(headers)), Some(Value::List(rows)), _) => Ok(StatusTable {
                headers: headers.clone(),
                rows: rows.clone(),
            }),
            (_, _, Some(Value::String(error))) => Err(Error::new(format!(
                "Mongrel2 refused the command `{command}`: {}",
                String::from_utf8_lossy(error)
            ))),
            _ => Err(unexpected(command)),
        }
    }

    fn no_response(&self) -> String {
        format!(
            "no Mongrel2 responds at {}; check that it is running and that this is the control_port of its configuration",
            self.endpoint
        )
    }
}

/// Sends a request and waits for the response. Returns `None` after [`RESPONSE_TIMEOUT`], or if the connection is lost
/// or the response is empty.
///
/// Mongrel2 has a `REP` socket, which expects an empty frame before the request.
async fn exchange(client: &mut DealerClient, request: Bytes) -> Option<Bytes> {
    let deadline = Instant::now() + RESPONSE_TIMEOUT;
    // Discard events of an earlier connection.
    while client.inbound.try_recv().is_some() {}
    let sent = client
        .outbound
        .send_by(vec![Bytes::new(), request], deadline)
        .await
        .ok()?;
    loop {
        match timeout_at(deadline, client.inbound.recv()).await.ok()?? {
            ClientEvent::Message { generation, frames } if generation == sent => {
                return frames.into_iter().find(|frame| !frame.is_empty());
            }
            ClientEvent::Down { generation, .. } if generation == sent => return None,
            _ => {}
        }
    }
}

fn unexpected(command: &str) -> Error {
    Error::new(format!(
        "the response of Mongrel2 to `{command}` has an unexpected form; is this the control port of Mongrel2 1.12 or newer?"
    ))
}

/// A table in the response to a command.
struct StatusTable {
    headers: Vec<Value>,
    rows: Vec<Value>,
}

impl StatusTable {
    fn rows(&self) -> impl Iterator<Item = &Vec<Value>> {
        self.rows.iter().filter_map(|row| match row {
            Value::List(row) => Some(row),
            _ => None,
        })
    }

    fn number(&self, row: &[Value], name: &str) -> Option<i64> {
        let has_name =
            |header: &Value| matches!(header, Value::String(text) if text.as_ref() == name.as_bytes());
        match row.get(self.headers.iter().position(has_name)?)? {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }
}

fn parse_connection(table: &StatusTable, row: &[Value]) -> Result<Mongrel2Connection> {
    let parse = || {
        let byte_count = |name| {
            table
                .number(row, name)
                .and_then(|number| u64::try_from(number).ok())
        };
        let ago = |name| {
            table
                .number(row, name)
                .map(|number| Duration::from_secs(number.unsigned_abs()))
        };
        Some(Mongrel2Connection {
            id: table.number(row, "id")?,
            kind: match table.number(row, "type")? {
                1 => Mongrel2ConnectionKind::Http,
                2 => Mongrel2ConnectionKind::Message,
                3 => Mongrel2ConnectionKind::WebSocket,
                _ => Mongrel2ConnectionKind::Other,
            },
            last_ping: ago("last_ping")?,
            last_read: ago("last_read")?,
            last_write: ago("last_write")?,
            bytes_read: byte_count("bytes_read")?,
            bytes_written: byte_count("bytes_written")?,
        })
    };
    parse().ok_or_else(|| unexpected("status"))
}
