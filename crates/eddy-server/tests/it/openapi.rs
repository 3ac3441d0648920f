//! The description that is checked in is the one that is served.

/// Set to rewrite docs/openapi.json instead of comparing it.
const UPDATE: &str = "EDDY_UPDATE_DOCS";

#[test]
fn the_checked_in_description_is_true() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/openapi.json");
    let made = eddy_server::openapi_json();
    if std::env::var_os(UPDATE).is_some() {
        std::fs::write(path, &made).expect("docs/openapi.json can be written");
    }
    let kept = std::fs::read_to_string(path).unwrap_or_default();
    assert!(
        kept == made,
        "docs/openapi.json is out of date: run this test with {UPDATE}=1"
    );
}

#[test]
fn every_route_is_described_with_its_errors() {
    let api: serde_json::Value =
        serde_json::from_str(&eddy_server::openapi_json()).expect("it is JSON");
    let paths = api["paths"].as_object().expect("paths");
    let operations: Vec<_> = paths
        .iter()
        .flat_map(|(path, item)| {
            let methods = item.as_object().expect("an item").keys();
            methods.map(move |method| format!("{} {path}", method.to_uppercase()))
        })
        .collect();
    insta::assert_json_snapshot!(operations);
    for (path, item) in paths.iter().filter(|(path, _)| path.starts_with("/v1/")) {
        for (method, operation) in item.as_object().expect("an item") {
            let problems = &operation["responses"]["default"]["content"];
            let missing = path != "/v1/apps" || method != "get";
            assert!(
                !problems["application/problem+json"].is_null() || !missing,
                "{method} {path} does not say how it fails"
            );
        }
    }
}
