//! Route tables of any size. A table of ten thousand handlers would take minutes to compile, so the entries and their
//! automata are built at run time, packed as by the attribute macros.

use brubeck::__private::{BoxFuture, Context, Entry, ListedRoute, Spec, table};
use brubeck::{Kind, Method, Routes, Status};

fn nothing(_: Context<()>) -> BoxFuture {
    Box::pin(async { brubeck::Response::new(Status::OK) })
}

/// Returns a table of `count` routes like `^/section00007/item00007$`, or like `^/item/(?<id>[a-z]+)/view00007$` if
/// `shared`.
///
/// The memory is leaked, because tables are `'static`.
pub fn routes(count: usize, shared: bool) -> Routes<()> {
    let entries: Vec<Entry<()>> = (0..count)
        .map(|number| Entry {
            route: ListedRoute::new(Box::leak(Box::new(spec(number, shared)))),
            handle: nothing,
        })
        .collect();
    table(entries.leak())
}

/// Returns a path that the route with this number matches.
pub fn path(number: usize, shared: bool) -> String {
    if shared {
        format!("/item/abc/view{number:05}")
    } else {
        format!("/section{number:05}/item{number:05}")
    }
}

fn spec(number: usize, shared: bool) -> Spec {
    let (head, tail) = if shared {
        ("/item/".to_owned(), format!("/view{number:05}"))
    } else {
        (path(number, false), String::new())
    };
    let (letters, captures): (_, &[&str]) = if shared {
        ("(?<id>[a-z]+)", &["id"])
    } else {
        ("", &[])
    };
    let pattern = format!("^{head}{letters}{tail}$").leak();
    let automaton = automaton(head.as_bytes(), shared, tail.as_bytes());
    Spec::new("nothing", pattern, Method::Get, Kind::Web)
        .with_captures(captures)
        .with_automaton(automaton.leak(), "")
        .at("", number as u32)
}

/// Packs the automaton of `head`, then letters if `letters`, then `tail`.
fn automaton(head: &[u8], letters: bool, tail: &[u8]) -> Vec<u8> {
    let mut packed = Vec::new();
    let literal = |packed: &mut Vec<u8>, bytes: &[u8]| {
        bytes.iter().for_each(|byte| state(packed, &[(*byte, *byte, 1)]))
    };
    literal(&mut packed, head);
    if letters {
        state(&mut packed, &[(b'a', b'z', 1)]);
        // The first byte of the tail sorts before the letters.
        let (first, rest) = tail.split_first().unwrap_or((&b'/', &[]));
        state(&mut packed, &[(*first, *first, 1), (b'a', b'z', 0)]);
        literal(&mut packed, rest);
    } else {
        literal(&mut packed, tail);
    }
    packed.extend([1, 0]);
    packed
}

/// Packs a state that does not accept. Edges lead to the state itself (0) or to the next one (1).
fn state(packed: &mut Vec<u8>, edges: &[(u8, u8, usize)]) {
    let own = packed.len();
    packed.extend([0, edges.len() as u8]);
    for (low, high, ahead) in edges {
        let to = own + ahead * (2 + 4 * edges.len());
        let [first, second] = (to as u16).to_le_bytes();
        packed.extend([*low, *high, first, second]);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use brubeck::__private::RouteMatcher;

    #[test]
    fn each_path_matches_its_own_route_only() {
        for shared in [false, true] {
            let matching = RouteMatcher::new(routes(30, shared)).unwrap();
            let found = |path: &str| matching.find(path).map(|spec| spec.line);
            for number in 0..30 {
                assert_eq!(
                    found(&path(number, shared)),
                    Some(number as u32),
                    "{shared} {number}"
                );
            }
            assert_eq!(found(&path(30, shared)), None);
            assert_eq!(found("/item/abc1/view00001"), None);
        }
    }
}
