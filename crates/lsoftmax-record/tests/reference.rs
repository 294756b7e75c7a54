//! The reference of experiment files has the tables of the declared settings.
//!
//! `UPDATE_DOCS=1 cargo test -p lsoftmax-record --test reference` writes them.

use lsoftmax_record::{Declaration, Experiment, Settings};
use std::fmt::Write as _;
use std::path::Path;

const END: &str = "<!-- end of settings -->\n";

fn begin(group: &str) -> String {
    format!("<!-- settings: {group} (generated from lsoftmax-record, do not edit) -->\n")
}

fn table(group: &str) -> String {
    let mut text = "\n| key | type | default | meaning |\n|---|---|---|---|\n".to_owned();
    let declared = Settings::declarations().iter();
    for setting in declared.filter(|setting| setting.group == group) {
        let Declaration {
            key, kind, help, ..
        } = setting;
        let default = setting.default.as_deref().unwrap_or("");
        let choices = setting.choices.as_ref();
        let choices = choices.map_or_else(String::new, |names| format!(". Values: {names}"));
        let cells = format!("`{key}` | {kind} | {default} | {help}{choices}");
        writeln!(text, "| {cells} |").unwrap();
    }
    text + "\n"
}

fn groups() -> Vec<&'static str> {
    let mut groups: Vec<_> = Settings::declarations().iter().map(|it| it.group).collect();
    groups.dedup();
    groups
}

#[test]
fn the_reference_has_the_declared_settings() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/reference/experiment.md");
    let written = std::fs::read_to_string(&path).unwrap();
    let mut text = written.clone();
    for group in groups() {
        let begin = begin(group);
        let (before, rest) = text
            .split_once(&begin)
            .unwrap_or_else(|| panic!("the reference has no {begin}"));
        let (_, after) = rest.split_once(END).unwrap();
        text = [before, &begin, &table(group), END, after].concat();
    }
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(path, text).unwrap();
    } else {
        assert!(
            text == written,
            "docs/reference/experiment.md is out of date: run this test with UPDATE_DOCS=1"
        );
    }
}

#[test]
fn keys_are_declared_once() {
    let declared: Vec<_> = Settings::declarations().iter().map(|it| it.key).collect();
    assert_eq!(declared, Settings::KEYS);
    let mut once = declared.clone();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), declared.len());
    // Each group is in one piece.
    let mut once = groups();
    once.sort_unstable();
    once.dedup();
    assert_eq!(once.len(), groups().len());
}

/// A default that is a value of TOML is the one in force.
#[test]
fn declared_defaults_are_those_in_force() {
    let experiment = Experiment::resolve(Settings::default(), Settings::default()).unwrap();
    let settings = toml::Table::try_from(experiment.to_settings()).unwrap();
    let mut compared = 0;
    for declared in Settings::declarations() {
        let (Some(default), Some(found)) = (&declared.default, settings.get(declared.key)) else {
            continue;
        };
        // The first part is for SGD, the default.
        let default = match default.split_once("; ") {
            Some((first, other)) if other.ends_with("for `adamw`") => first,
            _ => default,
        };
        let found = found.to_string();
        let expected = default.replace('`', "\"");
        if toml::from_str::<toml::Table>(&format!("x = {expected}")).is_ok() {
            assert_eq!(found, expected, "{}", declared.key);
            compared += 1;
        }
    }
    assert!(compared > 12, "{compared}");
}
