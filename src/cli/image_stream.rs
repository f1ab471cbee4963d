//! `--image-stream`: after a push into OpenShift's own registry, tags of image streams are refreshed.

use super::environment;
use super::printer::Printer;
use crate::cluster::{Access, Cluster, Import, Imported, Patience};
use crate::model::{Digest, Failure, ImageStreamTag, Repository};
use anyhow::Result;
use std::path::PathBuf;
use std::time::Duration;

/// The first wait before a cluster is asked again.
const BACKOFF: Duration = Duration::from_millis(500);
/// So much of what was pushed is listed in a hint.
const LISTED: usize = 10;

/// Which image streams to refresh, and how to reach their cluster.
#[derive(Debug, clap::Args)]
pub struct ImageStreamArgs {
    /// After the push, have OpenShift point this tag of an image stream to what was pushed there; may be repeated.
    /// The stream is the one of the repository NAMESPACE/NAME.
    #[arg(long = "image-stream", value_name = "NAMESPACE/NAME:TAG", help_heading = "OpenShift")]
    image_streams: Vec<ImageStreamTag>,
    /// How to reach the cluster. [default: the first file of $KUBECONFIG that is there, then ~/.kube/config; in a
    /// pod its service account]
    #[arg(long, value_name = "FILE", requires = "image_streams", help_heading = "OpenShift")]
    kubeconfig: Option<PathBuf>,
    /// Give up on an image stream after this long: a number with s, m or h.
    #[arg(long, value_name = "TIME", default_value = "2m", value_parser = super::size::parse_time,
          requires = "image_streams", help_heading = "OpenShift")]
    import_timeout: Duration,
}

/// An image that was, or will be, pushed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pushed {
    /// Where to.
    pub repository: Repository,
    /// What: the index, or the single manifest.
    pub digest: Digest,
    /// The tags that it gets there.
    pub tags: Vec<String>,
    /// The entries of the index; none of a single manifest.
    pub manifests: Vec<Digest>,
}

impl ImageStreamArgs {
    /// Fails where an image stream has no image among those of a push, or nothing says where the cluster is: before
    /// anything is pushed.
    pub async fn check(&self, pushed: &[Pushed]) -> Result<()> {
        if choose(&self.image_streams, pushed)?.is_empty() {
            return Ok(());
        }
        self.connect().await.map(drop)
    }

    async fn connect(&self) -> Result<Cluster> {
        let kubeconfig = environment::kubeconfig(self.kubeconfig.as_deref());
        let access = kubeconfig.as_deref().map_or(Access::InCluster, Access::Kubeconfig);
        Ok(Cluster::connect(access, &environment::proxies()).await?)
    }
}

/// The image of each image stream: of those with its path as repository the one with its tag, else the only one.
pub fn choose<'a>(
    streams: &'a [ImageStreamTag],
    pushed: &'a [Pushed],
) -> Result<Vec<(&'a ImageStreamTag, &'a Pushed)>, Failure> {
    let choice = |stream: &'a ImageStreamTag| {
        let path = stream.path();
        let there: Vec<&Pushed> = pushed.iter().filter(|image| image.repository.path() == path).collect();
        let tagged = there.iter().find(|image| image.tags.iter().any(|tag| tag == stream.tag()));
        match (tagged, there.as_slice()) {
            (Some(image), _) | (None, [image]) => Ok((stream, *image)),
            (None, there) => Err(no_image(stream, there, pushed)),
        }
    };
    streams.iter().map(choice).collect()
}

/// Nothing that is pushed belongs to an image stream, or too much.
fn no_image(stream: &ImageStreamTag, there: &[&Pushed], pushed: &[Pushed]) -> Failure {
    let path = stream.path();
    let (message, listed) = if there.is_empty() {
        (format!("nothing is pushed to `{path}`, the repository of `{stream}`"), pushed.iter().collect())
    } else {
        let (count, tag) = (there.len(), stream.tag());
        (format!("{count} images are pushed to `{path}`, none of them with the tag `{tag}`"), there.to_vec())
    };
    let rest = listed.len().saturating_sub(LISTED);
    let mut names: Vec<String> = listed.into_iter().take(LISTED).map(name).collect();
    if rest > 0 {
        names.push(format!("{rest} more"));
    }
    let names = if names.is_empty() { "nothing".to_owned() } else { names.join(", ") };
    Failure::usage(message).hint(format!("pushed is: {names}"))
}

/// A pushed image as `--image-stream` would name it.
fn name(image: &Pushed) -> String {
    let path = image.repository.path();
    match image.tags.as_slice() {
        [] => format!("`{path}@sha256:{}…` (no tag)", image.digest.short()),
        tags => format!("`{path}:{}`", tags.join("`, `:")),
    }
}

/// Has the cluster refresh the image streams, one after another. `insecure`: it may read from the registry without
/// TLS, or with a certificate that it does not trust, as the push did.
pub async fn import(
    args: &ImageStreamArgs,
    pushed: &[Pushed],
    insecure: bool,
    printer: &Printer,
) -> Result<Vec<Imported>> {
    let chosen = choose(&args.image_streams, pushed)?;
    if chosen.is_empty() {
        return Ok(Vec::new());
    }
    let cluster = args.connect().await?;
    let patience = Patience { deadline: args.import_timeout, backoff: BACKOFF };
    let mut all = Vec::new();
    for (stream, image) in chosen {
        let imported = cluster.import(&of(stream, image, insecure), patience, printer).await?;
        printer.say(&format!("{} points to {}", imported.image_stream, imported.digest));
        all.push(imported);
    }
    Ok(all)
}

/// What the cluster is asked for.
fn of(stream: &ImageStreamTag, image: &Pushed, insecure: bool) -> Import {
    Import {
        from: format!("{}:{}@{}", image.repository, stream.tag(), image.digest),
        to: stream.clone(),
        digest: image.digest.clone(),
        manifests: image.manifests.clone(),
        insecure,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Reference;
    use clap::{Args as _, FromArgMatches as _};

    fn pushed(repository: &str, tags: &[&str]) -> Pushed {
        let reference: Reference = format!("registry.example.com:5000/{repository}").parse().unwrap();
        let digest = Digest::of(format!("{repository} {tags:?}").as_bytes());
        let tags = tags.iter().map(|&tag| tag.to_owned()).collect();
        Pushed { repository: reference.repository().clone(), digest, tags, manifests: Vec::new() }
    }

    #[test]
    fn an_image_stream_gets_what_is_pushed_under_its_tag_or_the_only_image() {
        let images = [
            pushed("team/app", &["v1", "latest"]),
            pushed("team/app", &["v2"]),
            pushed("team/only", &[]),
            pushed("team/deeper/app", &["v3"]),
        ];
        for (stream, chosen) in [
            ("team/app:latest", Ok(0)),
            ("team/app:v2", Ok(1)),
            ("team/only:whatever", Ok(2)),
            ("team/app:v3", Err("2 images are pushed to `team/app`, none of them with the tag `v3`")),
            ("other/app:v1", Err("nothing is pushed to `other/app`, the repository of `other/app:v1`")),
        ] {
            let streams = [stream.parse().unwrap()];
            match (choose(&streams, &images), chosen) {
                (Ok(found), Ok(at)) => assert_eq!(found, [(&streams[0], &images[at])], "{stream}"),
                (Err(failure), Err(message)) => {
                    assert_eq!(failure.to_string(), message, "{stream}");
                    assert!(failure.hints[0].contains("`team/app:v1`, `:latest`, `team/app:v2`"), "{failure:?}");
                }
                (found, _) => panic!("{stream}: {found:?}"),
            }
        }
        let two = ["team/app:v1".parse().unwrap(), "team/app:v3".parse().unwrap()];
        assert!(choose(&two, &images).is_err());
        assert_eq!(choose(&two, &[]).unwrap_err().hints, ["pushed is: nothing"]);
    }

    #[test]
    fn what_is_typed() {
        let parse = |arguments: &[&str]| {
            let command = ImageStreamArgs::augment_args(clap::Command::new("push").no_binary_name(true));
            ImageStreamArgs::from_arg_matches(&command.try_get_matches_from(arguments).ok()?).ok()
        };
        let args = parse(&["--image-stream", "a/b:c", "--image-stream", "d/e:f", "--import-timeout", "5m"]).unwrap();
        assert_eq!((args.image_streams.len(), args.import_timeout.as_secs()), (2, 300));
        assert!(choose(&args.image_streams, &[]).is_err());
        let none = parse(&[]).unwrap();
        assert_eq!(none.import_timeout.as_secs(), 120);
        assert!(choose(&none.image_streams, &[]).is_ok());
        for wrong in [&["--kubeconfig", "x"], &["--import-timeout", "5m"], &["--image-stream", "a/b"]] {
            assert!(parse(wrong).is_none(), "{wrong:?}");
        }
    }

    #[test]
    fn a_cluster_is_asked_for_a_tag_by_its_digest() {
        let image = pushed("team/only", &[]);
        let import = of(&"team/only:v7".parse().unwrap(), &image, true);
        assert_eq!(import.from, format!("registry.example.com:5000/team/only:v7@{}", image.digest));
        assert_eq!((import.digest, import.insecure), (image.digest, true));
    }
}
