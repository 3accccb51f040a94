//! A form with files that a test sends.

use crate::response::Body;

/// A form with files, to be sent with [`TestRequest::multipart`](super::TestRequest::multipart).
///
/// ```
/// use brubeck::testing::TestForm;
///
/// let form = TestForm::new().text("title", "Dave").file("photo", "dave.png", "image/png", [0x89, b'P']);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TestForm(Vec<u8>);

/// No text of a test holds this by chance.
const BOUNDARY: &str = "a-boundary-of-brubeck-tests-7c0e1b";

impl TestForm {
    /// A form without fields.
    pub fn new() -> TestForm {
        TestForm::default()
    }

    /// Adds a field.
    pub fn text(self, name: &str, value: &str) -> TestForm {
        self.part(&format!("name=\"{}\"", quoted(name)), None, value.as_bytes())
    }

    /// Adds a file.
    pub fn file(self, name: &str, file_name: &str, media_type: &str, content: impl AsRef<[u8]>) -> TestForm {
        let names = format!("name=\"{}\"; filename=\"{}\"", quoted(name), quoted(file_name));
        self.part(&names, Some(media_type), content.as_ref())
    }

    fn part(mut self, names: &str, media_type: Option<&str>, content: &[u8]) -> TestForm {
        let media_type = media_type
            .map(|name| format!("\r\ncontent-type: {name}"))
            .unwrap_or_default();
        let head = format!("--{BOUNDARY}\r\ncontent-disposition: form-data; {names}{media_type}\r\n\r\n");
        self.0.extend_from_slice(head.as_bytes());
        self.0.extend_from_slice(content);
        self.0.extend_from_slice(b"\r\n");
        self
    }

    pub(super) fn into_parts(mut self) -> (String, Body) {
        self.0.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        (
            format!("multipart/form-data; boundary={BOUNDARY}"),
            Body::from(self.0),
        )
    }
}

/// As browsers quote names (WHATWG, 4.10.21.8).
fn quoted(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}
