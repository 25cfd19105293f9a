//! The order in which staff sort names: that of the GBK code, pinyin for the usual characters, as their sheets do it.

use crate::format::charset::Charset;

/// A key whose byte order is the order of the text in GBK; characters that GBK does not have come after all others.
pub fn gbk_key(text: &str) -> Vec<u8> {
    let mut key = Vec::with_capacity(text.len());
    for character in text.chars() {
        let mut utf8 = [0; 4];
        let said = character.encode_utf8(&mut utf8);
        let mut pair = [b' '; 2];
        match Charset::Gbk.encode(said, &mut pair) {
            Ok(Some(1)) => key.push(pair[0]),
            Ok(Some(_)) => key.extend(pair),
            _ => {
                key.push(0xFF);
                key.extend(u32::from(character).to_be_bytes());
            }
        }
    }
    key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stand_as_in_a_sheet() {
        // Pinyin by GB 2312, level one: 安 bao chen li wang zhang; 䶮 is not in CP936.
        let mut names = ["张三", "李四", "䶮某", "安某", "王五", "包某", "陈某", "A"];
        names.sort_by_key(|name| gbk_key(name));
        assert_eq!(names, ["A", "安某", "包某", "陈某", "李四", "王五", "张三", "䶮某"]);
    }
}
