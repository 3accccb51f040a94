use brubeck::prelude::*;

#[service_client]
unsafe trait Contract {
    #[call("/mut")]
    async fn mutable(&self, mut x: u32) -> Result<(), Fault>;
    #[call("/twice")]
    async fn twice(&self, x: u32, x: u32) -> Result<(), Fault>;
    #[call("/cfg")]
    async fn conditional(&self, #[cfg(any())] x: u32) -> Result<(), Fault>;
    #[call("/static")]
    async fn of_static(&'static self) -> Result<(), Fault>;
    #[call("/unsafe")]
    async unsafe fn not_safe(&self) -> Result<(), Fault>;
    #[call("/extern")]
    async extern "C" fn foreign(&self) -> Result<(), Fault>;
    #[call("/where")]
    async fn conditioned(&self) -> Result<(), Fault>
    where
        Self: Sized;
    #[call("/const")]
    const fn constant(&self) -> Result<(), Fault>;
    #[call("/borrowed")]
    async fn borrowed(&self) -> Result<&str, Fault>;
    #[call("/text")]
    async fn text(&self, x: &'static str) -> Result<(), Fault>;
    #[call("/impl")]
    async fn unnamed(&self) -> Result<impl Send, Fault>;
    #[call("/self")]
    async fn merged(&self, other: Self) -> Result<(), Fault>;
    something!();
}

fn main() {}
