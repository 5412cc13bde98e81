//! `spillway dev` says in one clear line why it cannot start.

use std::net::TcpListener;
use std::process::{Command, Output};

use pipeline::loopback;
use tempfile::TempDir;

use crate::dev::{command, shared};

#[test]
fn an_address_that_is_taken_is_named() {
    let folder = TempDir::new().expect("a folder");
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = taken.local_addr().expect("its address").to_string();
    let mut command = command();
    command.arg("dev").arg("--data").arg(folder.path()).args(["--listen", &address]);
    check(command.output(), &[&address, "not free", "--listen"]);
}

#[test]
fn a_data_folder_in_use_is_named_with_its_holder() {
    let dev = shared();
    let mut command = dev_somewhere();
    command.arg("--data").arg(dev.data());
    check(command.output(), &[&dev.data().to_string_lossy(), &format!("in use by process {}", dev.pid()), "--data"]);
}

#[test]
fn a_missing_java_is_named() {
    let folder = TempDir::new().expect("a folder");
    let mut command = dev_somewhere();
    command.arg("--data").arg(folder.path().join("data")).env("PATH", folder.path());
    check(command.output(), &["Java 17", "default-jre-headless"]);
}

#[test]
fn missing_runtime_files_are_named_with_what_brings_them() {
    let folder = TempDir::new().expect("a folder");
    let runtime = folder.path().join("runtime");
    let mut command = dev_somewhere();
    command.arg("--data").arg(folder.path().join("data")).arg("--runtime").arg(&runtime);
    command.env("HOME", folder.path()).env("XDG_DATA_HOME", folder.path());
    check(command.output(), &["libonnxruntime.so is missing", &runtime.to_string_lossy(), "make setup"]);
}

fn dev_somewhere() -> Command {
    let mut command = command();
    command.args(["dev", "--listen", &loopback::free_address().expect("a free port").to_string()]);
    command
}

/// One line, with all of `words` in it, and exit code 1.
#[track_caller]
fn check(output: std::io::Result<Output>, words: &[&str]) {
    let output = output.expect("spillway starts");
    let said = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert_eq!(said.lines().count(), 1, "{said}");
    assert!(said.starts_with("spillway: "), "{said}");
    for word in words {
        assert!(said.contains(word), "no {word:?} in {said}");
    }
}
