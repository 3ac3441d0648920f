//! Compiled components on disk: found again, and never believed when they were touched.

use crate::support::{GUEST, small};
use eddy_types::Digest;
use eddy_wasm::{CacheConfig, Engine, EngineConfig};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::time::Duration;

fn engine(dir: &Path, key: u8) -> Engine {
    let cache = CacheConfig {
        dir: dir.to_owned(),
        key: [key; 32],
        shared: None,
    };
    Engine::new(EngineConfig {
        cache: Some(cache),
        ..small()
    })
    .expect("an engine")
}

fn only_file(dir: &Path) -> PathBuf {
    let files: Vec<_> = fs::read_dir(dir).expect("a folder").collect();
    assert_eq!(files.len(), 1, "{files:?}");
    files[0].as_ref().expect("an entry").path()
}

#[test]
fn a_compiled_component_is_found_again_and_only_if_untouched() {
    let dir = tempfile::tempdir().expect("a folder");
    let digest = Digest::of(GUEST);
    let first = engine(dir.path(), 1);
    assert!(first.load_cached(digest).is_none());
    let code = first.compile(GUEST).expect("it compiles");
    assert_eq!(code.digest(), digest);
    let file = only_file(dir.path());
    let good = fs::read(&file).expect("readable");

    let second = engine(dir.path(), 1);
    assert!(
        second.load_cached(digest).is_some(),
        "found by another engine of the node"
    );
    assert!(second.load_cached(Digest::of(b"other")).is_none());
    assert!(
        engine(dir.path(), 2).load_cached(digest).is_none(),
        "a foreign key"
    );

    let mut flipped = good.clone();
    let middle = flipped.len() / 2;
    flipped[middle] ^= 1;
    for bad in [&flipped[..], &good[..good.len() - 1], &good[..10], b""] {
        fs::write(&file, bad).expect("writable");
        assert!(second.load_cached(digest).is_none(), "{} bytes", bad.len());
    }

    second.compile(GUEST).expect("compiled anew");
    assert_eq!(fs::read(&file).expect("readable").len(), good.len());
    assert!(second.load_cached(digest).is_some());
}

#[test]
fn a_file_under_another_components_name_is_ignored() {
    let dir = tempfile::tempdir().expect("a folder");
    let engine = engine(dir.path(), 1);
    engine.compile(GUEST).expect("it compiles");
    let file = only_file(dir.path());
    let other = Digest::of(b"other");
    let name = file.file_name().expect("a name").to_string_lossy();
    let name = name.replace(&Digest::of(GUEST).to_string(), &other.to_string());
    fs::rename(&file, file.with_file_name(name)).expect("renamed");
    assert!(engine.load_cached(other).is_none());
}

#[test]
fn a_cache_that_cannot_be_written_costs_time_only() {
    let dir = tempfile::tempdir().expect("a folder");
    let file = dir.path().join("file");
    fs::write(&file, "").expect("writable");
    assert!(engine(&file, 1).compile(GUEST).is_ok());
}

#[test]
fn of_a_shared_folder_the_newest_files_stay() {
    let dir = tempfile::tempdir().expect("a folder");
    let cache = CacheConfig {
        dir: dir.path().to_owned(),
        key: [1; 32],
        shared: Some(2),
    };
    let engine = Engine::new(EngineConfig {
        cache: Some(cache),
        ..small()
    });
    let engine = engine.expect("an engine");
    engine.compile(GUEST).expect("it compiles");
    let own = only_file(dir.path());
    for (name, hours) in [("old", 3), ("older", 4), ("oldest", 5)] {
        let path = dir.path().join(format!("{name}.cwasm"));
        fs::write(&path, name).expect("written");
        let own = fs::metadata(&own).and_then(|data| data.modified());
        let then = own.expect("a time") - Duration::from_secs(hours * 3600);
        let file = File::options().write(true).open(&path);
        file.and_then(|file| file.set_modified(then)).expect("set");
    }
    fs::write(dir.path().join("key"), "not code").expect("written");
    engine.sweep_cache(|_| false);
    let mut left: Vec<_> = fs::read_dir(dir.path())
        .expect("a folder")
        .map(|entry| entry.expect("an entry").path())
        .collect();
    left.sort();
    let mut expected = ["key", "old.cwasm"]
        .map(|name| dir.path().join(name))
        .to_vec();
    expected.push(own);
    expected.sort();
    assert_eq!(left, expected);
    assert!(engine.load_cached(Digest::of(GUEST)).is_some());
}
