//! HTML pages: minijinja templates, read from a folder or built into the program.

mod data;
mod filters;
#[cfg(test)]
mod tests;
mod urls;
mod values;

pub use data::{AnyData, DataOf, DataProbe, DataShape, DataStep, TemplateData, check_data};
use values::Mistake;
pub(crate) use values::{page as page_variables, value as variable};

use crate::response::{IntoReply, Payload, Problem, Response, View};
use crate::routing::{ListedRoute, UrlTable};
use crate::spec::Spec;
use crate::status::Status;
use minijinja::{AutoEscape, Environment, Error, ErrorKind, TemplateSource, Value, path_loader};
use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::{Arc, LazyLock, Mutex, PoisonError, RwLock};

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
    /// The handlers of which the templates build URLs, by the names in the templates. `#[derive(Template)]` sets it.
    #[doc(hidden)]
    const URLS: &'static [(&'static str, &'static Spec)] = &[];
    /// Returns the variables of the template, as a map from their names to their values.
    ///
    /// It is called once for each [`Page`], when the handler has returned it. The page is rendered after that, with these variables and the
    /// [globals](crate::App::global) of the application.
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
/// A page is HTML, so values are escaped for HTML, whatever the name of the template is. The filter `safe` and the block
/// `{% autoescape false %}` switch this off. If the template cannot be rendered, or needs more than 5 million template instructions,
/// the error is logged and the response is a 500.
///
/// Templates can use the filters, tests and functions of [minijinja](https://docs.rs/minijinja), the filters of Jinja2 (such as
/// `truncate`, `urlencode`, `wordwrap` and `xmlattr`), the methods of Python's strings, lists and dicts (such as `items()` and
/// `strip()`), and what [`App::filter`](crate::App::filter) and [`App::global`](crate::App::global) add.
///
/// `{{ url("thumb", id=7) }}` is the URL of a web handler, as [`url!`](crate::url!) builds it. The derive checks it when the page is
/// compiled: `thumb` is the name or the path of a handler that the module of the struct can use, such as `crate::admin::user`, and each
/// capture needs a value. The prefix is that of the table in which the application lists the handler: none if it lists it without a
/// prefix as well. What is known only when a page is rendered (a handler that the application does not list, or lists below several
/// prefixes; a value that the capture does not match; a name in a template that only the folder has, which stands for the web handler
/// with this name) is an error in development, and otherwise logged once and shown as nothing.
#[derive(Clone, Debug)]
pub struct Page<T>(pub T);

impl<T: Template> IntoReply for Page<T> {
    const UNSENDABLE: Option<&'static str> = Some(
        "a service cannot send a `Page`\nhelp: return `Json<T>`, and render the page in the web application",
    );

    fn into_reply(self) -> Response {
        let view = View {
            name: T::NAME,
            sources: T::SOURCES,
            urls: T::URLS,
            context: self.0.context(),
        };
        Response::view(Status::OK, view)
    }
}

/// The settings of the templates of an application.
#[derive(Default)]
pub(crate) struct TemplateConfig {
    pub(crate) folder: Option<PathBuf>,
    additions: Vec<Addition>,
}

/// Adds a filter or a global of the application to an environment.
type Addition = Box<dyn FnOnce(&mut Environment<'static>) + Send>;

impl TemplateConfig {
    /// Adds a filter or a global of the application.
    pub(crate) fn add(&mut self, addition: impl FnOnce(&mut Environment<'static>) + Send + 'static) {
        self.additions.push(Box::new(addition));
    }
}

/// Creates an environment with the filters and globals of an application, but without templates.
fn base_environment(additions: Vec<Addition>) -> Environment<'static> {
    let mut environment = Environment::new();
    environment.set_fuel(Some(MAX_INSTRUCTIONS));
    // Every page is sent as HTML, so the name of a template must not decide whether its values are escaped.
    environment.set_auto_escape_callback(|_| AutoEscape::Html);
    filters::add(&mut environment);
    filters::allow_missing_fields(&mut environment);
    for addition in additions {
        addition(&mut environment);
    }
    environment
}

/// An environment that is created when it is first used: an application without pages needs none.
type LazyEnvironment = LazyLock<Environment<'static>, Box<dyn FnOnce() -> Environment<'static> + Send>>;

/// The templates of an application.
///
/// A template is read from the template folder of the application, if it has one, and again when its file changes. A template that is not
/// in the folder has the text that `#[derive(Template)]` has built into the program. This holds for each template of a page: for the one
/// that it names, and for those that it extends, includes or imports.
pub(crate) struct Templates {
    folder: Option<PathBuf>,
    /// The environment of the error pages, which are not built in. `None` without a folder.
    error_pages: Option<Environment<'static>>,
    /// Cloned for each page.
    base: LazyEnvironment,
    /// One environment for each `Template`, by the addresses of its `SOURCES` and `URLS`. Names are not unique: two crates may each
    /// have an `index.html`.
    pages: RwLock<HashMap<(usize, usize), Arc<Environment<'static>>>>,
    /// The handlers for the function `url`.
    urls: Arc<UrlTable>,
    /// In development a name that a struct does not have is an error.
    development: bool,
    /// The mistakes that have been logged.
    logged: Mutex<HashSet<String>>,
}

/// The number of mistakes that are remembered as logged.
const MAX_LOGGED: usize = 1000;

impl Templates {
    /// Creates the templates of an application. Returns an error if the folder cannot be read.
    pub(crate) fn new(
        config: TemplateConfig,
        development: bool,
        routes: &[&'static ListedRoute],
    ) -> crate::error::Result<Templates> {
        let TemplateConfig { folder, additions } = config;
        let urls = Arc::new(UrlTable::new(routes));
        let base: LazyEnvironment = LazyLock::new(Box::new(move || base_environment(additions)));
        let error_pages = match &folder {
            Some(folder) => {
                std::fs::read_dir(folder).map_err(|error| {
                    let text = format!("cannot read the template folder `{}`", folder.display());
                    crate::error::Error::because(text, error)
                })?;
                let mut environment = with_loader(&base, Some(folder), &[]);
                urls::add(&mut environment, urls.clone(), &[]);
                Some(environment)
            }
            None => None,
        };
        Ok(Templates {
            folder,
            error_pages,
            base,
            pages: RwLock::default(),
            urls,
            development,
            logged: Mutex::default(),
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
        let (rendered, mistakes) = values::watch(|| self.render_text(view));
        match rendered {
            Ok(text) if mistakes.is_empty() || !self.development => {
                for mistake in mistakes {
                    self.warn(view.name, &self.environment(view), &mistake);
                }
                response.with_payload(Payload::Bytes(text.into()))
            }
            Ok(_) => {
                for mistake in mistakes {
                    let place = place(view.name, &self.environment(view), &mistake);
                    tracing::error!(template = view.name, "cannot render template: {place}{mistake}");
                }
                Status::INTERNAL_SERVER_ERROR.into_reply()
            }
            Err(error) => {
                // The alternate form names the line and shows its source.
                tracing::error!(template = view.name, "cannot render template: {error:#}");
                Status::INTERNAL_SERVER_ERROR.into_reply()
            }
        }
    }

    /// Logs a mistake, once.
    fn warn(&self, template: &str, environment: &Environment<'_>, mistake: &Mistake) {
        let place = place(template, environment, mistake);
        let text = format!("{place}{mistake}");
        let mut logged = self.logged.lock().unwrap_or_else(PoisonError::into_inner);
        if logged.len() < MAX_LOGGED && logged.insert(text) {
            tracing::warn!(template, "a template shows nothing: {place}{mistake}");
        }
    }

    /// Renders the page for an error status: `errors/{code}.html` of the folder, or `errors.html` if that file is missing or
    /// cannot be loaded.
    ///
    /// Returns `None` if there is no folder, if neither file can be loaded, or if rendering fails. All failures but a missing
    /// folder or file are logged.
    pub(crate) fn error_page(&self, problem: &Problem) -> Option<String> {
        let folder = self.error_pages.as_ref()?;
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
        let (page, mistakes) = values::watch(|| template.render(problem.template_context()));
        let page = page.inspect_err(|error| {
            tracing::error!(template = template.name(), "cannot render template: {error:#}")
        });
        for mistake in &mistakes {
            self.warn(template.name(), folder, mistake);
        }
        page.ok().filter(|_| mistakes.is_empty() || !self.development)
    }

    fn render_text(&self, view: &View) -> Result<String, Error> {
        self.environment(view)
            .get_template(view.name)?
            .render(&view.context)
    }

    /// Returns the environment of a page.
    fn environment(&self, view: &View) -> Arc<Environment<'static>> {
        let key = (view.sources.as_ptr() as usize, view.urls.as_ptr() as usize);
        let pages = self.pages.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(environment) = pages.get(&key) {
            return environment.clone();
        }
        drop(pages);
        let mut environment = with_loader(&self.base, self.folder.as_deref(), view.sources);
        urls::add(&mut environment, self.urls.clone(), view.urls);
        let environment = Arc::new(environment);
        let mut pages = self.pages.write().unwrap_or_else(PoisonError::into_inner);
        pages.entry(key).or_insert(environment).clone()
    }
}

/// Returns the place of the first line with the name of a mistake in the loaded templates of a page. It is empty if no line contains the
/// name.
fn place(page: &str, environment: &Environment<'_>, mistake: &Mistake) -> String {
    let is_use = |line: &str| {
        let mut parts = line.split(|c: char| !c.is_alphanumeric() && c != '_');
        line.contains('{') && parts.any(|part| part == mistake.name())
    };
    let mut templates: Vec<_> = environment.templates().collect();
    templates.sort_by_key(|(template, _)| *template != page);
    let found = templates.iter().find_map(|(template, loaded)| {
        let line = loaded.source().lines().position(is_use)?;
        Some(format!("{template}:{}: ", line + 1))
    });
    found.unwrap_or_default()
}

/// Returns an environment that looks up each template in the folder first, and then among the built-in ones.
fn with_loader(
    base: &Environment<'static>,
    folder: Option<&Path>,
    sources: &'static [(&'static str, &'static str)],
) -> Environment<'static> {
    let mut environment = base.clone();
    let folder = folder.map(|folder| (folder.to_owned(), path_loader(folder)));
    environment.set_loader(move |name| {
        // The same names as at compile time, so that a page is found in the folder if and only if it can be built in.
        if !is_template_name(name) {
            return Ok(None);
        }
        if let Some((_, load)) = &folder
            && let Some(source) = load(name)?
        {
            return Ok(Some(source));
        }
        let Some((_, text)) = sources.iter().find(|(source, _)| *source == name) else {
            return Ok(None);
        };
        let source = TemplateSource::new(*text);
        Ok(Some(match &folder {
            // The built-in text is used until the folder has a file of this name.
            Some((folder, _)) => {
                let path = folder.join(name);
                source.with_uptodate_check(move || !path.exists())
            }
            None => source,
        }))
    });
    environment
}

/// Returns `true` if a name is a path below the template folder: no empty part, no `\\`, and no part that begins with a dot.
fn is_template_name(name: &str) -> bool {
    let is_part = |part: &str| !part.is_empty() && !part.starts_with('.') && !part.contains(['\\', '\0']);
    name.split('/').all(is_part)
}

/// The maximum number of template instructions for one page. It is enough for tens of thousands of table rows, and takes
/// about half a second.
const MAX_INSTRUCTIONS: u64 = 5_000_000;
