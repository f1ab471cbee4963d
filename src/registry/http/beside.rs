//! What belongs to an image: tags beside it, and its referrers. Asked only of who serves the image, as
//! runtimes do: another source may have another idea of what belongs to it, or may not be reachable.

use super::attempts::Source;
use super::failure::{Failed, read_capped};
use super::{Http, Inner, lock};
use crate::model::manifest::{MAX_MANIFEST_SIZE, OCI_INDEX};
use crate::model::{Digest, PinnedReference, Repository};
use crate::registry::{Answer, At, Error, Registry as _};
use reqwest::Url;
use reqwest::header::{ACCEPT, LINK};

/// The most pages of one list of referrers.
const MAX_PAGES: usize = 100;

impl Http {
    /// Who serves an image; where several could, it is asked for, unless that was done before.
    pub(super) async fn server(&self, image: &PinnedReference) -> Result<Source, Error> {
        let known = |http: &Self| lock(&http.inner.answered).get(image).cloned();
        if let Some(source) = known(self) {
            return Ok(source);
        }
        if let [only] = self.inner.sources(&image.repository, true)?.as_slice() {
            return Ok(only.clone());
        }
        self.manifest(&image.repository, At::Digest(&image.digest)).await?;
        let detail = "nobody has answered for it".to_owned();
        known(self).ok_or_else(|| Error::Answer { object: image.to_string(), detail })
    }
}

impl Inner {
    /// What a tag at a source points to; `None` where there is none.
    pub(super) async fn tag_at(&self, source: Source, tag: &str) -> Result<Option<Answer>, Error> {
        let mut attempts = self.attempts(vec![source]);
        loop {
            match self.manifest(attempts.source(), At::Tag(tag)).await {
                Ok(answer) => return Ok(Some(answer)),
                Err(Failed { error: Error::NotFound { .. }, .. }) => return Ok(None),
                Err(failed) => attempts.failed(failed).await?,
            }
        }
    }

    /// The pages of the list of referrers; `None` where the source has no such lists, which is found out
    /// once a repository.
    pub(super) async fn referrers_at(&self, source: Source, digest: &Digest) -> Result<Option<Vec<Vec<u8>>>, Error> {
        let lists = lock(&self.lists_referrers).entry(source.repository.clone()).or_default().clone();
        let mut first = None;
        let ask = async {
            let pages = self.pages(source.clone(), digest).await?;
            Ok::<_, Error>(first.insert(pages).is_some())
        };
        let lists = *lists.get_or_try_init(|| ask).await?;
        match first {
            Some(pages) => Ok(pages),
            None if lists => self.pages(source, digest).await,
            None => Ok(None),
        }
    }

    pub(super) async fn pages(&self, source: Source, digest: &Digest) -> Result<Option<Vec<Vec<u8>>>, Error> {
        let object = format!("{}@{digest} (its referrers)", source.repository);
        let mut attempts = self.attempts(vec![source]);
        let (mut pages, mut path) = (Vec::new(), format!("referrers/{digest}"));
        loop {
            match self.page(attempts.source(), &path, &object).await {
                Ok((page, next)) => {
                    pages.push(page);
                    match next {
                        None => return Ok(Some(pages)),
                        Some(_) if pages.len() == MAX_PAGES => {
                            let detail = format!("there are more than {MAX_PAGES} pages");
                            return Err(Error::Answer { object, detail });
                        }
                        Some(next) => path = next,
                    }
                }
                // By the specification this says that there are no lists, not that this one is empty.
                Err(Failed { error: Error::NotFound { .. }, .. }) if pages.is_empty() => return Ok(None),
                Err(failed) => attempts.failed(failed).await?,
            }
        }
    }

    /// One page, and where the next one is.
    async fn page(&self, source: &Source, path: &str, object: &str) -> Result<(Vec<u8>, Option<String>), Failed> {
        let response = self.get(source, path, &[(ACCEPT, OCI_INDEX.to_owned())], object).await?;
        let link = response.headers().get(LINK).and_then(|link| link.to_str().ok()).map(str::to_owned);
        let url = response.url().clone();
        let page = read_capped(response, MAX_MANIFEST_SIZE, object, self.options.stall).await?;
        let next = link.and_then(|link| next_page(&link)).map(|target| {
            below(&url, &target, &source.repository).ok_or_else(|| {
                let detail = format!("its next page is said to be at `{}`", target.escape_debug());
                Failed::for_good(Error::Answer { object: object.to_owned(), detail })
            })
        });
        Ok((page, next.transpose()?))
    }
}

/// The target of `<target>; rel="next"`.
fn next_page(link: &str) -> Option<String> {
    let (target, parameters) = link.strip_prefix('<')?.split_once('>')?;
    let is_next = |part: &str| matches!(part.trim(), "rel=\"next\"" | "rel=next");
    parameters.split(';').any(is_next).then(|| target.to_owned())
}

/// A page's path below its repository; `None` where it is anywhere else.
fn below(url: &Url, target: &str, repository: &Repository) -> Option<String> {
    let next = url.join(target).ok()?;
    let path = next.path().strip_prefix(&format!("/v2/{}/referrers/", repository.path()))?;
    let query = next.query().map(|query| format!("?{query}")).unwrap_or_default();
    (next.origin() == url.origin()).then(|| format!("referrers/{path}{query}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pages_stay_in_their_repository() {
        let url: Url = "https://quay.io/v2/team/app/referrers/sha256:1?n=1".parse().unwrap();
        let reference: crate::model::Reference = "quay.io/team/app:v1".parse().unwrap();
        for (target, path) in [
            ("/v2/team/app/referrers/sha256:1?n=1&last=x", Some("referrers/sha256:1?n=1&last=x")),
            ("?last=y", Some("referrers/sha256:1?last=y")),
            ("https://quay.io/v2/team/app/referrers/sha256:1", Some("referrers/sha256:1")),
            ("http://quay.io/v2/team/app/referrers/sha256:1", None),
            ("https://other.example/v2/team/app/referrers/sha256:1", None),
            ("/v2/team/other/referrers/sha256:1", None),
            ("/v2/team/app/referrers/../../other/referrers/x", None),
        ] {
            assert_eq!(below(&url, target, reference.repository()).as_deref(), path, "{target}");
        }
        assert_eq!(next_page("</x?n=1>; rel=\"next\"").as_deref(), Some("/x?n=1"));
        assert_eq!(next_page("</x?n=1>; rel=\"prev\""), None);
        assert_eq!(next_page("nonsense"), None);
    }
}
