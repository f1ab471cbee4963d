//! Options that several verbs share, and how they become settings before any work is done.

use super::environment;
use super::printer::Printer;
use super::release;
use crate::discover::{Input, discover};
use crate::emit::REGISTRIES_D;
use crate::fetch::StoreFirst;
use crate::model::{Failure, Invalid, Plan, Platform, Platforms, Release};
use crate::push::Patience;
use crate::registry::http::{Destination, Http};
use crate::registry::{Options, Registry, proxy::Proxy, registries_d};
use crate::resolve::{Resolved, resolve};
use crate::signatures::{self, collect};
use crate::store::Pool;
use anyhow::{Context as _, Result};
use clap::{Args, ValueEnum};
use std::io::Read as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;

/// How to go on after a run that did not come to its end.
pub const AGAIN: &str = "run the same command again: what is there is not fetched twice";
/// Which platforms.
#[derive(Debug, Args)]
pub struct PlatformArgs {
    /// Keep what this platform needs, as os/architecture[/variant]; may be given several times.
    /// [default: the platform this program runs on]
    #[arg(long = "platform", value_name = "PLATFORM")]
    platforms: Vec<Platform>,
    /// Keep every platform of every index.
    #[arg(long, conflicts_with = "platforms")]
    all_platforms: bool,
    /// Leave this image out: a reference as a file names it, or its beginning and `*`; may be given
    /// several times.
    #[arg(long, value_name = "REFERENCE")]
    exclude: Vec<String>,
}

impl PlatformArgs {
    /// Discovers what inputs name, and for which platforms: those that the user gave, else those of a
    /// lock among the inputs, else the one this program runs on. What the user excludes is left out.
    pub fn discover(&self, inputs: &[Input]) -> Result<(Release, Platforms)> {
        let (mut release, platforms) = self.discover_all(inputs)?;
        self.exclude(&mut release)?;
        Ok((release, platforms))
    }

    fn discover_all(&self, inputs: &[Input]) -> Result<(Release, Platforms)> {
        let platforms = self.platforms();
        let release = discover(inputs, &platforms)?;
        let own = release
            .platforms
            .clone()
            .filter(|own| !self.all_platforms && self.platforms.is_empty() && *own != platforms);
        match own {
            // A lock says the same for all platforms, and may have come through a pipe.
            Some(own) if release.components.iter().all(|component| component.pin.is_some()) => Ok((release, own)),
            Some(own) => Ok((discover(inputs, &own)?, own)),
            None => Ok((release, platforms)),
        }
    }

    /// Leaves out what the user excludes.
    pub fn exclude(&self, release: &mut Release) -> Result<()> {
        if self.exclude.is_empty() {
            return Ok(());
        }
        let is_for = |pattern: &str, text: &str| match pattern.strip_suffix('*') {
            Some(beginning) => text.starts_with(beginning),
            None => text == pattern,
        };
        let mut unused: Vec<&String> = self.exclude.iter().collect();
        release.retain(|text| {
            unused.retain(|pattern| !is_for(pattern, text));
            !self.exclude.iter().any(|pattern| is_for(pattern, text))
        });
        if let Some(pattern) = unused.first() {
            return Err(Failure::usage(format!("`--exclude {pattern}` is for no image that the inputs name"))
                .hint("`bootc-embed list INPUT…` shows how they name them; `*` may end a REFERENCE")
                .into());
        }
        if release.components.is_empty() {
            return Err(Failure::usage("`--exclude` leaves no image").hint("exclude fewer").into());
        }
        Ok(())
    }

    /// The platforms that are wanted; none where all are.
    pub fn chosen(&self) -> Vec<Platform> {
        self.platforms().chosen().to_vec()
    }

    /// The platforms that the user gave; `None` where none.
    pub fn given(&self) -> Option<Platforms> {
        (self.all_platforms || !self.platforms.is_empty()).then(|| self.platforms())
    }

    fn platforms(&self) -> Platforms {
        if self.all_platforms {
            return Platforms::All;
        }
        let mut chosen: Vec<Platform> = Vec::new();
        for platform in &self.platforms {
            if !chosen.contains(platform) {
                chosen.push(platform.clone());
            }
        }
        if chosen.is_empty() {
            chosen.push(Platform::host());
        }
        Platforms::Some(chosen)
    }
}

/// How registries are spoken to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Transport {
    /// This program itself.
    Http,
    /// Through skopeo, for hosts that need settings which only it honours.
    Proxy,
}

/// How to reach registries.
#[derive(Debug, Args)]
pub struct RegistryArgs {
    /// Who speaks to registries.
    #[arg(long, value_enum, default_value_t = Transport::Http, help_heading = "Registries")]
    transport: Transport,
    /// File with credentials. [default: $REGISTRY_AUTH_FILE, then where podman and docker keep them]
    #[arg(long, value_name = "FILE", help_heading = "Registries")]
    authfile: Option<PathBuf>,
    /// Folder with certificates: *.crt of authorities, *.cert and *.key of the client.
    /// [default: the registry's folder in certs.d, as podman and docker have it]
    #[arg(long, value_name = "DIR", help_heading = "Registries")]
    cert_dir: Option<PathBuf>,
    /// Read this registries.conf instead of the user's or the system's.
    #[arg(long, value_name = "FILE", help_heading = "Registries")]
    registries_conf: Option<PathBuf>,
    /// Read the *.conf of this folder instead of those of registries.conf.d.
    #[arg(long, value_name = "DIR", help_heading = "Registries")]
    registries_conf_dir: Option<PathBuf>,
    /// Read the *.yaml of this folder instead of those of registries.d: where signatures are kept beside
    /// registries (`lookaside`). [default: of `embed`, that of its root; else the user's or the system's]
    #[arg(long, value_name = "DIR", help_heading = "Registries")]
    registries_d: Option<PathBuf>,
    /// Verify certificates; when false, plain HTTP is taken too where HTTPS does not answer.
    #[arg(long, value_name = "BOOL", default_value_t = true, action = clap::ArgAction::Set,
          num_args = 0..=1, require_equals = true, default_missing_value = "true", help_heading = "Registries")]
    tls_verify: bool,
    /// How many blobs at once; of manifests, which are small, twice as many.
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u16).range(1..=256),
          help_heading = "Registries")]
    jobs: u16,
    /// How often a request is repeated that failed for a passing reason: a broken or stalled
    /// connection, an overloaded registry.
    #[arg(long, value_name = "N", default_value_t = 4, value_parser = clap::value_parser!(u32).range(0..=100),
          help_heading = "Registries")]
    retries: u32,
    /// Give up after this long altogether: a number with s, m or h. [default: never]
    #[arg(long, value_name = "TIME", value_parser = super::size::parse_time, help_heading = "Registries")]
    timeout: Option<Duration>,
}

impl RegistryArgs {
    /// Whether certificates are verified.
    pub fn verifies_tls(&self) -> bool {
        self.tls_verify
    }

    /// How many requests at once.
    pub fn jobs(&self) -> usize {
        usize::from(self.jobs)
    }

    /// The files of registries.d, but for the one that `embed` writes: nothing in it matters here, and it may
    /// stand in the way of what was written later.
    fn registries_d(&self) -> Result<Vec<PathBuf>> {
        let mut files = environment::registries_d(self.registries_d.as_deref())?;
        files.retain(|file| file.file_name() != Path::new(REGISTRIES_D).file_name());
        Ok(files)
    }

    /// Reads registries.d of a root, where it has one and no other was chosen.
    pub fn look_in(&mut self, root: &Path) {
        let folder = root.join(registries_d::FOLDER);
        if self.registries_d.is_none() && folder.is_dir() {
            self.registries_d = Some(folder);
        }
    }

    /// Begins the time that the user allows.
    pub fn deadline(&self) -> Deadline {
        Deadline(self.timeout.map(|timeout| (Instant::now() + timeout, timeout)))
    }

    /// The lane that was chosen.
    pub async fn connect(&self, printer: &Printer) -> Result<Arc<dyn Registry>> {
        if self.transport == Transport::Proxy && self.registries_conf_dir.is_some() {
            return Err(Failure::usage("`--registries-conf-dir` is nothing that skopeo can be told")
                .hint("leave out `--transport proxy`, or write all into one file: `--registries-conf FILE`")
                .into());
        }
        let options = self.options()?;
        Ok(match self.transport {
            Transport::Http => Arc::new(Http::new(options, Arc::new(printer.clone()))?),
            Transport::Proxy => Arc::new(Proxy::new(options).await?),
        })
    }

    /// A registry that is written to: by this program itself whatever the lane, because skopeo keeps to itself what
    /// a registry answers.
    pub fn destination(&self, printer: &Printer) -> Result<Destination> {
        Ok(Destination::new(self.options()?, Arc::new(printer.clone()))?)
    }

    /// The same registry, only to be read.
    pub fn reader(&self, printer: &Printer) -> Result<Destination> {
        Ok(Destination::reader(self.options()?, Arc::new(printer.clone()))?)
    }

    /// How patiently a registry is asked for what it has just taken.
    pub fn patience(&self) -> Patience {
        Patience { retries: self.retries, backoff: Options::default().backoff }
    }

    fn options(&self) -> Result<Options> {
        let conf = self.registries_conf.as_deref();
        let conf = environment::registries_conf(conf, self.registries_conf_dir.as_deref())?;
        Ok(Options {
            auth: environment::auth_files(self.authfile.as_deref()),
            certs: environment::certs(self.cert_dir.as_deref()),
            proxies: environment::proxies(),
            tls_verify: self.tls_verify,
            jobs: self.jobs(),
            registries_conf: conf.files,
            chosen_conf: conf.chosen,
            registries_d: self.registries_d()?,
            lookaside: environment::lookaside(),
            retries: self.retries,
            ..Options::default()
        })
    }
}

/// When to give up, if ever.
#[derive(Debug, Clone, Copy)]
pub struct Deadline(Option<(Instant, Duration)>);

impl Deadline {
    /// Does work with registries, as long as the user allows.
    pub async fn keep<T>(self, work: impl Future<Output = Result<T>>) -> Result<T> {
        let Some((deadline, timeout)) = self.0 else { return work.await };
        tokio::time::timeout_at(deadline, work).await.unwrap_or_else(|_| {
            let text = format!("not done after {} s, the time that `--timeout` allows", timeout.as_secs());
            Err(Failure::environment(text).hint(AGAIN).into())
        })
    }
}

/// A limit on the size of the set.
#[derive(Debug, Args)]
pub struct BudgetArgs {
    /// Fail, before a blob is fetched, if the set is larger: bytes, or with kB, MB, GB, KiB, MiB, GiB.
    #[arg(long, value_name = "SIZE", value_parser = super::size::parse)]
    max_size: Option<u64>,
}

impl BudgetArgs {
    /// Fails where the set is too large.
    pub fn check(&self, plan: &Plan) -> Result<()> {
        let size = plan.size();
        match self.max_size {
            Some(most) if size > most => Err(Failure::check(format!(
                "the set has {}, the budget is {}",
                super::size::show(size),
                super::size::show(most)
            ))
            .hint("`bootc-embed plan` shows what each image takes")
            .into()),
            _ => Ok(()),
        }
    }
}

/// What is done about signatures.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Signatures {
    /// Carry those that there are.
    Auto,
    /// Fail where an instance has none that runtimes read.
    Require,
    /// Do not look for any.
    None,
}

/// What every verb that resolves takes.
#[derive(Debug, Args)]
pub struct SetArgs {
    /// Carry the signatures of images: `.sig` tags, lookaside stores, referrers.
    #[arg(long, value_enum, value_name = "WHICH", default_value_t = Signatures::Auto)]
    signatures: Signatures,
    /// How large the set may be.
    #[command(flatten)]
    pub budget: BudgetArgs,
    #[command(flatten)]
    platforms: PlatformArgs,
    /// How registries are reached.
    #[command(flatten)]
    pub registry: RegistryArgs,
}

impl SetArgs {
    /// Discovers and resolves; tells of tags. What `present` holds already is not asked for.
    pub async fn resolve(
        &self,
        inputs: &[Input],
        present: Option<Pool>,
        printer: &Printer,
    ) -> Result<(Arc<dyn Registry>, Resolved)> {
        let connect = async || self.registry.connect(printer).await;
        let inputs = release::read_inputs(inputs, &self.platforms.chosen(), connect).await?;
        let (release, platforms) = self.platforms.discover(&inputs)?;
        warn_of_unusable(&release, printer);
        let mut lane = self.registry.connect(printer).await?;
        if let Some(pool) = present {
            lane = Arc::new(StoreFirst { pool, registry: lane });
        }
        let jobs = self.registry.jobs();
        let mut resolved = resolve(&release, &platforms, lane.as_ref(), jobs, printer).await?;
        if self.signatures != Signatures::None {
            let Resolved { plan, content } = &mut resolved;
            collect(plan, content, lane.as_ref(), jobs, printer).await?;
        }
        self.require_signatures(&resolved.plan)?;
        warn_of_moving_targets(&resolved.plan, printer);
        Ok((lane, resolved))
    }
}

impl SetArgs {
    /// Fails where the user wants signatures that are not there.
    pub fn require_signatures(&self, plan: &Plan) -> Result<()> {
        if self.signatures == Signatures::Require { signatures::require(plan) } else { Ok(()) }
    }

    /// Whether signatures are carried.
    pub fn carries_signatures(&self) -> bool {
        self.signatures != Signatures::None
    }
}

/// Reads inputs as the user wrote them.
pub fn inputs(texts: &[String]) -> Vec<Input> {
    texts.iter().map(|text| Input::parse(text)).collect()
}

/// Reads a lock that the user named.
pub fn read_lock(path: &Path) -> Result<Plan> {
    let read = || -> Result<Plan> {
        let mut bytes = Vec::new();
        let file = std::fs::File::open(path).map_err(|e| {
            Failure::usage("it cannot be opened").because(e).hint("`bootc-embed plan INPUT… -o LOCK` makes one")
        })?;
        file.take(crate::store::MAX_LOCK_SIZE).read_to_end(&mut bytes)?;
        Ok(crate::store::parse_lock(&bytes)?)
    };
    read().with_context(|| format!("reading lock `{}`", path.display()))
}

/// Tells of what stands where references should be, and of files that could not be read.
pub fn warn_of_unusable(release: &Release, printer: &Printer) {
    for Invalid { text, origin, cause, hint } in &release.invalid {
        // Most causes begin with the text.
        let text = if cause.contains(text) { String::new() } else { format!("`{text}`: ") };
        printer.warn(&format!("{origin}: {text}{cause}; {hint}"));
    }
    for (file, cause) in &release.unreadable {
        printer.warn(&format!("`{file}` cannot be read whole: {cause}"));
    }
}

/// Tells of references that a registry, or a runtime, may answer differently tomorrow.
fn warn_of_moving_targets(plan: &Plan, printer: &Printer) {
    for image in plan.images.iter().filter(|image| image.moving) {
        printer.warn(&format!(
            "`{}` is a tag, pinned to {} in the lock; a runtime may look for a newer image",
            image.reference, image.manifest.digest
        ));
    }
}
