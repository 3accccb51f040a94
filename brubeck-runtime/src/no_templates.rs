//! The placeholder of the templates of an application, in a build without the feature `templates`.

use crate::error::Result;
use crate::response::{Problem, Response};
use crate::routing::ListedRoute;

#[derive(Default)]
pub(crate) struct TemplateConfig;

pub(crate) struct Templates;

impl Templates {
    pub(crate) fn new(_: TemplateConfig, _: bool, _: &[&'static ListedRoute]) -> Result<Templates> {
        Ok(Templates)
    }

    pub(crate) fn render(&self, response: Response) -> Response {
        response
    }

    pub(crate) fn error_page(&self, _: &Problem) -> Option<String> {
        None
    }
}
