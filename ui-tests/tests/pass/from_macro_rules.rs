#![deny(warnings)]
use brubeck::prelude::*;

macro_rules! resource {
    ($name:ident, $path:literal, $id:ident: $ty:ty, $reply:ty, $value:expr) => {
        #[get($path)]
        async fn $name($id: $ty, text: Text, other: Option<Text>) -> $reply {
            drop((text, other));
            $value($id)
        }
    };
}

resource!(user, r"^/user/(?<id>\d+)$", id: u64, String, |id: u64| id.to_string());
resource!(tag, r"^/tag(?:/(?<tag>[a-z]+))?$", tag: Option<String>, String, |tag: Option<String>| tag.unwrap_or_default());

macro_rules! contract {
    ($name:ident, $operation:ident, $path:literal, $argument:ident: $ty:ty) => {
        #[service_client]
        trait $name {
            #[call($path)]
            async fn $operation(&self, $argument: $ty, fixed: u8) -> Result<$ty, Problem>;
        }
    };
}

contract!(Counter, count, "/count/{by}", by: u64);

macro_rules! list {
    ($($route:path),*) => { routes![$($route),*] };
}

const ROUTES: Routes<()> = list![user, self::tag];

fn main() {
    assert_eq!(ROUTES.specs().map(|spec| spec.name).collect::<Vec<_>>(), ["user", "tag"]);
    assert_eq!(counter::OPERATIONS[0].pattern, "/count/{by}");
    let _ = |client: CounterClient| client.count(1, 2).into_request();
}
