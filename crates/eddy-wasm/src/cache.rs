//! Compiled components on disk. They are native code, so a file is believed only when a keyed hash
//! over it matches: loading one is trusting it.
//!
//! A file is the 32 bytes of the hash, then what wasmtime serialises. Its name holds the digest of
//! the component and of the engine's configuration; files of other configurations are not read.

use crate::native::Native;
use blake3::Hasher;
use eddy_types::Digest;
use std::cmp::Reverse;
use std::fs::{self, DirEntry, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use wasmtime::component::Component;

const HASH_BYTES: usize = 32;

/// Where compiled components are kept, and the node's key to them.
#[derive(Clone)]
pub struct CacheConfig {
    /// A folder that only the node can write. Made when it is not there.
    pub dir: PathBuf,
    /// Secret of the node, the same at every start; with another key the files are compiled anew.
    pub key: [u8; 32],
    /// For a folder that nodes share, one after the other or at the same time: so many files stay, the newest,
    /// whatever a node itself needs.
    pub shared: Option<usize>,
}

/// The cache of one engine.
pub(crate) struct Cache {
    config: CacheConfig,
    engine_hash: blake3::Hash,
}

impl Cache {
    pub(crate) fn new(config: CacheConfig, engine: &wasmtime::Engine) -> Self {
        Self {
            config,
            engine_hash: engine_hash(engine),
        }
    }

    /// The compiled component of that digest, if there is a file and it is ours.
    pub(crate) fn load(&self, engine: &wasmtime::Engine, digest: Digest) -> Option<Component> {
        let path = self.path(digest);
        let bytes = match fs::read(&path) {
            Ok(bytes) => bytes,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return None,
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a compiled component is not readable");
                return None;
            }
        };
        let Some(code) = self.verified(digest, &bytes) else {
            tracing::warn!(path = %path.display(), "ignoring a compiled component that is damaged or not of this node");
            return None;
        };
        match code.load(engine) {
            Ok(component) => Some(component),
            Err(error) => {
                tracing::warn!(path = %path.display(), %error, "a compiled component does not load");
                None
            }
        }
    }

    /// Writes a compiled component: a reader sees the whole file or none.
    pub(crate) fn store(&self, digest: Digest, serialized: &[u8]) -> io::Result<()> {
        fs::create_dir_all(&self.config.dir)?;
        let path = self.path(digest);
        let temporary = path.with_extension(format!("{}.tmp", std::process::id()));
        let result = self.write(&temporary, digest, serialized);
        let result = result.and_then(|()| fs::rename(&temporary, &path));
        if result.is_err() {
            // Nothing is lost by a leftover; the error to tell is the first one.
            let _ = fs::remove_file(&temporary);
            return result;
        }
        File::open(&self.config.dir)?.sync_all()
    }

    fn write(&self, path: &Path, digest: Digest, serialized: &[u8]) -> io::Result<()> {
        let mut file = File::create(path)?;
        file.write_all(self.hash(digest, serialized).as_bytes())?;
        file.write_all(serialized)?;
        file.sync_all()
    }

    /// Removes compiled components that are not kept or are of another configuration.
    pub(crate) fn sweep(&self, keep: impl Fn(Digest) -> bool) -> io::Result<()> {
        if let Some(most) = self.config.shared {
            return self.keep_newest(most);
        }
        let ours = self.suffix();
        for entry in self.files()? {
            let name = entry.file_name();
            let name = name.to_string_lossy();
            let digest = name.strip_suffix(&ours).and_then(|text| text.parse().ok());
            if !digest.is_some_and(&keep) {
                fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    fn keep_newest(&self, most: usize) -> io::Result<()> {
        // What another node removes meanwhile is gone as well.
        let written = |file: &DirEntry| file.metadata().and_then(|data| data.modified()).ok();
        let mut files = self.files()?;
        files.sort_by_cached_key(|file| Reverse(written(file)));
        for old in files.iter().skip(most) {
            let _ = fs::remove_file(old.path());
        }
        Ok(())
    }

    fn files(&self) -> io::Result<Vec<DirEntry>> {
        let files = fs::read_dir(&self.config.dir)?;
        let is_ours = |file: &DirEntry| {
            let name = file.file_name();
            name.as_encoded_bytes().ends_with(b".cwasm")
        };
        files
            .filter(|file| file.as_ref().map_or(true, is_ours))
            .collect()
    }

    fn path(&self, digest: Digest) -> PathBuf {
        self.config.dir.join(format!("{digest}{}", self.suffix()))
    }

    fn suffix(&self) -> String {
        format!("-{}.cwasm", &self.engine_hash.to_hex()[..16])
    }

    fn verified<'a>(&self, digest: Digest, bytes: &'a [u8]) -> Option<Native<'a>> {
        let (hash, serialized) = bytes.split_first_chunk::<HASH_BYTES>()?;
        // `blake3::Hash` compares in constant time.
        let ours = self.hash(digest, serialized) == *hash;
        ours.then(|| Native::verified(serialized))
    }

    fn hash(&self, digest: Digest, serialized: &[u8]) -> blake3::Hash {
        let mut hasher = Hasher::new_keyed(&self.config.key);
        hasher.update(digest.as_bytes());
        hasher.update(self.engine_hash.as_bytes());
        hasher.update(serialized);
        hasher.finalize()
    }
}

/// Everything that makes compiled code fit: version, target and settings of the engine.
fn engine_hash(engine: &wasmtime::Engine) -> blake3::Hash {
    struct Feed(Hasher);
    impl std::hash::Hasher for Feed {
        fn finish(&self) -> u64 {
            0
        }
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
    }
    let mut feed = Feed(Hasher::new());
    std::hash::Hash::hash(&engine.precompile_compatibility_hash(), &mut feed);
    feed.0.finalize()
}
