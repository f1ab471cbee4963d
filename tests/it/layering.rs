//! Layers point down, and stages do not import one another. Reads the sources; see ARCHITECTURE.md.

use std::fs;
use std::path::{Path, PathBuf};

/// Module and layer, 1 at the top.
const LAYERS: [(&str, u8); 16] = [
    ("cli", 1),
    ("discover", 2),
    ("resolve", 2),
    ("fetch", 2),
    ("emit", 2),
    ("prune", 2),
    ("push", 2),
    ("serve", 2),
    ("signatures", 2),
    ("validate", 2),
    ("cluster", 3),
    ("registry", 3),
    ("store", 3),
    ("target", 3),
    ("trust", 3),
    ("model", 4),
];

fn layer(module: &str) -> Option<u8> {
    LAYERS.iter().find(|(name, _)| *name == module).map(|(_, layer)| *layer)
}

fn sources(folder: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("src can be read") {
        let path = entry.expect("src can be read").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

/// The modules that a source names by `crate::…`, also in groups: `use crate::{a::X, b};`.
fn imports(text: &str) -> Vec<String> {
    let mut modules = Vec::new();
    let code = text.lines().filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n");
    for (at, _) in code.match_indices("crate::") {
        let rest = &code[at + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut word = String::new();
            let mut taking = true;
            for c in group.chars() {
                match c {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => {
                        modules.push(std::mem::take(&mut word));
                        taking = true;
                    }
                    ':' => taking = false,
                    c if depth == 0 && taking && (c.is_alphanumeric() || c == '_') => word.push(c),
                    _ => {}
                }
            }
            modules.push(word);
        } else {
            modules.push(rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect());
        }
    }
    modules.retain(|module| !module.is_empty());
    modules
}

/// What is wrong with the imports of a module.
fn violations(module: &str, text: &str) -> Vec<String> {
    let own = layer(module);
    let wrong = |to: &String| match (own, layer(to)) {
        (Some(own), Some(other)) => *to != module && (other < own || (other == own && own <= 2)),
        _ => true,
    };
    imports(text).into_iter().filter(wrong).map(|to| format!("{module} imports {to}")).collect()
}

#[test]
fn layers_point_down() {
    let src = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut files = Vec::new();
    sources(&src, &mut files);
    assert!(files.len() > 20, "the sources were not found");
    let mut found = Vec::new();
    for file in files {
        let relative = file.strip_prefix(&src).expect("below src");
        let first = relative.components().next().expect("a path").as_os_str().to_string_lossy();
        let module = first.trim_end_matches(".rs");
        if module == "lib" || module == "main" {
            continue;
        }
        let text = fs::read_to_string(&file).expect("a source can be read");
        found.extend(violations(module, &text).into_iter().map(|v| format!("{}: {v}", relative.display())));
    }
    assert!(found.is_empty(), "layers are violated:\n  {}", found.join("\n  "));
}

#[test]
fn a_violation_is_seen() {
    for (module, text, wrong) in [
        ("model", "use crate::store::Store;", true),
        ("fetch", "use crate::resolve::Resolved;", true),
        ("store", "use crate::{model::Digest, cli};", true),
        ("store", "fn f() { crate::emit::x() }", true),
        ("model", "use crate::unknown::X;", true),
        ("fetch", "use crate::{model::{Digest, Plan}, store::Store};", false),
        ("store", "// crate::cli in a comment\nuse crate::model::Digest;", false),
        ("cli", "use crate::fetch::Fetch;\nuse crate::store::Store;", false),
    ] {
        assert_eq!(!violations(module, text).is_empty(), wrong, "{module}: {text}");
    }
}
