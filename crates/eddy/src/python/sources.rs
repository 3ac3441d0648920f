//! What the Python runtime is built from: the package `eddy`, the runtime's own modules and their interfaces, as they
//! were when this binary was built.

use std::path::Path;
use std::{fs, io};

macro_rules! files {
    ($($target:literal: $($name:literal)*, from $folder:literal;)*) => {
        /// Each file with the path that it is written to.
        pub(super) const FILES: &[(&str, &str)] = &[$($(
            (concat!($target, $name), include_str!(concat!("../../../../", $folder, $name))),
        )*)*];
        #[cfg(test)]
        const FOLDERS: &[(&str, &str)] = &[$(($target, $folder)),*];
    };
}

files! {
    "eddy/": "__init__.py" "_bind.py" "_context.py" "_define.py" "_errors.py" "_host.py" "_json.py" "_loop.py",
        from "sdk/python/eddy/";
    "": "eddy_program.py" "eddy_runtime.py" "eddy_stdlib.py" "eddy_turn.py" "eddy_warm.py",
        from "guests/python-runtime/src/";
    "wit/": "platform.wit", from "wit/";
    "runtime-wit/": "python-runtime.wit", from "guests/python-runtime/wit/";
}

/// Writes them into `folder`, which is made.
pub(super) fn write(folder: &Path) -> io::Result<()> {
    for (name, text) in FILES {
        let path = folder.join(name);
        fs::create_dir_all(path.parent().unwrap_or(folder))?;
        fs::write(path, text)?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn no_module_is_forgotten() {
        let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
        for (target, folder) in FOLDERS.iter().filter(|(_, folder)| *folder != "wit/") {
            let listed: BTreeSet<String> = FILES
                .iter()
                .filter_map(|(name, _)| name.strip_prefix(target))
                .filter(|name| !name.contains('/'))
                .map(str::to_owned)
                .collect();
            let there = fs::read_dir(root.join(folder)).expect("the folder");
            let there = there
                .flatten()
                .map(|entry| entry.file_name().to_string_lossy().into_owned());
            let there: BTreeSet<String> = there
                .filter(|name| name.ends_with(".py") || name.ends_with(".wit"))
                .collect();
            assert_eq!(listed, there, "{folder}");
        }
    }
}
