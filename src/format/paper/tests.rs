use super::*;
use calamine::{Data, Reader, Xlsx};
use std::io::Cursor;

fn notice() -> Paper {
    let columns = vec![
        Column::new("name", "姓名", Kind::Name),
        Column::new("id_number", "身份证号", Kind::Id).masked(),
        Column::new("attempts", "扣款次数", Kind::Number).summed(),
        Column::new("fee_year", "缴费年度", Kind::Number),
        Column::new("amount", "应存金额", Kind::Amount).summed(),
    ];
    let mut paper = Paper::new("催缴通知", jiff::civil::date(2018, 11, 1), columns);
    paper.unit = "测试区社会保险局".to_owned();
    paper.counted = Some("人");
    paper.capitals = Some("amount");
    let row = |name: &str, id: &str, fen| {
        vec![name.into(), id.into(), Cell::Count(1), Cell::Count(2018), Money::from_fen(fen).into()]
    };
    paper.group("高山镇");
    paper.row(row("测试甲", "500199198001010019", 3_000));
    paper.row(row("=1+1", "500199198001010027", 13_000));
    paper.subtotal(1, "一村小计");
    paper.row(row("测试丙", "500199198001010035", 5));
    paper.subtotal(1, "二村小计");
    paper.subtotal(0, "高山镇小计");
    paper.group_on_new_page("平坝镇");
    paper.row(row("测试丁", "500199198001010043", 10_000));
    paper.subtotal(1, "三村小计");
    paper.subtotal(0, "平坝镇小计");
    paper.total();
    paper
}

fn cells(bytes: Vec<u8>) -> Vec<Vec<String>> {
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).unwrap();
    let range = workbook.worksheet_range_at(0).unwrap().unwrap();
    range.rows().map(|row| row.iter().map(Data::to_string).collect()).collect()
}

#[test]
fn sums_nest_and_rows_are_counted() {
    let rows = cells(notice().xlsx().unwrap());
    let line = |label: &str| rows.iter().find(|row| row[0].starts_with(label)).unwrap();
    assert_eq!(line("一村小计"), &["一村小计（2 人）", "", "2", "", "160"]);
    assert_eq!(line("二村小计"), &["二村小计（1 人）", "", "1", "", "0.05"]);
    assert_eq!(line("高山镇小计"), &["高山镇小计（3 人）", "", "3", "", "160.05"]);
    assert_eq!(line("平坝镇小计"), &["平坝镇小计（1 人）", "", "1", "", "100"]);
    assert_eq!(line("合计"), &["合计（4 人）", "", "4", "", "260.05"]);
    assert_eq!(line("金额大写")[0], "金额大写：人民币贰佰陆拾元零伍分");
    assert!(line("制表人")[0].ends_with("日期："));
}

#[test]
fn numbers_of_people_are_text_and_hidden_where_asked() {
    let mut paper = notice();
    let bytes = paper.xlsx().unwrap();
    let rows = cells(bytes.clone());
    let first = rows.iter().position(|row| row[0] == "测试甲").unwrap();
    assert_eq!(rows[first], ["测试甲", "500199********0019", "1", "2018", "30"]);
    assert_eq!(rows[first + 1][0], "=1+1");
    let mut workbook: Xlsx<_> = Xlsx::new(Cursor::new(bytes)).unwrap();
    let formulas = workbook.worksheet_formula("催缴通知").unwrap();
    assert!(formulas.is_empty(), "a text is never a formula");
    paper.mask = true;
    assert!(cells(paper.xlsx().unwrap()).iter().any(|row| row[0] == "测*"));
}

#[test]
fn the_same_paper_is_the_same_bytes() {
    let first = notice().xlsx().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(1_100));
    assert_eq!(first, notice().xlsx().unwrap());
    let mut later = notice();
    later.made_on = jiff::civil::date(2018, 11, 2);
    assert_ne!(first, later.xlsx().unwrap());
}

#[test]
fn machines_get_the_rows() {
    let paper = notice();
    let csv = String::from_utf8(paper.csv(false)).unwrap();
    let expected = "name,id_number,attempts,fee_year,amount\n测试甲,500199********0019,1,2018,30.00\n";
    assert!(csv.starts_with(expected), "{csv}");
    assert!(String::from_utf8(paper.csv(true)).unwrap().contains("\n'=1+1,500199********0027,1,2018,130.00\n"));
    let json: serde_json::Value = serde_json::from_str(&paper.json()).unwrap();
    assert_eq!(json["rows"].as_array().unwrap().len(), 4);
    assert_eq!((&json["rows"][0]["amount"], &json["rows"][0]["attempts"]), (&"30.00".into(), &1.into()));
    assert_eq!(json["total"], serde_json::json!({"rows": 4, "attempts": 4, "amount": "260.05"}));
    assert_eq!(json["capitals"], "人民币贰佰陆拾元零伍分");
    let odd = JsonText("a\"b\\c\nd\u{1}").to_string();
    assert_eq!(serde_json::from_str::<String>(&odd).unwrap(), "a\"b\\c\nd\u{1}");
}

#[test]
fn a_paper_without_rows_is_a_paper() {
    let columns = vec![Column::new("name", "姓名", Kind::Name)];
    let mut paper = Paper::new("名单/[2018]:空", jiff::civil::date(2018, 9, 1), columns);
    paper.total();
    assert_eq!((paper.len(), paper.json().contains("\"rows\":[]")), (0, true));
    let rows = cells(paper.xlsx().unwrap());
    assert_eq!(rows[0][0], "名单/[2018]:空");
}
