//! `image-references`: what is printed says the same, and is printed the same again.

#![no_main]

use bootc_embed::prune::ImageReferences;
use bootc_embed::prune::json::Node;
use libfuzzer_sys::fuzz_target;
use serde_json::Value;

fuzz_target!(|data: &[u8]| {
    if let Ok(node) = Node::parse(data) {
        let text = node.print();
        // Numbers that have no value for one have none for the other.
        let value = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).ok();
        assert_eq!(value(text.as_bytes()), value(data));
        assert_eq!(Node::parse(text.as_bytes()).expect("it was printed"), node);
    }
    let Ok(mut stream) = ImageReferences::parse(data) else { return };
    let tags = stream.tags().map(|tags| tags.len()).ok();
    if stream.set_from_release("quay.io/a@<b>").is_ok() {
        let again = ImageReferences::parse(&stream.print()).expect("it was printed");
        assert_eq!(again, stream);
        assert_eq!(again.tags().map(|tags| tags.len()).ok(), tags);
        let mut twice = again.clone();
        twice.set_from_release("quay.io/a@<b>").expect("it was set before");
        assert_eq!(twice, again);
    }
});
