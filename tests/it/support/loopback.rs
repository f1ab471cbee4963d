//! Servers of this process: each has a port of loopback, a thread and a runtime, and ends when it is dropped.

use std::net::TcpListener;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

/// A running server. It ends with this value, and every connection with it.
pub struct Loopback {
    stop: Option<oneshot::Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Loopback {
    /// A port of the kernel's choice, and its address as references write it.
    ///
    /// # Panics
    /// If loopback has no free port.
    pub fn listen() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        listener.set_nonblocking(true).expect("a listener can be made non-blocking");
        let address = listener.local_addr().expect("a listener has an address").to_string();
        (listener, address)
    }

    /// Runs a server on a port. The connections must be tasks of the runtime that it is called in.
    pub fn serve<S, F>(listener: TcpListener, server: S) -> Self
    where
        S: FnOnce(tokio::net::TcpListener) -> F + Send + 'static,
        F: Future<Output = ()>,
    {
        let (stop, stopped) = oneshot::channel::<()>();
        let thread = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            // Connections are tasks of this runtime, so they end with it.
            runtime.expect("a runtime can be made").block_on(async {
                let listener = tokio::net::TcpListener::from_std(listener).expect("the listener is usable");
                tokio::select! {
                    () = server(listener) => {}
                    _ = stopped => {}
                }
            });
        });
        Self { stop: Some(stop), thread: Some(thread) }
    }
}

impl Drop for Loopback {
    fn drop(&mut self) {
        drop(self.stop.take());
        if let Some(thread) = self.thread.take() {
            // A panic in there was printed by its own thread.
            let _ = thread.join();
        }
    }
}
