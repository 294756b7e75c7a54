//! Checks that the list of crates in ARCHITECTURE.md matches the manifests, and that no crate has
//! circular modules.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

type Graph = BTreeMap<String, BTreeSet<String>>;

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .unwrap()
        .to_owned()
}

/// The crates of the project and their dependencies within it, according to the manifests.
fn manifests() -> Graph {
    let crates = fs::read_dir(root().join("crates")).unwrap();
    crates
        .map(|entry| {
            let path = entry.unwrap().path().join("Cargo.toml");
            let manifest: toml::Table = fs::read_to_string(path).unwrap().parse().unwrap();
            let name = manifest["package"]["name"].as_str().unwrap().to_owned();
            let dependencies = manifest.get("dependencies").and_then(toml::Value::as_table);
            let names = dependencies.into_iter().flat_map(toml::Table::keys);
            let ours = names.filter(|name| name.starts_with("lsoftmax")).cloned();
            (name, ours.collect())
        })
        .collect()
}

/// The same according to ARCHITECTURE.md: lines such as `lsoftmax-kernels -> lsoftmax-spec`.
fn pictured() -> Graph {
    let text = fs::read_to_string(root().join("ARCHITECTURE.md")).unwrap();
    text.lines()
        .filter_map(|line| line.split_once("->"))
        .filter(|(name, _)| name.starts_with("lsoftmax"))
        .map(|(name, others)| {
            let others = others.split(',').map(|other| other.trim().to_owned());
            let others = others.filter(|other| !other.is_empty() && other != "nothing");
            (name.trim().to_owned(), others.collect())
        })
        .collect()
}

#[test]
fn the_picture_of_the_crates_is_that_of_the_manifests() {
    assert_eq!(pictured(), manifests());
}

/// The source files below a folder, without tests.
fn sources(folder: &Path, files: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        if path.is_dir() && name != "tests" {
            sources(&path, files);
        } else if path.extension().is_some_and(|it| it == "rs") && !name.ends_with("tests") {
            files.push(path);
        }
    }
}

/// The top-level module of a file.
fn module(source: &Path, file: &Path) -> String {
    let inside = file.strip_prefix(source).unwrap();
    let first = inside.iter().next().unwrap().to_string_lossy();
    first.trim_end_matches(".rs").to_owned()
}

/// The top-level modules of a crate, each with the modules that it names by `crate::`. The root of
/// the crate is left out, since it lists all modules.
fn modules(source: &Path) -> Graph {
    let mut files = Vec::new();
    sources(source, &mut files);
    let mut graph = Graph::new();
    for file in &files {
        let own = module(source, file);
        let text = fs::read_to_string(file).unwrap();
        let code = text.split("#[cfg(test)]\nmod tests {").next().unwrap();
        let code: String = code
            .lines()
            .map(|line| line.split("//").next().unwrap().to_owned() + "\n")
            .collect();
        let named = code.split("crate::").skip(1).flat_map(|rest| {
            let rest = rest.split(';').next().unwrap();
            // `crate::{a::B, c}` or `crate::a::B`.
            let names: Vec<String> = match rest.strip_prefix('{') {
                Some(list) => list.split(',').map(str::to_owned).collect(),
                None => vec![rest.to_owned()],
            };
            names.into_iter().map(|name| {
                let name = name.trim();
                let end = name.find(|c: char| !c.is_alphanumeric() && c != '_');
                name[..end.unwrap_or(name.len())].to_owned()
            })
        });
        let named: Vec<String> = named.filter(|name| *name != own).collect();
        graph.entry(own).or_default().extend(named);
    }
    let known: BTreeSet<String> = graph.keys().cloned().collect();
    graph.remove("lib");
    graph.remove("main");
    for named in graph.values_mut() {
        named.retain(|name| known.contains(name) && name != "lib" && name != "main");
    }
    graph
}

/// Returns a cycle of a graph, if there is one: the rest after repeatedly removing nodes without
/// outgoing or without incoming edges.
fn circle(mut graph: Graph) -> BTreeSet<String> {
    loop {
        let named: BTreeSet<String> = graph.values().flatten().cloned().collect();
        let ends = graph
            .iter()
            .find(|(name, others)| others.is_empty() || !named.contains(*name));
        let Some(end) = ends.map(|(name, _)| name.clone()) else {
            return graph.into_keys().collect();
        };
        graph.remove(&end);
        for others in graph.values_mut() {
            others.remove(&end);
        }
    }
}

#[test]
fn a_circle_is_found() {
    let graph = |edges: &[(&str, &[&str])]| -> Graph {
        let owned = |name: &&str| (*name).to_owned();
        edges
            .iter()
            .map(|(name, others)| (owned(name), others.iter().map(owned).collect()))
            .collect()
    };
    assert!(circle(graph(&[("a", &["b"]), ("b", &["c"]), ("c", &[])])).is_empty());
    let found = circle(graph(&[("a", &["b"]), ("b", &["c"]), ("c", &["b"])]));
    assert_eq!(found.into_iter().collect::<Vec<_>>(), ["b", "c"]);
}

#[test]
fn no_crate_has_modules_in_a_circle() {
    let mut circles = Vec::new();
    for name in manifests().into_keys() {
        let found = circle(modules(&root().join("crates").join(&name).join("src")));
        if !found.is_empty() {
            circles.push(format!("{name}: {found:?}"));
        }
    }
    assert!(circles.is_empty(), "{}", circles.join("\n"));
}
