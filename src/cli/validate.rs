//! `validate`: says whether a target will start offline, and why not.

use super::args::{PlatformArgs, RegistryArgs, inputs};
use super::device::{DeviceFiles, Evidence, NamedPolicy, PolicyArgs, key_places, policy_of};
use super::embed::templates;
use super::printer::Printer;
use super::report::{format_of, headline, render};
use super::{Format, environment};
use crate::discover::{discover, discover_root, missing_of_root, require_some, root_wanted};
use crate::emit::{Content, IMPORT_POLICY, Kind, Known, Templates, emit};
use crate::model::finding::Outcome;
use crate::model::plan::LOCK_VERSION;
use crate::model::{Failure, Finding, Plan, Platform, Platforms, Release, Report, Severity, Tree};
use crate::store::{IMAGE_LIST, LOCK, lock_missing, parse_lock};
use crate::target::docker_archive::DockerArchive;
use crate::target::image::{self, Source};
use crate::target::layout::Layout;
use crate::target::local::Local;
use crate::target::remote::Remote;
use crate::target::storage::{self, Storage};
use crate::target::{Keep, Target, Wanted, folder};
use crate::trust::Policy;
use crate::validate::{CHECKS, Check, DEFAULT_PLACES, MAPPING, SECRET_NAMES, Subject, missing_programs, run as judge};
use anyhow::{Context as _, Result};
use cap_std_ext::cap_std::ambient_authority;
use cap_std_ext::cap_std::fs::Dir;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

/// Say whether a target will start offline, and why not.
#[derive(Debug, clap::Args)]
pub struct Args {
    /// rootfs:DIR, store:DIR, storage:DIR, oci:DIR, oci-archive:FILE, docker-archive:FILE,
    /// containers-storage:NAME, docker://NAME, or a folder.
    #[arg(default_value = "rootfs:/", hide_default_value = false)]
    target: String,
    /// What else must be embedded: an RPM, a release-info file, manifests, a reference, …
    inputs: Vec<String>,
    /// Folder with embedded images, inside of the target; may be given several times.
    /// [default: /usr/lib/bootc-embed and the folders of MicroShift's recipes]
    #[arg(long, value_name = "DIR")]
    store: Vec<String>,
    /// Show the checks, and make none.
    #[arg(long)]
    list: bool,
    /// Leave a check out; may be given several times.
    #[arg(long, value_name = "CHECK", value_parser = check_names())]
    skip: Vec<String>,
    /// Make this check only; may be given several times.
    #[arg(long, value_name = "CHECK", value_parser = check_names(), conflicts_with = "skip")]
    only: Vec<String>,
    /// Fail for warnings too.
    #[arg(long)]
    fatal_warnings: bool,
    /// Fail if the embedded images are larger: bytes, or with kB, MB, GB, KiB, MiB, GiB.
    #[arg(long, value_name = "SIZE", value_parser = super::size::parse)]
    max_size: Option<u64>,
    #[command(flatten)]
    policy: PolicyArgs,
    /// Folder with the templates that the import script was made with, where it is not the built-in one.
    #[arg(long, value_name = "DIR")]
    template_dir: Option<PathBuf>,
    /// Write the report to a file too; its name decides the format: .html, .xml (JUnit), .json, .txt.
    #[arg(long, value_name = "FILE")]
    report: Vec<PathBuf>,
    #[command(flatten)]
    platforms: PlatformArgs,
    #[command(flatten)]
    registry: RegistryArgs,
}

fn check_names() -> clap::builder::PossibleValuesParser {
    CHECKS.iter().map(|check| check.name).collect::<Vec<_>>().into()
}

/// Runs the verb.
pub async fn run(args: Args, printer: &Printer) -> Result<()> {
    if args.list {
        return list(printer);
    }
    let formats: Vec<Format> = args.report.iter().map(|path| format_of(path)).collect::<Result<_>>()?;
    let target: Target = args.target.parse()?;
    let report = validate(&args, &target, printer).await.with_context(|| format!("validating {target}"))?;
    for (path, format) in args.report.iter().zip(formats) {
        let text = render(&report, format, false)?;
        write_report(path, &text)?;
    }
    printer.data(&render(&report, printer.format(), printer.colours_data())?)?;
    conclude(&report, args.fatal_warnings)
}

/// Writes a report; it appears whole or not at all, and with the time of everything that is shipped.
fn write_report(path: &Path, text: &str) -> Result<()> {
    let mtime = environment::source_date_epoch()?;
    super::output::write(path, text.as_bytes(), Some(mtime)).map_err(|e| {
        let failure = Failure::environment(format!("writing the report `{}`", path.display())).because(e);
        failure.hint("choose a folder that is there, with room, and that you may write to").into()
    })
}

/// The checks, for people and programs.
fn list(printer: &Printer) -> Result<()> {
    let rows: Vec<_> = CHECKS
        .iter()
        .map(|check| serde_json::json!({ "name": check.name, "severity": check.severity, "description": check.description }))
        .collect();
    printer.result(&rows, |_| {
        let word = |severity| if severity == Severity::Error { "error  " } else { "warning" };
        let row = |check: &Check| format!("{:20} {} {}\n", check.name, word(check.severity), check.description);
        CHECKS.iter().map(row).collect()
    })
}

/// The exit code: an error stops before what could not be checked, that before warnings.
pub fn conclude(report: &Report, fatal_warnings: bool) -> Result<()> {
    let count = |severity| report.findings.iter().filter(|finding: &&Finding| finding.severity == severity).count();
    let (errors, warnings) = (count(Severity::Error), count(Severity::Warning));
    let words = |count: usize, what: &str| format!("{count} {what}{}", if count == 1 { "" } else { "s" });
    if errors > 0 || (fatal_warnings && warnings > 0) {
        let found = if errors > 0 {
            format!("{}: {}", headline(report), words(errors, "error"))
        } else {
            format!("{}, and `--fatal-warnings` counts them", words(warnings, "warning"))
        };
        return Err(Failure::check(found)
            .hint("each finding says what to do; `--report FILE.html` keeps them to read or to hand on")
            .into());
    }
    let could_not = report.checks.iter().filter(|check| check.outcome == Outcome::CouldNotCheck).count();
    if could_not > 0 {
        let message = format!("{} could not be made", words(could_not, "check"));
        return Err(Failure::environment(message)
            .hint("`--skip CHECK` leaves one out; nothing is proven by it then")
            .into());
    }
    Ok(())
}

async fn validate(args: &Args, target: &Target, printer: &Printer) -> Result<Report> {
    let given = args.platforms.given();
    let named = args.policy.read()?;
    let chosen = |check: &Check| {
        let listed = |names: &[String]| names.iter().any(|name| name == check.name);
        if args.only.is_empty() { !listed(&args.skip) } else { listed(&args.only) }
    };
    let (storage, tree);
    let mut judged = match target {
        Target::Storage(path) => {
            if args.inputs.is_empty() {
                return Err(Failure::usage("a containers-storage does not say what must be in it")
                    .hint("name what does: a release-info RPM, manifests, a lock, references, …")
                    .into());
            }
            storage = storage::read(&open(path)?)?;
            Judged::storage(&storage, given)
        }
        Target::Store(path) => {
            tree = folder::read(&open(path)?, &Wanted::default().place("", Keep::Blob), printer)?;
            let judged = Judged::store(&tree, "", given);
            if judged.required.components.is_empty() && args.inputs.is_empty() {
                return Err(lock_missing(path));
            }
            judged
        }
        _ => {
            let (read, own) = read_system(args, target, named.as_ref(), printer).await?;
            tree = read;
            Judged::system(&tree, &args.store, given, own)?
        }
    };
    if !args.inputs.is_empty() {
        let inputs = discover(&inputs(&args.inputs), &judged.platforms)?;
        if judged.is_system {
            judged.required.merge(inputs);
        } else {
            // What the user names is what must be there, whatever the lock says.
            judged.required = inputs;
        }
    }
    let names = |release: &Release| -> BTreeSet<String> {
        release.components.iter().map(|component| component.reference.to_string()).collect()
    };
    let all = names(&judged.required);
    args.platforms.exclude(&mut judged.required)?;
    judged.excluded = all.difference(&names(&judged.required)).cloned().collect();
    require_some(&judged.required)?;
    let templates = templates(args.template_dir.as_deref())?;
    let evidence = Evidence::of(judged.tree, judged.is_system, named);
    Ok(judge(&judged.subject(target.to_string(), args.max_size, &templates, &evidence), chosen))
}

/// Where embedded sets are looked for in a system.
fn places(stores: &[String]) -> Vec<String> {
    let mut places: Vec<String> = stores.iter().map(|store| store.trim_matches('/').to_owned()).collect();
    places.extend(DEFAULT_PLACES.map(str::to_owned));
    places
}

/// How often units of a root may lead to files that were not read with it.
const MAX_ROUNDS: usize = 3;

/// What is wanted of a whole system: first what is always read, then what was found to be needed.
struct Rounds {
    stores: Vec<String>,
    /// Keys of a policy that the user named.
    keys: Vec<String>,
    wanted: Wanted,
    asked: BTreeSet<String>,
    left: usize,
}

impl Rounds {
    fn new(stores: &[String], named: Option<&NamedPolicy>) -> Self {
        let keys = named.map(|named| key_places(&named.policy)).unwrap_or_default();
        Self { stores: stores.to_vec(), keys, wanted: wanted(stores), asked: BTreeSet::new(), left: MAX_ROUNDS }
    }

    /// Whether units or settings lead to files that were not read: then the target is read once more.
    fn is_again(&mut self, tree: &Tree) -> bool {
        let mut missing = missing_of_root(tree);
        missing.extend(missing_programs(tree, &places(&self.stores)));
        let policy = policy_of(tree).map(|own| key_places(&own.policy)).unwrap_or_default();
        let keys = self.keys.iter().cloned().chain(policy).chain(import_keys(tree));
        missing.extend(keys.filter(|path| tree.get(path).is_none()));
        // What was asked for before is not there.
        missing.retain(|path| self.asked.insert(path.clone()));
        self.left = self.left.saturating_sub(1);
        let wanted = std::mem::take(&mut self.wanted);
        self.wanted = missing.iter().fold(wanted, |wanted, path| wanted.place(path, Keep::Text));
        self.left > 0 && !missing.is_empty()
    }
}

/// The keys of the policy that the import obeys.
fn import_keys(tree: &Tree) -> Vec<String> {
    let policy = tree.bytes(IMPORT_POLICY).and_then(|bytes| Policy::parse(bytes).ok());
    policy.map(|policy| key_places(&policy)).unwrap_or_default()
}

/// Reads a whole system from a folder, with the keys of a policy that the user named.
pub fn read_root(root: &Dir, stores: &[String], named: Option<&NamedPolicy>, printer: &Printer) -> Result<Tree> {
    let mut rounds = Rounds::new(stores, named);
    loop {
        let tree = folder::read(root, &rounds.wanted, printer)?;
        if !rounds.is_again(&tree) {
            return Ok(tree);
        }
    }
}

/// Reads the files of a whole system, and the platform that it is for, where it says so.
async fn read_system(
    args: &Args,
    target: &Target,
    named: Option<&NamedPolicy>,
    printer: &Printer,
) -> Result<(Tree, Option<Platforms>)> {
    if let Target::Rootfs(path) = target {
        return Ok((read_root(&open(path)?, &args.store, named, printer)?, None));
    }
    let mut rounds = Rounds::new(&args.store, named);
    loop {
        let (tree, platforms) = read_image(args, target, &rounds.wanted, printer).await?;
        if !rounds.is_again(&tree) {
            return Ok((tree, platforms));
        }
    }
}

async fn read_image(
    args: &Args,
    target: &Target,
    wanted: &Wanted,
    printer: &Printer,
) -> Result<(Tree, Option<Platforms>)> {
    let lane;
    let source: Box<dyn Source + '_> = match target {
        Target::Rootfs(_) | Target::Store(_) | Target::Storage(_) => {
            return Err(Failure::usage("this target is no image").into());
        }
        Target::Oci(name) => Box::new(Layout::folder(name)?),
        Target::OciArchive(name) => Box::new(Layout::archive(name)?),
        Target::DockerArchive { path, reference } => Box::new(DockerArchive::open(path, reference.as_deref())?),
        Target::ContainersStorage(name) => Box::new(Local::new(name).await?),
        Target::Docker(reference) => {
            lane = args.registry.connect(printer).await?;
            Box::new(Remote::new(lane.as_ref(), reference))
        }
    };
    let platform = match args.platforms.given() {
        Some(Platforms::Some(platforms)) => platforms.into_iter().next(),
        _ => None,
    };
    let platform = platform.unwrap_or_else(Platform::host);
    let read = async { Ok(image::read(source.as_ref(), wanted, &platform, printer).await?) };
    let image = args.registry.deadline().keep(read).await?;
    Ok((image.tree, Some(Platforms::Some(vec![image.platform]))))
}

/// Opens a folder that the user named.
pub fn open(path: &Path) -> Result<Dir> {
    Dir::open_ambient_dir(path, ambient_authority()).map_err(|e| {
        let failure = Failure::usage(format!("the folder `{}` cannot be opened", path.display())).because(e);
        failure.hint("check the path").into()
    })
}

/// What is read of a whole system.
fn wanted(stores: &[String]) -> Wanted {
    let wanted = root_wanted(Wanted::default());
    let wanted = places(stores).iter().fold(wanted, |wanted, place| wanted.place(place, Keep::Blob));
    let texts = ["etc/systemd/system", "usr/local/lib/systemd/system", "usr/lib/systemd/system"];
    let texts = texts.into_iter().chain([
        "etc/containers",
        "root/.config/containers/policy.json",
        "usr/share/containers",
        "usr/libexec/bootc-embed",
        "usr/share/bootc-embed",
        "usr/bin/microshift-copy-images",
    ]);
    let wanted = texts.fold(wanted, |wanted, place| wanted.place(place, Keep::Text));
    let names = ["usr/bin/skopeo", "usr/local/bin/skopeo", "usr/bin/crio", "usr/bin/microshift"];
    let wanted = names.iter().fold(wanted, |wanted, place| wanted.place(place, Keep::Name));
    SECRET_NAMES.iter().fold(wanted, |wanted, name| wanted.name(name))
}

/// What a containers-storage has of files that checks read.
static NO_FILES: LazyLock<Tree> = LazyLock::new(Tree::default);

/// What is judged, and what is needed to judge it.
pub struct Judged<'a> {
    tree: &'a Tree,
    storage: Option<&'a Storage>,
    is_system: bool,
    places: Vec<String>,
    required: Release,
    excluded: Vec<String>,
    platforms: Platforms,
}

impl<'a> Judged<'a> {
    /// A whole system. `stores` are places that the user named; `given` the platforms that the user
    /// gave, `own` those that the target says it is for. Those of a lock stand between the two.
    pub fn system(tree: &'a Tree, stores: &[String], given: Option<Platforms>, own: Option<Platforms>) -> Result<Self> {
        let places = places(stores);
        let platforms = given.or_else(|| Some(locks(tree, &places).first()?.platforms())).or(own);
        let platforms = platforms.unwrap_or_else(|| Platforms::Some(vec![Platform::host()]));
        let empty = stores.iter().find(|store| {
            let at = |name: &str| tree.resolve(&format!("{}/{name}", store.trim_matches('/'))).is_some();
            ![LOCK, IMAGE_LIST, MAPPING].into_iter().any(at)
        });
        if let Some(store) = empty {
            return Err(Failure::usage(format!("nothing is embedded in `{store}`"))
                .hint("`--store` names a folder inside of the target that has an `image-list.txt`")
                .into());
        }
        let required = discover_root(tree, &platforms)?;
        Ok(Self { tree, storage: None, is_system: true, places, required, excluded: Vec::new(), platforms })
    }

    /// A store alone, at a place of the tree; its lock says what must be there.
    fn store(tree: &'a Tree, place: &str, given: Option<Platforms>) -> Self {
        let places = vec![place.to_owned()];
        let locks = locks(tree, &places);
        let platforms = given.or_else(|| Some(locks.first()?.platforms()));
        let platforms = platforms.unwrap_or_else(|| Platforms::Some(vec![Platform::host()]));
        let mut required = Release::default();
        for plan in &locks {
            required.merge(Release::from(plan));
        }
        Self { tree, storage: None, is_system: false, places, required, excluded: Vec::new(), platforms }
    }

    /// A containers-storage; what must be there is still to be said.
    fn storage(storage: &'a Storage, given: Option<Platforms>) -> Self {
        let platforms = given.unwrap_or_else(|| Platforms::Some(vec![Platform::host()]));
        let (places, required) = (Vec::new(), Release::default());
        Self {
            tree: &NO_FILES,
            storage: Some(storage),
            is_system: false,
            places,
            required,
            excluded: Vec::new(),
            platforms,
        }
    }

    /// What the checks take.
    pub fn subject<'s>(
        &'s self,
        name: String,
        max_size: Option<u64>,
        templates: &Templates,
        evidence: &'s Evidence<'_>,
    ) -> Subject<'s> {
        let Self { tree, storage, is_system, required, .. } = self;
        let (places, platforms, excluded) = (self.places.clone(), self.platforms.clone(), self.excluded.clone());
        let scripts = places.iter().filter_map(|place| import_script(place, templates)).collect();
        Subject {
            name,
            tree,
            storage: *storage,
            is_system: *is_system,
            places,
            required,
            platforms,
            excluded,
            scripts,
            max_size,
            policy: evidence.policy(),
            means: evidence.means(),
            may_run_skopeo: true,
        }
    }
}

/// The import script that these templates give for a store.
fn import_script(place: &str, templates: &Templates) -> Option<String> {
    let nothing = Plan { version: LOCK_VERSION, platforms: Vec::new(), images: Vec::new() };
    let emitted = emit(Kind::ImportUnit, &nothing, place, templates, &Known::default()).ok()?;
    emitted.outputs.into_iter().find_map(|output| match output.content {
        Content::File(text, 0o755) => Some(text),
        _ => None,
    })
}

/// The locks at some places.
fn locks(tree: &Tree, places: &[String]) -> Vec<Plan> {
    let locks = places.iter().filter_map(|place| {
        let path = if place.is_empty() { LOCK.to_owned() } else { format!("{place}/{LOCK}") };
        parse_lock(tree.bytes(&path)?).ok()
    });
    locks.collect()
}

/// Judges what `embed` has just made. A root that is no whole system, such as the folder that a later
/// stage copies, is judged for what is in its store; what needs the system is left to `validate`.
pub fn prove(
    root: &Dir,
    name: String,
    store: &str,
    plan: &Plan,
    templates: &Templates,
    device: &DeviceFiles,
    printer: &Printer,
) -> Result<Report> {
    let is_system = ["usr/lib/os-release", "etc/os-release"].iter().any(|path| root.exists(path));
    let place = store.trim_matches('/').to_owned();
    let tree = if is_system {
        read_root(root, std::slice::from_ref(&place), device.policy.as_ref(), printer)?
    } else {
        let wanted = Wanted::default().place(&place, Keep::Blob).place(IMPORT_POLICY, Keep::Text);
        folder::read(root, &wanted, printer)?
    };
    let mut judged = if is_system {
        Judged::system(&tree, &[place], Some(plan.platforms()), None)?
    } else {
        Judged::store(&tree, &place, Some(plan.platforms()))
    };
    judged.required.merge(Release::from(plan));
    let evidence = device.evidence();
    Ok(judge(&judged.subject(name, None, templates, &evidence), |_| true))
}
