#![allow(unused)]
use brubeck::prelude::*;

#[service_client]
trait Arguments {
    #[call("/borrowed")]
    async fn borrowed(&self, text: &'static str) -> Result<(), Problem>;
    #[call("/within")]
    async fn within(&self, texts: Vec<Option<&'static str>>) -> Result<(), Problem>;
    #[call("/object")]
    async fn object(&self, error: Box<dyn std::error::Error + Send>) -> Result<(), Problem>;
    #[call("/unboxed")]
    async fn unboxed(&self, error: dyn std::error::Error) -> Result<(), Problem>;
    #[call("/pointer")]
    async fn pointer(&self, pointers: (u8, *const u8)) -> Result<(), Problem>;
    #[call("/function")]
    async fn function(&self, function: for<'a> fn(&'a u8) -> u8) -> Result<(), Problem>;
    #[call("/text")]
    async fn text(&self, text: str) -> Result<(), Problem>;
    #[call("/slice")]
    async fn slice(&self, bytes: [u8]) -> Result<(), Problem>;
    #[call("/shared")]
    async fn shared(&self, text: std::rc::Rc<str>) -> Result<(), Problem>;
    #[call("/generic")]
    async fn generic(&self, text: impl Into<String>) -> Result<(), Problem>;
    #[call("/path/{text}")]
    async fn path(&self, text: &'static str) -> Result<(), Problem>;
}

#[service_client]
trait Responses {
    #[call("/borrowed")]
    async fn borrowed(&self) -> Result<&'static str, Problem>;
    #[call("/borrowed/self")]
    async fn borrowed_of_self(&self) -> Result<&str, Problem>;
    #[call("/object")]
    async fn object(&self) -> Result<Box<dyn Send>, Problem>;
    #[call("/unboxed")]
    async fn unboxed(&self) -> Result<dyn Send, Problem>;
    #[call("/pointer")]
    async fn pointer(&self) -> Result<*mut u8, Problem>;
    #[call("/function")]
    async fn function(&self) -> Result<fn() -> u8, Problem>;
    #[call("/text")]
    async fn text(&self) -> Result<str, Problem>;
    #[call("/slice")]
    async fn slice(&self) -> Result<[u8], Problem>;
    #[call("/generic")]
    async fn generic(&self) -> Result<impl Clone, Problem>;
    #[call("/itself")]
    async fn itself(&self) -> Result<Self, Problem>;
}

#[service_client]
trait Failures {
    #[call("/borrowed")]
    async fn borrowed(&self) -> Result<u8, &'static str>;
    #[call("/object")]
    async fn object(&self) -> Result<u8, Box<dyn std::error::Error>>;
    #[call("/pointer")]
    async fn pointer(&self) -> Result<u8, Option<*const u8>>;
    #[call("/function")]
    async fn function(&self) -> Result<u8, fn()>;
    #[call("/text")]
    async fn text(&self) -> Result<u8, str>;
    #[call("/shared")]
    async fn shared(&self) -> Result<u8, std::rc::Rc<u8>>;
    #[call("/generic")]
    async fn generic(&self) -> Result<u8, impl Clone>;
}

fn main() {}
