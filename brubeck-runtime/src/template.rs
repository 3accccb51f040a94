//! HTML pages: minijinja templates, read from a folder or built into the program.

use crate::response::{IntoReply, Payload, Problem, Response, View};
use crate::status::Status;
use minijinja::{Environment, Error, ErrorKind, Value, path_loader};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};

/// A struct that provides the variables of a template.
///
/// Derive it with `#[derive(Template)]`, which also builds the template into the program. Return it from a handler as a
/// [`Page`].
///
/// ```
/// use brubeck::{Template, minijinja::{Value, context}};
///
/// struct Success { name: String }
///
/// // `#[derive(Template)] #[template("success.html")]` generates:
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
    label = "the value of a `Page` must implement `Template`",
    note = "put `#[derive(Template)]` and `#[template(\"file.html\")]` on `{Self}`"
)]
pub trait Template {
    /// The path of the template, relative to the template folder.
    const NAME: &'static str;
    /// The names and texts of the template and of all templates that it extends, includes or imports.
    const SOURCES: &'static [(&'static str, &'static str)];
    /// Returns the variables of the template.
    fn context(&self) -> Value;
}

/// A response that renders a [`Template`].
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
/// Values are escaped for HTML if the name of the template ends in `.html`, `.htm` or `.xml`, and encoded as JSON if it ends in
/// `.json`, `.json5`, `.js`, `.yaml` or `.yml`. If the template cannot be rendered, or needs more than 5 million template
/// instructions, the error is logged and the response is a 500.
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
/// If the application has a template folder, templates are read from it, and again when their files change. A template that
/// is not in the folder is rendered from the text that `#[derive(Template)]` has built into the program.
pub(crate) struct Templates {
    folder: Option<Environment<'static>>,
    /// One environment for each `Template`, by the address of its `SOURCES`. Names are not unique: two crates may each
    /// have an `index.html`.
    built_in: RwLock<HashMap<usize, Arc<Environment<'static>>>>,
}

impl Templates {
    /// Creates the templates of an application. Returns an error if `folder` cannot be read.
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

    /// Renders the page of a response. Other responses are returned unchanged.
    #[inline]
    pub(crate) fn render(&self, response: Response) -> Response {
        match response.payload() {
            Payload::View(_) => self.render_view(response),
            _ => response,
        }
    }

    fn render_view(&self, response: Response) -> Response {
        let Payload::View(view) = response.payload() else {
            return response;
        };
        match self.render_text(view) {
            Ok(text) => response.with_payload(Payload::Bytes(text.into())),
            Err(error) => {
                // The alternate form names the line and shows its source.
                tracing::error!(template = view.name, "cannot render template: {error:#}");
                Status::INTERNAL_SERVER_ERROR.into_reply()
            }
        }
    }

    /// Renders the page for an error status: `errors/{code}.html` of the folder, or `errors.html` if that file is missing or
    /// cannot be loaded.
    ///
    /// Returns `None` if there is no folder, if neither file can be loaded, or if rendering fails. All failures but a missing
    /// folder or file are logged.
    pub(crate) fn error_page(&self, problem: &Problem) -> Option<String> {
        let folder = self.folder.as_ref()?;
        let code = problem.status().http().as_u16();
        let names = [format!("errors/{code}.html"), "errors.html".to_owned()];
        let template = names.iter().find_map(|name| match folder.get_template(name) {
            Ok(template) => Some(template),
            Err(error) if error.kind() == ErrorKind::TemplateNotFound => None,
            Err(error) => {
                tracing::error!(template = name, "cannot load template of error page: {error:#}");
                None
            }
        })?;
        let page = template.render(problem.template_context());
        page.inspect_err(|error| {
            tracing::error!(template = template.name(), "cannot render template: {error:#}")
        })
        .ok()
    }

    fn render_text(&self, view: &View) -> Result<String, Error> {
        match self.folder.as_ref().map(|folder| folder.get_template(view.name)) {
            Some(Ok(template)) => template.render(&view.context),
            // A broken file in the folder is an error. Falling back to the built-in text would hide it.
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

/// Creates an environment with the default escaping of minijinja, which depends on the file extension, and with a limit
/// for the cost of rendering.
fn environment() -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(MAX_INSTRUCTIONS));
    environment
}

/// The maximum number of template instructions for one page. It is enough for tens of thousands of table rows, and takes
/// about half a second.
const MAX_INSTRUCTIONS: u64 = 5_000_000;

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
    fn escapes_values() {
        let templates = Templates::new(None).unwrap();
        assert_eq!(text(&templates.render(page(HELLO))), "<p>&lt;b&gt;&amp;</p>");
    }

    #[test]
    fn templates_of_same_name_are_separate() {
        const OTHER: &[(&str, &str)] = &[("hello.html", "other {{ name }}")];
        let templates = Templates::new(None).unwrap();
        templates.render(page(HELLO));
        assert_eq!(text(&templates.render(page(OTHER))), "other &lt;b&gt;&amp;");
        assert_eq!(text(&templates.render(page(HELLO))), "<p>&lt;b&gt;&amp;</p>");
    }

    #[test]
    fn folder_overrides_built_in_text_and_is_reloaded() {
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
    fn broken_template_is_500_without_detail() {
        let templates = Templates::new(None).unwrap();
        let response = templates.render(page(&[("hello.html", "{{ name | nonsense }}")]));
        assert_eq!(response.status().code(), 500);
        assert!(matches!(response.payload(), Payload::Message));
    }

    #[test]
    fn missing_folder_is_an_error() {
        assert!(Templates::new(Some(Path::new("no/such/folder"))).is_err());
    }
}
