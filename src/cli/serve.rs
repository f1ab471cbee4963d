//! `serve`: a store or an OCI layout as a read-only registry.

use super::args::read_lock;
use super::printer::Printer;
use crate::model::Failure;
use crate::serve::{Content, serve};
use crate::store::{LOCK, lock_missing};
use anyhow::{Context as _, Result};
use std::path::{Path, PathBuf};
use tokio::net::TcpListener;

/// Serve a store or an OCI layout as a read-only registry.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// The layout, as oci:DIR.
    #[arg(value_name = "oci:DIR", required_unless_present = "store")]
    layout: Option<String>,
    /// The store.
    #[arg(long, value_name = "DIR", conflicts_with = "layout")]
    store: Option<PathBuf>,
    /// Address and port; port 0 lets the system choose. Nothing asks who connects.
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:5000")]
    listen: String,
}

/// Runs the verb until it is interrupted. Prints the address, once it answers there.
pub async fn run(args: &Args, printer: &Printer) -> Result<()> {
    let content = match (&args.store, &args.layout) {
        (Some(store), _) if !store.join(LOCK).exists() => return Err(lock_missing(store)),
        (Some(store), _) => Content::of_store(store, &read_lock(&store.join(LOCK))?),
        (None, layout) => {
            let layout = layout.as_deref().unwrap_or_default();
            let Some(dir) = layout.strip_prefix("oci:") else {
                return Err(Failure::usage(format!("`{layout}` is no layout"))
                    .hint("write `oci:DIR`, or `--store DIR`")
                    .into());
            };
            Content::of_layout(Path::new(dir))?
        }
    };
    for name in content.repositories() {
        printer.say(&format!("serving {name}"));
    }
    let listener =
        TcpListener::bind(args.listen.as_str()).await.with_context(|| format!("listening on {}", args.listen))?;
    printer.data(&format!("http://{}\n", listener.local_addr()?))?;
    let interrupted = async {
        // Without a handler the program ends at once, which is as good.
        let _ = tokio::signal::ctrl_c().await;
    };
    serve(content, listener, interrupted).await
}
