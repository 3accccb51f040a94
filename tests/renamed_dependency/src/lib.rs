//! An application that has brubeck under another name in Cargo.toml.

extern crate quartet as brubeck;

use quartet::prelude::*;

/// A contract.
#[service_client]
pub trait Doubler {
    /// Doubles a number.
    #[call("/double/{number}")]
    async fn double(&self, number: u32) -> Result<u32, Fault>;
}

/// Serves the contract.
#[service_handler(doubler::double)]
pub async fn double(args: Args<doubler::double>) -> Result<u32, Fault> {
    Ok(args.number * 2)
}

/// Calls the contract.
#[get(r"^/double/(?<number>\d+)$")]
pub async fn page(number: u32, services: Services) -> Result<String, CallError> {
    let client = DoublerClient::new(services.register("ipc://double", "my_shared_secret")?);
    Ok(client.double(number).await?.body.to_string())
}

/// The routes of the service.
pub const SERVICE: Routes<()> = routes![double];
serves!(SERVICE => doubler);

/// The routes of the pages.
pub const WEB: Routes<()> = routes![page];

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn attributes_work_under_another_crate_name() {
        let site = quartet::TestSite::new(WEB, ())
            .service(
                Service::bind("ipc://double", "my_shared_secret"),
                App::new(SERVICE, ()),
            )
            .start()
            .await
            .unwrap();
        site.browser()
            .get("/double/21")
            .await
            .assert_status(200)
            .assert_text("42");
        site.stop().await;
    }
}
