//! Which resources a path could match, by the bytes it begins with.

/// A tree of the forced prefixes of all resources. Every node knows the resources whose prefix lies on the way
/// to it, in order, so that one walk along the path leaves few to try, however many there are.
#[derive(Debug)]
pub(super) struct Index {
    nodes: Vec<Node>,
}

#[derive(Debug)]
struct Node {
    /// Sorted by byte.
    children: Vec<(u8, usize)>,
    candidates: Vec<usize>,
}

impl Index {
    /// Of the prefixes of resources 0, 1, 2, ...
    pub(super) fn new<'a>(prefixes: impl Iterator<Item = &'a [u8]>) -> Index {
        let mut index = Index {
            nodes: vec![Node {
                children: Vec::new(),
                candidates: Vec::new(),
            }],
        };
        for (resource, prefix) in prefixes.enumerate() {
            let node = prefix.iter().fold(0, |node, byte| index.child(node, *byte));
            index.nodes[node].candidates.push(resource);
        }
        index.inherit();
        index
    }

    fn child(&mut self, node: usize, byte: u8) -> usize {
        let next = self.nodes.len();
        match self.nodes[node]
            .children
            .binary_search_by_key(&byte, |child| child.0)
        {
            Ok(at) => self.nodes[node].children[at].1,
            Err(at) => {
                self.nodes[node].children.insert(at, (byte, next));
                self.nodes.push(Node {
                    children: Vec::new(),
                    candidates: Vec::new(),
                });
                next
            }
        }
    }

    /// Gives every node the candidates of its ancestors; a child is numbered after its parent.
    fn inherit(&mut self) {
        for node in 0..self.nodes.len() {
            let inherited = self.nodes[node].candidates.clone();
            for (_, child) in self.nodes[node].children.clone() {
                let candidates = &mut self.nodes[child].candidates;
                candidates.extend(&inherited);
                candidates.sort_unstable();
            }
        }
    }

    /// The resources that `path` could match, in order.
    pub(super) fn candidates(&self, path: &[u8]) -> &[usize] {
        let mut at = &self.nodes[0];
        for byte in path {
            let child = at.children.binary_search_by_key(byte, |child| child.0);
            match child
                .ok()
                .and_then(|child| at.children.get(child))
                .and_then(|child| self.nodes.get(child.1))
            {
                Some(node) => at = node,
                None => break,
            }
        }
        &at.candidates
    }
}

#[cfg(test)]
mod tests {
    use super::Index;

    #[test]
    fn candidates_come_in_the_order_of_the_list() {
        let prefixes: [&[u8]; 5] = [b"/service/slow", b"/user/", b"/service", b"", b"/user/me"];
        let index = Index::new(prefixes.into_iter());
        assert_eq!(index.candidates(b"/service/slower"), [0, 2, 3]);
        assert_eq!(index.candidates(b"/service/x"), [2, 3]);
        assert_eq!(index.candidates(b"/user/me"), [1, 3, 4]);
        assert_eq!(index.candidates(b"/"), [3]);
        assert_eq!(index.candidates(b""), [3]);
        assert_eq!(Index::new([].into_iter()).candidates(b"/"), [0; 0]);
    }
}
