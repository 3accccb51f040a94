use brubeck::prelude::*;
use brubeck::testing::TestSite;

#[tokio::main(flavor = "current_thread")]
async fn main() -> brubeck::Result {
    let site = TestSite::new(routes![], ()).start().await?;
    site.browser().get("/").await.assert_status(404);
    site.stop().await;
    Ok(())
}
