//! The shipped layouts against files that an independent program made.

use daikou::config::layouts;
use daikou::format::decode::decode;
use std::path::Path;

#[test]
fn x() {
    for file in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/samples")).unwrap() {
        let path = file.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap().to_owned();
        let bytes = std::fs::read(&path).unwrap();
        let mut hit = false;
        for (key, ..) in layouts::SHIPPED {
            let layout = layouts::load(key, None).unwrap();
            let Some((kind, _)) = layout.recognise(&name) else { continue };
            hit = true;
            let decoded =
                decode(&layout, kind, &bytes, None, &mut |r| println!("{} {:?}", r.line(), r.is_sound())).unwrap();
            for d in &decoded.defects {
                println!("{}\n{}\n{} {}", d.message(&name, true), d.picture(), d.message_zh(), d.action_zh());
            }
            println!("{name} {:?} {} {}", decoded.totals, decoded.is_sound(), decoded.is_incomplete());
        }
        assert!(hit, "{name}");
    }
}
