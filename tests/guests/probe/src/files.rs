//! `wasi:filesystem`, called as it is.

use wasip2::filesystem::preopens::get_directories;
use wasip2::filesystem::types::{Descriptor, DescriptorFlags, ErrorCode, NewTimestamp, OpenFlags, PathFlags};
use wasip2::io::streams::StreamError;

use crate::bindings::Deed;

/// The names of the preopened folders.
pub(crate) fn folders() -> Vec<String> {
    get_directories().into_iter().map(|(_, name)| name).collect()
}

/// Does it; an error is the name of the interface's error code.
pub(crate) fn try_it(folder: &str, deed: Deed, path: &str, other: &str) -> Result<String, String> {
    let folder = get_directories().into_iter().find(|(_, name)| name == folder);
    let (folder, _) = folder.ok_or("no such folder")?;
    act(&folder, deed, path, other).map_err(|code| code.name().to_owned())
}

fn act(folder: &Descriptor, deed: Deed, path: &str, other: &str) -> Result<String, ErrorCode> {
    let follow = PathFlags::SYMLINK_FOLLOW;
    let open = |how, flags| folder.open_at(follow, path, how, flags);
    let done = |()| String::new();
    match deed {
        Deed::Read => {
            let (bytes, _) = open(OpenFlags::empty(), DescriptorFlags::READ)?.read(1000, 0)?;
            Ok(String::from_utf8_lossy(&bytes).into_owned())
        }
        Deed::ReadStream => {
            let file = open(OpenFlags::empty(), DescriptorFlags::READ)?;
            let stream = file.read_via_stream(0)?;
            let mut text = Vec::new();
            loop {
                match stream.blocking_read(4096) {
                    Ok(bytes) => text.extend(bytes),
                    Err(StreamError::Closed) => return Ok(String::from_utf8_lossy(&text).into_owned()),
                    Err(StreamError::LastOperationFailed(_)) => return Err(ErrorCode::Io),
                }
            }
        }
        Deed::List => {
            let entries = if path == "." {
                folder.read_directory()?
            } else {
                open(OpenFlags::DIRECTORY, DescriptorFlags::READ)?.read_directory()?
            };
            let mut names = Vec::new();
            while let Some(entry) = entries.read_directory_entry()? {
                names.push(entry.name);
            }
            names.sort();
            Ok(names.join(" "))
        }
        Deed::Stat => {
            Ok(format!("{:?} {}", folder.stat_at(follow, path)?.type_, folder.stat_at(follow, path)?.size))
        }
        Deed::Overwrite => open(OpenFlags::empty(), DescriptorFlags::WRITE)?
            .write(other.as_bytes(), 0)
            .map(|_| String::new()),
        Deed::Create => {
            let file = open(OpenFlags::CREATE | OpenFlags::EXCLUSIVE, DescriptorFlags::WRITE)?;
            let stream = file.write_via_stream(0)?;
            stream.blocking_write_and_flush(other.as_bytes()).map_err(|_| ErrorCode::Io).map(done)
        }
        Deed::Truncate => open(OpenFlags::TRUNCATE, DescriptorFlags::WRITE).map(|_| String::new()),
        Deed::SetSize => open(OpenFlags::empty(), DescriptorFlags::READ)?.set_size(0).map(done),
        Deed::SetTimes => folder.set_times_at(follow, path, NewTimestamp::Now, NewTimestamp::Now).map(done),
        Deed::MakeFolder => folder.create_directory_at(path).map(done),
        Deed::Remove => folder.unlink_file_at(path).map(done),
        Deed::RemoveFolder => folder.remove_directory_at(path).map(done),
        Deed::Rename => folder.rename_at(path, folder, other).map(done),
        Deed::HardLink => folder.link_at(PathFlags::empty(), path, folder, other).map(done),
        Deed::SoftLink => folder.symlink_at(other, path).map(done),
        Deed::ReadLink => folder.readlink_at(path),
    }
}
