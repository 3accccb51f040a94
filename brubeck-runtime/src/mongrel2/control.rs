//! The control port of a Mongrel2, as a typed client.

use crate::codec::tnetstring::{self, Value};
use crate::error::{Error, Result};
use brubeck_zmtp::{ClientEvent, DealerClient, Endpoint, LinkConfig, Transport, Zmtp};
use bytes::{Bytes, BytesMut};
use std::time::Duration;
use tokio::sync::Mutex;
use tokio::time::{Instant, timeout_at};

/// How long an answer may take; it takes less than a millisecond.
const ANSWER: Duration = Duration::from_secs(2);

/// The control port of a running Mongrel2.
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
/// The endpoint is the `control_port` of Mongrel2's configuration. One question is asked at a time; each waits at most
/// two seconds for its answer.
#[derive(Debug)]
pub struct Mongrel2Control {
    endpoint: Endpoint,
    client: Mutex<Option<DealerClient>>,
}

/// One connection to a Mongrel2, as its control port tells.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Mongrel2Connection {
    /// The number that requests carry; -1 until a handler was asked.
    pub id: i64,
    /// What is spoken on it.
    pub kind: Mongrel2ConnectionKind,
    /// How long ago a request or a frame came.
    pub last_ping: Duration,
    /// How long ago anything was read.
    pub last_read: Duration,
    /// How long ago anything was written.
    pub last_write: Duration,
    /// How many bytes were read from the client.
    pub bytes_read: u64,
    /// How many bytes were written to the client.
    pub bytes_written: u64,
}

/// What is spoken on a connection to Mongrel2.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Mongrel2ConnectionKind {
    /// HTTP.
    Http,
    /// JSON or XML messages.
    Message,
    /// A WebSocket.
    WebSocket,
    /// Nothing yet, or something unknown.
    Other,
}

impl Mongrel2Control {
    /// Connects when first asked something.
    ///
    /// # Errors
    ///
    /// The endpoint is none.
    pub fn connect(endpoint: impl AsRef<str>) -> Result<Mongrel2Control> {
        let endpoint = endpoint.as_ref();
        let parsed = endpoint
            .parse::<Endpoint>()
            .map_err(|error| Error::because(format!("`{endpoint}` is no control port of Mongrel2"), error))?;
        Ok(Mongrel2Control {
            endpoint: parsed,
            client: Mutex::new(None),
        })
    }

    /// Every connection there is now.
    ///
    /// # Errors
    ///
    /// Mongrel2 is not there, or answers something else.
    pub async fn connections(&self) -> Result<Vec<Mongrel2Connection>> {
        let table = self
            .ask("status", vec![("what".into(), Value::String("net".into()))])
            .await?;
        table.rows().map(|row| connection(&table, row)).collect()
    }

    /// Drops a connection, of which no handler is told. Mongrel2 refuses ids of 65,536 and more.
    ///
    /// # Errors
    ///
    /// It is not there, or cannot be dropped.
    pub async fn kill(&self, id: i64) -> Result {
        self.ask("kill", vec![("id".into(), Value::Integer(id))])
            .await
            .map(drop)
    }

    /// Opens the logs anew and forgets certificates. The configuration is not read again.
    ///
    /// # Errors
    ///
    /// Mongrel2 is not there.
    pub async fn reload(&self) -> Result {
        self.ask("reload", Vec::new()).await.map(drop)
    }

    /// Ends the server at once; connections are cut.
    ///
    /// # Errors
    ///
    /// Mongrel2 is not there.
    pub async fn terminate(&self) -> Result {
        self.ask("terminate", Vec::new()).await.map(drop)
    }

    /// The identity of the server, as its configuration names it.
    ///
    /// # Errors
    ///
    /// Mongrel2 is not there, or answers something else.
    pub async fn uuid(&self) -> Result<String> {
        let table = self.ask("uuid", Vec::new()).await?;
        let value = table.rows().next().and_then(|row| row.first());
        match value {
            Some(Value::String(text)) => Ok(String::from_utf8_lossy(text).into_owned()),
            _ => Err(unexpected("uuid")),
        }
    }

    async fn ask(&self, command: &'static str, arguments: Vec<(Bytes, Value)>) -> Result<Table> {
        let mut question = BytesMut::new();
        let words = vec![Value::String(command.into()), Value::Dictionary(arguments)];
        tnetstring::encode(&mut question, &Value::List(words));
        let mut slot = self.client.lock().await;
        let mut client = match slot.take() {
            Some(client) => client,
            None => Zmtp
                .client(self.endpoint.clone(), LinkConfig::default())
                .map_err(|error| Error::because(self.absent(), error))?,
        };
        // An answer that comes too late must not be taken for that of the next question, so a link on which one is
        // missing is not used again.
        let answer = exchange(&mut client, question.freeze())
            .await
            .ok_or_else(|| Error::new(self.absent()))?;
        *slot = Some(client);
        drop(slot);
        let answer = tnetstring::decode(&answer)
            .map_err(|error| Error::because(format!("Mongrel2 answers `{command}` unreadably"), error))?;
        match (answer.get(b"headers"), answer.get(b"rows"), answer.get(b"error")) {
            (Some(Value::List(headers)), Some(Value::List(rows)), _) => Ok(Table {
                headers: headers.clone(),
                rows: rows.clone(),
            }),
            (_, _, Some(Value::String(error))) => Err(Error::new(format!(
                "Mongrel2 refuses `{command}`: {}",
                String::from_utf8_lossy(error)
            ))),
            _ => Err(unexpected(command)),
        }
    }

    fn absent(&self) -> String {
        format!(
            "no Mongrel2 answers at {}; it must be the control_port of its configuration",
            self.endpoint
        )
    }
}

/// A question as the REQ socket that Mongrel2 expects would ask it: behind an empty frame.
async fn exchange(client: &mut DealerClient, question: Bytes) -> Option<Bytes> {
    let deadline = Instant::now() + ANSWER;
    // What came for an earlier question is of no interest.
    while client.inbound.try_recv().is_some() {}
    let sent = client
        .outbound
        .send_by(vec![Bytes::new(), question], deadline)
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
        "Mongrel2 answers `{command}` with something else than expected"
    ))
}

struct Table {
    headers: Vec<Value>,
    rows: Vec<Value>,
}

impl Table {
    fn rows(&self) -> impl Iterator<Item = &Vec<Value>> {
        self.rows.iter().filter_map(|row| match row {
            Value::List(row) => Some(row),
            _ => None,
        })
    }

    fn number(&self, row: &[Value], name: &str) -> Option<i64> {
        let is_it =
            |header: &Value| matches!(header, Value::String(text) if text.as_ref() == name.as_bytes());
        match row.get(self.headers.iter().position(is_it)?)? {
            Value::Integer(number) => Some(*number),
            _ => None,
        }
    }
}

fn connection(table: &Table, row: &[Value]) -> Result<Mongrel2Connection> {
    let read = || {
        let size = |name| {
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
            bytes_read: size("bytes_read")?,
            bytes_written: size("bytes_written")?,
        })
    };
    read().ok_or_else(|| unexpected("status"))
}
