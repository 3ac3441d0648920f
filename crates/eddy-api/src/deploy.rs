//! What `POST /v1/apps` takes: the manifest and the code, in one JSON document.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use eddy_types::limits::{MAX_COMPONENTS_PER_APP, MAX_MODULES};
use serde::de::{self, IgnoredAny, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use std::fmt;
use std::marker::PhantomData;
use utoipa::ToSchema;

/// An app to deploy.
#[derive(Clone, Debug, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DeployRequest {
    /// What `eddy.toml` says, as JSON with the same keys.
    #[schema(value_type = Object)]
    pub manifest: Box<RawValue>,
    /// The code, named as in the manifest.
    #[serde(deserialize_with = "components")]
    pub components: Vec<DeployComponent>,
}

/// The code of one component.
#[derive(Clone, Debug, Serialize, ToSchema)]
#[serde(tag = "kind", rename_all = "kebab-case", deny_unknown_fields)]
pub enum DeployComponent {
    /// A WebAssembly component.
    Wasm {
        /// Its name in the manifest.
        name: String,
        /// The binary, in base64 (RFC 4648, with padding).
        #[schema(value_type = String, content_encoding = "base64")]
        wasm: Base64,
    },
    /// JavaScript modules, types stripped; the first is the entry.
    Js {
        /// Its name in the manifest.
        name: String,
        /// The modules.
        modules: Vec<Module>,
    },
    /// Python modules; the first is the entry.
    Python {
        /// Its name in the manifest.
        name: String,
        /// The modules.
        modules: Vec<PythonModule>,
        /// The Python runtime that runs them, a WebAssembly component: SHA-256 of its bytes, in hex.
        runtime: String,
        /// The runtime's bytes, in base64. Left out when the node may have them: without them it answers
        /// `unknown-runtime` when it has not.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        #[schema(value_type = Option<String>, content_encoding = "base64")]
        wasm: Option<Base64>,
    },
}

/// A component as it is read: serde gathers a tagged enum in memory before it looks at the tag, at many times the size of
/// the text.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnyComponent {
    kind: Kind,
    name: String,
    wasm: Option<Base64>,
    #[serde(default, deserialize_with = "modules")]
    modules: Option<Vec<AnyModule>>,
    runtime: Option<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "kebab-case")]
enum Kind {
    Wasm,
    Js,
    Python,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AnyModule {
    name: String,
    path: Option<String>,
    source: String,
    source_map: Option<String>,
}

fn components<'de, D: Deserializer<'de>>(
    deserializer: D,
) -> Result<Vec<DeployComponent>, D::Error> {
    first(deserializer, MAX_COMPONENTS_PER_APP)
}

fn modules<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<AnyModule>>, D::Error> {
    first(deserializer, MAX_MODULES).map(Some)
}

/// A list of at most so many entries, or the first ones of it and one more: then it is refused, and the others need no memory.
fn first<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    deserializer: D,
    most: usize,
) -> Result<Vec<T>, D::Error> {
    struct First<T>(usize, PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for First<T> {
        type Value = Vec<T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<T>, A::Error> {
            let mut first = Vec::new();
            while first.len() <= self.0
                && let Some(entry) = list.next_element()?
            {
                first.push(entry);
            }
            while list.next_element::<IgnoredAny>()?.is_some() {}
            Ok(first)
        }
    }

    deserializer.deserialize_seq(First(most, PhantomData))
}

impl<'de> Deserialize<'de> for DeployComponent {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let any = AnyComponent::deserialize(deserializer)?;
        any.checked().map_err(de::Error::custom)
    }
}

impl AnyComponent {
    fn checked(self) -> Result<DeployComponent, String> {
        let Self {
            kind,
            name,
            wasm,
            modules,
            runtime,
        } = self;
        let named = format!("the component {name:?}");
        let missing = |field: &str| format!("{named} has no `{field}`");
        let unknown = |field: &str| format!("{named} is not of a kind with `{field}`");
        let js = |module: AnyModule| module.js().ok_or_else(|| unknown("path"));
        let python = |module: AnyModule| module.python(&named);
        Ok(match (kind, modules) {
            (Kind::Wasm, Some(_)) => return Err(unknown("modules")),
            (Kind::Wasm | Kind::Js, _) if runtime.is_some() => return Err(unknown("runtime")),
            (Kind::Js, _) if wasm.is_some() => return Err(unknown("wasm")),
            (Kind::Js | Kind::Python, None) => return Err(missing("modules")),
            (Kind::Wasm, None) => DeployComponent::Wasm {
                wasm: wasm.ok_or_else(|| missing("wasm"))?,
                name,
            },
            (Kind::Js, Some(modules)) => DeployComponent::Js {
                modules: modules.into_iter().map(js).collect::<Result<_, _>>()?,
                name,
            },
            (Kind::Python, Some(modules)) => DeployComponent::Python {
                modules: modules.into_iter().map(python).collect::<Result<_, _>>()?,
                runtime: runtime.ok_or_else(|| missing("runtime"))?,
                wasm,
                name,
            },
        })
    }
}

impl AnyModule {
    fn js(self) -> Option<Module> {
        self.path.is_none().then_some(Module {
            name: self.name,
            source: self.source,
            source_map: self.source_map,
        })
    }

    fn python(self, of: &str) -> Result<PythonModule, String> {
        match (self.path, self.source_map) {
            (Some(path), None) => Ok(PythonModule {
                name: self.name,
                path,
                source: self.source,
            }),
            (None, _) => Err(format!("the module {:?} of {of} has no `path`", self.name)),
            (_, Some(_)) => Err(format!("{of} is not of a kind with `source_map`")),
        }
    }
}

/// One Python module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PythonModule {
    /// What it is imported as: `shop.cart`.
    pub name: String,
    /// The path that tracebacks name, relative to the project: `shop/cart.py`.
    pub path: String,
    /// Python.
    pub source: String,
}

/// One JavaScript module.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Module {
    /// The path that stack traces name, relative to the project.
    pub name: String,
    /// JavaScript.
    pub source: String,
    /// Source map (version 3, JSON) back to what the user wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_map: Option<String>,
}

/// Bytes that travel as base64 text.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Base64(pub Bytes);

impl Serialize for Base64 {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&STANDARD.encode(&self.0))
    }
}

impl<'de> Deserialize<'de> for Base64 {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        STANDARD
            .decode(text)
            .map(|bytes| Self(bytes.into()))
            .map_err(de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::value::to_raw_value;

    #[test]
    fn components_keep_their_form() {
        let request = DeployRequest {
            manifest: to_raw_value(&serde_json::json!({"app": {"name": "shop"}}))
                .expect("it is JSON"),
            components: vec![
                DeployComponent::Wasm {
                    name: "a".into(),
                    wasm: Base64(Bytes::from_static(b"\0asm\xff")),
                },
                DeployComponent::Js {
                    name: "b".into(),
                    modules: vec![Module {
                        name: "b.ts".into(),
                        source: "export {}".into(),
                        source_map: None,
                    }],
                },
            ],
        };
        let text = serde_json::to_string_pretty(&request).expect("it is JSON");
        insta::assert_snapshot!(text);
        let back: DeployRequest = serde_json::from_str(&text).expect("it reads its own form");
        assert!(matches!(
            &back.components[0],
            DeployComponent::Wasm { wasm, .. } if wasm.0 == b"\0asm\xff"[..]
        ));
    }

    #[test]
    fn each_kind_has_its_own_fields_and_no_others() {
        let read = |component: &str| {
            let text = format!(r#"{{"manifest":{{}},"components":[{component}]}}"#);
            let read = serde_json::from_str::<DeployRequest>(&text);
            read.map(|mut request| request.components.remove(0))
        };
        for (good, kind) in [
            (r#"{"name":"a","wasm":"AA==","kind":"wasm"}"#, "Wasm"),
            (
                r#"{"kind":"js","name":"a","modules":[{"name":"m","source":"s"}]}"#,
                "Js",
            ),
            (
                r#"{"kind":"python","name":"a","modules":[{"name":"m","path":"p","source":"s"}],"runtime":"r"}"#,
                "Python",
            ),
        ] {
            let component = read(good).expect(good);
            assert!(format!("{component:?}").starts_with(kind), "{component:?}");
        }
        for bad in [
            r#"{"kind":"wasm","name":"a","wasm":"AA==","x":1}"#,
            r#"{"kind":"wasm","name":"a"}"#,
            r#"{"kind":"wasm","name":"a","wasm":"AA==","modules":[]}"#,
            r#"{"kind":"wasm","name":"a","wasm":"AA==","runtime":"r"}"#,
            r#"{"kind":"js","name":"a"}"#,
            r#"{"kind":"js","name":"a","modules":[],"wasm":"AA=="}"#,
            r#"{"kind":"js","name":"a","modules":[{"name":"m","path":"p","source":"s"}]}"#,
            r#"{"kind":"python","name":"a","modules":[]}"#,
            r#"{"kind":"python","name":"a","modules":[{"name":"m","source":"s"}],"runtime":"r"}"#,
            r#"{"kind":"lisp","name":"a"}"#,
            r#"{"name":"a","wasm":"AA=="}"#,
        ] {
            assert!(read(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn of_a_list_that_is_too_long_no_more_is_kept_than_shows_it() {
        let list = |entry: &str| vec![entry; 3000].join(",");
        let component = format!(
            r#"{{"kind":"js","name":"a","modules":[{}]}}"#,
            list(r#"{"name":"m","source":""}"#)
        );
        let read: DeployComponent = serde_json::from_str(&component).expect("it is read");
        assert!(
            matches!(read, DeployComponent::Js { modules, .. } if modules.len() == MAX_MODULES + 1)
        );
        let small = r#"{"kind":"js","name":"a","modules":[]}"#;
        let request = format!(r#"{{"manifest":{{}},"components":[{}]}}"#, list(small));
        let read: DeployRequest = serde_json::from_str(&request).expect("it is read");
        assert_eq!(read.components.len(), MAX_COMPONENTS_PER_APP + 1);
    }
}
