//! `daikou layout`: work with bank layouts, without a store.

mod describe;
mod json;
mod sample;

use crate::cli::{Context, Exit};
use crate::config::layouts::{self, LayoutError};
use crate::format::decode::Decoder;
use crate::format::decoded::Decoded;
use crate::format::defect::Defect;
use crate::format::digest::Algorithm;
use crate::format::encode::{self, DataFile, EncodeError};
use crate::format::layout::{FileKind, Layout, LayoutFault};
use crate::format::record::Record;
use clap::{Args, Subcommand};
use serde_json::json;
use std::fs::File;
use std::io::{self, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

/// Work with bank layouts.
#[derive(Args, Debug)]
pub struct LayoutArgs {
    #[command(subcommand)]
    command: LayoutCommand,
}

#[derive(Subcommand, Debug)]
enum LayoutCommand {
    /// Name every fault of a layout and its code tables
    Lint {
        /// A shipped layout, or the path of a folder with layout.toml and codes.toml
        layout: String,
    },
    /// Print the records, fields and codes of a layout
    Describe {
        /// A shipped layout, or the path of a folder
        layout: String,
    },
    /// Read a bank file and name its defects; --json prints every record
    Decode {
        /// A shipped layout, or the path of a folder
        layout: String,
        /// The file
        file: PathBuf,
        /// Where the file's name does not tell: request, return, request-control, return-control
        #[arg(long, value_parser = parse_kind)]
        kind: Option<FileKind>,
        /// Hold a control file against this data file
        #[arg(long)]
        data: Option<PathBuf>,
        /// Show accounts, names and identity numbers in messages
        #[arg(long)]
        show_personal: bool,
    },
    /// Write a bank file from the JSON that decode prints; counts, sums and digests are worked out
    Encode {
        /// A shipped layout, or the path of a folder
        layout: String,
        /// The JSON; `-` for the standard input
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Instead of the JSON's own kind
        #[arg(long, value_parser = parse_kind)]
        kind: Option<FileKind>,
        /// Take size, rows, amounts and digest of a control file from this data file
        #[arg(long)]
        data: Option<PathBuf>,
        /// Where to write; the standard output without it
        #[arg(short, long)]
        output: Option<PathBuf>,
    },
    /// Write a small made-up request and its return into a folder
    Sample {
        /// A shipped layout, or the path of a folder
        layout: String,
        /// The folder; files of the same names are overwritten
        #[arg(default_value = ".")]
        dir: PathBuf,
    },
}

fn parse_kind(text: &str) -> std::result::Result<FileKind, String> {
    let words = FileKind::ALL.map(FileKind::word).join(", ");
    FileKind::parse(text).ok_or_else(|| format!("expected one of {words}"))
}

/// Why a command did not do what it was asked.
#[derive(Debug, thiserror::Error)]
enum LayoutCommandError {
    #[error(transparent)]
    Layout(#[from] LayoutError),
    #[error("{}: {source}", path.display())]
    File { path: PathBuf, source: io::Error },
    #[error("{name} is no file name of the layout {layout}; say --kind")]
    Kind { name: String, layout: String },
    #[error("the layout {layout} has no {} file", kind.word())]
    NoSuchFile { layout: String, kind: FileKind },
    #[error("--data belongs to a control file")]
    NotAControlFile,
    #[error("{0}")]
    Json(String),
    #[error("{}", .0.iter().map(EncodeError::to_string).collect::<Vec<_>>().join("\n"))]
    Encode(Vec<EncodeError>),
    #[error(transparent)]
    Output(#[from] io::Error),
}

impl LayoutCommandError {
    /// Design section 9: 1 findings, 2 failure, 64 usage.
    fn exit(&self) -> Exit {
        match self {
            LayoutCommandError::Encode(_) | LayoutCommandError::Json(_) => Exit::Findings,
            LayoutCommandError::Kind { .. }
            | LayoutCommandError::NoSuchFile { .. }
            | LayoutCommandError::NotAControlFile => Exit::Usage,
            _ => Exit::Failure,
        }
    }
}

type Result<T> = std::result::Result<T, LayoutCommandError>;

/// Runs the command. `formats`: the folder beside the configuration, which wins over the copies built in.
pub fn run(args: &LayoutArgs, context: &Context) -> Exit {
    let json = context.json;
    let beside = context.config.parent().map(|folder| folder.join("formats")).filter(|folder| folder.is_dir());
    let formats = beside.as_deref();
    let load = |name: &str| layouts::load(name, formats).map_err(LayoutCommandError::from);
    let done = match &args.command {
        LayoutCommand::Lint { layout } => lint(layout, formats, json),
        LayoutCommand::Describe { layout } => load(layout).and_then(|layout| describe::describe(&layout, json)),
        LayoutCommand::Decode { layout, file, kind, data, show_personal } => {
            load(layout).and_then(|layout| decode(&layout, file, *kind, data.as_deref(), json, *show_personal))
        }
        LayoutCommand::Encode { layout, file, kind, data, output } => {
            load(layout).and_then(|layout| encode(&layout, file, *kind, data.as_deref(), output.as_deref()))
        }
        LayoutCommand::Sample { layout, dir } => load(layout).and_then(|layout| sample::sample(&layout, dir, json)),
    };
    match done {
        Ok(true) => Exit::Done,
        Ok(false) => Exit::Findings,
        Err(LayoutCommandError::Output(error)) if error.kind() == io::ErrorKind::BrokenPipe => Exit::Done,
        Err(error) => {
            eprintln!("daikou: {error}");
            error.exit()
        }
    }
}

/// Every fault of a layout; `true` where there is none.
fn lint(name: &str, formats: Option<&Path>, json: bool) -> Result<bool> {
    let faults = match layouts::load(name, formats) {
        Ok(_) => Vec::new(),
        Err(LayoutError::Faulty { faults, .. }) => faults,
        Err(error) => return Err(error.into()),
    };
    let mut out = io::stdout().lock();
    if json {
        let fault = |fault: &LayoutFault| json!({ "place": fault.place, "message": fault.message });
        let faults: Vec<_> = faults.iter().map(fault).collect();
        writeln!(out, "{}", json!({ "layout": name, "ok": faults.is_empty(), "faults": faults }))?;
    } else if faults.is_empty() {
        writeln!(out, "{name}: sound")?;
    } else {
        for fault in &faults {
            writeln!(out, "{name}: {fault}")?;
        }
    }
    Ok(faults.is_empty())
}

/// Reads a file; `true` where it has no defect.
fn decode(
    layout: &Layout,
    path: &Path,
    kind: Option<FileKind>,
    data: Option<&Path>,
    json: bool,
    show_personal: bool,
) -> Result<bool> {
    let name = file_name(path);
    let kind = kind_of(layout, &name, kind)?;
    let mut out = BufWriter::new(io::stdout().lock());
    let mut records = json::RecordWriter::new(&mut out, layout, kind, json)?;
    let decoded = read(layout, kind, path, None, &mut |record| records.write(record))?;
    records.finish()?;
    let data = match data {
        Some(path) => Some((hold_against_data(layout, &decoded, path)?, file_name(path))),
        None => None,
    };
    let data = data.as_ref().map(|(data, name)| (data, name.as_str()));
    if json {
        let own = decoded.defects.iter().map(|defect| json::defect(defect, &name));
        let of_data = data.iter().flat_map(|(data, data_name)| {
            data.defects.iter().map(|defect| json::defect(defect, name_of(defect, &name, data_name)))
        });
        writeln!(out, "],\"defects\":{}}}", serde_json::Value::from_iter(own.chain(of_data)))?;
    } else {
        summary(&mut out, &decoded, &name, &name, show_personal)?;
        if let Some((data, data_name)) = data {
            summary(&mut out, data, &name, data_name, show_personal)?;
        }
    }
    out.flush()?;
    Ok(decoded.defect_count == 0 && data.is_none_or(|(data, _)| data.defect_count == 0))
}

/// The file a defect of a data file points into.
fn name_of<'n>(defect: &Defect, control: &'n str, data: &'n str) -> &'n str {
    if defect.is_in_control() { control } else { data }
}

/// The data file of a control file, held against it.
fn hold_against_data<'l>(layout: &'l Layout, control: &Decoded<'_>, path: &Path) -> Result<Decoded<'l>> {
    let kind = control.kind.data().ok_or(LayoutCommandError::NotAControlFile)?;
    let digest = control.asked_digest().unwrap_or(Algorithm::Sm3);
    let mut data = read(layout, kind, path, Some(digest), &mut |_| {})?;
    data.check_control(control, &file_name(path));
    Ok(data)
}

fn summary(
    out: &mut impl Write,
    decoded: &Decoded<'_>,
    control: &str,
    name: &str,
    show_personal: bool,
) -> io::Result<()> {
    for defect in &decoded.defects {
        writeln!(out, "{}", defect.message(name_of(defect, control, name), show_personal))?;
        if show_personal && !defect.picture().is_empty() {
            writeln!(out, "{}", defect.picture())?;
        }
    }
    let more = decoded.defect_count - decoded.defects.len() as u64;
    if more > 0 {
        writeln!(out, "{name}: {more} more defects")?;
    }
    let (kind, rows, bytes) = (decoded.kind.word(), decoded.totals.count, decoded.bytes);
    let state = match (decoded.defect_count, decoded.fatal_count) {
        (0, _) => "sound".to_owned(),
        _ if decoded.is_incomplete() => "incomplete".to_owned(),
        (count, fatal) => {
            let defects = if count == 1 { "defect" } else { "defects" };
            let verdict = if fatal == 0 { ", no reason to refuse the file" } else { "" };
            format!("{count} {defects}{verdict}")
        }
    };
    writeln!(out, "{name}: {kind}, {rows} rows, {bytes} bytes, {state}")
}

/// Writes a file from JSON.
fn encode(
    layout: &Layout,
    path: &Path,
    kind: Option<FileKind>,
    data: Option<&Path>,
    output: Option<&Path>,
) -> Result<bool> {
    let text = if path == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text)?;
        text
    } else {
        std::fs::read_to_string(path).map_err(|source| LayoutCommandError::File { path: path.to_owned(), source })?
    };
    let file = json::parse(&text).map_err(LayoutCommandError::Json)?;
    if let Some(other) = file.layout.filter(|other| *other != layout.key) {
        let message = format!("the JSON is of the layout {other}, not of {}", layout.key);
        return Err(LayoutCommandError::Json(message));
    }
    let named = output.and_then(|output| layout.recognise(&file_name(output)));
    let kind = kind.or(file.kind).or(named.map(|(kind, _)| kind));
    let kind = kind.ok_or_else(|| LayoutCommandError::Json("expected a kind, in the JSON or by --kind".to_owned()))?;
    let data = data.map(|data| data_file(layout, kind, data, file.digest_algorithm)).transpose()?;
    let bytes = encode::encode(layout, kind, &file.records, data.as_ref()).map_err(LayoutCommandError::Encode)?;
    match output {
        Some(path) => {
            std::fs::write(path, bytes).map_err(|source| LayoutCommandError::File { path: path.to_owned(), source })?;
        }
        None => io::stdout().lock().write_all(&bytes)?,
    }
    Ok(true)
}

/// What a control file takes from its data file.
fn data_file(layout: &Layout, control: FileKind, path: &Path, digest: Option<Algorithm>) -> Result<DataFile> {
    let kind = control.data().ok_or(LayoutCommandError::NotAControlFile)?;
    let decoded = read(layout, kind, path, Some(digest.unwrap_or(Algorithm::Sm3)), &mut |_| {})?;
    Ok(DataFile { bytes: decoded.bytes, totals: decoded.totals, digest: decoded.digest.unwrap_or_default() })
}

fn file_name(path: &Path) -> String {
    path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default()
}

fn kind_of(layout: &Layout, name: &str, kind: Option<FileKind>) -> Result<FileKind> {
    let kind = kind.or_else(|| layout.recognise(name).map(|(kind, _)| kind));
    let kind = kind.ok_or_else(|| LayoutCommandError::Kind { name: name.to_owned(), layout: layout.key.clone() })?;
    match layout.file(kind) {
        Some(_) => Ok(kind),
        None => Err(LayoutCommandError::NoSuchFile { layout: layout.key.clone(), kind }),
    }
}

/// Decodes a file by chunks.
fn read<'l>(
    layout: &'l Layout,
    kind: FileKind,
    path: &Path,
    digest: Option<Algorithm>,
    visit: &mut impl FnMut(&Record<'_>),
) -> Result<Decoded<'l>> {
    let file_error = |source| LayoutCommandError::File { path: path.to_owned(), source };
    let missing = || LayoutCommandError::NoSuchFile { layout: layout.key.clone(), kind };
    let mut decoder = Decoder::new(layout, kind, digest).ok_or_else(missing)?;
    let mut file = File::open(path).map_err(file_error)?;
    let mut chunk = vec![0; 1 << 18];
    loop {
        match file.read(&mut chunk).map_err(file_error)? {
            0 => return Ok(decoder.finish()),
            count => decoder.feed(&chunk[..count], visit),
        }
    }
}
