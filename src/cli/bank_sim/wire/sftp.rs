//! SFTP version 3 on the wire: each request is handed to the session, each answer is put into its packet.

use super::Line;
use crate::cli::bank_sim::bank::Bank;
use crate::cli::bank_sim::served::{Attributes, Code, Entry, How};
use crate::cli::bank_sim::session::{Done, Session, Trouble};
use russh_sftp::extensions::{FSYNC, FsyncExtension, STATVFS, Statvfs};
use russh_sftp::protocol::{
    Attrs, Data, ExtendedReply, File, FileAttributes, Handle, Name, OpenFlags, Packet, Status, StatusCode, Version,
};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::task::block_in_place;

/// One SFTP session.
pub(super) struct Sftp {
    session: Session,
    line: Arc<Line>,
}

impl Sftp {
    pub(super) fn new(bank: Arc<Bank>, line: Arc<Line>) -> Sftp {
        Sftp { session: Session::new(bank), line }
    }

    async fn begin(&self) -> Result<(), StatusCode> {
        let begun = if self.line.is_mute() { Err(Trouble::Silent) } else { self.session.begin() };
        self.told(begun).await
    }

    /// The answer of an operation; none where the bank misbehaves, until the client is tired of waiting.
    async fn told<T>(&self, done: Done<T>) -> Result<T, StatusCode> {
        match done {
            Ok(value) => return Ok(value),
            Err(Trouble::Says(code)) => return Err(status_code(code)),
            Err(Trouble::Cuts) => self.line.cut(),
            Err(Trouble::Silent) => {}
        }
        self.line.mute();
        self.line.until_gone().await;
        Err(StatusCode::ConnectionLost)
    }

    async fn finish(&self, id: u32, done: Done<()>) -> Result<Status, StatusCode> {
        self.told(done).await?;
        let error_message = String::new();
        Ok(Status { id, status_code: StatusCode::Ok, error_message, language_tag: String::new() })
    }

    async fn pause(&self, bytes: usize) {
        let pause = self.session.pause(bytes as u64);
        if !pause.is_zero() {
            tokio::time::sleep(pause).await;
        }
    }
}

impl russh_sftp::server::Handler for Sftp {
    type Error = StatusCode;

    fn unimplemented(&self) -> StatusCode {
        StatusCode::OpUnsupported
    }

    async fn init(&mut self, _version: u32, _extensions: HashMap<String, String>) -> Result<Version, StatusCode> {
        self.begin().await?;
        let mut version = Version::new();
        version.extensions.insert(STATVFS.to_owned(), "2".to_owned());
        if self.session.has_fsync() {
            version.extensions.insert(FSYNC.to_owned(), "1".to_owned());
        }
        Ok(version)
    }

    async fn realpath(&mut self, id: u32, path: String) -> Result<Name, StatusCode> {
        self.begin().await?;
        Ok(Name { id, files: vec![File::dummy(Session::real_path(&path))] })
    }

    async fn opendir(&mut self, id: u32, path: String) -> Result<Handle, StatusCode> {
        self.begin().await?;
        let done = block_in_place(|| self.session.list(&path));
        self.told(done).await.map(|handle| named(id, handle))
    }

    async fn readdir(&mut self, id: u32, handle: String) -> Result<Name, StatusCode> {
        self.begin().await?;
        let done = self.session.next_entries(number(&handle)?);
        let entries = self.told(done).await?;
        Ok(Name { id, files: entries.into_iter().map(file).collect() })
    }

    async fn stat(&mut self, id: u32, path: String) -> Result<Attrs, StatusCode> {
        self.begin().await?;
        let done = self.session.look_at(&path, true);
        self.told(done).await.map(|found| Attrs { id, attrs: attributes(found) })
    }

    async fn lstat(&mut self, id: u32, path: String) -> Result<Attrs, StatusCode> {
        self.begin().await?;
        let done = self.session.look_at(&path, false);
        self.told(done).await.map(|found| Attrs { id, attrs: attributes(found) })
    }

    async fn fstat(&mut self, id: u32, handle: String) -> Result<Attrs, StatusCode> {
        self.begin().await?;
        let done = self.session.look_at_handle(number(&handle)?);
        self.told(done).await.map(|found| Attrs { id, attrs: attributes(found) })
    }

    /// Taken, and nothing is changed: modes and times are the bank's own business.
    async fn setstat(&mut self, id: u32, _path: String, _attrs: FileAttributes) -> Result<Status, StatusCode> {
        self.begin().await?;
        self.finish(id, Ok(())).await
    }

    async fn fsetstat(&mut self, id: u32, _handle: String, _attrs: FileAttributes) -> Result<Status, StatusCode> {
        self.begin().await?;
        self.finish(id, Ok(())).await
    }

    async fn open(
        &mut self,
        id: u32,
        filename: String,
        pflags: OpenFlags,
        _attrs: FileAttributes,
    ) -> Result<Handle, StatusCode> {
        self.begin().await?;
        let done = self.session.open(&filename, how(pflags));
        self.told(done).await.map(|handle| named(id, handle))
    }

    async fn read(&mut self, id: u32, handle: String, offset: u64, len: u32) -> Result<Data, StatusCode> {
        self.begin().await?;
        let done = self.session.read(number(&handle)?, offset, len);
        let data = self.told(done).await?;
        self.pause(data.len()).await;
        Ok(Data { id, data })
    }

    async fn write(&mut self, id: u32, handle: String, offset: u64, data: Vec<u8>) -> Result<Status, StatusCode> {
        self.begin().await?;
        self.pause(data.len()).await;
        let done = self.session.write(number(&handle)?, offset, &data);
        self.finish(id, done).await
    }

    async fn close(&mut self, id: u32, handle: String) -> Result<Status, StatusCode> {
        self.begin().await?;
        let handle = number(&handle)?;
        let done = block_in_place(|| self.session.close(handle));
        self.finish(id, done).await
    }

    async fn rename(&mut self, id: u32, oldpath: String, newpath: String) -> Result<Status, StatusCode> {
        self.begin().await?;
        let done = block_in_place(|| self.session.rename(&oldpath, &newpath));
        self.finish(id, done).await
    }

    async fn remove(&mut self, id: u32, filename: String) -> Result<Status, StatusCode> {
        self.begin().await?;
        let done = self.session.remove(&filename);
        self.finish(id, done).await
    }

    async fn extended(&mut self, id: u32, request: String, data: Vec<u8>) -> Result<Packet, StatusCode> {
        self.begin().await?;
        match request.as_str() {
            FSYNC => {
                let asked: FsyncExtension = read(data)?;
                let handle = number(&asked.handle)?;
                let done = block_in_place(|| self.session.fsync(handle));
                self.finish(id, done).await.map(Packet::Status)
            }
            STATVFS => {
                let room = self.told(self.session.room()).await?;
                let data = russh_sftp::ser::to_bytes(&statvfs(room)).map_err(|_| StatusCode::Failure)?.to_vec();
                Ok(Packet::ExtendedReply(ExtendedReply { id, data }))
            }
            _ => Err(StatusCode::OpUnsupported),
        }
    }
}

fn named(id: u32, handle: u32) -> Handle {
    Handle { id, handle: handle.to_string() }
}

fn number(handle: &str) -> Result<u32, StatusCode> {
    handle.parse().map_err(|_| StatusCode::Failure)
}

fn how(flags: OpenFlags) -> How {
    How {
        read: flags.contains(OpenFlags::READ),
        write: flags.contains(OpenFlags::WRITE),
        append: flags.contains(OpenFlags::APPEND),
        create: flags.contains(OpenFlags::CREATE),
        truncate: flags.contains(OpenFlags::TRUNCATE),
        exclusive: flags.contains(OpenFlags::EXCLUDE),
    }
}

fn file(entry: Entry) -> File {
    File::new(entry.name, attributes(entry.attributes))
}

fn attributes(found: Attributes) -> FileAttributes {
    FileAttributes {
        size: Some(found.size),
        uid: Some(found.uid),
        gid: Some(found.gid),
        permissions: Some(found.mode),
        atime: Some(found.accessed),
        mtime: Some(found.modified),
        ..FileAttributes::default()
    }
}

fn statvfs(room: [u64; 11]) -> Statvfs {
    let [block_size, fragment_size, blocks, blocks_free, blocks_avail, inodes, inodes_free, inodes_avail, ..] = room;
    let [.., fs_id, flags, name_max] = room;
    Statvfs {
        block_size,
        fragment_size,
        blocks,
        blocks_free,
        blocks_avail,
        inodes,
        inodes_free,
        inodes_avail,
        fs_id,
        flags,
        name_max,
    }
}

fn status_code(code: Code) -> StatusCode {
    match code {
        Code::Eof => StatusCode::Eof,
        Code::NoSuchFile => StatusCode::NoSuchFile,
        Code::PermissionDenied => StatusCode::PermissionDenied,
        Code::Failure => StatusCode::Failure,
        Code::Unsupported => StatusCode::OpUnsupported,
    }
}

fn read(data: Vec<u8>) -> Result<FsyncExtension, StatusCode> {
    russh_sftp::de::from_bytes(&mut data.into()).map_err(|_| StatusCode::BadMessage)
}
