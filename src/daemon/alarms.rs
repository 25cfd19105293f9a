//! What a person must look at, for as long as it stands: logged once when it begins and once when it ends.

use crate::telemetry::Metrics;
use crate::transport::{self, disk, write_new};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// One kind of alarm. `docs/operating.md` has the same table, and a test compares the two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Class {
    /// In the log, in `daikou_alarms` and in `status --json`.
    pub word: &'static str,
    /// For clerks.
    pub chinese: &'static str,
    /// Who looks: `operator`, `clerk`, `checker`.
    pub owner: &'static str,
    /// What is safe to do now, for whoever reads `status`.
    pub safe: &'static str,
}

macro_rules! classes {
    ($($word:literal $chinese:literal $owner:literal $safe:literal;)*) => {
        /// Every kind of alarm.
        pub const CLASSES: &[Class] =
            &[$(Class { word: $word, chinese: $chinese, owner: $owner, safe: $safe },)*];
    };
}

classes! {
    "file" "投递目录中的异物" "operator" "用 ls -il 查看；不是文件的，请投放者移走，自行移走也安全";
    "folder" "目录打不开" "operator" "按属主和权限重建目录，或挂上缺少的磁盘；不要用空目录代替挂载失败的目录";
    "disk-low" "磁盘空间不足" "operator" "在 state 之外腾出空间，会自动恢复；不要删除 state 内的任何文件";
    "step" "步骤失败" "operator" "看日志原因，多为 out 目录缺失或已满；会自动重试，不会重发";
    "round" "一轮未完成" "operator" "持续出现时停止常驻进程并运行 daikou audit";
    "configuration" "配置与在途批次不符" "operator" "用 daikou check 查看，把该银行的配置改回后重启；在此之前其回盘读不出来，不会丢失";
    "calendar" "日历已到尽头" "operator" "在 calendars 中补上该年，check 后重启";
    "clock-stepped" "系统时钟跳变" "operator" "先用 timedatectl 核对日期；日期不对就停止常驻进程，校准后再启动；已批准的批次不会因此改变";
    "window-missed" "错过时段" "operator" "无须撤销；当天仍要办的，手工运行 daikou plan、instruct、send";
    "list-missing" "名单未到" "clerk" "向部门催要；确需不等名单时，由有权的人运行 instruct --without-lists";
    "answer-late" "回盘逾期" "clerk" "向银行查询；在答复之前不会再次扣款";
    "sequence-gap" "序号缺口" "clerk" "向银行索要缺少的回盘；我方批次号缺失时运行 daikou audit 并停止发送";
    "ageing" "指令久无结果" "clerk" "向银行逐笔查询后用 daikou resolve 登记；在此之前不会再次扣款";
    "delivery-in-doubt" "送达未确认" "clerk" "问银行是否收到，再用 daikou resolve 登记；切勿手工再送一次";
    "line" "银行线路不通" "operator" "会自动重试；久不恢复时运行 daikou doctor，截止前可 deliver --by-hand";
    "line-blocked" "银行线路已锁定" "operator" "电话核对主机指纹；不要照抄对方显示的新指纹";
    "odd-file" "银行目录中的异物" "operator" "daikou doctor 可见文件名，请银行移走";
    "delivery-refused" "银行拒收文件" "operator" "按说明请银行腾出空间或放开权限；会自动重试";
    "settlement-late" "清算逾期" "clerk" "运行 daikou settle --year 起草，再由另一人批准";
    "transfer-late" "划款逾期" "clerk" "向代缴部门催款；daikou export claims 可见未结清的金额";
    "reconciliation" "账与对账单有差异" "clerk" "运行 daikou reconcile 查看逐项差异和处理办法；原因消除后自动解除";
    "feed-unacknowledged" "记账推送未回执" "operator" "问业务系统是否已入账并请其回执；不要删除或改名推送文件";
    "backup-old" "备份过旧" "operator" "现在就运行 daikou backup 到另一块磁盘，再查每晚的任务为何没有运行；常驻进程不必停";
    "zero-payment" "零自付批次待批准" "checker" "用 daikou status 查看后批准，否则落入下一清算期或过年失效";
}

impl Class {
    /// The class of a word.
    pub fn parse(word: &str) -> Option<&'static Class> {
        CLASSES.iter().find(|class| class.word == word)
    }
}

/// One alarm as the daemon shows it to `status`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Shown {
    /// Its class.
    pub class: String,
    /// What it is about.
    pub subject: String,
    /// What is wrong.
    pub words: String,
}

/// The standing alarms, by class and subject, with their words.
#[derive(Debug, Default)]
pub struct Alarms {
    standing: BTreeMap<(&'static str, String), String>,
    has_changed: bool,
}

impl Alarms {
    /// Something is wrong. Logged where it was not known yet.
    pub fn raise(&mut self, class: &'static str, subject: impl Into<String>, words: &str) {
        debug_assert!(Class::parse(class).is_some(), "{class} is in the table");
        let subject = subject.into();
        let before = self.standing.insert((class, subject.clone()), words.to_owned());
        self.has_changed |= before.as_deref() != Some(words);
        if before.is_none() {
            let owner = Class::parse(class).map_or("operator", |class| class.owner);
            tracing::error!(alarm = class, owner, subject, "{class}: {subject}: {words}");
        }
    }

    /// It is well again. Logged where it was known.
    pub fn clear(&mut self, class: &'static str, subject: &str) {
        if self.standing.remove(&(class, subject.to_owned())).is_some() {
            self.has_changed = true;
            tracing::info!(alarm = class, subject, "{class}: {subject}: over");
        }
    }

    /// Whether it stands.
    pub fn stands(&self, class: &'static str, subject: &str) -> bool {
        self.standing.contains_key(&(class, subject.to_owned()))
    }

    /// Keeps, of one class, only the alarms about these subjects.
    pub fn retain(&mut self, class: &'static str, still: impl Fn(&str) -> bool) {
        let of_class = self.standing.keys().filter(|(known, subject)| *known == class && !still(subject));
        let over: Vec<String> = of_class.map(|(_, subject)| subject.clone()).collect();
        over.iter().for_each(|subject| self.clear(class, subject));
    }

    /// Shows how many stand, by class.
    pub fn show(&self, metrics: &Metrics) {
        let mut counts: BTreeMap<&str, i64> = BTreeMap::new();
        for (class, _) in self.standing.keys() {
            *counts.entry(class).or_default() += 1;
        }
        metrics.alarms.replace(counts.into_iter().map(|(class, count)| ([class], count)));
    }

    /// Leaves them where `status` finds them, if they changed. A full disk must not stop a round: then the log has them.
    pub fn publish(&mut self, state: &Path) {
        if std::mem::take(&mut self.has_changed) {
            let shown = |((class, subject), words): (&(&str, String), &String)| Shown {
                class: (*class).to_owned(),
                subject: subject.clone(),
                words: words.clone(),
            };
            let alarms: Vec<Shown> = self.standing.iter().map(shown).collect();
            let published = Published { process: std::process::id(), alarms };
            if let Err(error) = published.write(&path(state)) {
                tracing::warn!("status cannot show the alarms of the daemon: {}", error.without_path());
                self.has_changed = true;
            }
        }
    }

    /// How many stand.
    pub fn count(&self) -> usize {
        self.standing.len()
    }
}

/// The alarms of a living daemon; none where it is gone, or never raised one.
pub fn published(state: &Path) -> Vec<Shown> {
    let text = std::fs::read_to_string(path(state)).unwrap_or_default();
    match serde_json::from_str::<Published>(&text) {
        Ok(published) if Path::new(&format!("/proc/{}", published.process)).exists() => published.alarms,
        _ => Vec::new(),
    }
}

#[derive(Debug, Serialize, Deserialize)]
struct Published {
    process: u32,
    alarms: Vec<Shown>,
}

impl Published {
    fn write(&self, path: &Path) -> Result<(), transport::Error> {
        let whole = path.with_extension("tmp");
        let text = serde_json::to_string(self).expect("texts are plain text");
        write_new(&whole, 0o600, text.as_bytes())?;
        disk::rename(&whole, path).map_err(|source| transport::Error::io(path, "rename", source))
    }
}

fn path(state: &Path) -> PathBuf {
    state.join("alarms.json")
}
