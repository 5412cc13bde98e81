//! Every error is a problem, also those no handler made.

use reqwest::Method;

use crate::server::{Server, problem};

#[tokio::test]
async fn unknown_paths_and_methods_are_problems() {
    let server = Server::start(&[]).await;
    problem(404, "not_found", server.get("/v1/nothing").await).await;
    problem(404, "not_found", server.get("/").await).await;
    for path in ["/v1/videos", "/openapi.json", "/livez", "/readyz", "/metrics"] {
        let patch = server.client.request(Method::PATCH, format!("{}{path}", server.url)).send().await;
        let patch = patch.expect("an answer");
        assert!(patch.headers().contains_key("allow"), "{path}");
        problem(405, "method_not_allowed", patch).await;
    }
}

#[tokio::test]
async fn what_is_no_id_and_what_is_not_there_look_the_same() {
    let server = Server::start(&[]).await;
    let missing = pipeline::id::VideoId::random();
    for id in ["x", "%00", "..%2f..%2fetc", "00000000-0000-0000-0000-00000000000g", &missing.to_string()] {
        for rest in ["", "/events", "/analysis", "/clips"] {
            problem(404, "video_not_found", server.get(&format!("/v1/videos/{id}{rest}")).await).await;
        }
        let deleted = server.client.delete(format!("{}/v1/videos/{id}", server.url)).send().await;
        problem(404, "video_not_found", deleted.expect("an answer")).await;
    }
    let video = server.submit("bytes").await;
    problem(404, "clip_not_found", server.get(&format!("/v1/videos/{video}/clips/x/video.mp4")).await).await;
    problem(404, "clip_not_found", server.get(&format!("/v1/videos/{video}/clips/{missing}/poster.jpg")).await).await;
    problem(404, "analysis_not_ready", server.get(&format!("/v1/videos/{video}/analysis")).await).await;
}

#[tokio::test]
async fn parameters_of_lists_are_checked() {
    let server = Server::start(&[]).await;
    for (query, status, code) in [
        ("state=lost", 422, "invalid_option"),
        ("lane=fast", 422, "invalid_option"),
        ("limit=0", 422, "invalid_option"),
        ("limit=101", 422, "invalid_option"),
        ("cursor=x", 422, "invalid_option"),
        ("sort=name", 400, "unknown_option"),
        ("limit=1&limit=2", 400, "duplicate_option"),
        ("state=done&state=failed", 400, "duplicate_option"),
    ] {
        problem(status, code, server.get(&format!("/v1/videos?{query}")).await).await;
    }
}

#[tokio::test]
async fn no_answer_may_be_taken_for_a_page() {
    let server = Server::start(&[]).await;
    for path in ["/v1/videos", "/nothing", "/openapi.json"] {
        assert_eq!(server.get(path).await.headers()["x-content-type-options"], "nosniff");
    }
}
