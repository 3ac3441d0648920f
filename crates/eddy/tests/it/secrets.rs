//! A node without a secret that an app had before says so wherever the app is asked for.

use crate::node::{Node, Setup};
use eddy_types::ErrorCode;

#[tokio::test]
async fn an_app_without_its_secret_is_listed_with_what_it_lacks() {
    let dir = tempfile::tempdir().unwrap();
    let (data, app) = (dir.path().join("data"), dir.path().join("app"));
    std::fs::create_dir(&app).unwrap();
    let manifest = "name = \"shop\"\n[components.main]\npath = \"main.ts\"\n[env]\nT = { secret = \"TOKEN\" }\n";
    std::fs::write(app.join("eddy.toml"), manifest).unwrap();
    let source = "import { fn } from \"eddy\"; export const token = fn((ctx) => ctx.env(\"T\"));";
    std::fs::write(app.join("main.ts"), source).unwrap();
    let setup = Setup {
        app: Some(&app),
        env: vec![("EDDY_SECRET_TOKEN", "x")],
        ..Setup::default()
    };
    let mut node = Node::with(&data, &setup);
    let apps = node.client.apps().await.unwrap().items;
    assert!(apps[0].error.is_none());
    assert!(node.terminate().success());

    let node = Node::up(&data);
    let apps = node.client.apps().await.unwrap().items;
    let trouble = apps[0].error.as_ref().expect("it cannot run");
    assert_eq!((&*trouble.code, trouble.status), ("app-unavailable", 503));
    assert!(trouble.detail.contains("TOKEN"), "{}", trouble.detail);
    let refused = node.invoke("token", "null").await.expect_err("no secret");
    assert_eq!(refused.code, ErrorCode::AppUnavailable);
}
