#![deny(warnings)]
use brubeck::prelude::*;

pub mod outer {
    pub mod inner {
        use brubeck::prelude::*;

        #[get("^/crate")]
        pub(crate) async fn of_the_crate() {}
        #[get("^/super")]
        pub(super) async fn of_the_parent() {}
        #[get("^/in")]
        pub(in crate::outer) async fn of_outer() {}
        #[get("^/own")]
        async fn own() {}

        #[derive(serde::Serialize, serde::Deserialize)]
        pub(super) struct Hidden;

        #[service_client]
        pub(super) trait OfTheParent {
            #[call("/parent")]
            async fn ask(&self, hidden: self::Hidden) -> Result<super::Seen, Fault>;
        }
        #[service_client]
        pub(in crate::outer) trait OfOuter {
            #[call("/outer")]
            async fn ask(&self, hidden: Hidden) -> Result<Hidden, Fault>;
        }
        #[service_client]
        trait Own {
            #[call("/own")]
            async fn ask(&self, hidden: Hidden) -> Result<Hidden, Fault>;
        }

        pub(super) fn used(a: OfTheParentClient, b: OfOuterClient, c: OwnClient) {
            let _ = (a.ask(Hidden), b.ask(Hidden), c.ask(Hidden));
        }
        pub(in crate::outer) const ROUTES: Routes<()> = routes![own, of_outer];
    }

    #[derive(serde::Serialize, serde::Deserialize)]
    pub(crate) struct Seen;

    use brubeck::prelude::*;
    pub(crate) const ROUTES: Routes<()> = routes![inner::of_the_parent, inner::of_the_crate, ..inner::ROUTES];

    pub(crate) fn used(a: inner::OfTheParentClient) {
        let _ = a.ask(inner::Hidden);
        let _ = inner::used;
        let _ = Seen;
    }
}

const ROUTES: Routes<()> = routes![..outer::ROUTES];

fn main() {
    let _ = outer::used;
    assert_eq!(ROUTES.len(), 4);
}
