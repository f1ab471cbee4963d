//! A proxy that tunnels: whoever is asked for, one server answers.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::thread;

/// A proxy on loopback; it listens until the tests end.
pub struct Tunnel {
    address: String,
    heads: Arc<Mutex<Vec<String>>>,
}

impl Tunnel {
    /// Leads to a server, given as `address:port`.
    ///
    /// # Panics
    /// If loopback has no free port.
    pub fn to(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("a listener has an address").to_string();
        let heads = Arc::new(Mutex::new(Vec::new()));
        let (server, log) = (server.to_owned(), heads.clone());
        thread::spawn(move || {
            for client in listener.incoming().flatten() {
                let (server, log) = (server.clone(), log.clone());
                // A client that goes away is the end of its tunnel and no failure.
                thread::spawn(move || lead(client, &server, &log).ok());
            }
        });
        Self { address, heads }
    }

    /// Where it listens, as `address:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// What was asked since the last time: line and headers.
    ///
    /// # Panics
    /// If a tunnel panicked.
    pub fn take_heads(&self) -> Vec<String> {
        std::mem::take(&mut self.heads.lock().expect("no panic while locked"))
    }
}

fn lead(mut client: TcpStream, server: &str, log: &Mutex<Vec<String>>) -> io::Result<()> {
    let (mut head, mut byte) = (Vec::new(), [0]);
    while !head.ends_with(b"\r\n\r\n") {
        client.read_exact(&mut byte)?;
        head.extend(byte);
    }
    let head = String::from_utf8_lossy(&head).into_owned();
    let tunnels = head.starts_with("CONNECT ");
    log.lock().expect("no panic while locked").push(head);
    if !tunnels {
        return client.write_all(b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n");
    }
    let mut server = TcpStream::connect(server)?;
    client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    let (mut from_client, mut to_server) = (client.try_clone()?, server.try_clone()?);
    let up = thread::spawn(move || {
        let _ = io::copy(&mut from_client, &mut to_server);
        to_server.shutdown(Shutdown::Write)
    });
    let _ = io::copy(&mut server, &mut client);
    client.shutdown(Shutdown::Both)?;
    // A panic in there was printed by its own thread.
    let _ = up.join();
    Ok(())
}
