use super::*;
use proptest::prelude::*;

/// A simple pattern. `is_prefix` means that it accepts every continuation.
#[derive(Clone, Debug)]
struct TestPattern {
    parts: Vec<PatternPart>,
    is_prefix: bool,
}

#[derive(Clone, Copy, Debug)]
enum PatternPart {
    Byte(u8),
    /// One letter.
    Letter,
    /// One or more letters.
    Letters,
}

/// The letters.
const LOW: u8 = b'a';
const HIGH: u8 = b'c';

impl TestPattern {
    /// Packs the automaton of the pattern in the format of the attribute macros.
    fn automaton(&self) -> Automaton {
        let mut packed = Vec::new();
        let mut repeats = false;
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
                PatternPart::Byte(byte) => (*byte, *byte),
                PatternPart::Letter | PatternPart::Letters => (LOW, HIGH),
            };
            if repeats {
                // Repeated letters are followed by a slash, so that no byte leads to two states.
                state(0, &[(b'/', b'/', 1), (LOW, HIGH, 0)]);
            }
            state(0, &[(low, high, 1)]);
            repeats = matches!(part, PatternPart::Letters);
        }
        if repeats {
            state(0, &[(b'/', b'/', 1), (LOW, HIGH, 0)]);
        }
        if self.is_prefix {
            state(3, &[(0, 255, 0)]);
        } else {
            state(1, &[]);
        }
        Automaton(packed.leak())
    }
}

fn pattern() -> impl Strategy<Value = TestPattern> {
    let part = prop_oneof![
        4 => prop_oneof![Just(b'/'), b'a'..=b'c'].prop_map(PatternPart::Byte),
        1 => Just(PatternPart::Letter),
        1 => Just(PatternPart::Letters),
    ];
    (prop::collection::vec(part, 0..6), any::<bool>())
        .prop_map(|(parts, is_prefix)| TestPattern { parts, is_prefix })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn first_match_agrees_with_trying_the_routes_in_order(
        table in prop::collection::vec(pattern(), 1..40),
        paths in prop::collection::vec("[/abcd]{0,8}", 1..40),
        max_size in prop_oneof![Just(MAX_PRODUCT_SIZE), 1..200_usize],
    ) {
        let routes: Vec<_> = table.iter().map(TestPattern::automaton).enumerate().collect();
        let dfas = CombinedDfa::build_limited(&routes, max_size);
        for path in paths {
            let expected = routes.iter().find(|(_, automaton)| automaton.matches(path.as_bytes()));
            let first = dfas.iter().find_map(|dfa| dfa.first_match(path.as_bytes()));
            prop_assert_eq!(first, expected.map(|(number, _)| *number), "{}", path);
        }
    }
}

#[test]
fn many_routes_form_one_automaton_of_limited_size() {
    let literal = |number: usize| TestPattern {
        parts: format!("/{number:04}").bytes().map(PatternPart::Byte).collect(),
        is_prefix: false,
    };
    let routes: Vec<_> = (0..2000)
        .map(|number| literal(number).automaton())
        .enumerate()
        .collect();
    let dfas = CombinedDfa::build(&routes);
    assert_eq!(dfas.len(), 1);
    assert_eq!(dfas[0].first_match(b"/1234"), Some(1234));
    assert_eq!(dfas[0].first_match(b"/12345"), None);
    assert!(CombinedDfa::build_limited(&routes, 5000).len() > 1);
}
