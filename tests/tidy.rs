//! What the compiler does not hold: the ladder of imports, sizes, names, opening contracts, and that the documents
//! name what exists. Each rule is a function from sources to complaints, and each is seen to complain below.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::string_slice,
    reason = "a test may stop at the first surprise"
)]

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// The ladder of ARCHITECTURE.md, highest rung first. A module may import from lower rungs only.
const LADDER: [&[&str]; 9] = [
    &["main"],
    &["lib"],
    &["cli"],
    &["config"],
    &["server"],
    &["session", "admin", "gate"],
    &["relay"],
    &["next_hop", "spool", "ledger", "register", "learn"],
    &["smtp", "mime", "consent", "pixel"],
];

/// These take plain values: although they stand above them, they import none of the vocabularies.
const IMPORTS_NOTHING: [&str; 2] = ["ledger", "learn"];

const FILE_LINES: usize = 500;
const FUNCTION_LINES: usize = 70;

/// Flat exhaustive matches that may be longer, by file and function, with the reason. At most five.
const LONG_FUNCTIONS: [(&str, &str, &str); 0] = [];

/// Words that say nothing, wherever they stand in a name.
const EMPTY_WORDS: [&str; 8] = [
    "manager", "helper", "helpers", "util", "utils", "utility", "misc", "common",
];

/// Words that say nothing when they are the whole name.
const EMPTY_ALONE: [&str; 3] = ["handler", "info", "strict"];

struct Source {
    /// Relative to the repository.
    path: String,
    text: String,
}

impl Source {
    fn new(path: &str, text: &str) -> Self {
        Self {
            path: path.to_owned(),
            text: text.to_owned(),
        }
    }

    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs")
            || self.path.ends_with("_tests.rs")
            || self.path.contains("/tests/")
    }

    /// The module on the first rung below the crate.
    fn module(&self) -> &str {
        let inside = self.path.strip_prefix("src/").unwrap_or(&self.path);
        let first = inside.split('/').next().unwrap();
        first.strip_suffix(".rs").unwrap_or(first)
    }

    /// The text without comments and without an inline test module.
    fn code(&self) -> String {
        let mut code = String::new();
        let mut lines = self.text.lines().peekable();
        while let Some(line) = lines.next() {
            let opens_tests = line == "#[cfg(test)]"
                && lines
                    .peek()
                    .is_some_and(|next| next.starts_with("mod ") && next.ends_with('{'));
            if opens_tests {
                break;
            }
            code.push_str(line.split("//").next().unwrap());
            code.push('\n');
        }
        code
    }
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn all_files(directory: &Path, into: &mut Vec<PathBuf>) {
    for found in fs::read_dir(directory).unwrap() {
        let path = found.unwrap().path();
        if path.is_dir() {
            all_files(&path, into);
        } else {
            into.push(path);
        }
    }
}

fn sources() -> Vec<Source> {
    let mut paths = Vec::new();
    all_files(&root().join("src"), &mut paths);
    paths.sort();
    let sources: Vec<Source> = paths
        .iter()
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .map(|path| {
            let relative = path.strip_prefix(root()).unwrap().to_str().unwrap();
            Source::new(relative, &fs::read_to_string(path).unwrap())
        })
        .collect();
    assert!(sources.len() > 10, "the sources were not found");
    sources
}

fn document(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
}

#[track_caller]
fn none(complaints: &[String]) {
    assert!(complaints.is_empty(), "\n{}", complaints.join("\n"));
}

// The ladder.

fn rung(module: &str) -> Option<usize> {
    LADDER.iter().position(|rung| rung.contains(&module))
}

/// The top-level modules that a piece of code names through `crate::` (or `pixelgate::`, as `main` does).
fn named_modules(code: &str) -> BTreeSet<String> {
    let mut named = BTreeSet::new();
    for marker in ["crate::", "pixelgate::"] {
        for (at, _) in code.match_indices(marker) {
            let before = code[..at].chars().next_back();
            if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
                continue;
            }
            let rest = &code[at + marker.len()..];
            match rest.strip_prefix('{') {
                None => {
                    named.insert(identifier(rest));
                }
                Some(group) => named.extend(group_heads(group)),
            }
        }
    }
    named
        .retain(|name| rung(name).is_some() || name.chars().next().is_some_and(char::is_lowercase));
    named
}

/// The first identifier of each path in `{a::b, c::{d, e}}`, given what follows the first brace.
fn group_heads(group: &str) -> Vec<String> {
    let (mut heads, mut depth, mut at_start) = (Vec::new(), 1, true);
    for (at, c) in group.char_indices() {
        match c {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => at_start = true,
            c if c.is_alphanumeric() && at_start => {
                heads.push(identifier(&group[at..]));
                at_start = false;
            }
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    heads
}

fn identifier(text: &str) -> String {
    text.chars()
        .take_while(|c| c.is_alphanumeric() || *c == '_')
        .collect()
}

fn against_the_ladder(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let (path, module) = (&source.path, source.module());
        let Some(own) = rung(module) else {
            complaints.push(format!(
                "{path}: module {module} has no place on the ladder"
            ));
            continue;
        };
        for named in named_modules(&source.code()) {
            if named == module {
                continue;
            }
            let Some(other) = rung(&named) else {
                // A macro or function at the crate root.
                continue;
            };
            if other <= own {
                complaints.push(format!(
                    "{path}: {module} imports {named}, which is not below it"
                ));
            } else if IMPORTS_NOTHING.contains(&module) {
                complaints.push(format!(
                    "{path}: {module} imports {named}, it takes plain values"
                ));
            }
        }
    }
    complaints
}

#[test]
fn imports_go_down_the_ladder() {
    none(&against_the_ladder(&sources()));
}

#[test]
fn an_import_up_or_sideways_is_seen() {
    let seen = |path: &str, text: &str| against_the_ladder(&[Source::new(path, text)]).len();
    assert_eq!(
        seen("src/relay/decide.rs", "use crate::consent::permit;\n"),
        0
    );
    assert_eq!(
        seen("src/smtp/data.rs", "use crate::smtp::reply::Reply;\n"),
        0
    );
    assert_eq!(
        seen("src/main.rs", "fn main() { pixelgate::cli::run() }\n"),
        0
    );
    assert_eq!(seen("src/smtp/data.rs", "use crate::mime::Tree;\n"), 1);
    assert_eq!(seen("src/mime/mod.rs", "fn f() { crate::relay::f() }\n"), 1);
    assert_eq!(
        seen(
            "src/spool/mod.rs",
            "use crate::{smtp::x, ledger, relay::{a, b}};\n"
        ),
        2
    );
    assert_eq!(
        seen("src/ledger/mod.rs", "use crate::smtp::reply::Reply;\n"),
        1
    );
    assert_eq!(seen("src/server.rs", "use crate::config::Settings;\n"), 1);
    assert_eq!(seen("src/new/mod.rs", ""), 1);
    assert_eq!(seen("src/mime/mod.rs", "// crate::relay is above\n"), 0);
    assert_eq!(seen("src/mime/tests.rs", "use crate::relay::x;\n"), 0);
    let inline = "fn f() {}\n#[cfg(test)]\nmod tests {\n    use crate::relay::x;\n}\n";
    assert_eq!(seen("src/mime/mod.rs", inline), 0);
    let outside = "#[cfg(test)]\n#[path = \"x_tests.rs\"]\nmod tests;\nuse crate::relay::x;\n";
    assert_eq!(seen("src/mime/mod.rs", outside), 1);
}

// Sizes.

fn long_files(sources: &[Source]) -> Vec<String> {
    sources
        .iter()
        .filter(|source| !source.is_test())
        .filter_map(|source| {
            let lines = source.text.lines().count();
            (lines > FILE_LINES).then(|| format!("{}: {lines} lines", source.path))
        })
        .collect()
}

/// Functions whose body has more lines than allowed, comments and blank lines not counted. Goes by the indentation
/// that rustfmt gives: a function ends at the next `}` in its own column.
fn long_functions(sources: &[Source], exempt: &[(&str, &str, &str)]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let lines: Vec<&str> = source.text.lines().collect();
        for (at, line) in lines.iter().enumerate() {
            let Some(name) = function_name(line) else {
                continue;
            };
            let indent = line.len() - line.trim_start().len();
            let end = format!("{}}}", " ".repeat(indent));
            let count = lines[at + 1..]
                .iter()
                .take_while(|line| **line != end)
                .filter(|line| !line.trim().is_empty() && !line.trim_start().starts_with("//"))
                .count();
            let exempt = exempt
                .iter()
                .any(|(file, function, _)| *file == source.path && *function == name);
            let one_line = line.ends_with('}') || line.ends_with(';');
            if count > FUNCTION_LINES && !exempt && !one_line {
                complaints.push(format!("{}: fn {name} has {count} lines", source.path));
            }
        }
    }
    complaints
}

fn function_name(line: &str) -> Option<String> {
    let mut rest = line.trim_start();
    while let Some(shorter) = ["pub(super) ", "pub(crate) ", "pub ", "async ", "const "]
        .iter()
        .find_map(|prefix| rest.strip_prefix(prefix))
    {
        rest = shorter;
    }
    rest.strip_prefix("fn ").map(identifier)
}

#[test]
fn files_and_functions_fit_the_eye() {
    assert!(LONG_FUNCTIONS.len() <= 5, "exemptions are not a habit");
    for (_, _, reason) in LONG_FUNCTIONS {
        assert!(!reason.is_empty());
    }
    none(&long_files(&sources()));
    none(&long_functions(&sources(), &LONG_FUNCTIONS));
}

#[test]
fn a_long_file_and_a_long_function_are_seen() {
    let file = |lines: usize| [Source::new("src/x.rs", &"// x\n".repeat(lines))];
    assert_eq!(long_files(&file(500)).len(), 0);
    assert_eq!(long_files(&file(501)).len(), 1);
    let function = |lines: usize| {
        let body = "        one();\n        // why\n\n".repeat(lines);
        let text = format!(
            "impl X {{\n    pub async fn f(&self) {{\n{body}    }}\n\n    fn g() {{}}\n}}\n"
        );
        [Source::new("src/x.rs", &text)]
    };
    assert_eq!(long_functions(&function(70), &[]).len(), 0);
    assert_eq!(
        long_functions(&function(71), &[]),
        ["src/x.rs: fn f has 71 lines"]
    );
    let exempt = [("src/x.rs", "f", "flat")];
    assert_eq!(long_functions(&function(71), &exempt).len(), 0);
}

// Names.

/// The words of a snake_case or CamelCase name, lower-case.
fn words(name: &str) -> Vec<String> {
    let mut spaced = String::new();
    for c in name.chars() {
        if c.is_uppercase() {
            spaced.push('_');
        }
        spaced.extend(c.to_lowercase());
    }
    spaced
        .split('_')
        .filter(|word| !word.is_empty())
        .map(str::to_owned)
        .collect()
}

fn empty_name(kind: &str, name: &str) -> bool {
    let words = words(name);
    let contains = words.iter().any(|word| EMPTY_WORDS.contains(&&**word));
    let alone = words.len() == 1 && EMPTY_ALONE.contains(&&*words[0]);
    let verb = kind == "fn" && words.first().is_some_and(|word| word == "process");
    contains || alone || verb
}

fn empty_names(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let stem = Path::new(&source.path)
            .file_stem()
            .unwrap()
            .to_str()
            .unwrap();
        if empty_name("mod", stem) {
            complaints.push(format!("{}: the file's name says nothing", source.path));
        }
        for line in source.text.lines() {
            // The name of a test is a sentence; any word may stand in it.
            if let Some((kind, name)) = declared(line)
                && !(kind == "fn" && source.is_test())
                && empty_name(kind, &name)
            {
                complaints.push(format!("{}: {kind} {name}", source.path));
            }
        }
    }
    complaints
}

fn declared(line: &str) -> Option<(&'static str, String)> {
    if let Some(name) = function_name(line) {
        return Some(("fn", name));
    }
    let line = line.trim_start();
    let line = ["pub(super) ", "pub(crate) ", "pub "]
        .iter()
        .find_map(|prefix| line.strip_prefix(prefix))
        .unwrap_or(line);
    ["struct", "enum", "trait", "type", "mod", "const", "static"]
        .into_iter()
        .find_map(|kind| {
            let name = identifier(line.strip_prefix(kind)?.strip_prefix(' ')?);
            Some((kind, name))
        })
}

#[test]
fn every_name_says_something() {
    none(&empty_names(&sources()));
}

#[test]
fn a_name_that_says_nothing_is_seen() {
    for bad in [
        "pub struct SpoolManager;",
        "    pub(super) fn parse_helper() {}",
        "mod util;",
        "enum Handler {",
        "async fn process_message() {}",
        "struct Strict;",
    ] {
        assert_eq!(
            empty_names(&[Source::new("src/x.rs", bad)]).len(),
            1,
            "{bad}"
        );
    }
    assert_eq!(empty_names(&[Source::new("src/x/common.rs", "")]).len(), 1);
    for good in [
        "struct ElementHandlers;",
        "fn processed() {}",
        "let info = 1;",
        "mod data;",
        "Strictest,",
    ] {
        assert_eq!(
            empty_names(&[Source::new("src/x.rs", good)]),
            [""; 0],
            "{good}"
        );
    }
}

// Contracts and stubs.

fn without_contract(sources: &[Source]) -> Vec<String> {
    sources
        .iter()
        .filter(|source| !source.is_test() && !source.text.starts_with("//! "))
        .map(|source| format!("{}: does not open with `//!`", source.path))
        .collect()
}

/// Empty modules count as stubs: a contract alone is a promise nobody keeps.
fn stubs(sources: &[Source]) -> Vec<String> {
    let mut complaints = Vec::new();
    for source in sources {
        let code = source.code();
        for stub in ["todo!", "unimplemented!", "FIXME", "TODO", "XXX"] {
            let everything = if stub.ends_with('!') {
                &code
            } else {
                &source.text
            };
            if everything.contains(stub) {
                complaints.push(format!("{}: {stub}", source.path));
            }
        }
        if code.trim().is_empty() && !source.is_test() {
            complaints.push(format!("{}: no code in it", source.path));
        }
    }
    complaints
}

#[test]
fn every_file_opens_with_its_contract() {
    none(&without_contract(&sources()));
}

#[test]
fn there_are_no_stubs() {
    none(&stubs(&sources()));
}

#[test]
fn a_missing_contract_and_a_stub_are_seen() {
    let seen = |text: &str| {
        let sources = [Source::new("src/x.rs", text)];
        (without_contract(&sources).len(), stubs(&sources).len())
    };
    assert_eq!(seen("//! Words.\nfn f() {}\n"), (0, 0));
    assert_eq!(seen("use x;\n"), (1, 0));
    assert_eq!(seen("//! Words.\nfn f() { todo!() }\n"), (0, 1));
    assert_eq!(seen("//! Words.\n// TODO\nfn f() {}\n"), (0, 1));
    assert_eq!(seen("//! Words.\n"), (0, 1));
}

// Documents.

/// Paths in back ticks that look like files of this repository.
fn named_files(text: &str) -> BTreeSet<String> {
    text.split('`')
        .skip(1)
        .step_by(2)
        .filter(|quoted| {
            let top = quoted.split('/').next().unwrap();
            let known = ["src", "tests", "config", "deploy", "fuzz", "docs", ".ci"];
            quoted.contains('/') && (known.contains(&top) || rung(top).is_some())
        })
        .filter(|quoted| !quoted.contains(|c: char| c.is_whitespace() || "*{}<>".contains(c)))
        .map(|quoted| quoted.trim_end_matches('/').to_owned())
        .collect()
}

fn missing_files(text: &str) -> Vec<String> {
    named_files(text)
        .into_iter()
        .filter(|path| {
            // `relay/decide` is short for `src/relay/decide.rs`.
            let inside = format!("src/{path}");
            let module = format!("src/{path}.rs");
            ![path, &inside, &module]
                .iter()
                .any(|path| root().join(path).exists())
        })
        .collect()
}

#[test]
fn the_documents_name_files_that_exist() {
    for name in ["ARCHITECTURE.md", "README.md"] {
        let missing = missing_files(&document(name));
        assert!(missing.is_empty(), "{name} names {missing:?}");
    }
    let named = named_files(&document("ARCHITECTURE.md"));
    assert!(named.len() > 3, "ARCHITECTURE.md names only {named:?}");
}

#[test]
fn a_file_that_does_not_exist_is_seen() {
    let text = "see `src/lib.rs`, `spool/entry`, `tests/` and `src/gone.rs`, `relay/gone`; \
                `cargo test src/x` is no file, nor is `text/html`";
    assert_eq!(missing_files(text), ["relay/gone", "src/gone.rs"]);
}

/// The fields of the structs that read the configuration: those named `Settings`, `Limits` or ending so, that can be
/// deserialized. By file and struct.
fn settings_keys(sources: &[Source]) -> BTreeMap<String, BTreeSet<String>> {
    let mut found: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for source in sources.iter().filter(|source| !source.is_test()) {
        let mut deserialized = false;
        let mut inside: Option<String> = None;
        for line in source.text.lines() {
            if let Some(owner) = &inside {
                if line == "}" {
                    inside = None;
                } else if let Some((key, _)) = line
                    .strip_prefix("    pub ")
                    .and_then(|field| field.split_once(':'))
                {
                    found
                        .entry(owner.clone())
                        .or_default()
                        .insert(key.to_owned());
                }
            } else if line.starts_with("#[derive(") {
                deserialized = line.contains("Deserialize") && !line.contains("Serialize,");
            } else if let Some(("struct", name)) = declared(line) {
                let reads = name.ends_with("Settings") || name.ends_with("Limits");
                if deserialized && reads && line.ends_with('{') {
                    inside = Some(format!("{} {name}", source.path));
                }
                deserialized = false;
            }
        }
    }
    found
}

/// The keys of an example configuration, those in comments (`# key = value`) and in inline tables included.
fn example_keys(text: &str) -> BTreeSet<String> {
    text.lines()
        .flat_map(|line| line.trim_start_matches(['#', ' ']).split(['{', ',']))
        .filter_map(|piece| {
            let (key, _) = piece.split_once('=')?;
            let key = key.trim();
            let is_key = !key.is_empty()
                && key
                    .chars()
                    .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_');
            is_key.then(|| key.to_owned())
        })
        .collect()
}

fn not_in_example(keys: &BTreeMap<String, BTreeSet<String>>, example: &str) -> Vec<String> {
    let shown = example_keys(example);
    keys.iter()
        .flat_map(|(owner, keys)| keys.iter().map(move |key| (owner, key)))
        .filter(|(_, key)| !shown.contains(*key))
        .map(|(owner, key)| format!("{owner}: `{key}` is not in config/pixelgate.toml"))
        .collect()
}

#[test]
fn the_example_shows_every_key() {
    let keys = settings_keys(&sources());
    assert!(!keys.is_empty(), "no settings were found");
    none(&not_in_example(&keys, &document("config/pixelgate.toml")));
}

#[test]
fn a_key_that_the_example_lacks_is_seen() {
    let text = "#[derive(Debug, Deserialize)]\npub struct Settings {\n    /// D.\n    pub bytes: u64,\n    pub entries: u64,\n}\n\
                #[derive(Debug)]\npub struct Limits {\n    pub parts: usize,\n}\n";
    let keys = settings_keys(&[Source::new("src/x.rs", text)]);
    let example = "[x]\n# Most octets.\n# bytes = 1\n";
    assert_eq!(
        not_in_example(&keys, example),
        ["src/x.rs Settings: `entries` is not in config/pixelgate.toml"]
    );
    assert!(not_in_example(&keys, "bytes = 1\nentries = 2\n").is_empty());
}
