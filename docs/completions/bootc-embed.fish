# Print an optspec for argparse to handle cmd's options that are independent of any subcommand.
function __fish_bootc_embed_global_optspecs
    string join \n format= q/quiet h/help V/version
end

function __fish_bootc_embed_needs_command
    # Figure out if the current invocation already has a command.
    set -l cmd (commandline -opc)
    set -e cmd[1]
    argparse -s (__fish_bootc_embed_global_optspecs) -- $cmd 2>/dev/null
    or return
    if set -q argv[1]
        # Also print the command, so this can be used to figure out what it is.
        echo $argv[1]
        return 1
    end
    return 0
end

function __fish_bootc_embed_using_subcommand
    set -l cmd (__fish_bootc_embed_needs_command)
    test -z "$cmd"
    and return 1
    contains -- $cmd[1] $argv
end

complete -c bootc-embed -n "__fish_bootc_embed_needs_command" -l format -d 'How results are printed on standard output' -r -f -a "text\t'For people'
json\t'For programs; fields are only ever added'
html\t'One page that shows everything; of `validate` only'
junit\t'For CI systems, JUnit\'s XML; of `validate` only'"
complete -c bootc-embed -n "__fish_bootc_embed_needs_command" -s q -l quiet -d 'Say nothing on standard error but errors'
complete -c bootc-embed -n "__fish_bootc_embed_needs_command" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bootc-embed -n "__fish_bootc_embed_needs_command" -s V -l version -d 'Print version'
complete -c bootc-embed -n "__fish_bootc_embed_needs_command" -f -a "embed" -d 'Discover, resolve, fetch and emit into a root: the main job'
complete -c bootc-embed -n "__fish_bootc_embed_needs_command" -f -a "list" -d 'Show which images would be embedded, and which file asks for each'
complete -c bootc-embed -n "__fish_bootc_embed_needs_command" -f -a "plan" -d 'Resolve only: sizes, shared bytes, bytes saved; writes the lock with -o'
complete -c bootc-embed -n "__fish_bootc_embed_needs_command" -f -a "fetch" -d 'Fill a store, and nothing else'
complete -c bootc-embed -n "__fish_bootc_embed_needs_command" -f -a "emit" -d 'Print or write the files that go with a store'
complete -c bootc-embed -n "__fish_bootc_embed_needs_command" -f -a "validate" -d 'Say whether an image, a root or a store will start offline, and why not'
complete -c bootc-embed -n "__fish_bootc_embed_needs_command" -f -a "explain" -d 'Say step by step whether a reference starts without a network on a root, and why not'
complete -c bootc-embed -n "__fish_bootc_embed_needs_command" -f -a "push" -d 'Push a set to a registry, and prove what it serves'
complete -c bootc-embed -n "__fish_bootc_embed_needs_command" -f -a "prune-release" -d 'Build a release of OpenShift that carries only some architectures, push it, and prove what the registry serves'
complete -c bootc-embed -n "__fish_bootc_embed_needs_command" -f -a "serve" -d 'Serve a store or an OCI layout as a read-only registry'
complete -c bootc-embed -n "__fish_bootc_embed_needs_command" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -l root -d 'The root of the image that is being built' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -l store -d 'The store, as a path inside of the root' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -l template-dir -d 'Folder with templates that replace the built-in ones of the same name' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -l policy -d 'Judge signatures by this policy: a policy.json, or YAML with ClusterImagePolicies and ImagePolicies; may be given several times. [default: /etc/containers/policy.json of the device]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -l cache -d 'Look for blobs in this folder first, and keep new ones there: a cache mount of builds' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -l signatures -d 'Carry the signatures of images: `.sig` tags, lookaside stores, referrers' -r -f -a "auto\t'Carry those that there are'
require\t'Fail where an instance has none that runtimes read'
none\t'Do not look for any'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -l max-size -d 'Fail, before a blob is fetched, if the set is larger: bytes, or with kB, MB, GB, KiB, MiB, GiB' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -l platform -d 'Keep what this platform needs, as os/architecture[/variant]; may be given several times. [default: the platform this program runs on]' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -l exclude -d 'Leave this image out: a reference as a file names it, or its beginning and `*`; may be given several times' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -l transport -d 'Who speaks to registries' -r -f -a "http\t'This program itself'
proxy\t'Through skopeo, for hosts that need settings which only it honours'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -l authfile -d 'File with credentials. [default: $REGISTRY_AUTH_FILE, then where podman and docker keep them]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -l cert-dir -d 'Folder with certificates: *.crt of authorities, *.cert and *.key of the client. [default: the registry\'s folder in certs.d, as podman and docker have it]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -l registries-conf -d 'Read this registries.conf instead of the user\'s or the system\'s' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -l registries-conf-dir -d 'Read the *.conf of this folder instead of those of registries.conf.d' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -l registries-d -d 'Read the *.yaml of this folder instead of those of registries.d: where signatures are kept beside registries (`lookaside`). [default: of `embed`, that of its root; else the user\'s or the system\'s]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -l tls-verify -d 'Verify certificates; when false, plain HTTP is taken too where HTTPS does not answer' -r -f -a "true\t''
false\t''"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -l jobs -d 'How many blobs at once; of manifests, which are small, twice as many' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -l retries -d 'How often a request is repeated that failed for a passing reason: a broken or stalled connection, an overloaded registry' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -l timeout -d 'Give up after this long altogether: a number with s, m or h. [default: never]' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -l format -d 'How results are printed on standard output' -r -f -a "text\t'For people'
json\t'For programs; fields are only ever added'
html\t'One page that shows everything; of `validate` only'
junit\t'For CI systems, JUnit\'s XML; of `validate` only'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -l no-validate -d 'Do not check afterwards that what was embedded starts offline'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -l all-platforms -d 'Keep every platform of every index'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -s q -l quiet -d 'Say nothing on standard error but errors'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand embed" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand list" -l why -d 'Show only this image and everything that asks for it: a reference, or its repository or digest' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand list" -l platform -d 'Keep what this platform needs, as os/architecture[/variant]; may be given several times. [default: the platform this program runs on]' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand list" -l exclude -d 'Leave this image out: a reference as a file names it, or its beginning and `*`; may be given several times' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand list" -l transport -d 'Who speaks to registries' -r -f -a "http\t'This program itself'
proxy\t'Through skopeo, for hosts that need settings which only it honours'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand list" -l authfile -d 'File with credentials. [default: $REGISTRY_AUTH_FILE, then where podman and docker keep them]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand list" -l cert-dir -d 'Folder with certificates: *.crt of authorities, *.cert and *.key of the client. [default: the registry\'s folder in certs.d, as podman and docker have it]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand list" -l registries-conf -d 'Read this registries.conf instead of the user\'s or the system\'s' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand list" -l registries-conf-dir -d 'Read the *.conf of this folder instead of those of registries.conf.d' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand list" -l registries-d -d 'Read the *.yaml of this folder instead of those of registries.d: where signatures are kept beside registries (`lookaside`). [default: of `embed`, that of its root; else the user\'s or the system\'s]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand list" -l tls-verify -d 'Verify certificates; when false, plain HTTP is taken too where HTTPS does not answer' -r -f -a "true\t''
false\t''"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand list" -l jobs -d 'How many blobs at once; of manifests, which are small, twice as many' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand list" -l retries -d 'How often a request is repeated that failed for a passing reason: a broken or stalled connection, an overloaded registry' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand list" -l timeout -d 'Give up after this long altogether: a number with s, m or h. [default: never]' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand list" -l format -d 'How results are printed on standard output' -r -f -a "text\t'For people'
json\t'For programs; fields are only ever added'
html\t'One page that shows everything; of `validate` only'
junit\t'For CI systems, JUnit\'s XML; of `validate` only'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand list" -l all-platforms -d 'Keep every platform of every index'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand list" -s q -l quiet -d 'Say nothing on standard error but errors'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand list" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand plan" -s o -l output -d 'Write the lock there; `fetch --locked` takes it' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand plan" -l signatures -d 'Carry the signatures of images: `.sig` tags, lookaside stores, referrers' -r -f -a "auto\t'Carry those that there are'
require\t'Fail where an instance has none that runtimes read'
none\t'Do not look for any'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand plan" -l max-size -d 'Fail, before a blob is fetched, if the set is larger: bytes, or with kB, MB, GB, KiB, MiB, GiB' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand plan" -l platform -d 'Keep what this platform needs, as os/architecture[/variant]; may be given several times. [default: the platform this program runs on]' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand plan" -l exclude -d 'Leave this image out: a reference as a file names it, or its beginning and `*`; may be given several times' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand plan" -l transport -d 'Who speaks to registries' -r -f -a "http\t'This program itself'
proxy\t'Through skopeo, for hosts that need settings which only it honours'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand plan" -l authfile -d 'File with credentials. [default: $REGISTRY_AUTH_FILE, then where podman and docker keep them]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand plan" -l cert-dir -d 'Folder with certificates: *.crt of authorities, *.cert and *.key of the client. [default: the registry\'s folder in certs.d, as podman and docker have it]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand plan" -l registries-conf -d 'Read this registries.conf instead of the user\'s or the system\'s' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand plan" -l registries-conf-dir -d 'Read the *.conf of this folder instead of those of registries.conf.d' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand plan" -l registries-d -d 'Read the *.yaml of this folder instead of those of registries.d: where signatures are kept beside registries (`lookaside`). [default: of `embed`, that of its root; else the user\'s or the system\'s]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand plan" -l tls-verify -d 'Verify certificates; when false, plain HTTP is taken too where HTTPS does not answer' -r -f -a "true\t''
false\t''"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand plan" -l jobs -d 'How many blobs at once; of manifests, which are small, twice as many' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand plan" -l retries -d 'How often a request is repeated that failed for a passing reason: a broken or stalled connection, an overloaded registry' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand plan" -l timeout -d 'Give up after this long altogether: a number with s, m or h. [default: never]' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand plan" -l format -d 'How results are printed on standard output' -r -f -a "text\t'For people'
json\t'For programs; fields are only ever added'
html\t'One page that shows everything; of `validate` only'
junit\t'For CI systems, JUnit\'s XML; of `validate` only'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand plan" -l all-platforms -d 'Keep every platform of every index'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand plan" -s q -l quiet -d 'Say nothing on standard error but errors'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand plan" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand fetch" -l locked -d 'Take exactly what this lock says: no tag is looked up, and a byte that differs is an error' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand fetch" -l store -d 'The folder to fill' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand fetch" -l cache -d 'Look for blobs in this folder first, and keep new ones there: a cache mount of builds' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand fetch" -l signatures -d 'Carry the signatures of images: `.sig` tags, lookaside stores, referrers' -r -f -a "auto\t'Carry those that there are'
require\t'Fail where an instance has none that runtimes read'
none\t'Do not look for any'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand fetch" -l max-size -d 'Fail, before a blob is fetched, if the set is larger: bytes, or with kB, MB, GB, KiB, MiB, GiB' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand fetch" -l platform -d 'Keep what this platform needs, as os/architecture[/variant]; may be given several times. [default: the platform this program runs on]' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand fetch" -l exclude -d 'Leave this image out: a reference as a file names it, or its beginning and `*`; may be given several times' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand fetch" -l transport -d 'Who speaks to registries' -r -f -a "http\t'This program itself'
proxy\t'Through skopeo, for hosts that need settings which only it honours'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand fetch" -l authfile -d 'File with credentials. [default: $REGISTRY_AUTH_FILE, then where podman and docker keep them]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand fetch" -l cert-dir -d 'Folder with certificates: *.crt of authorities, *.cert and *.key of the client. [default: the registry\'s folder in certs.d, as podman and docker have it]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand fetch" -l registries-conf -d 'Read this registries.conf instead of the user\'s or the system\'s' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand fetch" -l registries-conf-dir -d 'Read the *.conf of this folder instead of those of registries.conf.d' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand fetch" -l registries-d -d 'Read the *.yaml of this folder instead of those of registries.d: where signatures are kept beside registries (`lookaside`). [default: of `embed`, that of its root; else the user\'s or the system\'s]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand fetch" -l tls-verify -d 'Verify certificates; when false, plain HTTP is taken too where HTTPS does not answer' -r -f -a "true\t''
false\t''"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand fetch" -l jobs -d 'How many blobs at once; of manifests, which are small, twice as many' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand fetch" -l retries -d 'How often a request is repeated that failed for a passing reason: a broken or stalled connection, an overloaded registry' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand fetch" -l timeout -d 'Give up after this long altogether: a number with s, m or h. [default: never]' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand fetch" -l format -d 'How results are printed on standard output' -r -f -a "text\t'For people'
json\t'For programs; fields are only ever added'
html\t'One page that shows everything; of `validate` only'
junit\t'For CI systems, JUnit\'s XML; of `validate` only'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand fetch" -l all-platforms -d 'Keep every platform of every index'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand fetch" -s q -l quiet -d 'Say nothing on standard error but errors'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand fetch" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand emit" -l lock -d 'The lock of the set' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand emit" -l store -d 'The store of the set' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand emit" -l embedded-at -d 'Where the store will be in the image' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand emit" -l root -d 'The root of the device, whose policy, registries.d and registries.conf `policy` asks for' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand emit" -l policy -d 'Judge signatures by this policy: a policy.json, or YAML with ClusterImagePolicies and ImagePolicies; may be given several times. [default: /etc/containers/policy.json of the device]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand emit" -l mirror -d 'For `mirror-signatures` and `mirror-manifests`: where images of a registry, or below the beginning of a path, are mirrored; may be given several times. Without SOURCE, all images, by their paths' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand emit" -l transport -d 'Who speaks to registries' -r -f -a "http\t'This program itself'
proxy\t'Through skopeo, for hosts that need settings which only it honours'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand emit" -l authfile -d 'File with credentials. [default: $REGISTRY_AUTH_FILE, then where podman and docker keep them]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand emit" -l cert-dir -d 'Folder with certificates: *.crt of authorities, *.cert and *.key of the client. [default: the registry\'s folder in certs.d, as podman and docker have it]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand emit" -l registries-conf -d 'Read this registries.conf instead of the user\'s or the system\'s' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand emit" -l registries-conf-dir -d 'Read the *.conf of this folder instead of those of registries.conf.d' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand emit" -l registries-d -d 'Read the *.yaml of this folder instead of those of registries.d: where signatures are kept beside registries (`lookaside`). [default: of `embed`, that of its root; else the user\'s or the system\'s]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand emit" -l tls-verify -d 'Verify certificates; when false, plain HTTP is taken too where HTTPS does not answer' -r -f -a "true\t''
false\t''"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand emit" -l jobs -d 'How many blobs at once; of manifests, which are small, twice as many' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand emit" -l retries -d 'How often a request is repeated that failed for a passing reason: a broken or stalled connection, an overloaded registry' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand emit" -l timeout -d 'Give up after this long altogether: a number with s, m or h. [default: never]' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand emit" -s o -l output -d 'A file, or for what has several files a folder, where they get the paths they have in an image. [default: standard output]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand emit" -l template-dir -d 'Folder with templates that replace the built-in ones of the same name' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand emit" -l format -d 'How results are printed on standard output' -r -f -a "text\t'For people'
json\t'For programs; fields are only ever added'
html\t'One page that shows everything; of `validate` only'
junit\t'For CI systems, JUnit\'s XML; of `validate` only'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand emit" -s q -l quiet -d 'Say nothing on standard error but errors'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand emit" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l store -d 'Folder with embedded images, inside of the target; may be given several times. [default: /usr/lib/bootc-embed and the folders of MicroShift\'s recipes]' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l skip -d 'Leave a check out; may be given several times' -r -f -a "workloads-readable\t''
references-valid\t''
references-embedded\t''
never-pulled\t''
tags\t''
bound-images\t''
lists-readable\t''
lists-agree\t''
manifest-digest\t''
native-instance\t''
blobs-present\t''
blobs-intact\t''
architecture\t''
views\t''
signatures\t''
nothing-unused\t''
osbuild-names\t''
size-budget\t''
readable-by-all\t''
not-writable\t''
release-fits\t''
registries-conf\t''
registries-d\t''
import-unit\t''
import-enabled\t''
import-order\t''
import-reach\t''
import-tools\t''
import-policy\t''
pinned-images\t''
updated-with-system\t''
no-secrets\t''"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l only -d 'Make this check only; may be given several times' -r -f -a "workloads-readable\t''
references-valid\t''
references-embedded\t''
never-pulled\t''
tags\t''
bound-images\t''
lists-readable\t''
lists-agree\t''
manifest-digest\t''
native-instance\t''
blobs-present\t''
blobs-intact\t''
architecture\t''
views\t''
signatures\t''
nothing-unused\t''
osbuild-names\t''
size-budget\t''
readable-by-all\t''
not-writable\t''
release-fits\t''
registries-conf\t''
registries-d\t''
import-unit\t''
import-enabled\t''
import-order\t''
import-reach\t''
import-tools\t''
import-policy\t''
pinned-images\t''
updated-with-system\t''
no-secrets\t''"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l max-size -d 'Fail if the embedded images are larger: bytes, or with kB, MB, GB, KiB, MiB, GiB' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l policy -d 'Judge signatures by this policy: a policy.json, or YAML with ClusterImagePolicies and ImagePolicies; may be given several times. [default: /etc/containers/policy.json of the device]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l template-dir -d 'Folder with the templates that the import script was made with, where it is not the built-in one' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l report -d 'Write the report to a file too; its name decides the format: .html, .xml (JUnit), .json, .txt' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l platform -d 'Keep what this platform needs, as os/architecture[/variant]; may be given several times. [default: the platform this program runs on]' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l exclude -d 'Leave this image out: a reference as a file names it, or its beginning and `*`; may be given several times' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l transport -d 'Who speaks to registries' -r -f -a "http\t'This program itself'
proxy\t'Through skopeo, for hosts that need settings which only it honours'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l authfile -d 'File with credentials. [default: $REGISTRY_AUTH_FILE, then where podman and docker keep them]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l cert-dir -d 'Folder with certificates: *.crt of authorities, *.cert and *.key of the client. [default: the registry\'s folder in certs.d, as podman and docker have it]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l registries-conf -d 'Read this registries.conf instead of the user\'s or the system\'s' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l registries-conf-dir -d 'Read the *.conf of this folder instead of those of registries.conf.d' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l registries-d -d 'Read the *.yaml of this folder instead of those of registries.d: where signatures are kept beside registries (`lookaside`). [default: of `embed`, that of its root; else the user\'s or the system\'s]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l tls-verify -d 'Verify certificates; when false, plain HTTP is taken too where HTTPS does not answer' -r -f -a "true\t''
false\t''"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l jobs -d 'How many blobs at once; of manifests, which are small, twice as many' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l retries -d 'How often a request is repeated that failed for a passing reason: a broken or stalled connection, an overloaded registry' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l timeout -d 'Give up after this long altogether: a number with s, m or h. [default: never]' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l format -d 'How results are printed on standard output' -r -f -a "text\t'For people'
json\t'For programs; fields are only ever added'
html\t'One page that shows everything; of `validate` only'
junit\t'For CI systems, JUnit\'s XML; of `validate` only'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l list -d 'Show the checks, and make none'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l fatal-warnings -d 'Fail for warnings too'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -l all-platforms -d 'Keep every platform of every index'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -s q -l quiet -d 'Say nothing on standard error but errors'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand validate" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand explain" -l root -d 'The root of the system' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand explain" -l store -d 'Folder with embedded images, inside of the root; may be given several times. [default: /usr/lib/bootc-embed and the folders of MicroShift\'s recipes]' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand explain" -l platform -d 'Keep what this platform needs, as os/architecture[/variant]; may be given several times. [default: the platform this program runs on]' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand explain" -l exclude -d 'Leave this image out: a reference as a file names it, or its beginning and `*`; may be given several times' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand explain" -l format -d 'How results are printed on standard output' -r -f -a "text\t'For people'
json\t'For programs; fields are only ever added'
html\t'One page that shows everything; of `validate` only'
junit\t'For CI systems, JUnit\'s XML; of `validate` only'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand explain" -l all-platforms -d 'Keep every platform of every index'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand explain" -s q -l quiet -d 'Say nothing on standard error but errors'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand explain" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l store -d 'Push this store, without asking the registries that it came from' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l lock -d 'Push what this lock says, from registry to registry' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l mirror -d 'Where images of a registry, or below the beginning of a path, go instead; may be given several times' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l index -d 'What an index becomes some of whose platforms are not in the set' -r -f -a "auto\t'`keep` where the registry takes that; else stop and say so'
keep\t'Sparse: its bytes unchanged. Not every registry takes it'
prune\t'A new index of the kept platforms, with a digest of its own'
all\t'Whole: the other platforms are fetched too, and pushed'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l alias-map -d 'Write the alias map there, which says what stands for indexes that were pruned' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l image-stream -d 'After the push, have OpenShift point this tag of an image stream to what was pushed there; may be repeated. The stream is the one of the repository NAMESPACE/NAME' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l kubeconfig -d 'How to reach the cluster. [default: the first file of $KUBECONFIG that is there, then ~/.kube/config; in a pod its service account]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l import-timeout -d 'Give up on an image stream after this long: a number with s, m or h' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l signatures -d 'Carry the signatures of images: `.sig` tags, lookaside stores, referrers' -r -f -a "auto\t'Carry those that there are'
require\t'Fail where an instance has none that runtimes read'
none\t'Do not look for any'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l max-size -d 'Fail, before a blob is fetched, if the set is larger: bytes, or with kB, MB, GB, KiB, MiB, GiB' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l platform -d 'Keep what this platform needs, as os/architecture[/variant]; may be given several times. [default: the platform this program runs on]' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l exclude -d 'Leave this image out: a reference as a file names it, or its beginning and `*`; may be given several times' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l transport -d 'Who speaks to registries' -r -f -a "http\t'This program itself'
proxy\t'Through skopeo, for hosts that need settings which only it honours'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l authfile -d 'File with credentials. [default: $REGISTRY_AUTH_FILE, then where podman and docker keep them]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l cert-dir -d 'Folder with certificates: *.crt of authorities, *.cert and *.key of the client. [default: the registry\'s folder in certs.d, as podman and docker have it]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l registries-conf -d 'Read this registries.conf instead of the user\'s or the system\'s' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l registries-conf-dir -d 'Read the *.conf of this folder instead of those of registries.conf.d' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l registries-d -d 'Read the *.yaml of this folder instead of those of registries.d: where signatures are kept beside registries (`lookaside`). [default: of `embed`, that of its root; else the user\'s or the system\'s]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l tls-verify -d 'Verify certificates; when false, plain HTTP is taken too where HTTPS does not answer' -r -f -a "true\t''
false\t''"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l jobs -d 'How many blobs at once; of manifests, which are small, twice as many' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l retries -d 'How often a request is repeated that failed for a passing reason: a broken or stalled connection, an overloaded registry' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l timeout -d 'Give up after this long altogether: a number with s, m or h. [default: never]' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l format -d 'How results are printed on standard output' -r -f -a "text\t'For people'
json\t'For programs; fields are only ever added'
html\t'One page that shows everything; of `validate` only'
junit\t'For CI systems, JUnit\'s XML; of `validate` only'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l verify-only -d 'Push nothing: read what the registry serves, and compare'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l overwrite-signatures -d 'Replace signature tags that are others in the registry'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l skip-lint -d 'Push also what strict registries refuse: wrong sizes and types, entries that stand twice, empty indexes'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -l all-platforms -d 'Keep every platform of every index'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -s q -l quiet -d 'Say nothing on standard error but errors'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand push" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand prune-release" -l platform -d 'Carry this platform, as os/architecture; may be given several times' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand prune-release" -l to -d 'Where the new release goes, with its tag' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand prune-release" -l to-components -d 'Where the images of its components go' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand prune-release" -l drop-placeholders -d 'Leave out the images of `pod` that stand where a component is not built for an architecture' -r -f -a "true\t''
false\t''"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand prune-release" -l component -d 'Prune this component only; may be given several times. [default: all]' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand prune-release" -l report -d 'Write the report there: `.json` or `.txt`' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand prune-release" -l map -d 'Write old and new pullspecs there, as a JSON object' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand prune-release" -l mirror-manifests -d 'Write there what makes clusters find the unchanged images: ImageDigestMirrorSet and the like' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand prune-release" -l transport -d 'Who speaks to registries' -r -f -a "http\t'This program itself'
proxy\t'Through skopeo, for hosts that need settings which only it honours'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand prune-release" -l authfile -d 'File with credentials. [default: $REGISTRY_AUTH_FILE, then where podman and docker keep them]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand prune-release" -l cert-dir -d 'Folder with certificates: *.crt of authorities, *.cert and *.key of the client. [default: the registry\'s folder in certs.d, as podman and docker have it]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand prune-release" -l registries-conf -d 'Read this registries.conf instead of the user\'s or the system\'s' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand prune-release" -l registries-conf-dir -d 'Read the *.conf of this folder instead of those of registries.conf.d' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand prune-release" -l registries-d -d 'Read the *.yaml of this folder instead of those of registries.d: where signatures are kept beside registries (`lookaside`). [default: of `embed`, that of its root; else the user\'s or the system\'s]' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand prune-release" -l tls-verify -d 'Verify certificates; when false, plain HTTP is taken too where HTTPS does not answer' -r -f -a "true\t''
false\t''"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand prune-release" -l jobs -d 'How many blobs at once; of manifests, which are small, twice as many' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand prune-release" -l retries -d 'How often a request is repeated that failed for a passing reason: a broken or stalled connection, an overloaded registry' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand prune-release" -l timeout -d 'Give up after this long altogether: a number with s, m or h. [default: never]' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand prune-release" -l format -d 'How results are printed on standard output' -r -f -a "text\t'For people'
json\t'For programs; fields are only ever added'
html\t'One page that shows everything; of `validate` only'
junit\t'For CI systems, JUnit\'s XML; of `validate` only'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand prune-release" -l dry-run -d 'Push nothing: only say what would be done'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand prune-release" -s q -l quiet -d 'Say nothing on standard error but errors'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand prune-release" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand serve" -l store -d 'The store' -r -F
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand serve" -l listen -d 'Address and port; port 0 lets the system choose. Nothing asks who connects' -r
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand serve" -l format -d 'How results are printed on standard output' -r -f -a "text\t'For people'
json\t'For programs; fields are only ever added'
html\t'One page that shows everything; of `validate` only'
junit\t'For CI systems, JUnit\'s XML; of `validate` only'"
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand serve" -s q -l quiet -d 'Say nothing on standard error but errors'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand serve" -s h -l help -d 'Print help (see more with \'--help\')'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand help; and not __fish_seen_subcommand_from embed list plan fetch emit validate explain push prune-release serve help" -f -a "embed" -d 'Discover, resolve, fetch and emit into a root: the main job'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand help; and not __fish_seen_subcommand_from embed list plan fetch emit validate explain push prune-release serve help" -f -a "list" -d 'Show which images would be embedded, and which file asks for each'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand help; and not __fish_seen_subcommand_from embed list plan fetch emit validate explain push prune-release serve help" -f -a "plan" -d 'Resolve only: sizes, shared bytes, bytes saved; writes the lock with -o'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand help; and not __fish_seen_subcommand_from embed list plan fetch emit validate explain push prune-release serve help" -f -a "fetch" -d 'Fill a store, and nothing else'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand help; and not __fish_seen_subcommand_from embed list plan fetch emit validate explain push prune-release serve help" -f -a "emit" -d 'Print or write the files that go with a store'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand help; and not __fish_seen_subcommand_from embed list plan fetch emit validate explain push prune-release serve help" -f -a "validate" -d 'Say whether an image, a root or a store will start offline, and why not'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand help; and not __fish_seen_subcommand_from embed list plan fetch emit validate explain push prune-release serve help" -f -a "explain" -d 'Say step by step whether a reference starts without a network on a root, and why not'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand help; and not __fish_seen_subcommand_from embed list plan fetch emit validate explain push prune-release serve help" -f -a "push" -d 'Push a set to a registry, and prove what it serves'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand help; and not __fish_seen_subcommand_from embed list plan fetch emit validate explain push prune-release serve help" -f -a "prune-release" -d 'Build a release of OpenShift that carries only some architectures, push it, and prove what the registry serves'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand help; and not __fish_seen_subcommand_from embed list plan fetch emit validate explain push prune-release serve help" -f -a "serve" -d 'Serve a store or an OCI layout as a read-only registry'
complete -c bootc-embed -n "__fish_bootc_embed_using_subcommand help; and not __fish_seen_subcommand_from embed list plan fetch emit validate explain push prune-release serve help" -f -a "help" -d 'Print this message or the help of the given subcommand(s)'
