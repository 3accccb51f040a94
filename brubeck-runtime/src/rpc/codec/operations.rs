//! The declarations of the operations that a worker serves: their digests in `welcome`, and the list that it sends on request.

use super::limits::{MAX_CONTRACTS, MAX_MESSAGE, MAX_OPERATION_LIST};
use crate::codec::ByteStr;
use crate::const_string::fnv1a;
use bytes::Bytes;
use serde::{Deserialize, Serialize, Serializer};

/// The prefix of the names of operations that the worker serves itself.
pub const RESERVED_OPERATIONS: &str = "brubeck::";

/// The operation that returns the list of the operations of a worker.
pub const OPERATION_LIST: &str = "brubeck::operations";

/// The digests of one operation, which `welcome` contains for each operation of a contract that the worker serves.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ContractDigest {
    /// The FNV-1a hash of the name of the operation.
    pub name: u64,
    /// The digest of the declaration: the `contract` of its requests.
    pub declaration: u64,
}

/// The declaration of an operation, as far as it is known.
///
/// ```
/// use brubeck_runtime::wire::v3::OperationDeclaration;
///
/// let here = OperationDeclaration::parse("thumbs::resize", 1, "image: Bytes\nwidth: u32\nBytes\nProblem");
/// let there = OperationDeclaration::parse("thumbs::resize", 2, "image: Bytes\nwidth: u64\nBytes\nProblem");
/// assert_eq!(
///     here.difference(&there, "tcp://10.0.0.6:9000"),
///     "argument `width`: `u32` here, `u64` at tcp://10.0.0.6:9000"
/// );
/// ```
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct OperationDeclaration {
    /// The name, such as `thumbs::resize`.
    pub name: String,
    /// The digest of the declaration. A list that was read does not have it.
    #[serde(serialize_with = "write_hexadecimal", skip_deserializing)]
    pub digest: u64,
    /// The arguments, in the order of the declaration.
    #[serde(default)]
    pub arguments: Vec<DeclaredArgument>,
    /// The type of the result; empty if it is not known.
    #[serde(default)]
    pub result: String,
    /// The type of the error; empty if it is not known.
    #[serde(default)]
    pub error: String,
}

/// An argument of an operation.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
pub struct DeclaredArgument {
    /// The name.
    pub name: String,
    /// The type as it is written; empty if it is not known.
    #[serde(default, rename = "type")]
    pub ty: String,
}

fn write_hexadecimal<S: Serializer>(number: &u64, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{number:016x}"))
}

impl OperationDeclaration {
    /// Creates the declaration from its text: a line `name: type` for each argument, and two lines with the types of the result and of the
    /// error.
    #[must_use]
    pub fn parse(name: &str, digest: u64, text: &str) -> Self {
        let mut lines: Vec<&str> = text.lines().collect();
        let error = lines.pop().unwrap_or_default().to_owned();
        let result = lines.pop().unwrap_or_default().to_owned();
        let arguments = lines.into_iter().map(|line| {
            let (name, ty) = line.split_once(": ").unwrap_or((line, ""));
            DeclaredArgument {
                name: name.to_owned(),
                ty: ty.to_owned(),
            }
        });
        Self {
            name: name.to_owned(),
            digest,
            arguments: arguments.collect(),
            result,
            error,
        }
    }

    /// Describes the differences between this declaration and that of the worker at `address`. Empty if they have none. At most 1 KiB.
    #[must_use]
    pub fn difference(&self, there: &Self, address: &str) -> String {
        let types = |what: String, here: &str, there: &str| {
            let differ = here != there && !here.is_empty() && !there.is_empty();
            differ.then(|| format!("{what}: `{here}` here, `{there}` at {address}"))
        };
        let argument = |argument: &DeclaredArgument| match there.argument(&argument.name) {
            Some(other) => types(format!("argument `{}`", argument.name), &argument.ty, &other.ty),
            None => Some(format!("argument `{}` is missing at {address}", argument.name)),
        };
        let missing = there
            .arguments
            .iter()
            .filter(|argument| self.argument(&argument.name).is_none())
            .map(|argument| format!("argument `{}` is missing here", argument.name));
        let differences: Vec<String> = self
            .arguments
            .iter()
            .filter_map(argument)
            .chain(missing)
            .chain(types("result".to_owned(), &self.result, &there.result))
            .chain(types("error".to_owned(), &self.error, &there.error))
            .collect();
        let text = ByteStr::from(differences.join("; ")).truncated(MAX_MESSAGE);
        text.to_string()
    }

    fn argument(&self, name: &str) -> Option<&DeclaredArgument> {
        self.arguments.iter().find(|argument| argument.name == name)
    }
}

/// The operations of contracts that a worker serves, encoded once.
#[derive(Clone, Debug)]
pub struct ServedOperations {
    pub(in crate::rpc) digests: Vec<ContractDigest>,
    list: Bytes,
}

impl ServedOperations {
    /// Encodes the declarations. Leaves out those that exceed a limit, and those that occur again.
    #[must_use]
    pub fn new(declarations: impl IntoIterator<Item = OperationDeclaration>) -> Self {
        const END: usize = r#"],"omitted":18446744073709551615}"#.len();
        let mut digests: Vec<ContractDigest> = Vec::new();
        let mut list = br#"{"operations":["#.to_vec();
        let mut omitted = 0_usize;
        for declaration in declarations {
            let digest = ContractDigest {
                name: name_digest(&declaration.name),
                declaration: declaration.digest,
            };
            if digests.contains(&digest) {
                continue;
            }
            // Writing texts to memory cannot fail.
            let text = serde_json::to_vec(&declaration).unwrap_or_default();
            if digests.len() >= MAX_CONTRACTS || list.len() + 1 + text.len() + END > MAX_OPERATION_LIST {
                omitted += 1;
                continue;
            }
            if !digests.is_empty() {
                list.push(b',');
            }
            list.extend(text);
            digests.push(digest);
        }
        list.extend(format!(r#"],"omitted":{omitted}}}"#).bytes());
        Self {
            digests,
            list: list.into(),
        }
    }
}

impl ServedOperations {
    /// Returns the body of the response to a request of the list.
    #[must_use]
    pub fn list(&self) -> Bytes {
        self.list.clone()
    }
}

impl Default for ServedOperations {
    fn default() -> Self {
        Self::new([])
    }
}

/// Reads the list of the operations of a worker. Returns `None` if it is malformed, or has more than 256 KiB.
#[must_use]
pub fn read_operation_list(body: &[u8]) -> Option<Vec<OperationDeclaration>> {
    #[derive(Deserialize)]
    struct OperationList {
        operations: Vec<OperationDeclaration>,
    }
    let list: OperationList = (body.len() <= MAX_OPERATION_LIST)
        .then(|| serde_json::from_slice(body).ok())
        .flatten()?;
    Some(list.operations)
}

/// Returns the hash of the name of an operation, as it is in a [`ContractDigest`].
#[must_use]
pub fn name_digest(name: &str) -> u64 {
    fnv1a(&[name.as_bytes()])
}

/// Returns whether a worker with these digests, which are sorted by the declaration, declares the operation differently. An operation that
/// it does not list, and a digest that is 0, are not known.
pub(in crate::rpc) fn declares_differently(digests: &[ContractDigest], name: &str, declaration: u64) -> bool {
    if declaration == 0
        || digests
            .binary_search_by_key(&declaration, |digest| digest.declaration)
            .is_ok()
    {
        return false;
    }
    let name = name_digest(name);
    digests
        .iter()
        .any(|digest| digest.name == name && digest.declaration != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resize(text: &str) -> OperationDeclaration {
        OperationDeclaration::parse("thumbs::resize", 7, text)
    }

    #[test]
    fn difference_names_arguments_result_and_error() {
        let here = resize("image: Bytes\nwidth: u32\nscale: f32\nBytes\nProblem");
        let there = resize("width: u64\nimage: Bytes\nformat: Format\nImage\nThumbError");
        assert_eq!(
            here.difference(&there, "tcp://a"),
            "argument `width`: `u32` here, `u64` at tcp://a; argument `scale` is missing at tcp://a; argument `format` is missing here; \
             result: `Bytes` here, `Image` at tcp://a; error: `Problem` here, `ThumbError` at tcp://a"
        );
        assert_eq!(here.difference(&here, "tcp://a"), "");
        let unknown = OperationDeclaration {
            arguments: vec![],
            ..resize("\n\n")
        };
        assert_eq!(resize("()\nProblem").difference(&unknown, "tcp://a"), "");
    }

    #[test]
    fn a_difference_is_bounded() {
        let here = resize(&"a: u8\n".repeat(1000));
        let there = resize("Bytes\nProblem");
        assert_eq!(here.difference(&there, "tcp://a").len(), MAX_MESSAGE);
    }

    #[test]
    fn list_is_read_as_it_was_written_and_leaves_out_what_exceeds_its_limit() {
        let declared = resize("image: Bytes\nBytes\nProblem");
        let served = ServedOperations::new([declared.clone(), declared.clone()]);
        assert_eq!(
            served.list,
            &br#"{"operations":[{"name":"thumbs::resize","digest":"0000000000000007","arguments":[{"name":"image","type":"Bytes"}],"result":"Bytes","error":"Problem"}],"omitted":0}"#[..]
        );
        let read = read_operation_list(&served.list).unwrap();
        assert_eq!(
            read,
            [OperationDeclaration {
                digest: 0,
                ..declared
            }]
        );

        let many = (0..2000_u64).map(|n| OperationDeclaration::parse(&format!("a::b{n}"), n, "()\nProblem"));
        let served = ServedOperations::new(many);
        assert_eq!(
            read_operation_list(&served.list).unwrap().len(),
            served.digests.len()
        );
        assert_eq!(served.digests.len(), MAX_CONTRACTS);
        assert!(served.list.ends_with(br#""omitted":976}"#));

        let wide = (0..20_u64).map(|n| resize(&format!("{}: u{n}\n()\nProblem", "a".repeat(20_000))));
        let wide = wide.enumerate().map(|(n, declaration)| OperationDeclaration {
            digest: n as u64,
            ..declaration
        });
        let served = ServedOperations::new(wide);
        assert!(served.list.len() <= MAX_OPERATION_LIST && served.digests.len() > 10);
        assert!(read_operation_list(&served.list).is_some());
    }

    #[test]
    fn an_operation_that_is_not_listed_or_not_known_does_not_differ() {
        let digest = |name, declaration| ContractDigest {
            name: name_digest(name),
            declaration,
        };
        let digests = [digest("a", 0), digest("b", 3), digest("c", 4), digest("c", 5)];
        let differs = |name, declaration| declares_differently(&digests, name, declaration);
        assert!(differs("b", 9) && differs("c", 9));
        assert!(!differs("b", 3) && !differs("c", 4) && !differs("c", 5));
        assert!(!differs("a", 9) && !differs("d", 9) && !differs("b", 0));
        assert!(!declares_differently(&[], "b", 9));
    }
}
