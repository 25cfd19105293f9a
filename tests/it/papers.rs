//! Papers as the office opens them: every kind is made by its command, opened by LibreOffice, printed to PDF and read.
//!
//! Without LibreOffice nothing is proved, and the test says so; `tests/run` installs it and sets `DAIKOU_NEED_OFFICE`.
//! `DAIKOU_PICTURES=FOLDER` leaves the first page of each paper there as a picture, to be looked at.

use crate::bank_files::{self, Answer, Reply, Request};
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

/// A paper: its name, the command that makes it, and what must stand on it.
const PAPERS: [(&str, &[&str], &[&str]); 7] = [
    (
        "notices",
        &["notices", "--year", "2018"],
        &["城乡居民基本养老保险费催缴通知", "高山镇小计", "一村小计", "余额不足", "金额大写：人民币", "2018年11月30日"],
    ),
    ("compare", &["compare"], &["代缴对象数据比对表", "全市", "名单有、参保库无", "比对明细"]),
    ("plans", &["report", "plans", "--year", "2018"], &["缴费计划汇总表", "未认定", "合计", "负责人"]),
    ("results", &["report", "results", "--year", "2018"], &["扣款结果汇总表", "农村商业银行", "余额不足", "单位盖章"]),
    (
        "mobilise",
        &["lists", "mobilise", "--year", "2017"],
        &["代缴对象动员参保缴费名单", "未参保小计", "民政", "参保状态不正常"],
    ),
    (
        "changes",
        &["lists", "changes", "--from", "2018-06-01", "--to", "2018-07-31"],
        &["代缴对象名单变动表", "新增", "退出", "变更"],
    ),
    ("simulate", &["policy", "simulate", "CASE/changed.toml"], &["政策试算汇总表", "试算政府代缴", "未作任何变动"]),
];

/// Papers of the autumn, when the first settlement is out and a payer's money has come.
const AUTUMN: [(&str, &[&str], &[&str]); 4] = [
    (
        "sheet",
        &["reconcile", "--bank", "rural", "--day", "2018-07-03", "--sheet"],
        &["日终对账单", "农村商业银行", "测试区社会保险局", "对账单", "金额不符", "制表人", "复核人"],
    ),
    (
        "transfers",
        &["report", "transfers", "--year", "2018"],
        &["代缴资金清算划款核对表", "民政小计", "尚欠", "代缴资金划款明细表", "HK0001", "金额大写：人民币", "单位盖章"],
    ),
    (
        "voucher",
        &["report", "voucher", "--month", "2018-07"],
        &["记账凭证汇总表（收付实现制）", "收入户存款", "借方金额", "备查凭证汇总表（视同实收）", "金额大写：人民币"],
    ),
    (
        "account",
        &["report", "account", "--person", "500199198001010043"],
        &["个人账户缴费记录表", "500199198001010043", "测试丁", "个人缴费", "200.00", "事后补助70.00元", "单位盖章"],
    ),
];

/// Papers that lie in folders: where, and what their names begin with.
const PUBLISHED: [(&str, &str, &[&str]); 3] = [
    (
        "drops/departments/civil-affairs/500199/out",
        "settlement",
        &[
            "2018年度城乡居民养老保险政府代缴清算汇总表",
            "清算明细表",
            "代缴小计",
            "事后补助小计",
            "金额大写：人民币",
            "负责人",
        ],
    ),
    (
        "drops/departments/civil-affairs/500199/out",
        "expost",
        &["2018年度城乡居民养老保险事后补助名单", "测试丁", "500199198001010043", "发放结果", "单位盖章"],
    ),
    ("drops/bureau/out/vouchers", "voucher-2018-07", &["记账凭证汇总表（收付实现制）", "复核人"]),
];

#[test]
fn every_paper_opens_and_prints() {
    if Command::new("soffice").arg("--version").output().is_err() {
        assert!(std::env::var_os("DAIKOU_NEED_OFFICE").is_none(), "LibreOffice is not installed");
        return println!("no LibreOffice here: papers are not opened");
    }
    let office = Office::open();
    let mut sheets: Vec<(String, PathBuf, &[&str])> = Vec::new();
    for (name, args, texts) in PAPERS {
        sheets.push((name.to_owned(), office.write("2018-07-06", name, args), texts));
    }
    let receipt = office.receipt();
    office.autumn();
    for (name, args, texts) in AUTUMN {
        sheets.push((name.to_owned(), office.write("2018-10-09", name, args), texts));
    }
    for (folder, name, texts) in PUBLISHED {
        sheets.push((format!("{name}-published"), office.published(folder, name), texts));
    }
    sheets.push((
        "receipt".to_owned(),
        receipt,
        &["回执：退回的行", "校验码不符", "回执：已照收、请核对的行", "地区代码不认识", "名单变动"],
    ));
    office.print(&sheets.iter().map(|(_, path, _)| path.as_path()).collect::<Vec<_>>());
    for (name, path, texts) in &sheets {
        office.judge(name, path, texts);
    }
}

/// A bureau with a year under way, and a folder for what is printed.
struct Office {
    root: tempfile::TempDir,
    data: PathBuf,
}

impl Office {
    fn open() -> Office {
        let data = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/papers");
        let office = Office { root: tempfile::tempdir().unwrap(), data };
        let home = office.root.path().join("bureau");
        let made =
            Command::new(env!("CARGO_BIN_EXE_daikou")).args(["init", "--unattended"]).arg(&home).output().unwrap();
        assert!(made.status.success(), "{made:?}");
        let file = |name: &str| office.data.join(name).display().to_string();
        office.daikou("2018-06-25", &["ingest", "--from", "bureau", &file("roster.csv")]);
        office.daikou("2018-06-26", &["ingest", "--from", "civil-affairs/500199", &file("list.csv")]);
        office.daikou("2018-06-26", &["ingest", "--from", "poverty-alleviation/500199", &file("poor.csv")]);
        office.daikou("2018-07-02", &["plan", "--year", "2018"]);
        office.daikou("2018-07-02", &["instruct", "--year", "2018", "--debit-on", "2018-07-03"]);
        office.daikou("2018-07-02", &["send"]);
        office.answer();
        office.daikou("2018-07-05", &["ingest", "--from", "civil-affairs/500199", &file("list2.csv")]);
        // Beyond five in a hundred a person is asked.
        office.daikou("2018-07-05", &["--as", "checker", "approve", "list 5"]);
        office
    }

    /// One person pays at the counter; the statement shows a little less than the bank said; the first settlement year
    /// ends; one payer sends a part of what it owes.
    fn autumn(&self) {
        let drop = |today: &str, name: &str, text: &str| {
            let path = self.root.path().join(name);
            std::fs::write(&path, text).unwrap();
            self.daikou(today, &["ingest", "--from", "bureau", &path.display().to_string()]);
        };
        let paid = "id_number,fee_year,amount,paid_on,channel,reference\n\
            500199198001010043,2018,200.00,2018-07-06,counter,GT0001\n";
        drop("2018-07-06", "payments.csv", paid);
        let lines = "bank,booked_on,reference,amount,serial\nrural,2018-07-03,2018070201000001,1000.00,S1\n";
        drop("2018-07-09", "statement.csv", lines);
        self.daikou("2018-07-12", &["expost", "--year", "2018"]);
        self.daikou("2018-08-06", &["close", "2018-07", "--despite", "银行少划，已催"]);
        self.daikou("2018-09-05", &["settle", "--year", "2018"]);
        let money = "payer,district,settlement_year,amount,received_on,reference\n\
            civil-affairs,500199,2018,100.00,2018-09-20,HK0001\n";
        drop("2018-09-21", "transfers.csv", money);
    }

    /// The workbook of a command.
    fn write(&self, today: &str, name: &str, args: &[&str]) -> PathBuf {
        let path = self.root.path().join(format!("{name}.xlsx"));
        let mut args: Vec<String> =
            args.iter().map(|arg| arg.replace("CASE", &self.data.display().to_string())).collect();
        args.extend(["--format", "xlsx", "-o"].map(str::to_owned));
        args.push(path.display().to_string());
        self.daikou(today, &args.iter().map(String::as_str).collect::<Vec<_>>());
        path
    }

    /// The workbook in a folder whose name begins so, as a copy.
    fn published(&self, folder: &str, name: &str) -> PathBuf {
        let folder = self.root.path().join("bureau").join(folder);
        let mut files = std::fs::read_dir(&folder).unwrap().map(|entry| entry.unwrap().path());
        let is_it = |path: &PathBuf| {
            let file = path.file_name().unwrap().to_string_lossy();
            file.starts_with(name) && file.ends_with(".xlsx")
        };
        let path = files.find(is_it).unwrap_or_else(|| panic!("no {name} in {}", folder.display()));
        let copy = self.root.path().join(format!("{name}-published.xlsx"));
        std::fs::copy(path, &copy).unwrap();
        copy
    }

    /// The rural bank lacks the money of its first person and takes the rest.
    fn answer(&self) {
        let out = self.root.path().join("bureau/drops/banks/rural/out");
        let request = std::fs::read_dir(&out).unwrap().map(|entry| entry.unwrap().path()).next().expect("a request");
        let name = request.file_name().unwrap().to_str().unwrap().to_owned();
        let request = Request::read(&name, &std::fs::read(&request).unwrap());
        let answer = |row: usize| {
            let (code, actual) = if row == 0 { ("1001", 0) } else { ("0000", request.due(row)) };
            let booked = |text: &str| if actual > 0 { text.to_owned() } else { String::new() };
            let (booked_on, booked_at, serial) = (booked("20180703"), booked("090000"), booked(&format!("N{row:07}")));
            let (code, message, changed, cut_name) = (code.to_owned(), String::new(), Vec::new(), false);
            Answer { row, code, message, actual, booked_on, booked_at, serial, changed, cut_name }
        };
        let reply = Reply {
            answers: (0..request.len()).map(answer).collect(),
            file_code: "0000".to_owned(),
            file_message: String::new(),
            created: "20180704080000".to_owned(),
            part: 1,
            last: true,
            skew: 0,
        };
        for (name, bytes) in bank_files::write(&request, &reply) {
            let path = self.root.path().join(name);
            std::fs::write(&path, bytes).unwrap();
            self.daikou("2018-07-04", &["ingest", "--from", "rural", &path.display().to_string()]);
        }
    }

    fn daikou(&self, today: &str, args: &[&str]) -> Output {
        let config = self.root.path().join("bureau/daikou.toml");
        let mut command = Command::new(env!("CARGO_BIN_EXE_daikou"));
        let output = command.arg("--config").arg(config).args(["--today", today]).args(args).output().unwrap();
        assert!(matches!(output.status.code(), Some(0 | 1)), "{args:?}: {output:?}");
        output
    }

    fn receipt(&self) -> PathBuf {
        let out = self.root.path().join("bureau/drops/departments/civil-affairs/500199/out");
        let mut files = std::fs::read_dir(out).unwrap().map(|entry| entry.unwrap().path());
        let path = files.find(|path| path.display().to_string().ends_with(".receipt.xlsx")).expect("a receipt");
        let copy = self.root.path().join("receipt.xlsx");
        std::fs::copy(path, &copy).unwrap();
        copy
    }

    /// One call for all of them: the office takes longer to start than to print.
    fn print(&self, papers: &[&Path]) {
        let mut command = Command::new("soffice");
        command.arg(format!("-env:UserInstallation=file://{}/profile", self.root.path().display()));
        command.args(["--headless", "--convert-to", "pdf", "--outdir"]).arg(self.root.path()).args(papers);
        let output = command.output().unwrap();
        assert!(output.status.success(), "{output:?}");
    }

    /// The paper has pages, each with text, numbered, and says what it must.
    fn judge(&self, name: &str, path: &Path, texts: &[&str]) {
        let pdf = path.with_extension("pdf");
        let run = |program: &str, args: &[&str]| {
            let output = Command::new(program).args(args).arg(&pdf).arg("-").output().unwrap();
            String::from_utf8_lossy(&output.stdout).into_owned()
        };
        let info = Command::new("pdfinfo").arg(&pdf).output().unwrap();
        let info = String::from_utf8_lossy(&info.stdout).into_owned();
        let line = |key: &str| info.lines().find_map(|line| line.strip_prefix(key)).unwrap_or("").trim().to_owned();
        let pages: u32 = line("Pages:").parse().unwrap_or_else(|_| panic!("{name} was not printed: {info}"));
        assert!(line("Page size:").contains("A4"), "{name}: {info}");
        for page in 1..=pages {
            let page = page.to_string();
            let text = run("pdftotext", &["-f", &page, "-l", &page, "-layout"]);
            assert!(text.contains(&format!("第 {page} 页")), "{name}: page {page} of {pages}: {text:?}");
            assert!(text.trim().chars().count() > 20, "{name}: page {page} is empty");
        }
        let whole: String = run("pdftotext", &["-layout"]).split_whitespace().collect();
        for text in texts {
            let bare: String = text.split_whitespace().collect();
            assert!(whole.contains(&bare), "{name} does not say {text}: {whole}");
        }
        if let Some(folder) = std::env::var_os("DAIKOU_PICTURES") {
            let picture = Path::new(&folder).join(name);
            let drawn = Command::new("pdftoppm")
                .args(["-r", "80", "-png", "-f", "1", "-l", "1", "-singlefile"])
                .arg(&pdf)
                .arg(picture)
                .status();
            assert!(drawn.unwrap().success());
        }
    }
}
