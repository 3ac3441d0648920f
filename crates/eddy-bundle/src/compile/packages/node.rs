//! Modules of Node.js, which guests do not have, and what there is instead.

use super::super::imports::{BadImport, bad};

const FILES: &str = "Guests have no files: keep data in an agent's state, and large data in a store that `fetch` reaches.";
const SOCKETS: &str =
    "Guests have no sockets: use `fetch`, to hosts that [capabilities] in eddy.toml lists.";
const CRYPTO: &str = "Use the global `crypto` (getRandomValues, randomUUID), or a package that computes it in JavaScript.";
const TIMERS: &str = "Use the global setTimeout within a turn, and ctx.after for longer.";
const PROCESSES: &str =
    "Guests have no processes: call, send or invoke others of the app, and read ctx.env.";
const PURE: &str = "Use web APIs (URL, URLSearchParams, TextEncoder, Uint8Array), or install a package of that name \
                    from npm that needs no Node.js.";
const OTHER: &str =
    "Use web APIs (fetch, crypto, TextEncoder, URL), or a package that does not need Node.js.";

/// Modules of Node.js that can be had without `node:`, and the hint for each.
const MODULES: [(&str, &str); 41] = [
    ("assert", PURE),
    ("async_hooks", OTHER),
    ("buffer", PURE),
    ("child_process", PROCESSES),
    ("cluster", PROCESSES),
    ("console", OTHER),
    ("constants", OTHER),
    ("crypto", CRYPTO),
    ("dgram", SOCKETS),
    ("diagnostics_channel", OTHER),
    ("dns", SOCKETS),
    ("domain", OTHER),
    ("events", PURE),
    ("fs", FILES),
    ("http", SOCKETS),
    ("http2", SOCKETS),
    ("https", SOCKETS),
    ("inspector", OTHER),
    ("module", OTHER),
    ("net", SOCKETS),
    ("os", PROCESSES),
    ("path", PURE),
    ("perf_hooks", OTHER),
    ("process", PROCESSES),
    ("punycode", PURE),
    ("querystring", PURE),
    ("readline", PROCESSES),
    ("repl", PROCESSES),
    ("stream", PURE),
    ("string_decoder", PURE),
    ("sys", PURE),
    ("timers", TIMERS),
    ("tls", SOCKETS),
    ("tty", PROCESSES),
    ("url", PURE),
    ("util", PURE),
    ("v8", OTHER),
    ("vm", OTHER),
    ("wasi", OTHER),
    ("worker_threads", PROCESSES),
    ("zlib", OTHER),
];

/// Whether `name` is a module of Node.js, or below one (`fs/promises`).
pub(super) fn is_module(name: &str) -> bool {
    hint(name).is_some()
}

/// That `module`, asked for as `specifier`, is not here, and what is.
pub(super) fn missing(specifier: &str, module: &str) -> BadImport {
    bad(
        format!("{specifier:?}: there is no Node.js here"),
        hint(module).unwrap_or(OTHER),
    )
}

fn hint(name: &str) -> Option<&'static str> {
    let first = name.split('/').next().unwrap_or(name);
    let known = MODULES.binary_search_by_key(&first, |(module, _)| module);
    known.ok().map(|at| MODULES[at].1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_found_and_says_what_there_is() {
        for (module, _) in MODULES {
            assert!(is_module(module), "{module}");
        }
        assert!(is_module("fs/promises") && !is_module("fs-extra") && !is_module("zod"));
        let shown = |specifier: &str| {
            let module = specifier.trim_start_matches("node:");
            let BadImport { message, hint } = missing(specifier, module);
            format!("{message}\n  {hint}")
        };
        insta::assert_snapshot!(
            ["node:fs", "net", "node:crypto", "path", "node:sqlite"]
                .map(shown)
                .join("\n")
        );
    }
}
