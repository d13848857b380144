//! The way to DingTalk: proxies and certificates.

use std::sync::Arc;

use meeting_closer::Sandbox;
use tokio::io::{AsyncBufReadExt as _, BufReader, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use crate::support::{Closer, fast_sandbox};

#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_from_the_environment_is_used_but_not_for_the_stand_in() {
    let proxy = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = format!("http://{}", proxy.local_addr().unwrap());
    let closer = Closer::bare()
        .variable("HTTPS_PROXY", &address)
        .variable("HTTP_PROXY", &address)
        .set("DINGTALK__APP_KEY", "k")
        .set("DINGTALK__APP_SECRET", "s")
        .set("RETRY__MAX_ATTEMPTS", "1");
    closer.list(["m"]);
    let asked = tokio::spawn(async move {
        let (stream, _) = proxy.accept().await.unwrap();
        let mut line = String::new();
        BufReader::new(stream).read_line(&mut line).await.unwrap();
        line
    });
    let ran = closer.close().await;
    assert_eq!(asked.await.unwrap(), "CONNECT api.dingtalk.io:443 HTTP/1.1\r\n");
    assert_eq!(ran.code, 3, "{}", ran.printed());

    let ran = closer.run(&["close", "--sandbox", "list.csv"]).await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
}

/// Starts a TLS front for the stand-in with its own certificate authority. Returns its port and the authority in PEM form.
pub(crate) async fn tls_front(sandbox: &Sandbox) -> (u16, String) {
    tls_front_of(sandbox.base_url().trim_start_matches("http://")).await
}

/// The same for any server address.
pub(crate) async fn tls_front_of(behind: &str) -> (u16, String) {
    let signed = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(signed.signing_key.serialize_der().into());
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![signed.cert.der().clone()], key)
        .unwrap();
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    let behind = behind.to_owned();
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let (acceptor, behind) = (acceptor.clone(), behind.clone());
            tokio::spawn(async move {
                let Ok(mut front) = acceptor.accept(stream).await else { return };
                let mut back = TcpStream::connect(behind).await.unwrap();
                let _ = copy_bidirectional(&mut front, &mut back).await;
            });
        }
    });
    (port, signed.cert.pem())
}

#[tokio::test(flavor = "multi_thread")]
async fn a_companys_certificate_authority_is_trusted_only_when_it_is_configured() {
    let sandbox = Sandbox::start(fast_sandbox()).await.unwrap();
    let (port, authority) = tls_front(&sandbox).await;
    let closer = Closer::bare()
        .set("DINGTALK__BASE_URL", &format!("https://localhost:{port}"))
        .set("DINGTALK__APP_KEY", "k")
        .set("DINGTALK__APP_SECRET", "s")
        .set("RETRY__MAX_ATTEMPTS", "1");
    closer.list(["m"]);
    closer.file("ca.pem", authority);
    let ran = closer.run(&["close", "--yes", "--run-id", "untrusted", "list.csv"]).await;
    assert_eq!((ran.code, sandbox.statistics().token_calls), (3, 0), "{}", ran.printed());
    assert!(ran.stderr.contains("certificate"), "{}", ran.printed());
    let trusting = closer.set("DINGTALK__CA_FILE", "ca.pem");
    let ran = trusting.run(&["close", "--yes", "--run-id", "trusted", "list.csv"]).await;
    assert_eq!(ran.code, 0, "{}", ran.printed());
    assert!(sandbox.has_ended("m"));
}
