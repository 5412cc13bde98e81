use std::sync::{Arc, Mutex};

use axum::Router;
use axum::http::StatusCode;
use axum::response::IntoResponse;
use axum::routing::post;

use super::*;
use crate::access::Role;
use crate::wants::Wants;

/// What the API was sent: the query, the type, the body.
type Heard = Arc<Mutex<Vec<(String, String, String)>>>;

fn api(heard: Heard) -> Api {
    let hear = move |request: Request| {
        let heard = heard.clone();
        async move {
            let query = request.uri().query().unwrap_or_default().to_owned();
            let kind = request.headers()[header::CONTENT_TYPE].to_str().unwrap().to_owned();
            let body = axum::body::to_bytes(request.into_body(), usize::MAX).await.unwrap();
            if query.contains("clips=99") {
                let problem = r#"{"status":422,"title":"T","detail":"clips must be less.","code":"invalid_option","option":"clips"}"#;
                return (StatusCode::UNPROCESSABLE_ENTITY, problem).into_response();
            }
            heard.lock().unwrap().push((query, kind, String::from_utf8_lossy(&body).into_owned()));
            (StatusCode::ACCEPTED, [(header::LOCATION, "/v1/videos/new-id")]).into_response()
        }
    };
    Api::new(Router::new().route("/v1/videos", post(hear)), || vec!["acme".parse().unwrap(), "beta".parse().unwrap()])
}

fn viewer(role: Role) -> Viewer {
    let token = "right".to_owned();
    Viewer { role, token, has_session: true, is_program: false, wants: Wants::Html, site: String::new() }
}

fn form(fields: &[(&str, &str)], file: Option<(&str, &str)>) -> Request {
    let mut body = String::new();
    for (name, value) in fields {
        body.push_str(&format!("--b\r\ncontent-disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"));
    }
    if let Some((name, bytes)) = file {
        let head = format!("content-disposition: form-data; name=\"file\"; filename=\"{name}\"");
        body.push_str(&format!("--b\r\n{head}\r\ncontent-type: video/mp4\r\n\r\n{bytes}\r\n"));
    }
    body.push_str("--b--\r\n");
    let request = Request::post("/new").header(header::CONTENT_TYPE, "multipart/form-data; boundary=b");
    request.body(Body::from(body)).unwrap()
}

#[tokio::test]
async fn a_file_is_handed_on_as_it_is_with_the_options_that_are_said() {
    let heard = Heard::default();
    let fields =
        [("csrf", "right"), ("tenant", "beta"), ("clips", "5"), ("callback_url", ""), ("name", ""), ("url", "")];
    let bytes = "x".repeat(3 << 20);
    let outcome = take(&api(heard.clone()), &viewer(Role::Operator), form(&fields, Some(("a b.mp4", &bytes)))).await;
    let Ok(Outcome::Accepted(place)) = outcome else { panic!("it was not accepted") };
    assert_eq!(place, "/videos/beta/new-id");
    let heard = heard.lock().unwrap();
    let (query, kind, body) = &heard[0];
    assert_eq!((&**query, &**kind, body.len()), ("clips=5&name=a+b.mp4", "application/octet-stream", bytes.len()));
}

#[tokio::test]
async fn a_url_is_sent_as_json_though_a_browser_adds_a_file_without_bytes() {
    let heard = Heard::default();
    let fields = [("csrf", "right"), ("tenant", "acme"), ("early", "true"), ("url", "https://host/a.mp4")];
    let outcome = take(&api(heard.clone()), &viewer(Role::Operator), form(&fields, Some(("", "")))).await;
    assert!(matches!(outcome, Ok(Outcome::Accepted(_))));
    let expected =
        ("early=true".to_owned(), "application/json".to_owned(), r#"{"url":"https://host/a.mp4"}"#.to_owned());
    assert_eq!(*heard.lock().unwrap(), [expected]);
}

#[tokio::test]
async fn nothing_is_taken_without_the_token_first_or_from_a_reader() {
    let heard = Heard::default();
    let file = Some(("a.mp4", "bytes"));
    let late = [("tenant", "acme"), ("csrf", "right")];
    for fields in [&[("csrf", "wrong"), ("tenant", "acme")][..], &late, &[]] {
        let outcome = take(&api(heard.clone()), &viewer(Role::Operator), form(fields, file)).await;
        assert!(matches!(outcome, Err(Fault::Forged)), "{fields:?}");
    }
    let reader = take(&api(heard.clone()), &viewer(Role::Reader), form(&[("csrf", "right")], file)).await;
    assert!(matches!(reader, Err(Fault::ReadOnly)));
    assert!(heard.lock().unwrap().is_empty());
}

#[tokio::test]
async fn what_is_refused_comes_back_with_the_reason_and_what_was_said() {
    let operator = viewer(Role::Operator);
    let check = async |fields: &[(&str, &str)], file, code: &str| match take(
        &api(Heard::default()),
        &operator,
        form(fields, file),
    )
    .await
    {
        Ok(Outcome::Refused(sent, problem)) => {
            assert_eq!((&*problem.code, &*sent.tenant), (code, "acme"));
            sent.options
        }
        _ => panic!("{fields:?} was not refused"),
    };
    let file = Some(("a.mp4", "bytes"));
    let base = [("csrf", "right"), ("tenant", "acme")];
    let with = |more: &[(&'static str, &'static str)]| [&base[..], more].concat();
    assert_eq!(check(&with(&[("clips", "99")]), file, "invalid_option").await["clips"], "99");
    check(&with(&[("url", "https://host/a")]), file, "several_files").await;
    check(&with(&[("url", "")]), Some(("", "")), "missing_video").await;
}
