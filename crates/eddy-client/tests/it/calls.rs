//! What calls send and what they make of the answer.

use crate::support::Node;
use eddy_client::{Client, ErrorCode};
use serde::{Deserialize, Serialize};
use std::time::Duration;

#[derive(Debug, PartialEq, Serialize, Deserialize)]
struct Item {
    sku: String,
    count: u32,
}

#[tokio::test]
async fn values_go_there_and_back() {
    let node = Node::start().await;
    let client = Client::connect(&node.url()).await.expect("a node");
    let item = Item {
        sku: "tea".to_owned(),
        count: 2,
    };
    let cart = client.agent("cart", "alice");
    let back: Item = cart.call("echo", &item).await.expect("an answer");
    assert_eq!(back, item);
    let back: String = client.function("echo").invoke("Ada").await.expect("ok");
    assert_eq!(back, "Ada");
    let () = cart.call("nothing", &()).await.expect("no bytes are null");
    let raw = cart.call_raw("echo", "not JSON").await.expect("bytes");
    assert_eq!(raw.body, "not JSON");
    let invocation = raw.invocation.expect("an id");
    assert_eq!(invocation.to_string(), "ab".repeat(16));
    let accepted = client.function("echo").submit(&1).await.expect("accepted");
    assert_eq!(accepted, invocation);
    cart.delete().await.expect("deleted");
}

#[tokio::test]
async fn options_reach_the_node() {
    let node = Node::start().await;
    let client = Client::connect(&node.url()).await.expect("a node");
    let cart = client.agent("cart", "alice");
    let said: String = cart.call("say", &()).snapshot().await.expect("an answer");
    assert_eq!(
        said,
        "Call { agent_type: 'cart', key: 'alice', method: 'say', snapshot: true }"
    );
    let call = cart
        .call::<()>("wait", &())
        .timeout(Duration::from_millis(30));
    let error = call.await.expect_err("too late");
    assert_eq!(error.code, ErrorCode::DeadlineExceeded);
}

#[tokio::test]
async fn errors_keep_their_code() {
    let node = Node::start().await;
    let client = Client::connect(&node.url()).await.expect("a node");
    let cart = client.agent("cart", "alice");
    let error = cart.call::<()>("fail", &()).await.expect_err("an error");
    assert_eq!(error.code, ErrorCode::UnknownMethod);
    let error = cart
        .call::<u32>("echo", "text")
        .await
        .expect_err("no number");
    assert_eq!(error.code, ErrorCode::InvalidResult);
    let large = "x".repeat(900_001);
    let error = cart
        .call::<String>("echo", &large)
        .await
        .expect_err("large");
    assert_eq!(error.code, ErrorCode::PayloadTooLarge);
}
