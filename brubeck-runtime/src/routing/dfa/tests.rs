use super::*;
use proptest::prelude::*;

/// The automaton of a few literals, letters and digits in a row, open at its end or not.
#[derive(Clone, Debug)]
struct Path {
    parts: Vec<Part>,
    open: bool,
}

#[derive(Clone, Copy, Debug)]
enum Part {
    Byte(u8),
    /// One of these, once.
    Any,
    /// One of these, or more.
    Some,
}

/// The bytes that `Any` and `Some` stand for.
const LOW: u8 = b'a';
const HIGH: u8 = b'c';

impl Path {
    /// Packed as the attribute macros do it.
    fn automaton(&self) -> Automaton {
        let mut packed = Vec::new();
        let mut again = false;
        let mut state = |flags: u8, edges: &[(u8, u8, usize)]| {
            let own: usize = packed.len();
            packed.extend([flags, edges.len() as u8]);
            for (low, high, ahead) in edges {
                let [first, second] = ((own + ahead * (2 + 4 * edges.len())) as u16).to_le_bytes();
                packed.extend([*low, *high, first, second]);
            }
        };
        for part in &self.parts {
            let (low, high) = match part {
                Part::Byte(byte) => (*byte, *byte),
                Part::Any | Part::Some => (LOW, HIGH),
            };
            match again {
                // A slash follows whatever repeats, so that no byte leads to two states.
                true => {
                    state(0, &[(b'/', b'/', 1), (LOW, HIGH, 0)]);
                    state(0, &[(low, high, 1)]);
                }
                false => state(0, &[(low, high, 1)]),
            }
            again = matches!(part, Part::Some);
        }
        if again {
            state(0, &[(b'/', b'/', 1), (LOW, HIGH, 0)]);
        }
        match self.open {
            true => state(3, &[(0, 255, 0)]),
            false => state(1, &[]),
        }
        Automaton(packed.leak())
    }
}

fn path() -> impl Strategy<Value = Path> {
    let part = prop_oneof![
        4 => prop_oneof![Just(b'/'), b'a'..=b'c'].prop_map(Part::Byte),
        1 => Just(Part::Any),
        1 => Just(Part::Some),
    ];
    (prop::collection::vec(part, 0..6), any::<bool>()).prop_map(|(parts, open)| Path { parts, open })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn the_first_is_that_of_a_search_from_the_top(
        table in prop::collection::vec(path(), 1..40),
        asked in prop::collection::vec("[/abcd]{0,8}", 1..40),
        most in prop_oneof![Just(MOST), 1..200_usize],
    ) {
        let routes: Vec<_> = table.iter().map(Path::automaton).enumerate().collect();
        let merged = Merged::within(&routes, most);
        for path in asked {
            let plain = routes.iter().find(|(_, automaton)| automaton.matches(path.as_bytes()));
            let first = merged.iter().find_map(|part| part.first(path.as_bytes()));
            prop_assert_eq!(first, plain.map(|(number, _)| *number), "{}", path);
        }
    }
}

#[test]
fn many_routes_are_one_automaton_and_their_overlap_is_bounded() {
    let literal = |number: usize| Path {
        parts: format!("/{number:04}").bytes().map(Part::Byte).collect(),
        open: false,
    };
    let routes: Vec<_> = (0..2000)
        .map(|number| literal(number).automaton())
        .enumerate()
        .collect();
    let merged = Merged::of(&routes);
    assert_eq!(merged.len(), 1);
    assert_eq!(merged[0].first(b"/1234"), Some(1234));
    assert_eq!(merged[0].first(b"/12345"), None);
    assert!(Merged::within(&routes, 5000).len() > 1);
}
