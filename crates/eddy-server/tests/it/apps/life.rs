//! Tenants, deploys and restarts.

use super::{GUEST, PLAIN, Wire, deploy, get, web, web_with};
use crate::wire::Running;
use eddy_types::TenantId;
use serde_json::{Value, json};

fn bearer(token: &Value) -> String {
    format!(
        "authorization: Bearer {}\r\n",
        token["token"].as_str().expect("a token")
    )
}

async fn token(server: &Running, by: &str, new: Value) -> String {
    let made = server
        .send("POST", "/v1/tokens", by, &new.to_string())
        .await;
    assert_eq!(made.status, 201, "{made:?}");
    bearer(&made.json())
}

#[tokio::test]
async fn another_tenants_app_is_no_app_and_the_token_stays_here() {
    let data = tempfile::tempdir().expect("a temporary folder");
    let server = Running::start_over(data, 64, None).await;
    let operator = token(&server, "", json!({"role": "operator"})).await;
    for tenant in ["shop", "bank"] {
        let path = format!("/v1/tenants/{tenant}");
        assert_eq!(server.send("PUT", &path, &operator, "{}").await.status, 200);
        let tenant = TenantId::new(tenant).expect("a tenant");
        let app = format!("web-{tenant}");
        let components = [("main", GUEST)];
        deploy(&server, &tenant, &app, json!({}), &components)
            .await
            .expect("it deploys");
    }
    let call = token(
        &server,
        &operator,
        json!({"role": "call", "tenant": "shop"}),
    )
    .await;
    let own = server.send("GET", "/apps/web-shop/about", &call, "").await;
    assert_eq!(own.status, 200, "{own:?}");
    assert!(!own.body.contains("authorization"), "{own:?}");
    let mut bodies = Vec::new();
    for app in ["web-bank", "web-none"] {
        let path = format!("/apps/{app}/about");
        let answer = server.send("GET", &path, &call, "").await;
        assert_eq!(answer.code(), "unknown-app");
        bodies.push(answer.body.replace(app, "*"));
    }
    assert_eq!(bodies[0], bodies[1]);
    let broken = server.send("GET", "/apps/web-shop/trap?when=before", &call, "");
    let broken = broken.await;
    assert_eq!((broken.status, &*broken.code()), (500, "guest-trap"));
    assert!(broken.head.contains("eddy-invocation: "), "{broken:?}");
    let told = broken.json();
    assert!(told.get("hint").is_none(), "no insides: {told}");
    let detail = told["detail"].as_str().expect("a detail");
    assert!(
        detail.ends_with("the record of the invocation says why"),
        "{told}"
    );
    let nobody = server.send("GET", "/apps/web-shop/about", "", "").await;
    assert_eq!(nobody.code(), "unauthenticated");
    let read = token(
        &server,
        &operator,
        json!({"role": "read", "tenant": "shop"}),
    )
    .await;
    let refused = server.send("GET", "/apps/web-shop/about", &read, "").await;
    assert_eq!(refused.code(), "permission-denied");
}

#[tokio::test]
async fn an_answer_that_began_ends_on_the_code_it_began_with() {
    let server = web_with(json!({"env": {"VERSION": "1"}})).await;
    let mut wire = Wire::open(
        &server,
        "GET /apps/web/events?n=3&pause=100 HTTP/1.1\r\nhost: localhost\r\nconnection: close\r\n\r\n",
    )
    .await;
    wire.until("data: 0").await;
    let (tenant, newer) = (TenantId::default_tenant(), json!({"env": {"VERSION": "2"}}));
    deploy(&server, &tenant, "web", newer, &[("main", GUEST)])
        .await
        .expect("it deploys");
    assert!(
        get(&server, "/apps/web/about")
            .await
            .body
            .contains("env VERSION=2")
    );
    let rest = wire.rest().await;
    assert!(
        rest.contains("data: 2") && rest.ends_with(super::LAST_CHUNK),
        "{rest}"
    );

    deploy(&server, &tenant, "web", json!({}), &[("main", PLAIN)])
        .await
        .expect("it deploys");
    let refused = get(&server, "/apps/web/about").await;
    assert_eq!(refused.code(), "unknown-route");
    assert!(refused.body.contains("answers no HTTP"), "{refused:?}");
}

#[tokio::test]
async fn it_is_there_again_after_a_restart() {
    let server = web_with(json!({"routes": {"/about": "main"}})).await;
    let server = server.restart().await;
    assert_eq!(get(&server, "/apps/web/about").await.status, 200);
    assert_eq!(
        get(&server, "/apps/web/other").await.code(),
        "unknown-route"
    );
    let apps = get(&server, "/v1/apps").await.json();
    assert_eq!(
        apps["items"][0]["functions"][0]["routes"],
        json!(["/about"])
    );
}

#[tokio::test]
async fn a_stop_cuts_what_does_not_end() {
    let server = web().await;
    let mut wire = Wire::open(
        &server,
        "GET /apps/web/forever HTTP/1.1\r\nhost: localhost\r\n\r\n",
    )
    .await;
    wire.until("more").await;
    let server = server.restart().await;
    assert!(!wire.rest().await.ends_with(super::LAST_CHUNK));
    assert_eq!(get(&server, "/apps/web/about").await.status, 200);
}
