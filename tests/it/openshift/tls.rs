//! A cluster over TLS: its authority stands in the kubeconfig.

use super::api::{TOKEN, kubeconfig};
use super::{PATIENT, ask, import, wait};
use crate::support::lane::Notes;
use bootc_embed::cluster::Error;
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};
use rustls::{ServerConfig, ServerConnection, StreamOwned};
use serde_json::json;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;

/// Serves one import; gives its address and the PEM of its authority.
fn server() -> (SocketAddr, String) {
    let key = || KeyPair::generate().expect("a key");
    let mut params = CertificateParams::new(Vec::new()).expect("parameters");
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = key();
    let ca = params.self_signed(&ca_key).expect("a certificate").pem();
    let issuer = Issuer::new(params, ca_key);
    let own_key = key();
    let own = CertificateParams::new(vec!["127.0.0.1".to_owned()]).expect("parameters");
    let own = own.signed_by(&own_key, &issuer).expect("a certificate");
    let own_key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(own_key.serialize_der()));
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider).with_safe_default_protocol_versions().expect("versions");
    let config = config.with_no_client_auth().with_single_cert(vec![own.der().clone()], own_key).expect("a key pair");
    let config = Arc::new(config);
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let address = listener.local_addr().expect("it has an address");
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let connection = ServerConnection::new(config.clone()).expect("a connection");
            // A client that does not trust it goes away.
            let _ = answer(&mut StreamOwned::new(connection, stream));
        }
    });
    (address, ca)
}

/// Reads a request, and says that all went well.
fn answer(stream: &mut StreamOwned<ServerConnection, std::net::TcpStream>) -> std::io::Result<()> {
    let mut reader = BufReader::new(&mut *stream);
    let (mut length, mut known) = (0, false);
    loop {
        let mut line = String::new();
        if reader.read_line(&mut line)? <= 2 {
            break;
        }
        let line = line.trim().to_ascii_lowercase();
        length = line.strip_prefix("content-length: ").map_or(length, |text| text.parse().expect("a number"));
        known = known || line == format!("authorization: bearer {}", TOKEN.to_ascii_lowercase());
    }
    reader.read_exact(&mut vec![0; length])?;
    assert!(known, "the token was not sent");
    let image = super::image(&import().digest, &import().manifests);
    let body = json!({ "status": { "images": [image] } }).to_string();
    write!(stream, "HTTP/1.1 201 Created\r\nContent-Length: {}\r\n\r\n{body}", body.len())?;
    stream.flush()
}

#[test]
fn the_authority_of_the_kubeconfig_is_trusted_and_no_other() {
    let (address, ca) = server();
    let folder = tempfile::tempdir().expect("a folder can be made");
    let file = folder.path().join("kubeconfig");
    std::fs::write(folder.path().join("ca.crt"), ca).expect("it is written");
    let server = format!("https://{address}");
    std::fs::write(&file, kubeconfig(&server, "    certificate-authority: ca.crt\n", TOKEN)).expect("it is written");
    wait(ask(&file, PATIENT, &Notes::default())).expect("it is trusted");

    let (_, other) = self::server();
    std::fs::write(folder.path().join("ca.crt"), other).expect("it is written");
    let notes = Notes::default();
    let error = wait(ask(&file, PATIENT, &notes)).expect_err("it is not trusted");
    assert!(matches!(error, Error::Unreachable { .. }), "{error}");
    assert!(error.hints().concat().contains("certificate-authority"), "{error}");
    assert!(notes.take().is_empty(), "it is asked once");
}
