//! A web server for a folder, on loopback.

use std::path::Path;
use tower_http::services::ServeDir;

/// The server; it stops when this is dropped.
pub struct Files {
    address: String,
    stop: Option<tokio::sync::oneshot::Sender<()>>,
    thread: Option<std::thread::JoinHandle<()>>,
}

/// Serves a folder.
pub fn serve(folder: &Path) -> Files {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
    listener.set_nonblocking(true).expect("a listener can be made non-blocking");
    let address = format!("http://{}", listener.local_addr().expect("a listener has an address"));
    let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
    let app = axum::Router::new().fallback_service(ServeDir::new(folder));
    let thread = std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
        runtime.expect("a runtime can be made").block_on(async {
            let listener = tokio::net::TcpListener::from_std(listener).expect("the listener is usable");
            tokio::select! {
                served = axum::serve(listener, app) => served.expect("files can be served"),
                _ = stopped => {}
            }
        });
    });
    Files { address, stop: Some(stop), thread: Some(thread) }
}

impl Files {
    /// `http://host:port`.
    pub fn address(&self) -> &str {
        &self.address
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed by its own thread.
            let _ = thread.join();
        }
    }
}
