//! OCI layouts and docker's archives: their lists, and whole archives with all that is in them. Of an
//! input that begins with `===`, an archive of these files is made; else it is the archive.

#![no_main]

use bootc_embed::model::Platform;
use bootc_embed::model::progress::Silent;
use bootc_embed::target::docker_archive::{self, DockerArchive};
use bootc_embed::target::image::{self, Source};
use bootc_embed::target::layout::{self, Layout};
use bootc_embed::target::{Keep, LayoutName, Wanted};
use libfuzzer_sys::fuzz_target;
use std::io::Write as _;
use std::sync::LazyLock;
use tokio::runtime::Runtime;

static RUNTIME: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_current_thread().enable_time().build().expect("a runtime"));

fuzz_target!(|data: &[u8]| {
    let _ = layout::parse_index(data);
    let _ = docker_archive::parse_manifest(data);
    let mut file = tempfile::NamedTempFile::new().expect("a file");
    let archive = if data.starts_with(b"=== ") { archive(data) } else { data.to_vec() };
    file.write_all(&archive).expect("to write");
    for reference in [None, Some("quay.io/a/b:v1")] {
        let name = LayoutName { path: file.path().to_owned(), reference: reference.map(str::to_owned) };
        if let Ok(layout) = Layout::archive(&name) {
            read(&layout);
        }
        if let Ok(archive) = DockerArchive::open(file.path(), reference) {
            read(&archive);
        }
    }
});

fn read(source: &dyn Source) {
    let platform: Platform = "linux/amd64".parse().expect("a platform");
    let wanted = Wanted::default().place("", Keep::Text);
    if let Ok(root) = RUNTIME.block_on(image::read(source, &wanted, &platform, &Silent)) {
        bootc_embed_fuzz::check(&root.tree);
    }
}

fn archive(input: &[u8]) -> Vec<u8> {
    let mut builder = tar::Builder::new(Vec::new());
    for file in bootc_embed_fuzz::files(input) {
        let mut header = tar::Header::new_gnu();
        header.set_mode(file.mode);
        let _ = match &file.link {
            Some(target) => {
                header.set_entry_type(tar::EntryType::Symlink);
                header.set_size(0);
                builder.append_link(&mut header, &file.path, target)
            }
            None => {
                header.set_size(file.content.len() as u64);
                builder.append_data(&mut header, &file.path, file.content.as_slice())
            }
        };
    }
    builder.into_inner().expect("bytes in memory")
}
