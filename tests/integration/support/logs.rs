//! The log lines that one test writes.

use std::io::{self, Write};
use std::sync::{Arc, Mutex};
use tracing::subscriber::DefaultGuard;
use tracing_subscriber::fmt::MakeWriter;

/// Captures what the current thread logs until it is dropped. The runtime of the test must have a single thread.
pub struct CapturedLogs {
    text: Text,
    _default: DefaultGuard,
}

#[derive(Clone, Default)]
struct Text(Arc<Mutex<Vec<u8>>>);

impl Write for Text {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.lock().expect("no panic").extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Text {
    type Writer = Text;

    fn make_writer(&self) -> Text {
        self.clone()
    }
}

impl CapturedLogs {
    /// Captures lines of this level and above.
    pub fn start(level: tracing::Level) -> CapturedLogs {
        let text = Text::default();
        let subscriber = tracing_subscriber::fmt()
            .with_max_level(level)
            .with_ansi(false)
            .with_writer(text.clone())
            .finish();
        CapturedLogs {
            text,
            _default: tracing::subscriber::set_default(subscriber),
        }
    }

    /// Returns all lines.
    pub fn text(&self) -> String {
        String::from_utf8_lossy(&self.text.0.lock().expect("no panic")).into_owned()
    }

    /// Returns the lines that contain `part`.
    pub fn lines(&self, part: &str) -> Vec<String> {
        self.text()
            .lines()
            .filter(|line| line.contains(part))
            .map(str::to_owned)
            .collect()
    }

    /// Returns the number of lines that contain `part`.
    pub fn count(&self, part: &str) -> usize {
        self.lines(part).len()
    }
}
