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
        pub(super) trait ForTheParent {
            #[call("/parent")]
            async fn ask(&self, hidden: self::Hidden) -> Result<super::Seen, Problem>;
        }
        #[service_client]
        pub(in crate::outer) trait ForOuter {
            #[call("/outer")]
            async fn ask(&self, hidden: Hidden) -> Result<Hidden, Problem>;
        }
        #[service_client]
        trait Secluded {
            #[call("/own")]
            async fn ask(&self, hidden: Hidden) -> Result<Hidden, Problem>;
        }

        fn secluded(own: SecludedClient) {
            let _ = own.ask(Hidden);
        }
        pub(super) fn used(a: ForTheParentClient, b: ForOuterClient) {
            let _ = (a.ask(Hidden), b.ask(Hidden));
            let _ = secluded;
        }
        pub(in crate::outer) const ROUTES: Routes<()> = routes![own, of_outer];
    }

    #[derive(serde::Serialize, serde::Deserialize)]
    pub(crate) struct Seen;

    use brubeck::prelude::*;
    pub(crate) const ROUTES: Routes<()> = routes![inner::of_the_parent, inner::of_the_crate, ..inner::ROUTES];

    fn of_the_child(a: inner::ForTheParentClient) {
        let _ = a.ask(inner::Hidden);
    }

    pub(crate) fn used() {
        let _ = (of_the_child, inner::used, Seen);
    }
}

const ROUTES: Routes<()> = routes![..outer::ROUTES];

fn main() {
    outer::used();
    assert_eq!(ROUTES.len(), 4);
}
