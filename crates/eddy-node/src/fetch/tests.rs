use super::*;
use crate::access::Account;
use eddy_types::{TenantId, TenantSpec};
use std::sync::Weak;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpListener;

fn capabilities(hosts: &[&str]) -> Capabilities {
    Capabilities {
        hosts: hosts.iter().map(|&host| host.to_owned()).collect(),
    }
}

/// What an app of the default tenant that lists these may reach.
fn reach(hosts: &[&str]) -> Reach {
    reach_of(TenantId::DEFAULT, hosts)
}

fn reach_of(tenant: &str, hosts: &[&str]) -> Reach {
    let tenant = TenantId::new(tenant).expect("a tenant");
    let account = Account::new(tenant, TenantSpec::default());
    Reach::new(capabilities(hosts), account)
}

#[test]
fn only_what_the_manifest_names_is_allowed() {
    let capabilities = capabilities(&[
        "api.example",
        "local.example:8080",
        "*.wild.example",
        "[::1]:8080",
        "*.0.0.1",
    ]);
    let may = |url: &str| allows(&capabilities, &Url::parse(url).expect("a URL"));
    assert!(may("https://api.example/x") && may("http://API.example/"));
    assert!(may("http://local.example:8080/") && may("https://a.b.wild.example/"));
    assert!(may("http://[::1]:8080/") && may("http://[0:0::1]:8080/"));
    for refused in [
        "https://api.example:8443/",
        "http://local.example/",
        "https://wild.example/",
        "https://evilwild.example/",
        "https://api.example.evil/",
        "http://127.0.0.1/",
        "http://127.1/",
        "http://[::1]/",
    ] {
        assert!(!may(refused), "{refused}");
    }
}

/// Answers one request with `answer`, and tells nothing else.
async fn serve(answer: String) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("it is bound").port();
    #[allow(clippy::disallowed_methods, reason = "a test's own task")]
    tokio::spawn(async move {
        let (mut stream, _) = listener.accept().await.expect("a connection");
        let mut head = [0; 4096];
        let _ = stream.read(&mut head).await;
        let _ = stream.write_all(answer.as_bytes()).await;
    });
    port
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok";

async fn get(client: &Client, url: &str) -> Result<HttpResponse, EddyError> {
    let url = Url::parse(url).expect("a URL");
    let account = Account::new(TenantId::default_tenant(), TenantSpec::default());
    let request = Request::new(Method::GET, url.clone());
    let response = client.execute(request).await;
    read(
        &url,
        response.map_err(|error| failed(&url, &error))?,
        Room::default().part(&account, Weak::new()),
    )
    .await
}

#[tokio::test]
async fn a_listed_address_is_reached_and_a_name_that_points_to_it_is_not() {
    let port = serve(OK.to_owned()).await;
    let listed = reach(&[&format!("127.0.0.1:{port}"), &format!("api.example:{port}")]);
    let client = client_with(
        &listed,
        Redirects::Follow,
        resolve::rebound(listed.account.clone()),
    )
    .expect("a client");
    let refused = get(&client, &format!("http://api.example:{port}/")).await;
    let refused = refused.expect_err("the name was pointed at this machine");
    assert_eq!(refused.code, ErrorCode::CapabilityDenied, "{refused:?}");
    assert!(refused.detail.contains("127.0.0.1"), "{}", refused.detail);
    let reached = get(&client, &format!("http://127.0.0.1:{port}/")).await;
    assert_eq!(reached.expect("it is listed").status, 200);
}

#[tokio::test]
async fn a_listed_localhost_is_reached() {
    let port = serve(OK.to_owned()).await;
    let client =
        client(&reach(&[&format!("localhost:{port}")]), Redirects::Follow).expect("a client");
    let reached = get(&client, &format!("http://localhost:{port}/")).await;
    assert_eq!(reached.expect("it is listed").status, 200);
}

#[tokio::test]
async fn redirects_are_checked_by_host_and_by_address() {
    let moved = |to: String| {
        format!(
            "HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
    };
    let inside = serve(OK.to_owned()).await;
    for (to, code) in [
        // Its port is not listed, and its name stands for this machine.
        (
            format!("http://127.0.0.1:{inside}/"),
            ErrorCode::CapabilityDenied,
        ),
        (
            format!("http://api.example:{inside}/"),
            ErrorCode::CapabilityDenied,
        ),
    ] {
        let port = serve(moved(to.clone())).await;
        let (own, name) = (format!("127.0.0.1:{port}"), format!("api.example:{inside}"));
        let listed = reach(&[&own, &name]);
        let client = client_with(
            &listed,
            Redirects::Follow,
            resolve::rebound(listed.account.clone()),
        )
        .expect("a client");
        let refused = get(&client, &format!("http://{own}/"))
            .await
            .expect_err(&to);
        assert_eq!(refused.code, code, "{to}: {refused:?}");
    }
}

#[tokio::test]
async fn errors_name_the_host_and_nothing_secret() {
    let length = MAX_FETCH_BODY_BYTES + 1;
    let head = format!("HTTP/1.1 200 OK\r\ncontent-length: {length}\r\n\r\n");
    let port = serve(head + &" ".repeat(length)).await;
    let client =
        client(&reach(&[&format!("127.0.0.1:{port}")]), Redirects::Follow).expect("a client");
    let url = format!("http://user:pass@127.0.0.1:{port}/x?token=hidden");
    let error = get(&client, &url).await.expect_err("it is too large");
    assert!(error.detail.contains("127.0.0.1"), "{}", error.detail);
    for secret in ["hidden", "pass", "user"] {
        assert!(!error.detail.contains(secret), "{}", error.detail);
    }
    let broken = plain_request("https://user:pass@[x?token=hidden", &[]);
    let error = checked_request(&[], broken).expect_err("it is no URL");
    assert!(!error.detail.contains("hidden"), "{}", error.detail);
}

fn plain_request(url: &str, headers: &[&str]) -> HttpRequest {
    HttpRequest {
        method: "POST".to_owned(),
        url: url.to_owned(),
        headers: headers
            .iter()
            .map(|&name| (name.to_owned(), "1".to_owned()))
            .collect(),
        body: None,
    }
}

fn checked_request(hosts: &[&str], request: HttpRequest) -> Result<Request, EddyError> {
    check_for(&reach(hosts), request)
}

#[test]
fn headers_of_the_connection_are_not_the_guests() {
    let request = |header| plain_request("https://api.example/", &["x-mine", header]);
    for refused in [
        "Host",
        "content-length",
        "Transfer-Encoding",
        "CONNECTION",
        "te",
    ] {
        let error = checked_request(&["api.example"], request(refused)).expect_err(refused);
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{refused}");
        assert!(
            error.detail.contains(&refused.to_lowercase()),
            "{}",
            error.detail
        );
    }
    let sent = checked_request(&["api.example"], request("authorization"));
    assert_eq!(sent.expect("its own headers").headers().len(), 2);
}

#[test]
fn addresses_and_headers_are_of_a_size() {
    let with = |headers: Vec<(String, String)>| HttpRequest {
        headers,
        ..plain_request("https://api.example/", &[])
    };
    // More of them than a map of headers can hold, and two that are too large together.
    let many = (0..40_000).map(|n| (format!("x-{n}"), String::new()));
    let large = ["x-a", "x-b"].map(|name| (name.to_owned(), "v".repeat(33 << 10)));
    let long = "p".repeat(MAX_FETCH_URL_BYTES);
    for refused in [
        with(many.collect()),
        with(large.to_vec()),
        plain_request(&format!("https://api.example/{long}"), &[]),
        HttpRequest {
            method: "M".repeat(1 << 20),
            ..with(Vec::new())
        },
    ] {
        let error = checked_request(&["api.example"], refused).expect_err("it is too large");
        assert_eq!(error.code, ErrorCode::InvalidArgument, "{error}");
        assert!(error.detail.len() < 200, "it is not repeated");
    }
    let fits = with(large[..1].to_vec());
    assert!(checked_request(&["api.example"], fits).is_ok());
}

#[tokio::test]
async fn a_tenant_lets_its_apps_reach_what_it_grants_and_no_more() {
    let port = serve(OK.to_owned()).await;
    let host = format!("127.0.0.1:{port}");
    let reach = reach_of("shop", &[&host, &format!("api.example:{port}")]);
    let url = format!("http://{host}/");
    let refused = check_for(&reach, plain_request(&url, &[])).expect_err("it is this machine");
    assert_eq!(refused.code, ErrorCode::CapabilityDenied);
    assert!(refused.detail.contains("tenant"), "{}", refused.detail);
    let client = client_with(
        &reach,
        Redirects::Follow,
        resolve::rebound(reach.account.clone()),
    )
    .expect("a client");
    let named = get(&client, &format!("http://api.example:{port}/")).await;
    let named = named.expect_err("the name was pointed at this machine");
    assert_eq!(named.code, ErrorCode::CapabilityDenied, "{named:?}");
    // An operator's word counts at once.
    let hosts = serde_json::from_value(serde_json::json!([host])).expect("hosts");
    reach.account.set_spec(TenantSpec {
        hosts: Some(hosts),
        ..TenantSpec::default()
    });
    assert!(check_for(&reach, plain_request(&url, &[])).is_ok());
    assert_eq!(get(&client, &url).await.expect("it is granted").status, 200);
    let other = check_for(
        &reach,
        plain_request(&format!("http://api.example:{port}/"), &[]),
    );
    assert!(other.is_err(), "it is not listed");
}
