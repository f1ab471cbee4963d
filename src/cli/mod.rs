//! Layer 1, talk: what the user types, sees and gets back. The only layer that prints or reads the
//! environment. One file a verb; each composes stages.

mod args;
mod device;
mod embed;
mod emit;
mod environment;
mod errors;
mod explain;
mod fetch;
#[cfg(feature = "openshift")]
mod image_stream;
mod install;
mod interrupt;
mod list;
mod mirror;
mod output;
mod output_file;
mod plan;
mod printer;
mod prune_release;
mod push;
mod release;
mod report;
mod serve;
mod size;
mod validate;

use crate::model::Failure;
use clap::{CommandFactory as _, Parser, Subcommand, ValueEnum};
use printer::Printer;
use std::ffi::OsString;
use std::process::ExitCode;

pub use list::ListReport;
pub use plan::PlanReport;
pub use prune_release::PruneOutput;
pub use push::PushOutput;

/// Embed container images in a bootc image: indexes byte for byte, native layers only, every blob once.
#[derive(Debug, Parser)]
#[command(name = "bootc-embed", version, max_term_width = 100, after_help = after_help())]
struct Cli {
    /// How results are printed on standard output.
    #[arg(long, value_enum, default_value_t = Format::Text, global = true)]
    format: Format,
    /// Say nothing on standard error but errors.
    #[arg(long, short, global = true)]
    quiet: bool,
    #[command(subcommand)]
    verb: Verb,
}

/// What stands below the options.
fn after_help() -> String {
    let openshift = if cfg!(feature = "openshift") { ",\nKUBECONFIG (how to reach a cluster)" } else { "" };
    format!("{INPUTS}\n\n{ENVIRONMENT}{openshift}.\n\n{EXIT_CODES}")
}

const INPUTS: &str = "\
Inputs are told apart by what they are; force one with KIND:PATH, where KIND is rpm, release-info,
rootfs, manifests, quadlets, image-references, release, list, blueprint, image or lock.";

const ENVIRONMENT: &str = "\
Environment: REGISTRY_AUTH_FILE (credentials), SOURCE_DATE_EPOCH (times of written files),
CONTAINERS_REGISTRIES_CONF, XDG_RUNTIME_DIR, XDG_CONFIG_HOME, DOCKER_CONFIG, HOME (where settings are
looked for), PATH (credential helpers, skopeo), HTTPS_PROXY, HTTP_PROXY, NO_PROXY, NO_COLOR";

const EXIT_CODES: &str = "\
Exit codes: 0 done, 1 a check failed or a budget was exceeded, 2 usage, 3 the environment failed,
130 or 143 interrupted by SIGINT or SIGTERM.";

/// How results are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Format {
    /// For people.
    Text,
    /// For programs; fields are only ever added.
    Json,
    /// One page that shows everything; of `validate` only.
    Html,
    /// For CI systems, JUnit's XML; of `validate` only.
    Junit,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Discover, resolve, fetch and emit into a root: the main job.
    Embed(embed::Args),
    /// Show which images would be embedded, and which file asks for each.
    List(list::Args),
    /// Resolve only: sizes, shared bytes, bytes saved; writes the lock with -o.
    Plan(plan::Args),
    /// Fill a store, and nothing else.
    Fetch(fetch::Args),
    /// Print or write the files that go with a store.
    Emit(emit::Args),
    /// Say whether an image, a root or a store will start offline, and why not.
    Validate(validate::Args),
    /// Say step by step whether a reference starts without a network on a root, and why not.
    Explain(explain::Args),
    /// Push a set to a registry, and prove what it serves.
    Push(push::Args),
    /// Build a release of OpenShift that carries only some architectures, push it, and prove what the registry serves.
    PruneRelease(prune_release::Args),
    /// Serve a store or an OCI layout as a read-only registry.
    Serve(serve::Args),
}

/// The command line as clap knows it: for man pages, completions and their test.
pub fn command() -> clap::Command {
    Cli::command()
}

/// Runs the program on a command line, its own name first.
pub fn run(arguments: impl IntoIterator<Item = impl Into<OsString> + Clone>) -> ExitCode {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(e) => {
            // Help and versions come this way too, with exit code 0. If nobody reads them, so be it.
            let _ = e.print();
            return ExitCode::from(u8::try_from(e.exit_code()).unwrap_or(2));
        }
    };
    let printer = Printer::new(cli.format, cli.quiet);
    if matches!(cli.format, Format::Html | Format::Junit) && !matches!(cli.verb, Verb::Validate(_)) {
        let e = Failure::usage("only `validate` prints this format").hint("use `--format text` or `--format json`");
        return errors::report(&printer, &e.into());
    }
    let runtime = match tokio::runtime::Runtime::new() {
        Ok(runtime) => runtime,
        Err(e) => return errors::report(&printer, &anyhow::Error::from(e).context("starting")),
    };
    let (ended, interrupted) = tokio::sync::oneshot::channel();
    runtime.spawn(interrupt::watch(printer.clone(), ended));
    let work = async {
        match cli.verb {
            Verb::Embed(args) => embed::run(args, &printer).await,
            Verb::List(args) => list::run(&args, &printer).await,
            Verb::Plan(args) => plan::run(args, &printer).await,
            Verb::Fetch(args) => fetch::run(args, &printer).await,
            Verb::Emit(args) => emit::run(&args, &printer).await,
            Verb::Validate(args) => validate::run(args, &printer).await,
            Verb::Explain(args) => explain::run(&args, &printer),
            Verb::Push(args) => Box::pin(push::run(args, &printer)).await,
            Verb::PruneRelease(args) => Box::pin(prune_release::run(args, &printer)).await,
            Verb::Serve(args) => serve::run(&args, &printer).await,
        }
    };
    let code = runtime.block_on(async {
        tokio::select! {
            done = work => done.map_or_else(|e| errors::report(&printer, &e), |()| ExitCode::SUCCESS),
            Ok(code) = interrupted => ExitCode::from(code),
        }
    });
    // Nothing that is still under way matters any more.
    runtime.shutdown_background();
    code
}
