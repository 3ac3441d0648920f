//! `[routes]`: which component answers HTTP requests to which paths of an app.

use super::Manifest;
use super::resolve::{Definition, list, wrong};
use crate::address::Name;
use crate::app::Component;
use crate::error::EddyError;
use crate::limits::MAX_ROUTES_PER_APP;
use serde::{Deserialize, Deserializer, Serialize, Serializer, de};
use std::collections::BTreeMap;
use std::fmt;

/// Longest prefix, in bytes.
const MAX_PREFIX_BYTES: usize = 1024;
/// The component of an app that lists none.
const MAIN: &str = "main";

/// Where a route begins, below `/apps/APP`: `/` for all of it, or `/api` for that path and all below it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct RoutePrefix(String);

impl RoutePrefix {
    /// Checks and wraps `text`.
    ///
    /// # Errors
    /// Says how a prefix is written.
    pub fn parse(text: &str) -> Result<Self, String> {
        let segment = |segment: &str| {
            let plain = |byte: u8| byte.is_ascii_graphic() && !matches!(byte, b'?' | b'#');
            !segment.is_empty() && !matches!(segment, "." | "..") && segment.bytes().all(plain)
        };
        let below = text.strip_prefix('/');
        let good = below.is_some_and(|rest| rest.is_empty() || rest.split('/').all(segment));
        if good && text.len() <= MAX_PREFIX_BYTES {
            return Ok(Self(text.to_owned()));
        }
        Err(format!(
            "{text:?} is not the beginning of a path: write \"/\", or \"/api\" without a slash at its end, \
             percent-encoded"
        ))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for RoutePrefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for RoutePrefix {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for RoutePrefix {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        Self::parse(&text).map_err(de::Error::custom)
    }
}

impl Manifest {
    /// What the function is called that a component is which answers HTTP: as the component, and as the app
    /// when that does not name its component.
    pub(super) fn http_function<'a>(&'a self, component: &'a Name) -> &'a Name {
        match component.as_str() {
            MAIN => &self.name,
            _ => component,
        }
    }

    /// The routes of each component that answers HTTP, by its place. One that no route names has `/`.
    pub(super) fn resolve_routes(
        &self,
        components: &[Component],
        definitions: &[Definition],
    ) -> Result<BTreeMap<usize, Vec<String>>, EddyError> {
        if self.routes.len() > MAX_ROUTES_PER_APP {
            let count = self.routes.len();
            return Err(wrong(format!(
                "routes: there are {count}; an app may have {MAX_ROUTES_PER_APP}"
            )));
        }
        let answering = definitions.iter().enumerate().filter(|(_, one)| one.http);
        let mut found: BTreeMap<usize, Vec<String>> =
            answering.map(|(at, _)| (at, Vec::new())).collect();
        for (prefix, name) in &self.routes {
            let at = components.iter().position(|one| one.name == *name);
            let routes = at.and_then(|at| found.get_mut(&at));
            let Some(routes) = routes else {
                return Err(no_such(prefix, name, components, &found));
            };
            routes.push(prefix.as_str().to_owned());
        }
        self.default_route(components, &mut found)?;
        Ok(found)
    }

    fn default_route(
        &self,
        components: &[Component],
        found: &mut BTreeMap<usize, Vec<String>>,
    ) -> Result<(), EddyError> {
        let taken = self.routes.iter().find(|(prefix, _)| prefix.0 == "/");
        let mut whole = taken.map(|(_, name)| name);
        for (at, routes) in found.iter_mut().filter(|(_, routes)| routes.is_empty()) {
            let name = &components[*at].name;
            if let Some(other) = whole {
                return Err(wrong(format!(
                    "the components `{other}` and `{name}` would both answer all requests of the app"
                ))
                .hint("Say which paths are whose: [routes] \"/\" = \"web\", \"/api\" = \"api\"."));
            }
            whole = Some(name);
            routes.push("/".to_owned());
        }
        Ok(())
    }
}

fn no_such(
    prefix: &RoutePrefix,
    name: &Name,
    components: &[Component],
    answering: &BTreeMap<usize, Vec<String>>,
) -> EddyError {
    let names: Vec<_> = answering.keys().map(|at| &components[*at].name).collect();
    let there = match names.is_empty() {
        true => "No component of the app answers HTTP.".to_owned(),
        false => format!("These components answer HTTP: {}.", list(names)),
    };
    let hint = format!("{there} Rename or remove the route.");
    let known = components.iter().any(|one| one.name == *name);
    let detail = match known {
        true => {
            format!("routes: the component `{name}` of the route {prefix} does not answer HTTP")
        }
        false => format!("routes: there is no component `{name}` for the route {prefix}"),
    };
    wrong(detail).hint(hint)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::app::{AppSpec, ComponentKind};
    use crate::digest::Digest;
    use crate::error::ErrorCode;

    fn name(text: &str) -> Name {
        Name::new(text).expect("a name")
    }

    /// An app of components that answer HTTP.
    fn app(components: &[&str], routes: &[(&str, &str)]) -> Result<AppSpec, EddyError> {
        let code = |text: &&str| Component {
            name: name(text),
            digest: Digest::of(b"code"),
            kind: ComponentKind::Wasm,
        };
        let http = Definition {
            http: true,
            ..Definition::default()
        };
        let mut manifest = Manifest::named(name("shop"));
        for (prefix, component) in routes {
            let prefix = RoutePrefix::parse(prefix).expect("a prefix");
            manifest.routes.insert(prefix, name(component));
        }
        let definitions = vec![http; components.len()];
        manifest.resolve(components.iter().map(code).collect(), &definitions, 1)
    }

    fn routes(app: &AppSpec) -> Vec<(&str, Vec<&str>)> {
        let functions = app.functions.iter();
        functions
            .map(|(name, spec)| {
                let routes = spec.routes.iter().map(String::as_str);
                (name.as_str(), routes.collect())
            })
            .collect()
    }

    #[test]
    fn a_component_that_answers_is_a_function_with_routes() {
        let alone = app(&["main"], &[]).expect("it fits");
        assert_eq!(routes(&alone), [("shop", vec!["/"])]);
        let given = [("/api", "api"), ("/v2/api", "api")];
        let two = app(&["api", "web"], &given).expect("it fits");
        let wanted = [("api", vec!["/api", "/v2/api"]), ("web", vec!["/"])];
        assert_eq!(routes(&two), wanted);
    }

    #[test]
    fn two_that_would_answer_the_same_are_refused() {
        for given in [&[][..], &[("/", "web")]] {
            let error = app(&["api", "web"], given).expect_err("which one?");
            assert_eq!(error.code, ErrorCode::InvalidManifest);
            assert!(error.detail.contains("would both answer"), "{error}");
        }
        let error = app(&["web"], &[("/x", "wbe")]).expect_err("no such component");
        assert!(error.to_string().contains("`wbe`") && error.to_string().contains("`web`"));
    }

    #[test]
    fn prefixes_are_paths() {
        for good in ["/", "/api", "/a/b", "/%C3%A4", "/.well-known"] {
            assert!(RoutePrefix::parse(good).is_ok(), "{good}");
        }
        for bad in [
            "", "api", "/api/", "//", "/a//b", "/a b", "/a?b", "/..", "/\u{e4}",
        ] {
            assert!(RoutePrefix::parse(bad).is_err(), "{bad}");
        }
    }
}
