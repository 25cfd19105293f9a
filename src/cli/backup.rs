//! `daikou backup DIR`: a consistent copy, with a manifest that `sha256sum -c` proves.

use crate::cli::{Context, Exit, Ran};
use crate::daemon::backing_up::{MANIFEST, back_up};
use crate::transport::hex;
use serde_json::json;
use std::path::PathBuf;

/// Arguments of `backup`.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// A missing or empty folder, best on another disk
    #[arg(value_name = "DIR")]
    dir: PathBuf,
}

/// Runs `backup`.
pub fn run(args: &BackupArgs, context: &Context) -> Ran {
    let mut bureau = context.open()?;
    let backup = back_up(&mut bureau, &context.config, &args.dir, &context.order())?;
    let (dir, files, bytes) = (args.dir.display().to_string(), backup.files, backup.bytes);
    let (anchor, manifest) = (backup.anchor.map(|anchor| anchor.to_string()), hex(&backup.manifest));
    if context.json {
        context.print_json(
            &json!({ "dir": dir, "files": files, "bytes": bytes, "anchor": anchor, "manifest_sha256": manifest }),
        );
    } else {
        println!("{dir}: {files} files, {bytes} bytes");
        println!("{manifest}  {MANIFEST}");
        anchor.iter().for_each(|anchor| println!("{anchor}"));
    }
    Ok(Exit::Done)
}
