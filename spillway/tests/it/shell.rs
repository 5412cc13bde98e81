//! What the program tells a shell: its version, its help, and completions.

use std::process::{Command, Stdio};

use crate::dev::command;

/// Calls it; it must succeed, and say nothing on standard error.
#[track_caller]
fn printed(words: &[&str]) -> String {
    let output = command().args(words).output().expect("spillway starts");
    assert!(output.status.success() && output.stderr.is_empty(), "{words:?}: {output:?}");
    String::from_utf8(output.stdout).expect("text")
}

#[test]
fn the_version_is_that_of_the_package() {
    let version = env!("CARGO_PKG_VERSION");
    assert_eq!(printed(&["--version"]), format!("spillway {version}\n"));
    assert_eq!(printed(&["submit", "--version"]), format!("spillway-submit {version}\n"));
}

#[test]
fn help_tells_the_exit_codes() {
    for words in [["submit", "--help"], ["watch", "--help"]] {
        let help = printed(&words);
        for code in ["  0  ", "  1  ", "  2  ", "  3  ", "  4  ", "130  "] {
            assert!(help.contains(code), "{words:?}: no {code:?} in {help}");
        }
    }
}

#[test]
fn completions_are_scripts_that_know_every_command() {
    for (shell, checker) in
        [("bash", &["bash", "-n"][..]), ("zsh", &["zsh", "-n"]), ("fish", &["fish", "--no-execute"])]
    {
        let script = printed(&["completions", shell]);
        for word in ["submit", "dead-letters", "models", "--wait", "out"] {
            assert!(script.contains(word.trim_start_matches('-')), "{shell}: no {word}");
        }
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("completions");
        std::fs::write(&path, script).expect("write");
        let checked = Command::new(checker[0]).args(&checker[1..]).arg(&path).stdin(Stdio::null()).output();
        let checked = checked.unwrap_or_else(|error| panic!("no {shell}: `make test` installs it: {error}"));
        assert!(checked.status.success() && checked.stderr.is_empty(), "{shell}: {checked:?}");
    }
}
