//! Pages: minijinja templates, escaped, from a folder or built in.

use crate::response::{IntoReply, Payload, Response, View};
use crate::status::Status;
use minijinja::{Environment, Error, ErrorKind, Value, path_loader};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

/// A struct that a template shows; derive it.
///
/// ```
/// use brubeck::{Template, minijinja::{Value, context}};
///
/// struct Success { name: String }
///
/// // what `#[derive(Template)] #[template("success.html")]` writes
/// impl Template for Success {
///     const NAME: &'static str = "success.html";
///     const SOURCES: &'static [(&'static str, &'static str)] = &[("success.html", "<p>{{ name }}</p>")];
///     fn context(&self) -> Value {
///         context! { name => &self.name }
///     }
/// }
/// ```
#[diagnostic::on_unimplemented(
    message = "`{Self}` has no template",
    label = "a `Page` shows a struct that derives `Template`",
    note = "put `#[derive(Template)]` and `#[template(\"file.html\")]` on `{Self}`"
)]
pub trait Template {
    /// The path of the template below the template folder.
    const NAME: &'static str;
    /// The template and those it extends, includes or imports: name and text.
    const SOURCES: &'static [(&'static str, &'static str)];
    /// The variables of the template.
    fn context(&self) -> Value;
}

/// A reply that is a page: `Page(Success { name })`.
///
/// ```
/// # use brubeck::{Template, minijinja::{Value, context}};
/// # struct Success { name: String }
/// # impl Template for Success {
/// #     const NAME: &'static str = "success.html";
/// #     const SOURCES: &'static [(&'static str, &'static str)] = &[("success.html", "<p>{{ name }}</p>")];
/// #     fn context(&self) -> Value { context! { name => &self.name } }
/// # }
/// use brubeck::{IntoReply, Page};
///
/// async fn success() -> Page<Success> {
///     Page(Success { name: "Async is faster".into() })
/// }
/// ```
///
/// Values are escaped for HTML. An error in a template is logged and answered with 500.
#[derive(Clone, Debug)]
pub struct Page<T>(pub T);

impl<T: Template> IntoReply for Page<T> {
    fn into_reply(self) -> Response {
        let view = View {
            name: T::NAME,
            sources: T::SOURCES,
            context: self.0.context(),
        };
        Response::view(Status::OK, view)
    }
}

/// The templates of an application.
///
/// With a folder, files are read from there, and again when they have changed; a page that the folder
/// does not hold is rendered from what `#[derive(Template)]` built in.
pub(crate) struct Templates {
    folder: Option<Environment<'static>>,
    /// One environment a page, found by where its sources lie: two crates may each have an `index.html`.
    built_in: RwLock<HashMap<usize, Arc<Environment<'static>>>>,
}

impl Templates {
    /// `Err` says what is wrong with the folder.
    pub(crate) fn new(folder: Option<&Path>) -> std::io::Result<Templates> {
        let folder = folder.map(|folder| {
            std::fs::read_dir(folder)?;
            let mut environment = environment();
            environment.set_loader(path_loader(folder));
            Ok::<_, std::io::Error>(environment)
        });
        Ok(Templates {
            folder: folder.transpose()?,
            built_in: RwLock::default(),
        })
    }

    /// Renders the page that a response holds; any other response passes unchanged.
    #[inline]
    pub(crate) fn render(&self, response: Response) -> Response {
        match response.payload() {
            Payload::View(_) => self.rendered(response),
            _ => response,
        }
    }

    fn rendered(&self, response: Response) -> Response {
        let Payload::View(view) = response.payload() else {
            return response;
        };
        match self.text(view) {
            Ok(text) => response.with_payload(Payload::Bytes(text.into())),
            Err(error) => {
                // The alternate form names the line and shows what stands around it.
                tracing::error!(
                    template = view.name,
                    "a template could not be rendered: {error:#}"
                );
                Status::INTERNAL_SERVER_ERROR.into_reply()
            }
        }
    }

    /// The page of the folder for errors of this code; `None` where there is none, or it is broken.
    pub(crate) fn error(&self, code: u16, context: Value) -> Option<String> {
        let folder = self.folder.as_ref()?;
        let names = [format!("errors/{code}.html"), "errors.html".to_owned()];
        let template = names.iter().find_map(|name| match folder.get_template(name) {
            Ok(template) => Some(template),
            Err(error) if error.kind() == ErrorKind::TemplateNotFound => None,
            Err(error) => {
                tracing::error!(template = name, "a template for errors is broken: {error:#}");
                None
            }
        })?;
        let page = template.render(context);
        page.inspect_err(|error| {
            tracing::error!(
                template = template.name(),
                "a template could not be rendered: {error:#}"
            )
        })
        .ok()
    }

    fn text(&self, view: &View) -> Result<String, Error> {
        match self.folder.as_ref().map(|folder| folder.get_template(view.name)) {
            Some(Ok(template)) => template.render(&view.context),
            Some(Err(error)) if error.kind() != ErrorKind::TemplateNotFound || view.sources.is_empty() => {
                Err(error)
            }
            _ => self
                .built_in(view)?
                .get_template(view.name)?
                .render(&view.context),
        }
    }

    fn built_in(&self, view: &View) -> Result<Arc<Environment<'static>>, Error> {
        let key = view.sources.as_ptr() as usize;
        if let Some(environment) = self
            .built_in
            .read()
            .unwrap_or_else(PoisonError::into_inner)
            .get(&key)
        {
            return Ok(environment.clone());
        }
        let mut environment = environment();
        for (name, source) in view.sources {
            environment.add_template(name, source)?;
        }
        let environment = Arc::new(environment);
        self.built_in
            .write()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(key, environment.clone());
        Ok(environment)
    }
}

/// Escapes by the ending of the file name, and bounds what rendering one page may cost.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(FUEL));
    environment
}

/// How many instructions a page may take: tens of thousands of table rows, or half a second.
const FUEL: u64 = 5_000_000;

#[cfg(test)]
mod tests {
    use super::*;
    use minijinja::context;

    const HELLO: &[(&str, &str)] = &[("hello.html", "<p>{{ name }}</p>")];

    fn page(sources: &'static [(&'static str, &'static str)]) -> Response {
        let view = View {
            name: "hello.html",
            sources,
            context: context! { name => "<b>&" },
        };
        Response::view(Status::OK, view)
    }

    fn text(response: &Response) -> &str {
        match response.payload() {
            Payload::Bytes(text) => std::str::from_utf8(text).unwrap(),
            other => panic!("not rendered: {other:?}"),
        }
    }

    #[test]
    fn what_somebody_else_wrote_is_escaped() {
        let templates = Templates::new(None).unwrap();
        assert_eq!(text(&templates.render(page(HELLO))), "<p>&lt;b&gt;&amp;</p>");
    }

    #[test]
    fn two_pages_of_one_name_keep_their_own_text() {
        const OTHER: &[(&str, &str)] = &[("hello.html", "other {{ name }}")];
        let templates = Templates::new(None).unwrap();
        templates.render(page(HELLO));
        assert_eq!(text(&templates.render(page(OTHER))), "other &lt;b&gt;&amp;");
        assert_eq!(text(&templates.render(page(HELLO))), "<p>&lt;b&gt;&amp;</p>");
    }

    #[test]
    fn a_folder_comes_first_and_changes_are_seen() {
        let folder = tempfile::tempdir().unwrap();
        let templates = Templates::new(Some(folder.path())).unwrap();
        assert_eq!(text(&templates.render(page(HELLO))), "<p>&lt;b&gt;&amp;</p>");
        std::fs::write(folder.path().join("hello.html"), "file: {{ name }}").unwrap();
        assert_eq!(text(&templates.render(page(HELLO))), "file: &lt;b&gt;&amp;");
        std::fs::write(folder.path().join("hello.html"), "the file, changed: {{ name }}").unwrap();
        assert_eq!(
            text(&templates.render(page(HELLO))),
            "the file, changed: &lt;b&gt;&amp;"
        );
    }

    #[test]
    fn a_broken_template_is_500_and_says_nothing_of_itself() {
        let templates = Templates::new(None).unwrap();
        let response = templates.render(page(&[("hello.html", "{{ name | nonsense }}")]));
        assert_eq!(response.status().code(), 500);
        assert!(matches!(response.payload(), Payload::Message));
    }

    #[test]
    fn a_folder_that_is_not_there_is_an_error() {
        assert!(Templates::new(Some(Path::new("no/such/folder"))).is_err());
    }
}
