//! A bureau in a folder of its own, driven through the product's own steps in this process.

use crate::people::{BANKS, YEARS, list, roster};
use daikou::config::{self, Config};
use daikou::daemon::approvals;
use daikou::daemon::bureau::{Bureau, Clock, Order, Step, StepError, load_layouts, store_path};
use daikou::daemon::courier::Couriers;
use daikou::daemon::drops::{Looked, look_at, take_from};
use daikou::daemon::receipts::Sender;
use daikou::daemon::rounds::Rounds;
use daikou::daemon::{Setup, audit};
use daikou::domain::calendar::{Date, DateTime, Time};
use daikou::domain::participant::{BankNumber, DistrictCode, Payer};
use daikou::format::layout::Layout;
use daikou::store::Store;
use daikou::store::export::{BankKeys, What, rows};
use daikou::transport::Lock;
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Where bureaus are played: one after the other in the same folder, each from a copy of what was made ready once.
pub(crate) struct Ground {
    root: tempfile::TempDir,
    config: Arc<Config>,
    layouts: Arc<BTreeMap<BankNumber, Layout>>,
}

/// The first business date.
pub(crate) fn first_day() -> Date {
    Date::new(2018, 7, 2).unwrap()
}

impl Ground {
    /// Roster and lists are in; nothing is planned.
    pub(crate) fn new() -> Ground {
        let root = crate::scratch::scratch();
        let home = root.path().join("bureau");
        daikou::cli::init::set_up(&home, true).unwrap();
        let path = home.join("daikou.toml");
        let text = fs::read_to_string(&path).unwrap().replace("settle_ms = 2000", "settle_ms = 0");
        fs::write(&path, text.replace("release = \"none\"", "release = \"second\"")).unwrap();
        let config = config::load(&path).unwrap_or_else(|problems| panic!("{problems:?}"));
        let layouts = Arc::new(load_layouts(&config).unwrap());
        let ground = Ground { root, config: Arc::new(config), layouts };
        ground.take_rolls();
        for tree in ["drops", "state"] {
            copy_tree(&ground.home().join(tree), &ground.ready().join(tree));
        }
        ground
    }

    fn take_rolls(&self) {
        let mut bureau = self.open().unwrap();
        let mut take = |name: &str, text: String, sender: Sender, on: Date| {
            let folder = self.root.path().join("given");
            fs::create_dir_all(&folder).unwrap();
            fs::write(folder.join(name), text).unwrap();
            let found = look_at(&bureau, &folder, name.as_ref(), &sender).unwrap();
            match take_from(&mut bureau, found, sender, None, &order(on, "maker")).unwrap() {
                Looked::Taken(receipt) => assert_eq!(receipt.refused, 0, "{receipt:?}"),
                other => panic!("{other:?}"),
            }
        };
        let on = Date::new(2018, 6, 20).unwrap();
        take("roster.csv", roster(), Sender::Bureau, on);
        // Nobody can know yet who will be recognised in 2019.
        for year in &YEARS[..2] {
            let name = format!("list-{}.csv", year - 1);
            take(&name, list(year - 1, false), department(), on);
        }
    }

    /// Everything as it was made ready.
    pub(crate) fn renew(&self) -> PathBuf {
        for tree in ["drops", "state"] {
            fs::remove_dir_all(self.home().join(tree)).unwrap();
            copy_tree(&self.ready().join(tree), &self.home().join(tree));
        }
        let graves = self.root.path().join("graves");
        let _ = fs::remove_dir_all(&graves);
        fs::create_dir(&graves).unwrap();
        graves
    }

    fn ready(&self) -> PathBuf {
        self.root.path().join("ready")
    }

    pub(crate) fn home(&self) -> PathBuf {
        self.root.path().join("bureau")
    }

    pub(crate) fn drops(&self, place: &str) -> PathBuf {
        self.home().join("drops").join(place)
    }

    /// As a command opens it, or the daemon at its start.
    pub(crate) fn open(&self) -> Step<Bureau> {
        let store = Store::open(&store_path(&self.config.state))?;
        let (config, layouts) = (self.config.clone(), self.layouts.clone());
        Ok(Bureau { config, layouts, store, pulse: Default::default() })
    }

    /// Starts the daemon for a business date.
    pub(crate) fn start(&self, today: Date) -> Step<Rounds> {
        let bureau = self.open()?;
        let lock = Lock::acquire(&self.config.state)?;
        let clock = Clock { today: Some(today), now: || unreachable!("the business date is given") };
        let (hint, _) = tokio::sync::mpsc::channel(1);
        let couriers = Arc::new(Couriers::start(&bureau, clock, &hint)?);
        Ok(Rounds::new(
            Setup { bureau, lock, clock, metrics: Default::default(), health: Default::default() },
            couriers,
        ))
    }

    /// The checker says yes to all that waits; a refusal is an answer.
    pub(crate) fn approve_all(&self, today: Date) -> Step<usize> {
        let mut bureau = self.open()?;
        let waiting = approvals::waiting(&bureau)?;
        for request in &waiting {
            match approvals::approve(&mut bureau, &request.name, &order(today, "checker")) {
                Ok(_) | Err(StepError::Refused(_)) => {}
                Err(error) => return Err(error),
            }
        }
        Ok(waiting.len())
    }

    /// A table as it is exported.
    pub(crate) fn export(&self, bureau: &Bureau, what: What) -> Vec<Vec<String>> {
        let banks: BankKeys = self.config.banks.iter().map(|bank| (bank.number.0, bank.key.clone())).collect();
        let mut table = Vec::new();
        rows(bureau.store.connection(), what, None, &banks, &mut |row| {
            table.push(row.iter().map(|cell| (*cell).to_owned()).collect());
            Ok(())
        })
        .unwrap();
        table
    }

    /// What the invariants say that does not hold.
    pub(crate) fn audit(&self, bureau: &Bureau, today: Date) -> Option<String> {
        let checks = audit::audit(bureau, order(today, "maker").at).unwrap();
        checks.into_iter().find_map(|check| Some(format!("audit {}: {}", check.id, check.offender?)))
    }

    /// Alarms that the living daemon shows: class and words.
    pub(crate) fn alarms(&self) -> Vec<(String, String)> {
        let shown = daikou::daemon::alarms::published(&self.config.state);
        shown
            .into_iter()
            .map(|alarm| (alarm.class.to_string(), format!("{}: {}", alarm.subject, alarm.words)))
            .collect()
    }

    /// Every inbox.
    pub(crate) fn inboxes() -> Vec<String> {
        let banks = BANKS.iter().map(|bank| format!("banks/{bank}/in"));
        banks.chain(["bureau/in".to_owned(), "departments/civil-affairs/500199/in".to_owned()]).collect()
    }
}

fn department() -> Sender {
    Sender::Department(Payer::CivilAffairs, DistrictCode::parse("500199").unwrap())
}

fn order(on: Date, actor: &str) -> Order {
    Order { at: DateTime::from_parts(on, Time::midnight()), actor: actor.to_owned() }
}

/// Names in a folder that a counterparty looks at, sorted; none where the folder is not there.
pub(crate) fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|n| !n.starts_with('.'))
        .collect();
    names.sort();
    names
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap().map(|entry| entry.unwrap()) {
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}
