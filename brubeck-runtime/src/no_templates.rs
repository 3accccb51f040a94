//! The placeholder of the templates of an application, in a build without the feature `templates`.

use crate::response::{Problem, Response};
use std::io::{Error, Result};
use std::path::Path;

pub(crate) struct Templates;

impl Templates {
    pub(crate) fn new(folder: Option<&Path>) -> Result<Templates> {
        if folder.is_some() {
            return Err(Error::other(
                "enable the feature `templates` of the crate `brubeck`",
            ));
        }
        Ok(Templates)
    }

    pub(crate) fn render(&self, response: Response) -> Response {
        response
    }

    pub(crate) fn error_page(&self, _: &Problem) -> Option<String> {
        None
    }
}
