//! What was signed, and how signatures are written down: every way to be a little wrong.

use super::keys::{anywhere_in, by_key};
use super::rig::{Rig, Signed, Way};
use crate::support::signing::{Key, Kind, Signature};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use sha2::{Digest as _, Sha512};

const SIGNATURE: &str = "dev.cosignproject.cosign/signature";
const TYPE: &str = "application/vnd.dev.cosign.simplesigning.v1+json";

/// A way to be wrong, with its name.
pub type Change<A, B> = (&'static str, fn(&A) -> B);

/// In a folder, and in the registry too where that could matter.
fn add_set<S: Into<Signed>>(
    rig: &mut Rig,
    key: &Key,
    ways: &[Way],
    name: &str,
    sign: impl FnOnce(&Rig, &str) -> Vec<S>,
) {
    let set = rig.set(|rig, repository| sign(rig, &format!("{}/{repository}", rig.host())));
    let repository = format!("{}/{}", rig.host(), set.repository);
    for way in ways {
        rig.case(name, &set, *way, &[anywhere_in(&repository, by_key(key))]);
    }
}

const FOLDER: &[Way] = &[Way::Dir];
const BOTH: &[Way] = &[Way::Dir, Way::Index];

pub fn add(rig: &mut Rig) {
    let key = Key::new(Kind::P256);
    texts(rig, &key);
    signatures(rig, &key);
    files(rig, &key);
    add_set(rig, &key, BOTH, "the index is signed", |rig, name| {
        vec![Signature::new(&key, &format!("{name}:v1"), &rig.index)]
    });
}

/// Payloads that are well signed.
fn texts(rig: &mut Rig, key: &Key) {
    let critical = |more: &str| {
        format!(
            r#""critical":{{"identity":{{"docker-reference":"REF"}},"image":{{"docker-manifest-digest":"DIGEST"}},
               "type":"cosign container image signature"{more}}}"#
        )
    };
    let plain = critical("");
    let optional = |value: &str| format!("{{{plain},\"optional\":{value}}}");
    let changed = |from: &str, to: &str| format!("{{{},\"optional\":null}}", plain.replace(from, to));
    let nested = |depth: usize| format!(r#"{{"x":{}{}}}"#, "[".repeat(depth), "]".repeat(depth));
    let mut texts: Vec<String> = [
        "null",
        "{}",
        " { } ",
        r#"{"creator":"x"}"#,
        r#"{"creator":null}"#,
        r#"{"creator":1}"#,
        r#"{"creator":"x","creator":"x"}"#,
        r#"{"timestamp":1}"#,
        r#"{"timestamp":1.0}"#,
        r#"{"timestamp":1e3}"#,
        r#"{"timestamp":1.5}"#,
        r#"{"timestamp":-1}"#,
        r#"{"timestamp":1e300}"#,
        r#"{"timestamp":9223372036854775807}"#,
        r#"{"timestamp":null}"#,
        r#"{"timestamp":"1"}"#,
        r#"{"x":{"a":1,"a":2}}"#,
        r#"{"x":1,"x":1}"#,
        r#"{"x":[1,{"a":[]}]}"#,
        r#""text""#,
        "[]",
        "1",
        "true",
        r#"{"x":"\ud800"}"#,
        r#"{"x":01}"#,
        r#"{"x":1e308}"#,
        r#"{"x":[1e999]}"#,
        r#"{"x":"1e999","1e999":1}"#,
        r#"{"x":1e-999}"#,
        &nested(9000),
        &nested(12_000),
    ]
    .iter()
    .map(|value| optional(value))
    .collect();
    texts.extend([
        format!("{{{plain}}}"),
        format!("{{\"optional\":null,{plain}}}"),
        format!("{{{plain},\"optional\":null,\"more\":1}}"),
        format!("{{{plain},{plain},\"optional\":null}}"),
        format!("{{{plain},\"optional\":null,\"optional\":null}}"),
        format!("{{{},\"optional\":null}}", critical(r#","more":1"#)),
        format!("{{{},\"optional\":null}}", critical(r#","type":"cosign container image signature""#)),
        format!("{{{plain},\"optional\":null}} "),
        format!("{{{plain},\"optional\":null}}x"),
        format!("{{{plain},\"optional\":null}}{{}}"),
        format!("[{{{plain},\"optional\":null}}]"),
        format!("\u{feff}{{{plain},\"optional\":null}}"),
        format!("{{{plain},\"Optional\":null}}"),
        changed("\"critical\"", "\"Critical\""),
        changed("\"critical\"", "\"\\u0063ritical\""),
        changed("\"type\"", "\"Type\""),
        changed("cosign container image signature", "atomic container signature"),
        changed("cosign container image signature", "Cosign container image signature"),
        changed("\"cosign container image signature\"", "null"),
        changed("\"docker-reference\"", "\"docker-Reference\""),
        changed("\"REF\"", "null"),
        changed("\"REF\"", "\"REF\",\"more\":1"),
        changed("\"REF\"", "\"REF\",\"docker-reference\":\"REF\""),
        changed("\"DIGEST\"", "\"DIGEST\",\"more\":1"),
        changed("\"DIGEST\"", "null"),
        changed("DIGEST", &format!("sha256:{}", "0".repeat(64))),
        changed("DIGEST", "sha256:12"),
        changed("DIGEST", "UPPER"),
        changed("DIGEST", "SHA512"),
        String::new(),
        "null".to_owned(),
        "{}".to_owned(),
    ]);
    for text in texts {
        add_set(rig, key, FOLDER, &format!("payload {text}"), |rig, name| {
            let digest = &rig.instance().digest;
            let sha512: String = Sha512::digest(&rig.instance().bytes).iter().map(|b| format!("{b:02x}")).collect();
            let payload = text.replace("REF", &format!("{name}:v1")).replace("DIGEST", digest);
            let payload = payload.replace("UPPER", &digest.to_uppercase().replace("SHA256", "sha256"));
            let payload = payload.replace("SHA512", &format!("sha512:{sha512}"));
            vec![Signature::of(key, payload.into_bytes())]
        });
    }
}

/// Signatures and their annotations.
fn signatures(rig: &mut Rig, key: &Key) {
    let good = |rig: &Rig, name: &str| Signature::new(key, &format!("{name}:v1"), rig.instance());
    let other = Key::new(Kind::P256);
    let bad = |rig: &Rig, name: &str| Signature::new(&other, &format!("{name}:v1"), rig.instance());
    let of_other_name = |rig: &Rig, _: &str| Signature::new(key, "example.invalid/x:v1", rig.instance());
    let changes: [Change<str, String>; 12] = [
        ("unchanged", str::to_owned),
        ("broken in lines", |text| text.as_bytes().chunks(20).map(|c| String::from_utf8_lossy(c) + "\r\n").collect()),
        ("with a space", |text| format!("{text} ")),
        ("without padding", |text| text.trim_end_matches('=').to_owned()),
        ("with too much padding", |text| format!("{text}=")),
        ("for URLs", |text| text.replace('+', "-").replace('/', "_")),
        ("twice", |text| text.repeat(2)),
        ("nothing", |_| String::new()),
        ("no base64", |_| "%".to_owned()),
        ("of other bytes", |_| STANDARD.encode("other")),
        ("longer", |text| STANDARD.encode([STANDARD.decode(text).unwrap_or_default(), vec![0]].concat())),
        ("shorter", |text| {
            STANDARD.encode(STANDARD.decode(text).unwrap_or_default().split_last().unwrap_or((&0, &[])).1)
        }),
    ];
    // A signature may have 72 bytes, which need no padding.
    let padded = |rig: &Rig, name: &str| loop {
        let signature = good(rig, name);
        if signature.base64().ends_with('=') {
            break signature;
        }
    };
    for (name, change) in changes {
        add_set(rig, key, FOLDER, &format!("base64 {name}"), |rig, repository| {
            let signature = padded(rig, repository);
            let base64 = change(signature.base64());
            vec![signature.annotation(SIGNATURE, &base64)]
        });
    }
    add_set(rig, key, FOLDER, "no annotation", |rig, name| {
        vec![Signature { annotations: [].into(), ..good(rig, name) }]
    });
    for media_type in [&TYPE.to_uppercase(), "application/json", &format!("{TYPE}; x=y"), "text/plain"] {
        add_set(rig, key, FOLDER, &format!("type {media_type}"), |rig, name| {
            vec![Signature { media_type: media_type.to_owned(), ..good(rig, name) }]
        });
    }
    add_set(rig, key, BOTH, "payload changed later", |rig, name| {
        let signature = good(rig, name);
        let payload = [&signature.payload[..], b" "].concat();
        vec![Signature { payload, ..signature }]
    });
    add_set(rig, key, BOTH, "bad, good", |rig, name| vec![bad(rig, name), good(rig, name)]);
    add_set(rig, key, BOTH, "good, bad", |rig, name| vec![good(rig, name), bad(rig, name)]);
    add_set(rig, key, BOTH, "bad, other name", |rig, name| vec![bad(rig, name), of_other_name(rig, name)]);
    add_set(rig, key, BOTH, "other type, good", |rig, name| {
        vec![Signature { media_type: "text/plain".to_owned(), ..good(rig, name) }, good(rig, name)]
    });
    add_set(rig, key, BOTH, "other type only", |rig, name| {
        vec![Signature { media_type: "text/plain".to_owned(), ..good(rig, name) }]
    });
}

/// Files beside an image.
fn files(rig: &mut Rig, key: &Key) {
    let good = |rig: &Rig, name: &str| Signature::new(key, &format!("{name}:v1"), rig.instance());
    let changes: [Change<[u8], Vec<u8>>; 12] = [
        ("sigstore", <[u8]>::to_vec),
        ("empty", |_| Vec::new()),
        ("text", |_| b"hello".to_vec()),
        ("another format", |_| b"\0other-format\n{}".to_vec()),
        ("no JSON", |_| b"\0sigstore-json\n".to_vec()),
        ("JSON and more", |bytes| [bytes, b"{}"].concat()),
        ("JSON with more fields", |bytes| String::from_utf8_lossy(bytes).replacen('{', "{\"more\":1,", 1).into_bytes()),
        ("JSON in other letters", |bytes| {
            String::from_utf8_lossy(bytes).replacen("\"payload\"", "\"PayLoad\"", 1).into_bytes()
        }),
        ("JSON with the payload twice", |bytes| {
            String::from_utf8_lossy(bytes).replacen('{', "{\"payload\":\"eA==\",", 1).into_bytes()
        }),
        ("JSON with another payload in other letters", |bytes| {
            String::from_utf8_lossy(bytes).replacen('{', "{\"Payload\":\"eA==\",", 1).into_bytes()
        }),
        ("JSON with an annotation that is null", |bytes| {
            String::from_utf8_lossy(bytes).replacen(":{", ":{\"x\":null,", 1).into_bytes()
        }),
        ("no OpenPGP", |_| vec![0x99, 1, 2]),
    ];
    for (name, change) in changes {
        add_set(rig, key, FOLDER, &format!("a file: {name}"), |rig, repository| {
            vec![Signed::Beside(change(&good(rig, repository).file()))]
        });
        add_set(rig, key, BOTH, &format!("a file: {name}, and a good signature"), |rig, repository| {
            vec![Signed::Beside(change(&good(rig, repository).file())), good(rig, repository).into()]
        });
    }
}
