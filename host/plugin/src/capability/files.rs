//! `wasi:filesystem`: the folders that the manifest asks for and the operator grants, each to read or to read and write.
//!
//! Invariant: nothing outside a granted folder is reached, by no path and no link, not even by one that the guest made
//! (wasmtime-wasi resolves every path beneath the folder); a folder to read is never changed. Only regular files and
//! folders are opened, for a pipe or a device could keep a thread waiting; and no call waits past the deadline.

use std::sync::Arc;

use wasmtime::component::{HasData, Linker, Resource};
use wasmtime_wasi::filesystem::{WasiFilesystemCtxView, WasiFilesystemView as _};
use wasmtime_wasi::p2::bindings::filesystem::types as asynchronous;
use wasmtime_wasi::p2::bindings::filesystem::types::HostDescriptor as Async;
use wasmtime_wasi::p2::bindings::sync::filesystem::types::{
    self, Advice, Descriptor, DescriptorFlags, DescriptorStat, DescriptorType, DirectoryEntry,
    DirectoryEntryStream, ErrorCode, MetadataHashValue, NewTimestamp, OpenFlags, PathFlags,
};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, FsError, FsResult};
use wasmtime_wasi::{FsPerms, WasiCtxBuilder};

use super::folder::Folder;
use super::wait::within;
use crate::call::State;
use crate::deadline::Deadline;
use crate::error::CallError;
use crate::grant::Effective;
use crate::manifest::Access;

/// Entries of a folder that is listed; wasmtime-wasi holds them all.
const MAX_ENTRIES: usize = 100_000;

/// Opens the granted folders for one call.
pub(super) fn preopen(
    builder: &mut WasiCtxBuilder,
    plugin: &str,
    capabilities: &Effective,
) -> Result<(), CallError> {
    for (guest, preopen) in &capabilities.filesystem {
        let permissions = match preopen.access {
            Access::Read => FsPerms::ReadOnly,
            Access::Write => FsPerms::ReadWrite,
        };
        let opened = Folder::open(&preopen.folder).map_err(wasmtime::Error::new);
        let opened = opened.and_then(|folder| {
            builder.preopened_dir(folder.path(), guest, permissions)?;
            Ok(())
        });
        if let Err(error) = opened {
            tracing::error!(
                plugin,
                "{} for `{guest}` cannot be opened ({error:#}); make it a folder again, or correct the grant and \
                 load the plugin anew",
                preopen.folder.display()
            );
            return Err(CallError::Host {
                message: format!("the folder `{guest}` cannot be opened; the host's log says why"),
            });
        }
    }
    Ok(())
}

/// Links `wasi:filesystem/types` in the place of the one that opens anything and waits without end.
pub(super) fn add_to_linker(linker: &mut Linker<State>) -> wasmtime::Result<()> {
    types::add_to_linker::<State, HasFiles>(linker, |state| Files {
        deadline: state.deadline.clone(),
        view: state.filesystem(),
    })
}

struct HasFiles;

impl HasData for HasFiles {
    type Data<'a> = Files<'a>;
}

struct Files<'a> {
    deadline: Deadline,
    view: WasiFilesystemCtxView<'a>,
}

impl<'a> Files<'a> {
    fn wait<T>(
        &mut self,
        work: impl AsyncFnOnce(&mut WasiFilesystemCtxView<'a>) -> FsResult<T>,
    ) -> FsResult<T> {
        within(&self.deadline, work(&mut self.view)).unwrap_or_else(|up| Err(FsError::trap(up)))
    }
}

fn is_plain(kind: asynchronous::DescriptorType) -> bool {
    use asynchronous::DescriptorType::{Directory, RegularFile, SymbolicLink};
    // Where links are not followed, opening one fails by itself.
    matches!(kind, Directory | RegularFile | SymbolicLink)
}

async fn open(
    view: &mut WasiFilesystemCtxView<'_>,
    folder: Resource<Descriptor>,
    flags: asynchronous::PathFlags,
    path: String,
    how: asynchronous::OpenFlags,
    mode: asynchronous::DescriptorFlags,
) -> FsResult<Resource<Descriptor>> {
    // What cannot be looked at is not there yet, or opening it says what is wrong. Whoever puts a pipe in its place now
    // (no guest can make one) holds a thread until the pipe has another end, but not the call.
    let there = Async::stat_at(view, Resource::new_borrow(folder.rep()), flags, path.clone()).await;
    if there.is_ok_and(|there| !is_plain(there.type_)) {
        return Err(asynchronous::ErrorCode::NotPermitted.into());
    }
    let opened = Async::open_at(view, folder, flags, path, how, mode).await?;
    // It may have been changed in between.
    if is_plain(Async::get_type(view, Resource::new_borrow(opened.rep())).await?) {
        return Ok(opened);
    }
    Async::drop(view, opened).map_err(FsError::trap)?;
    Err(asynchronous::ErrorCode::NotPermitted.into())
}

/// Refuses a folder with more entries than the host is to hold at once.
#[cfg(target_os = "linux")]
async fn fits(folder: Arc<std::fs::File>) -> FsResult<()> {
    let count = move || {
        let entries = rustix::fs::Dir::read_from(&*folder).ok()?;
        Some(entries.take(MAX_ENTRIES + 1).count())
    };
    // What cannot be counted cannot be listed either, and listing it says why.
    match tokio::task::spawn_blocking(count).await {
        Ok(Some(count)) if count > MAX_ENTRIES => Err(asynchronous::ErrorCode::Overflow.into()),
        _ => Ok(()),
    }
}

#[cfg(not(target_os = "linux"))]
async fn fits(_: Arc<std::fs::File>) -> FsResult<()> {
    Ok(())
}

impl types::Host for Files<'_> {
    fn convert_error_code(&mut self, error: FsError) -> wasmtime::Result<ErrorCode> {
        types::Host::convert_error_code(&mut self.view, error)
    }

    fn filesystem_error_code(
        &mut self,
        error: Resource<wasmtime::Error>,
    ) -> wasmtime::Result<Option<ErrorCode>> {
        types::Host::filesystem_error_code(&mut self.view, error)
    }
}

impl types::HostDescriptor for Files<'_> {
    fn open_at(
        &mut self,
        folder: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        how: OpenFlags,
        mode: DescriptorFlags,
    ) -> FsResult<Resource<Descriptor>> {
        self.wait(async |view| open(view, folder, flags.into(), path, how.into(), mode.into()).await)
    }

    fn read_via_stream(
        &mut self,
        file: Resource<Descriptor>,
        offset: u64,
    ) -> FsResult<Resource<DynInputStream>> {
        Async::read_via_stream(&mut self.view, file, offset)
    }

    fn write_via_stream(
        &mut self,
        file: Resource<Descriptor>,
        offset: u64,
    ) -> FsResult<Resource<DynOutputStream>> {
        Async::write_via_stream(&mut self.view, file, offset)
    }

    fn append_via_stream(&mut self, file: Resource<Descriptor>) -> FsResult<Resource<DynOutputStream>> {
        Async::append_via_stream(&mut self.view, file)
    }

    fn advise(
        &mut self,
        file: Resource<Descriptor>,
        offset: u64,
        length: u64,
        advice: Advice,
    ) -> FsResult<()> {
        self.wait(async |view| Async::advise(view, file, offset, length, advice.into()).await)
    }

    fn sync_data(&mut self, file: Resource<Descriptor>) -> FsResult<()> {
        self.wait(async |view| Async::sync_data(view, file).await)
    }

    fn get_flags(&mut self, file: Resource<Descriptor>) -> FsResult<DescriptorFlags> {
        Ok(self.wait(async |view| Async::get_flags(view, file).await)?.into())
    }

    fn get_type(&mut self, file: Resource<Descriptor>) -> FsResult<DescriptorType> {
        Ok(self.wait(async |view| Async::get_type(view, file).await)?.into())
    }

    fn set_size(&mut self, file: Resource<Descriptor>, size: u64) -> FsResult<()> {
        self.wait(async |view| Async::set_size(view, file, size).await)
    }

    fn set_times(
        &mut self,
        file: Resource<Descriptor>,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        self.wait(async |view| Async::set_times(view, file, accessed.into(), modified.into()).await)
    }

    fn read(&mut self, file: Resource<Descriptor>, length: u64, offset: u64) -> FsResult<(Vec<u8>, bool)> {
        self.wait(async |view| Async::read(view, file, length, offset).await)
    }

    fn write(&mut self, file: Resource<Descriptor>, bytes: Vec<u8>, offset: u64) -> FsResult<u64> {
        self.wait(async |view| Async::write(view, file, bytes, offset).await)
    }

    fn read_directory(&mut self, folder: Resource<Descriptor>) -> FsResult<Resource<DirectoryEntryStream>> {
        if let Descriptor::Dir(open) = self.view.table.get(&folder)? {
            let open = Arc::clone(&open.dir);
            self.wait(async |_| fits(open).await)?;
        }
        self.wait(async |view| Async::read_directory(view, folder).await)
    }

    fn sync(&mut self, file: Resource<Descriptor>) -> FsResult<()> {
        self.wait(async |view| Async::sync(view, file).await)
    }

    fn create_directory_at(&mut self, folder: Resource<Descriptor>, path: String) -> FsResult<()> {
        self.wait(async |view| Async::create_directory_at(view, folder, path).await)
    }

    fn stat(&mut self, file: Resource<Descriptor>) -> FsResult<DescriptorStat> {
        Ok(self.wait(async |view| Async::stat(view, file).await)?.into())
    }

    fn stat_at(
        &mut self,
        folder: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<DescriptorStat> {
        Ok(self.wait(async |view| Async::stat_at(view, folder, flags.into(), path).await)?.into())
    }

    fn set_times_at(
        &mut self,
        folder: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        accessed: NewTimestamp,
        modified: NewTimestamp,
    ) -> FsResult<()> {
        self.wait(async |view| {
            Async::set_times_at(view, folder, flags.into(), path, accessed.into(), modified.into()).await
        })
    }

    fn link_at(
        &mut self,
        folder: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
        to: Resource<Descriptor>,
        new: String,
    ) -> FsResult<()> {
        self.wait(async |view| Async::link_at(view, folder, flags.into(), path, to, new).await)
    }

    fn readlink_at(&mut self, folder: Resource<Descriptor>, path: String) -> FsResult<String> {
        self.wait(async |view| Async::readlink_at(view, folder, path).await)
    }

    fn remove_directory_at(&mut self, folder: Resource<Descriptor>, path: String) -> FsResult<()> {
        self.wait(async |view| Async::remove_directory_at(view, folder, path).await)
    }

    fn rename_at(
        &mut self,
        folder: Resource<Descriptor>,
        path: String,
        to: Resource<Descriptor>,
        new: String,
    ) -> FsResult<()> {
        self.wait(async |view| Async::rename_at(view, folder, path, to, new).await)
    }

    fn symlink_at(&mut self, folder: Resource<Descriptor>, target: String, path: String) -> FsResult<()> {
        self.wait(async |view| Async::symlink_at(view, folder, target, path).await)
    }

    fn unlink_file_at(&mut self, folder: Resource<Descriptor>, path: String) -> FsResult<()> {
        self.wait(async |view| Async::unlink_file_at(view, folder, path).await)
    }

    fn is_same_object(&mut self, a: Resource<Descriptor>, b: Resource<Descriptor>) -> wasmtime::Result<bool> {
        within(&self.deadline, Async::is_same_object(&mut self.view, a, b))?
    }

    fn metadata_hash(&mut self, file: Resource<Descriptor>) -> FsResult<MetadataHashValue> {
        Ok(self.wait(async |view| Async::metadata_hash(view, file).await)?.into())
    }

    fn metadata_hash_at(
        &mut self,
        folder: Resource<Descriptor>,
        flags: PathFlags,
        path: String,
    ) -> FsResult<MetadataHashValue> {
        Ok(self.wait(async |view| Async::metadata_hash_at(view, folder, flags.into(), path).await)?.into())
    }

    fn drop(&mut self, file: Resource<Descriptor>) -> wasmtime::Result<()> {
        Async::drop(&mut self.view, file)
    }
}

impl types::HostDirectoryEntryStream for Files<'_> {
    fn read_directory_entry(
        &mut self,
        entries: Resource<DirectoryEntryStream>,
    ) -> FsResult<Option<DirectoryEntry>> {
        let next = self.wait(async |view| {
            asynchronous::HostDirectoryEntryStream::read_directory_entry(view, entries).await
        })?;
        Ok(next.map(Into::into))
    }

    fn drop(&mut self, entries: Resource<DirectoryEntryStream>) -> wasmtime::Result<()> {
        asynchronous::HostDirectoryEntryStream::drop(&mut self.view, entries)
    }
}
