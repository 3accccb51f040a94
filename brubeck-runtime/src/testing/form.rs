//! Multipart forms for tests.

/// A multipart form with text fields and files, for [`TestRequest::multipart`](super::TestRequest::multipart).
///
/// ```
/// use brubeck::prelude::*;
/// use brubeck::testing::{TestClient, TestForm};
///
/// #[post("/photo")]
/// async fn photo(form: Multipart) -> Result<String, Rejection> {
///     let photo = form.file("photo")?;
///     Ok(format!("{}: {} bytes", form.text("title").unwrap_or_default(), photo.bytes().len()))
/// }
///
/// # #[tokio::main(flavor = "current_thread")] // in a test: #[tokio::test]
/// # async fn main() {
/// let client = TestClient::new(App::new(routes![photo], ()));
/// let form = TestForm::new().text("title", "Dave").file("photo", "dave.png", "image/png", [0x89, b'P']);
/// client.post("/photo").multipart(form).await.assert_text("Dave: 2 bytes");
/// # }
/// ```
///
/// The format is that of browsers ([RFC 7578](https://www.rfc-editor.org/rfc/rfc7578)).
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct TestForm(Vec<u8>);

/// Separates the parts. Unlikely to occur in the content of a test.
const BOUNDARY: &str = "a-boundary-of-brubeck-tests-7c0e1b";

impl TestForm {
    /// Creates an empty form: see the example of [`TestForm`].
    pub fn new() -> TestForm {
        TestForm::default()
    }

    /// Adds a text field. Several fields may have the same name.
    ///
    /// ```
    /// # use brubeck::testing::TestForm;
    /// let form = TestForm::new().text("tag", "red").text("tag", "blue");
    /// ```
    pub fn text(self, name: &str, value: &str) -> TestForm {
        self.part(&format!("name=\"{}\"", escape(name)), None, value.as_bytes())
    }

    /// Adds a file of the field `name`, with its file name, media type and content.
    ///
    /// ```
    /// # use brubeck::testing::TestForm;
    /// let form = TestForm::new().file("photo", "dave.png", "image/png", b"\x89PNG");
    /// ```
    ///
    /// The content may be empty. An empty file without a file name is what browsers send if no file was chosen.
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

    /// Returns the value of the `content-type` header.
    ///
    /// ```
    /// # use brubeck::testing::{TestClient, TestForm};
    /// # async fn example(client: TestClient) {
    /// let form = TestForm::new().text("title", "Dave");
    /// let upload = client.post("/upload").header("content-type", form.media_type()).in_pieces();
    /// for piece in form.into_bytes().chunks(10) {
    ///     upload.send(piece.to_vec()).await;
    /// }
    /// upload.finish().await.assert_status(200);
    /// # }
    /// ```
    ///
    /// It is for a form that is sent in another way than with [`TestRequest::multipart`](super::TestRequest::multipart).
    pub fn media_type(&self) -> String {
        format!("multipart/form-data; boundary={BOUNDARY}")
    }

    /// Returns the body, whose type is [`media_type`](TestForm::media_type): see the example there.
    pub fn into_bytes(mut self) -> Vec<u8> {
        self.0.extend_from_slice(format!("--{BOUNDARY}--\r\n").as_bytes());
        self.0
    }
}

/// Escapes a field or file name as browsers do (WHATWG HTML, section 4.10.21.8).
fn escape(name: &str) -> String {
    name.replace('"', "%22").replace('\r', "%0D").replace('\n', "%0A")
}
