//! Answers, failures and configurations as the client reports them.
use std::convert::Infallible;
use std::io::Write;
use std::sync::atomic::{AtomicUsize, Ordering};

use kube::client::Body;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use super::*;

mod configuration;

/// A client whose every request is answered by `answer`.
fn client(answer: impl Fn() -> http::Response<Body> + Send + Sync + Clone + 'static) -> Client {
    let service = tower::service_fn(move |_: Request<Body>| {
        let answer = answer();
        async move { Ok::<_, Infallible>(answer) }
    });
    Client::new(kube::Client::new(service, "default"))
}

fn response(code: u16, headers: &[(&str, &str)], body: impl Into<Vec<u8>>) -> http::Response<Body> {
    let mut builder = http::Response::builder().status(code);
    for (name, value) in headers {
        builder = builder.header(*name, *value);
    }
    builder.body(Body::from(body.into())).unwrap()
}

fn get() -> Request<Vec<u8>> {
    Request::get("/api/v1/secrets?continue=hidden").body(Vec::new()).unwrap()
}

async fn failure(code: u16, headers: &'static [(&str, &str)], body: &str) -> Error {
    let body = body.to_owned();
    client(move || response(code, headers, body.clone())).read(get()).await.unwrap_err()
}

fn status(code: u16, reason: &str, message: &str, details: &str) -> String {
    format!(
        r#"{{"kind":"Status","apiVersion":"v1","status":"Failure","code":{code},"reason":"{reason}","message":"{message}","details":{details}}}"#
    )
}

#[tokio::test]
async fn failures_answer_the_questions_callers_ask() {
    type Question = fn(&Error) -> bool;
    const QUESTIONS: [(&str, Question); 9] = [
        ("not found", Error::is_not_found),
        ("conflict", Error::is_conflict),
        ("already exists", Error::is_already_exists),
        ("forbidden", Error::is_forbidden),
        ("unauthorized", Error::is_unauthorized),
        ("invalid", Error::is_invalid),
        ("expired", Error::is_expired),
        ("too large version", Error::is_too_large_resource_version),
        ("too many requests", Error::is_too_many_requests),
    ];
    let check = async |code: u16, reason: &str, message: &str, details: &str, yes: &[&str]| {
        let error = failure(code, &[], &status(code, reason, message, details)).await;
        let answers: Vec<&str> = QUESTIONS.iter().filter(|(_, asks)| asks(&error)).map(|(name, _)| *name).collect();
        assert_eq!(answers, yes, "{code} {reason}");
        assert_eq!(error.code(), Some(code));
        assert!(!error.is_connect());
    };
    check(404, "NotFound", "", "{}", &["not found"]).await;
    check(409, "Conflict", "", "null", &["conflict"]).await;
    check(409, "AlreadyExists", "", "{}", &["already exists"]).await;
    check(403, "Forbidden", "", "{}", &["forbidden"]).await;
    check(401, "Unauthorized", "", "{}", &["unauthorized"]).await;
    check(422, "Invalid", "", "{}", &["invalid"]).await;
    check(410, "Gone", "", "{}", &["expired"]).await;
    check(410, "Expired", "", "{}", &["expired"]).await;
    check(429, "TooManyRequests", "", "{}", &["too many requests"]).await;
    let cause = r#"{"causes":[{"reason":"ResourceVersionTooLarge","message":"Too large resource version"}]}"#;
    check(504, "Timeout", "Too large resource version: 9, current: 5", cause, &["too large version"]).await;
    check(400, "BadRequest", "Too large resource version: 9", "{}", &["too large version"]).await;
    check(504, "Timeout", "", "{}", &[]).await;
    check(500, "InternalError", "", "{}", &[]).await;
}

/// A field of protobuf that has a length.
fn field(number: u8, bytes: impl AsRef<[u8]>) -> Vec<u8> {
    let bytes = bytes.as_ref();
    assert!(bytes.len() < 128, "longer lengths take more bytes");
    [&[(number << 3) | 2, bytes.len() as u8][..], bytes].concat()
}

/// A Status as it comes where protobuf was asked for.
fn protobuf(kind: &str, status: &[Vec<u8>]) -> Vec<u8> {
    let r#type = [field(1, "v1"), field(2, kind)].concat();
    [b"k8s\0".to_vec(), field(1, r#type), field(2, status.concat()), field(3, ""), field(4, "")].concat()
}

#[tokio::test]
async fn a_failure_in_protobuf_says_what_one_in_json_does() {
    let causes = ["Other", "ResourceVersionTooLarge"].map(|cause| field(4, [field(1, cause), field(2, "x")].concat()));
    // 7 seconds.
    let details = [field(1, "pods"), causes.concat(), vec![5 << 3, 7]].concat();
    let status = [
        field(1, ""),
        field(2, "Failure"),
        field(3, "too\nlarge"),
        field(4, "Timeout"),
        field(5, details),
        // 504.
        vec![6 << 3, 0xf8, 0x03],
    ];
    let said = |body: Vec<u8>| async move {
        let headers = &[("content-type", "application/vnd.kubernetes.protobuf")];
        client(move || response(504, headers, body.clone())).stream(get()).await.err().unwrap()
    };
    let whole = protobuf("Status", &status);
    let error = said(whole.clone()).await;
    assert!(error.is_too_large_resource_version(), "{error:?}");
    assert_eq!(error.to_string(), "GET /api/v1/secrets: the API server answered 504 Timeout: too large");
    assert_eq!(error.retry_after(), Some(Duration::from_secs(7)));
    assert_eq!(error.status().unwrap().causes, ["Other", "ResourceVersionTooLarge"]);

    let other = said(protobuf("Secret", &[field(3, "abc")])).await;
    assert!(!format!("{other} {other:?}").contains("abc"));
    // Whatever is cut off, or is none: the code stays, and nothing panics.
    for cut in 0..whole.len() {
        assert_eq!(said(whole[..cut].to_vec()).await.code(), Some(504));
    }
    let overlong = [b"k8s\0".to_vec(), vec![0xff; 40]].concat();
    assert_eq!(said(overlong).await.code(), Some(504));
}

#[tokio::test]
async fn a_stream_says_what_its_body_is() {
    let said = |headers: &'static [(&str, &str)]| async move {
        client(move || response(200, headers, "")).stream(get()).await.unwrap().media_type
    };
    let json: &[_] = &[("content-type", "Application/JSON; charset=utf-8")];
    assert_eq!([said(json).await, said(&[]).await], ["application/json", ""]);
    let watch: &[_] = &[("content-type", "application/vnd.kubernetes.protobuf;stream=watch")];
    assert_eq!(said(watch).await, "application/vnd.kubernetes.protobuf");
}

#[tokio::test]
async fn a_failure_that_is_no_status_still_says_what_it_is() {
    let slow =
        failure(429, &[("content-type", "text/plain; charset=utf-8"), ("retry-after", "3")], "Too many requests\n")
            .await;
    assert_eq!(slow.retry_after(), Some(Duration::from_secs(3)));
    assert_eq!(
        slow.to_string(),
        "GET /api/v1/secrets: the API server answered 429 Too Many Requests: Too many requests"
    );
    let proxy = failure(502, &[("content-type", "text/html")], "<html>token: abc</html>").await;
    assert_eq!(proxy.to_string(), "GET /api/v1/secrets: the API server answered 502 Bad Gateway");
    let object = failure(500, &[("content-type", "application/json")], r#"{"kind":"Secret","data":{"p":"abc"}}"#).await;
    assert!(!format!("{object} {object:?}").contains("abc"));
    let empty = failure(503, &[], "").await;
    assert_eq!(empty.code(), Some(503));
}

#[tokio::test]
async fn waits_that_servers_ask_for_are_bounded() {
    let check = async |headers: &'static [(&str, &str)], details: &str, expected: Option<u64>| {
        let error = failure(429, headers, &status(429, "TooManyRequests", "", details)).await;
        assert_eq!(error.retry_after(), expected.map(Duration::from_secs), "{headers:?} {details}");
    };
    check(&[], r#"{"retryAfterSeconds":7}"#, Some(7)).await;
    check(&[("retry-after", "2")], r#"{"retryAfterSeconds":7}"#, Some(2)).await;
    check(&[("retry-after", "18446744073709551615")], "{}", Some(120)).await;
    check(&[("retry-after", "Wed, 21 Oct 2026 07:28:00 GMT")], "{}", None).await;
    check(&[], r#"{"retryAfterSeconds":-1}"#, None).await;
    // No time at all is no advice: a controller that followed it would not back off.
    check(&[], r#"{"retryAfterSeconds":0}"#, None).await;
    check(&[("retry-after", "0")], "{}", None).await;
    check(&[("retry-after", "0")], r#"{"retryAfterSeconds":7}"#, Some(7)).await;
    check(&[], r#"{"retryAfterSeconds":999999999}"#, Some(120)).await;
}

#[tokio::test]
async fn control_characters_of_a_server_do_not_reach_messages() {
    let error = failure(403, &[], &status(403, "Forbidden", r"a\u001b[31mb\nc", "{}")).await;
    assert!(error.to_string().ends_with("a [31mb c"), "{error}");
    let reason = failure(403, &[], &status(403, r"Bad\u001b[2J\nINFO all is well", "no", "{}")).await;
    assert!(reason.to_string().ends_with("403 Bad [2J INFO all is well: no"), "{reason}");
}

/// An event of a watch may be as large as an object, unlike the body of a failure.
#[test]
fn no_part_of_a_status_is_told_at_any_length() {
    let long = "x".repeat(1 << 20);
    let said = format!(r#"{{"kind":"Status","code":500,"reason":"{long}","message":"{long}"}}"#);
    let told = Status::from_json(said.as_bytes()).unwrap().to_string();
    assert!(told.len() < 8 * 1024, "{}", told.len());
}

#[tokio::test]
async fn bodies_of_answers_and_of_failures_are_bounded() {
    let huge = client(|| response(200, &[], vec![b'x'; MAX_BODY + 1])).read(get()).await.unwrap_err();
    assert!(matches!(huge, Error::TooLarge { limit: MAX_BODY, .. }), "{huge:?}");
    let whole = client(|| response(200, &[], vec![b'x'; MAX_BODY])).read(get()).await.unwrap();
    assert_eq!(whole.len(), MAX_BODY);
    let padded = status(403, "Forbidden", "", "{}") + &" ".repeat(MAX_BODY);
    let failed = client(move || response(403, &[], padded.clone())).read(get()).await.unwrap_err();
    assert!(failed.is_forbidden());
}

#[tokio::test]
async fn a_stream_hands_on_the_body_and_refuses_failures_first() {
    let mut chunks = client(|| response(200, &[], "abc")).stream(get()).await.unwrap().chunks;
    assert_eq!(chunks.next().await.unwrap().unwrap(), "abc");
    assert!(chunks.next().await.is_none());
    let refused = client(|| response(403, &[], "")).stream(get()).await.err().unwrap();
    assert!(refused.is_forbidden());
}

#[tokio::test]
async fn compressed_answers_and_failures_are_unpacked_within_their_bounds() {
    let pack = |text: &[u8]| {
        let mut encoder = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        encoder.write_all(text).unwrap();
        encoder.finish().unwrap()
    };
    let two = [pack(b"{\"items\":["), pack(b"]}")].concat();
    let client_of =
        |code: u16, body: Vec<u8>| client(move || response(code, &[("Content-Encoding", "GZIP")], body.clone()));
    assert_eq!(&client_of(200, two).read(get()).await.unwrap()[..], b"{\"items\":[]}");
    let error = client_of(404, pack(status(404, "NotFound", "gone", "{}").as_bytes())).read(get()).await.unwrap_err();
    assert_eq!(error.status().unwrap().message, "gone");
    let error = client_of(200, pack(&vec![b' '; MAX_BODY + 1])).read(get()).await.unwrap_err();
    assert!(matches!(error, Error::TooLarge { .. }), "{error}");
    let error = client_of(200, b"plain".to_vec()).read(get()).await.unwrap_err();
    assert!(matches!(error, Error::Corrupt { .. }), "{error}");
}

#[tokio::test]
async fn compression_is_asked_for_by_clients_of_ours_unless_the_kubeconfig_says_no() {
    let of = |disabled: bool| {
        let mut config = kube::Config::new("http://127.0.0.1:1".parse().unwrap());
        config.disable_compression = disabled;
        Client::from_config(config).unwrap().accept_encoding()
    };
    assert_eq!((of(false), of(true)), ("gzip", "identity"));
    let handed_in = client(|| response(200, &[], ""));
    assert_eq!(handed_in.accept_encoding(), "identity", "its layers may unpack, and only the first member");
}

#[tokio::test]
async fn a_write_goes_out_with_its_body() {
    let service = tower::service_fn(|request: Request<Body>| async move {
        let (head, body) = request.into_parts();
        let echo = [head.method.as_str().as_bytes(), &body.collect_bytes().await.unwrap()].concat();
        Ok::<_, Infallible>(http::Response::new(Body::from(echo)))
    });
    let client = Client::new(kube::Client::new(service, "default"));
    let request = Request::patch("/api/v1/namespaces/a/pods/b").body(b" {}".to_vec()).unwrap();
    assert_eq!(client.write(request).await.unwrap(), "PATCH {}");
}

#[tokio::test(start_paused = true)]
async fn a_server_that_never_answers_is_given_up() {
    let service =
        tower::service_fn(|_: Request<Body>| std::future::pending::<Result<http::Response<Body>, Infallible>>());
    let client = Client::new(kube::Client::new(service, "default"));
    let begun = clock::now();
    let error = client.read(get()).await.unwrap_err();
    assert!(matches!(error, Error::Timeout { after: RESPONSE_TIMEOUT, .. }), "{error:?}");
    assert_eq!(clock::now() - begun, RESPONSE_TIMEOUT);
}

#[tokio::test]
async fn an_address_where_nobody_listens_is_a_failure_to_connect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    drop(listener);
    let client = Client::from_config(kube::Config::new(url.parse().unwrap())).unwrap();
    assert_eq!(client.url(), url);
    let error = client.read(get()).await.unwrap_err();
    assert!(error.is_connect(), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!("cannot reach the API server at {url}: is the cluster running, is the kubeconfig right?")
    );
}

#[tokio::test]
async fn a_connection_that_breaks_is_no_failure_to_connect() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let client = Client::from_config(kube::Config::new(url.parse().unwrap())).unwrap();
    let hang_up = async {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let _ = connection.read(&mut [0; 64]).await.unwrap();
        }
    };
    let error = tokio::select! {
        answer = client.read(get()) => answer.unwrap_err(),
        () = hang_up => unreachable!(),
    };
    assert!(matches!(error, Error::Broken { .. }), "{error:?}");
}

#[tokio::test]
async fn a_token_that_comes_back_in_an_answer_is_not_told() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut config = kube::Config::new(format!("http://{}", listener.local_addr().unwrap()).parse().unwrap());
    config.auth_info.token = Some("sesame".to_owned().into());
    let client = Client::from_config(config).unwrap();
    let echo = async {
        let (mut connection, _) = listener.accept().await.unwrap();
        let mut request = vec![0; 4096];
        let length = connection.read(&mut request).await.unwrap();
        request.truncate(length);
        assert!(String::from_utf8_lossy(&request).contains("Bearer sesame"));
        let head = format!("HTTP/1.1 400 Bad Request\r\nx-token: sesame\r\ncontent-length: {length}\r\n\r\n");
        connection.write_all(&[head.as_bytes(), &request].concat()).await.unwrap();
    };
    let (answer, ()) = tokio::join!(client.read(get()), echo);
    let error = answer.unwrap_err();
    assert_eq!(error.code(), Some(400));
    assert!(!format!("{error} {error:?} {client:?}").contains("sesame"), "{error:?}");
}

#[tokio::test]
async fn a_failure_is_not_retried_below_us() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let client = Client::from_config(kube::Config::new(url.parse().unwrap())).unwrap();
    let requests = AtomicUsize::new(0);
    let serve = async {
        loop {
            let (mut connection, _) = listener.accept().await.unwrap();
            let _ = connection.read(&mut [0; 4096]).await.unwrap();
            requests.fetch_add(1, Ordering::Relaxed);
            let answer = b"HTTP/1.1 503 Service Unavailable\r\ncontent-length: 0\r\nconnection: close\r\n\r\n";
            connection.write_all(answer).await.unwrap();
        }
    };
    let error = tokio::select! {
        answer = client.read(get()) => answer.unwrap_err(),
        () = serve => unreachable!(),
    };
    assert_eq!(error.code(), Some(503));
    assert_eq!(requests.load(Ordering::Relaxed), 1);
}

#[test]
fn requests_name_the_program_and_the_library() {
    let library = concat!("kubewright/", env!("CARGO_PKG_VERSION"));
    let check = |program: Option<&str>, expected: String| {
        assert_eq!(super::user_agent(program.map(Into::into)), expected, "{program:?}");
    };
    check(Some("/usr/bin/website"), format!("website {library}"));
    check(Some("a\nb"), library.to_owned());
    check(Some(""), library.to_owned());
    check(None, library.to_owned());
}
