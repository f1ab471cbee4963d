//! A registry that is far away: a TCP proxy that holds every byte for half a round trip, in both directions, and
//! what a client sends first for one more round trip, which is what opening a connection takes. Bandwidth is not
//! limited.

use bytes::{Bytes, BytesMut};
use std::time::Duration;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

/// There and back.
pub const ROUND_TRIP: Duration = Duration::from_millis(40);
/// What is read at once.
const CHUNK: usize = 64 * 1024;
/// How many chunks may be under way on a connection: far more than one has in half a round trip.
const UNDER_WAY: usize = 1024;

/// A running proxy. It ends with this value.
pub struct Proxy {
    address: String,
    _runtime: Runtime,
}

impl Proxy {
    /// Starts a proxy before a server, on a port of the kernel's choice.
    pub fn before(server: &str) -> Self {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
        let runtime = runtime.expect("start an async runtime");
        let listener = runtime.block_on(TcpListener::bind("127.0.0.1:0")).expect("listen on loopback");
        let address = listener.local_addr().expect("a listener has an address").to_string();
        let server = server.to_owned();
        runtime.spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(connect(client, server.clone()));
            }
        });
        Self { address, _runtime: runtime }
    }

    /// `address:port`, as it stands in references.
    pub fn host(&self) -> &str {
        &self.address
    }
}

async fn connect(client: TcpStream, server: String) {
    let opened = Instant::now() + ROUND_TRIP;
    let Ok(server) = TcpStream::connect(server).await else { return };
    if client.set_nodelay(true).and_then(|()| server.set_nodelay(true)).is_err() {
        return;
    }
    let (from_client, to_client) = client.into_split();
    let (from_server, to_server) = server.into_split();
    carry(from_client, to_server, opened);
    carry(from_server, to_client, opened);
}

/// Carries one direction until it is closed. Nothing arrives before the connection is open.
fn carry(mut from: OwnedReadHalf, mut to: OwnedWriteHalf, opened: Instant) {
    let (sender, mut receiver) = mpsc::channel::<(Instant, Bytes)>(UNDER_WAY);
    tokio::spawn(async move {
        loop {
            let mut chunk = BytesMut::with_capacity(CHUNK);
            if !matches!(from.read_buf(&mut chunk).await, Ok(count) if count > 0) {
                return;
            }
            let due = Instant::now().max(opened) + ROUND_TRIP / 2;
            if sender.send((due, chunk.freeze())).await.is_err() {
                return;
            }
        }
    });
    tokio::spawn(async move {
        while let Some((due, chunk)) = receiver.recv().await {
            sleep_until(due).await;
            if to.write_all(&chunk).await.is_err() {
                return;
            }
        }
    });
}
