//! One connection: requests come, answers go, until either side has had enough.

use super::delivery::Delivery;
use super::{Inner, Seen};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

/// No honest request has a longer head.
const LONGEST_HEAD: usize = 64 * 1024;

/// What was asked.
struct Request {
    method: String,
    /// Path and query.
    path: String,
    /// Names are in lower case.
    headers: Vec<(String, String)>,
}

impl Request {
    fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(other, _)| other == name).map(|(_, value)| value.as_str())
    }

    /// Reads a head; `None` if that is none.
    fn parse(head: &str) -> Option<Self> {
        let mut lines = head.split("\r\n");
        let mut words = lines.next()?.split(' ');
        let (method, target) = (words.next()?.to_owned(), words.next()?);
        words.next().filter(|version| *version == "HTTP/1.1")?;
        // A proxy is asked for whole addresses.
        let path = target.strip_prefix("http://").and_then(|rest| rest.find('/').map(|at| &rest[at..]));
        // For a tunnel, no path is named.
        let path = if method == "CONNECT" { Some("") } else { path };
        let headers = lines.filter_map(|line| line.split_once(':'));
        let headers = headers.map(|(name, value)| (name.to_ascii_lowercase(), value.trim().to_owned())).collect();
        Some(Self { method, path: path.unwrap_or(target).to_owned(), headers })
    }
}

/// Takes connections for ever.
pub(super) async fn serve(listener: TcpListener, inner: Arc<Inner>) {
    loop {
        if let Ok((stream, _)) = listener.accept().await {
            let inner = inner.clone();
            tokio::spawn(async move {
                // A client that goes away is none of the server's business.
                let _ = connection(stream, &inner).await;
            });
        }
    }
}

async fn connection(mut stream: TcpStream, inner: &Inner) -> io::Result<()> {
    stream.set_nodelay(true)?;
    let mut buffer = Vec::new();
    loop {
        let end = loop {
            // What begins a TLS connection, for example.
            if buffer.first().is_some_and(|first: &u8| !first.is_ascii_uppercase()) || buffer.len() > LONGEST_HEAD {
                return stream.write_all(b"HTTP/1.1 400 Bad Request\r\nConnection: close\r\n\r\n").await;
            }
            if let Some(end) = buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            if stream.read_buf(&mut buffer).await? == 0 {
                return Ok(());
            }
        };
        let request = Request::parse(&String::from_utf8_lossy(&buffer[..end]));
        buffer.drain(..end + 4);
        let Some(request) = request else { return Ok(()) };
        let delivery = answer(inner, &request);
        let keep = delivery.send(&mut stream, request.method != "HEAD", &inner.speed).await?;
        if !keep || request.header("connection").is_some_and(|value| value.eq_ignore_ascii_case("close")) {
            return Ok(());
        }
    }
}

fn answer(inner: &Inner, request: &Request) -> Delivery {
    let (path, authorization, range) =
        (request.path.as_str(), request.header("authorization"), request.header("range"));
    let seen = Seen {
        path: path.to_owned(),
        authorization: authorization.map(str::to_owned),
        proxy_authorization: request.header("proxy-authorization").map(str::to_owned),
        range: range.map(str::to_owned),
    };
    inner.seen.lock().expect("no panic while locked").push(seen);
    let mut delivery = if !["GET", "HEAD"].contains(&request.method.as_str()) {
        return Delivery::new(405, "text/plain", Vec::new());
    } else if path.starts_with("/token") {
        inner.token(authorization)
    } else if let Some(refusal) = inner.challenge(authorization) {
        return refusal;
    } else {
        inner.content.at(path, range)
    };
    let fault = inner.faults.lock().expect("no panic while locked").take(path, delivery.content.len());
    if let Some(fault) = fault {
        fault.apply(&mut delivery);
    }
    delivery
}
