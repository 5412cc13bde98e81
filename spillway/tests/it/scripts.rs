//! The scripts that the Makefile calls.

use std::net::{SocketAddr, TcpStream};
use std::path::Path;
use std::process::Command;

use tempfile::TempDir;
use testing::media::make;
use testing::processes;

use crate::dev::SPILLWAY;

const ROOT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/..");

#[test]
fn every_script_can_be_parsed() {
    let files = std::fs::read_dir(Path::new(ROOT).join("scripts")).expect("the scripts");
    let files = files.map(|entry| entry.expect("an entry").path());
    let scripts: Vec<_> = files.filter(|path| path.extension().is_none()).collect();
    assert!(scripts.iter().any(|path| path.ends_with("demo")), "{scripts:?}");
    for script in &scripts {
        let parsed = Command::new("bash").arg("-n").arg(script).output().expect("bash is installed");
        assert!(parsed.status.success() && parsed.stderr.is_empty(), "{}: {parsed:?}", script.display());
    }
}

#[tokio::test]
async fn the_demo_prints_its_clips_and_leaves_nothing_running() {
    let folder = TempDir::new().expect("a folder");
    let input = "-f lavfi -i testsrc2=s=160x90:r=10:d=3 -f lavfi -i sine=f=300:d=3";
    let video = make(&format!("{input} -c:v libx264 -preset ultrafast -g 20 -c:a aac"), "demo.mp4");
    let mut demo = processes::command("bash");
    demo.arg(Path::new(ROOT).join("scripts/demo")).arg(video);
    demo.env("DEMO_SPILLWAY", SPILLWAY).env("DEMO_FOLDER", folder.path());
    let ran = tokio::task::spawn_blocking(move || demo.output()).await.expect("a thread").expect("bash is installed");
    let said = String::from_utf8_lossy(&ran.stdout);
    assert!(ran.status.success(), "{said}{}", String::from_utf8_lossy(&ran.stderr));
    for words in ["spillway is ready", "score ", "fetch ", "demo-1.mp4", "The API was at "] {
        assert!(said.contains(words), "no {words:?} in {said}");
    }
    assert!(folder.path().join("clips/demo-1.mp4").is_file(), "{said}");
    let (_, address) = said.split_once("The API was at http://").expect("the API's address");
    let address: String = address.chars().take_while(|char| char.is_ascii_digit() || ".:".contains(*char)).collect();
    let address: SocketAddr = address.parse().expect("an address");
    assert!(TcpStream::connect(address).is_err(), "the service goes on at {address}");
}
