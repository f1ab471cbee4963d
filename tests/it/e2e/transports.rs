//! Two lanes to a registry, one result.

use super::set::Set;
use super::{Workbench, registry_with};
use crate::support::busybox;
use crate::support::command::run;
use crate::support::rpm::Payload;
use crate::support::tree::Tree;

/// Paths, modes, times, link targets and contents are the same, whoever speaks to the registry.
#[test]
fn stores_are_the_same_through_http_and_proxy() {
    let set = Set::new(busybox::native());
    let registry = registry_with(&set);
    let workbench = Workbench::new();
    let package = workbench.release_info_rpm(&set, &registry, Payload::Zstd);
    let stores = ["http", "proxy"].map(|transport| {
        let store = workbench.path(transport);
        let mut tool = workbench.tool();
        tool.arg("fetch").arg(&package).arg("--store").arg(&store);
        run(tool.args(["--platform", set.platform, "--tls-verify=false", "--transport", transport])).success();
        Tree::read(&store)
    });
    let [http, proxy] = &stores;
    assert!(!http.0.is_empty(), "the store is empty");
    http.assert_same(proxy, "http and proxy");
}
