//! The function `url` of templates: `{{ url("thumb", id=7) }}`.

use super::values::{self, Mistake};
use crate::routing::UrlTable;
use crate::spec::Spec;
use minijinja::value::{Kwargs, Object, ObjectRepr, Rest, ValueKind, from_args};
use minijinja::{Environment, Error, State, Value};
use std::fmt::{self, Display};
use std::sync::Arc;

/// The name of the function.
const URL: &str = "url";

/// The handlers of a page, by the names in its templates. Compiling the page has checked them.
pub(super) type PageUrls = &'static [(&'static str, &'static Spec)];

/// Adds the function `url` for the templates of a page, unless the application has a global of this name.
pub(super) fn add(environment: &mut Environment<'static>, table: Arc<UrlTable>, urls: PageUrls) {
    if environment.globals().all(|(name, _)| name != URL) {
        environment.add_global(URL, Value::from_object(UrlFunction { table, urls }));
    }
}

/// Returns whether a value is undefined, that of a name that a struct does not have, or the function `url`, which is like a missing
/// variable of this name. Asking for this is no mistake.
pub(super) fn is_missing(value: &Value) -> bool {
    values::is_missing(value) || value.downcast_object_ref::<UrlFunction>().is_some()
}

/// The function `url`. As a variable it is like one that is missing, because many templates test whether they have a variable `url`.
pub(super) struct UrlFunction {
    table: Arc<UrlTable>,
    urls: PageUrls,
}

impl fmt::Debug for UrlFunction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(URL)
    }
}

impl Object for UrlFunction {
    fn repr(self: &Arc<Self>) -> ObjectRepr {
        ObjectRepr::Plain
    }

    fn is_true(self: &Arc<Self>) -> bool {
        false
    }

    fn render(self: &Arc<Self>, _: &mut fmt::Formatter<'_>) -> fmt::Result {
        Ok(())
    }

    fn call(self: &Arc<Self>, _: &mut State<'_, '_>, args: &[Value]) -> Result<Value, Error> {
        let (Rest(positional), keywords): (Rest<Value>, Kwargs) = from_args(args)?;
        let name = positional.first().and_then(Value::as_str).unwrap_or_default();
        match self.url(name, &positional, &keywords) {
            // Everything but unreserved characters and `/` is percent-encoded, so there is nothing to escape.
            Ok(url) => Ok(Value::from_safe_string(url)),
            Err(mistake) => {
                mistake.report();
                Ok(Value::from(""))
            }
        }
    }
}

impl UrlFunction {
    fn url(&self, name: &str, positional: &[Value], keywords: &Kwargs) -> Result<String, Mistake> {
        let mistake = |error: String| Mistake::Url(name.to_owned(), error);
        if name.is_empty() || positional.len() != 1 {
            let text =
                "`url` takes the name of a handler, and its captures by keyword: `url(\"user\", id=7)`";
            return Err(mistake(text.to_owned()));
        }
        let mut values = Vec::new();
        for capture in keywords.args() {
            let value: Value = keywords.get(capture).unwrap_or_default();
            let text = match value.kind() {
                _ if is_missing(&value) || value.is_none() => None,
                // As text, booleans are written as in Python.
                ValueKind::Bool => Some(value.is_true().to_string()),
                ValueKind::String | ValueKind::Number | ValueKind::Plain => Some(value.to_string()),
                _ => None,
            };
            let Some(text) = text else {
                return Err(mistake(format!(
                    "cannot build the URL of `{name}`: the value of `{capture}` is {}, expected a text or a number",
                    value.kind()
                )));
            };
            values.push((capture, text));
        }
        let values: Vec<(&str, &dyn Display)> = values
            .iter()
            .map(|(capture, text)| (*capture, text as &dyn Display))
            .collect();
        let built = match self.urls.iter().find(|(known, _)| *known == name) {
            Some((_, handler)) => self.table.url(handler, &values),
            None => self.table.url_by_name(name, &values),
        };
        built.map_err(|error| mistake(error.to_string()))
    }
}
