//! One answer on its way: what is sent, and in which wrong way. Written to the connection as bytes,
//! because no HTTP library sends what is wrong.

use axum::http::StatusCode;
use flate2::Compression;
use flate2::write::GzEncoder;
use std::io::{self, Write as _};
use std::sync::atomic::{AtomicU64, Ordering::Relaxed};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::TcpStream;

/// How often a second a throttled answer goes on.
const BEATS: u64 = 100;
/// The time between.
const BEAT: Duration = Duration::from_millis(1000 / BEATS);
/// How long a connection is left alone before it is reset: a reset may overtake what was sent.
const BEFORE_RESET: Duration = Duration::from_millis(20);

/// How an answer ends. Numbers are bytes of the body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum End {
    /// As it should.
    Whole,
    /// The connection is closed after so many bytes.
    Close(usize),
    /// The connection is reset after so many bytes.
    Reset(usize),
    /// Nothing comes after so many bytes.
    Silence(usize),
    /// Nothing comes at all.
    Never,
    /// The body comes again and again.
    Endless,
}

/// An answer.
pub(super) struct Delivery {
    pub(super) status: u16,
    headers: Vec<(&'static str, String)>,
    /// All there is, whichever part was asked for.
    pub(super) content: Vec<u8>,
    /// The part that was asked for: its first byte and its last.
    pub(super) range: Option<(usize, Option<usize>)>,
    /// How much of the body is announced and sent.
    pub(super) cut: Option<usize>,
    /// How many bytes follow that do not belong to it.
    pub(super) pad: usize,
    /// How many bytes are announced that do not come, or, if negative, come unannounced.
    pub(super) length_error: i64,
    pub(super) gzip: bool,
    pub(super) chunked: bool,
    pub(super) odd_case: bool,
    /// The pause before each byte.
    pub(super) drip: Option<Duration>,
    pub(super) end: End,
}

impl Delivery {
    pub(super) fn new(status: u16, content_type: &str, content: Vec<u8>) -> Self {
        Self {
            status,
            headers: vec![("Content-Type", content_type.to_owned())],
            content,
            range: None,
            cut: None,
            pad: 0,
            length_error: 0,
            gzip: false,
            chunked: false,
            odd_case: false,
            drip: None,
            end: End::Whole,
        }
    }

    /// One more header.
    #[must_use]
    pub(super) fn header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    pub(super) fn replace_header(&mut self, name: &'static str, value: &str) {
        self.headers.retain(|(other, _)| *other != name);
        self.headers.push((name, value.to_owned()));
    }

    /// Sends it, at most so many bytes of its body a second if that is not 0; that may change meanwhile.
    /// Tells whether the connection can be used again.
    pub(super) async fn send(mut self, stream: &mut TcpStream, with_body: bool, speed: &AtomicU64) -> io::Result<bool> {
        if self.end == End::Never {
            return until_closed(stream).await;
        }
        let body = self.body();
        let keep = self.end == End::Whole && self.length_error == 0;
        stream.write_all(self.head(body.len(), keep).as_bytes()).await?;
        if !with_body {
            return Ok(keep);
        }
        let length = match self.end {
            End::Close(length) | End::Reset(length) | End::Silence(length) => length.min(body.len()),
            End::Whole | End::Never | End::Endless => body.len(),
        };
        loop {
            self.send_part(stream, &body[..length], speed).await?;
            if self.end != End::Endless {
                break;
            }
        }
        match self.end {
            End::Silence(_) => return until_closed(stream).await,
            End::Reset(_) => {
                tokio::time::sleep(BEFORE_RESET).await;
                stream.set_zero_linger()?;
            }
            // Without this chunk a chunked body is not over.
            End::Whole if self.chunked => stream.write_all(b"0\r\n\r\n").await?,
            _ => {}
        }
        Ok(keep)
    }

    /// What is sent as body. Sets what depends on the part that was asked for.
    fn body(&mut self) -> Vec<u8> {
        let total = self.content.len();
        let mut body = std::mem::take(&mut self.content);
        if let Some((from, to)) = self.range.filter(|_| self.status == 200) {
            if from >= total {
                self.status = 416;
                self.headers.push(("Content-Range", format!("bytes */{total}")));
                return Vec::new();
            }
            body = body[from..total.min(to.map_or(total, |to| to + 1)).max(from)].to_vec();
            body.truncate(self.cut.unwrap_or(total));
            self.status = 206;
            self.headers.push(("Content-Range", format!("bytes {from}-{}/{total}", (from + body.len()).max(1) - 1)));
        }
        body.truncate(self.cut.unwrap_or(body.len()));
        body.resize(body.len() + self.pad, 0);
        if self.gzip {
            let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
            encoder.write_all(&body).expect("gzip can write to memory");
            body = encoder.finish().expect("gzip can finish in memory");
            self.headers.push(("Content-Encoding", "gzip".to_owned()));
        }
        body
    }

    fn head(&self, length: usize, keep: bool) -> String {
        let reason = StatusCode::from_u16(self.status).ok().and_then(|status| status.canonical_reason());
        let mut head = format!("HTTP/1.1 {} {}\r\n", self.status, reason.unwrap_or("Unheard Of"));
        let announced = i64::try_from(length).expect("a length fits") + self.length_error;
        let framing = if self.chunked {
            ("Transfer-Encoding", "chunked".to_owned())
        } else {
            ("Content-Length", announced.max(0).to_string())
        };
        let closing = (!keep && self.end == End::Whole).then(|| ("Connection", "close".to_owned()));
        for (name, value) in self.headers.iter().chain([&framing]).chain(&closing) {
            let odd = |(at, c): (usize, char)| {
                if at.is_multiple_of(2) { c.to_ascii_lowercase() } else { c.to_ascii_uppercase() }
            };
            let name = if self.odd_case { name.chars().enumerate().map(odd).collect() } else { (*name).to_owned() };
            head += &format!("{name}: {value}\r\n");
        }
        head + "\r\n"
    }

    async fn send_part(&self, stream: &mut TcpStream, mut bytes: &[u8], speed: &AtomicU64) -> io::Result<()> {
        while !bytes.is_empty() {
            let (length, pause) = match (self.drip, speed.load(Relaxed)) {
                (Some(pause), _) => (1, pause),
                (None, 0) => (64 * 1024, Duration::ZERO),
                (None, speed) => (usize::try_from(speed / BEATS).expect("a speed fits").max(1), BEAT),
            };
            let (piece, rest) = bytes.split_at(length.min(bytes.len()));
            bytes = rest;
            if !pause.is_zero() {
                tokio::time::sleep(pause).await;
            }
            if self.chunked {
                let chunk = [format!("{:x}\r\n", piece.len()).as_bytes(), piece, b"\r\n"].concat();
                stream.write_all(&chunk).await?;
            } else {
                stream.write_all(piece).await?;
            }
        }
        Ok(())
    }
}

/// Says nothing until the other side has gone.
async fn until_closed(stream: &mut TcpStream) -> io::Result<bool> {
    let mut ignored = [0; 1024];
    while stream.read(&mut ignored).await? > 0 {}
    Ok(false)
}
