//! Multipart forms for tests.

use crate::response::Body;

/// A multipart form with text fields and files, for [`TestRequest::multipart`](super::TestRequest::multipart).
///
/// # Examples
///
/// ```
/// use brubeck::testing::TestForm;
///
/// let form = TestForm::new().text("title", "Dave").file("photo", "dave.png", "image/png", [0x89, b'P']);
/// ```
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TestForm(Vec<u8>);

/// Separates the parts. Unlikely to occur in the content of a test.
const BOUNDARY: &str = "a-boundary-of-brubeck-tests-7c0e1b";

impl TestForm {
    /// Creates an empty form.
    pub fn new() -> TestForm {
        TestForm::default()
    }

    /// Adds a text field.
    pub fn text(self, name: &str, value: &str) -> TestForm {
        self.part(&format!("name=\"{}\"", escape(name)), None, value.as_bytes())
    }

    /// Adds a file with this name, media type and content.
    pub fn file(self, name: &str, file_name: &str, media_type: &str, content: impl AsRef<[u8]>) -> TestForm {
        let disposition = format!("name=\"{}\"; filename=\"{}\"", escape(name), escape(file_name));
        self.part(&disposition, Some(media_type), content.as_ref())
    }

    fn part(mut self, disposition: &str, media_type: Option<&str>, content: &[u8]) -> TestForm {
        let media_type = media_type
            .map(|media_type| format!("\r\ncontent-type: {media_type}"))
            .unwrap_or_default();
        let head =
            format!("--{BOUNDARY}\r\ncontent-disposition: form-data; {disposition}{media_type}\r\n\r\n");
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

/// Escapes a field or file name as browsers do (WHATWG HTML, section 4.10.21.8).
fn escape(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}
