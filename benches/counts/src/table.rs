//! Route tables of any size. One of ten thousand handlers would take minutes to compile, so entries and their automata
//! are made here, packed as the attribute macros pack them.

use brubeck::__private::{BoxFuture, Context, Entry, NowaitCalls, Spec, table};
use brubeck::{Kind, Method, Routes, Status};

fn nothing(_: Context<()>) -> BoxFuture {
    Box::pin(async { brubeck::Response::new(Status::OK) })
}

/// So many resources: `^/section00007/item00007$`, or `^/item/(?<id>[a-z]+)/view00007$` where they share their beginning.
///
/// They are never freed: a table is a constant of a program.
pub fn routes(count: usize, shared: bool) -> Routes<()> {
    let entries: Vec<Entry<()>> = (0..count)
        .map(|number| Entry {
            spec: Box::leak(Box::new(spec(number, shared))),
            handle: nothing,
            streams: false,
            nowait_calls: NowaitCalls::NONE,
        })
        .collect();
    table(entries.leak())
}

/// A path that the resource of this number answers.
pub fn path(number: usize, shared: bool) -> String {
    match shared {
        false => format!("/section{number:05}/item{number:05}"),
        true => format!("/item/abc/view{number:05}"),
    }
}

fn spec(number: usize, shared: bool) -> Spec {
    let (head, tail) = match shared {
        false => (path(number, false), String::new()),
        true => ("/item/".to_owned(), format!("/view{number:05}")),
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
        .with_automaton(automaton.leak(), head.as_bytes(), "")
        .at("", number as u32)
}

/// `head`, letters where there are some, `tail`, the end.
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

/// A state that does not accept; edges lead to itself (0) or to the state behind it (1).
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
    fn every_path_leads_to_its_resource_and_nowhere_else() {
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
