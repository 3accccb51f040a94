use brubeck::prelude::*;

#[service_client]
unsafe trait Contract {
    #[call("/mut")]
    async fn mutable(&self, mut x: u32) -> Result<(), Problem>;
    #[call("/twice")]
    async fn twice(&self, x: u32, x: u32) -> Result<(), Problem>;
    #[call("/cfg")]
    async fn conditional(&self, #[cfg(any())] x: u32) -> Result<(), Problem>;
    #[call("/static")]
    async fn of_static(&'static self) -> Result<(), Problem>;
    #[call("/unsafe")]
    async unsafe fn not_safe(&self) -> Result<(), Problem>;
    #[call("/extern")]
    async extern "C" fn foreign(&self) -> Result<(), Problem>;
    #[call("/where")]
    async fn conditioned(&self) -> Result<(), Problem>
    where
        Self: Sized;
    #[call("/const")]
    const fn constant(&self) -> Result<(), Problem>;
    #[call("/borrowed")]
    async fn borrowed(&self) -> Result<&str, Problem>;
    #[call("/text")]
    async fn text(&self, x: &'static str) -> Result<(), Problem>;
    #[call("/impl")]
    async fn unnamed(&self) -> Result<impl Send, Problem>;
    #[call("/self")]
    async fn merged(&self, other: Self) -> Result<(), Problem>;
    something!();
}

fn main() {}
