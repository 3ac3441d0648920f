//! Lines to paste into a shell: those the app brings, else some made from what it defines.

use eddy_api::App;
use eddy_types::manifest::Example;

/// Lines shown per app.
const LINES: usize = 3;

/// Up to three `curl` lines for an app on the node at `url`.
pub(crate) fn lines(url: &str, app: &App, examples: &[Example]) -> Vec<String> {
    let url = url.trim_end_matches('/');
    if !examples.is_empty() {
        return examples
            .iter()
            .take(LINES)
            .map(|example| line(url, example))
            .collect();
    }
    let called = app.functions.iter().filter(|one| one.routes.is_empty());
    let called = called.map(|function| format!("/v1/functions/{}", function.name));
    let routes = app.functions.iter().flat_map(|function| &function.routes);
    let asked = routes.map(|route| {
        format!(
            "curl -s {}",
            quoted(&format!("{url}/apps/{}{route}", app.name))
        )
    });
    // A change first, then a look at it.
    let agents = app.agents.iter().flat_map(|agent| {
        let first = |read_only| {
            agent
                .methods
                .iter()
                .find(move |method| method.read_only == read_only)
        };
        let methods = [first(false), first(true)].into_iter().flatten();
        methods.map(|method| format!("/v1/agents/{}/demo/{}", agent.name, method.name))
    });
    agents
        .chain(called)
        .map(|path| curl(url, &path, Some("{}")))
        .chain(asked)
        .take(LINES)
        .collect()
}

/// What it shows stands on a line above, not behind: not every shell takes a comment there.
fn line(url: &str, example: &Example) -> String {
    let line = curl(url, &example.path, example.body.as_deref());
    match &example.about {
        Some(about) => format!("{}:\n  {line}", about.replace(char::is_control, " ")),
        None => line,
    }
}

fn curl(url: &str, path: &str, body: Option<&str>) -> String {
    let address = quoted(&format!("{url}{path}"));
    match body {
        Some(body) => format!("curl -s {address} -d {}", quoted(body)),
        None => format!("curl -s -X POST {address}"),
    }
}

/// One word for a POSIX shell.
fn quoted(text: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_./:%@+=,".contains(c);
    if !text.is_empty() && text.chars().all(plain) {
        return text.to_owned();
    }
    format!("'{}'", text.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_survive_the_shell() {
        assert_eq!(quoted("http://[::1]:7400/v1"), "'http://[::1]:7400/v1'");
        assert_eq!(
            quoted("{\"name\": \"O'Brien\"}"),
            "'{\"name\": \"O'\\''Brien\"}'"
        );
        assert_eq!(quoted(""), "''");
        assert_eq!(quoted("a/b%2Fc"), "a/b%2Fc");
    }
}
