//! The help of every command, as snapshots: a change shows in review as its users will read it.
//!
//! `INSTA_UPDATE=always cargo test --workspace --release --test help` accepts a change.

mod common;

use common::lsoftmax;
use std::path::Path;

fn help(command: &[&str]) -> String {
    let output = lsoftmax(Path::new("."), &[command, &["--help"]].concat());
    assert!(output.status.success(), "{command:?}");
    String::from_utf8(output.stdout).unwrap()
}

/// The commands that a help text lists, without `help` itself.
fn listed(help: &str) -> Vec<&str> {
    let lines = help.lines().skip_while(|line| *line != "Commands:").skip(1);
    lines
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .collect()
}

fn check(command: &[&str]) {
    let text = help(command);
    let name = [&["lsoftmax"], command].concat().join("-");
    insta::assert_snapshot!(name, text);
    for inner in listed(&text) {
        check(&[command, &[inner]].concat());
    }
}

#[test]
fn the_help_of_every_command_is_as_reviewed() {
    let top = help(&[]);
    assert!(listed(&top).len() > 10, "{top}");
    check(&[]);
}
