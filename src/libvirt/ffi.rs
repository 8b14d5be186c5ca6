//! libvirt's calls that the `virt` crate does not bind or binds wrongly, each as a safe function that returns libvirt's
//! error and owns what it returns. Errors are read on the thread that made the call, where libvirt keeps them.
#![expect(
    unsafe_code,
    reason = "these are the C functions that have no safe binding"
)]

use std::ffi::{CStr, CString, c_int, c_uint};
use std::ptr;

use virt::connect::Connect;
use virt::domain::Domain;
use virt::error::Error;
use virt::secret::Secret;
use virt::stream::Stream;
use virt_sys as sys;

use super::typed_params::{Params, Values};

/// What libvirt tells about one domain in a bulk call.
pub(super) struct DomainStats {
    /// The domain.
    pub(super) domain: Domain,
    /// What was asked about it, by libvirt's names such as `state.state`.
    pub(super) values: Values,
}

/// A job on a domain and how far it is.
#[derive(Debug, Clone, Default)]
pub(super) struct Job {
    /// A `virDomainJobType`: none, bounded, unbounded, completed, failed, cancelled.
    pub(super) kind: u32,
    /// libvirt's names for its figures, such as `data_total`.
    pub(super) values: Values,
}

/// A job on one disk and how far it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct BlockJob {
    /// A `virDomainBlockJobType`.
    pub(super) kind: u32,
    /// How far, in bytes.
    pub(super) done: u64,
    /// How far it has to go, in bytes.
    pub(super) total: u64,
}

/// What came out of a stream.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Received {
    /// So many bytes are in the buffer.
    Data(usize),
    /// A hole begins; its length is to be asked for.
    Hole,
    /// Nothing more.
    End,
}

fn checked(result: c_int) -> Result<c_int, Error> {
    if result < 0 {
        Err(Error::last_error())
    } else {
        Ok(result)
    }
}

/// The system's number in this thread's last error, which the `virt` crate leaves out; 0 where there is none, or where
/// another call has since put a different error there.
pub(super) fn errno_of_last_error(code: u32) -> i32 {
    // SAFETY: libvirt returns null or its record of this thread, good until this thread's next call.
    let error = unsafe { sys::virGetLastError().as_ref() };
    match error {
        Some(error) if code == sys::VIR_ERR_SYSTEM_ERROR && error.code == code.cast_signed() => {
            error.int1
        }
        _ => 0,
    }
}

/// Bulk facts about domains (`virConnectGetAllDomainStats`). The `virt` crate leaks the records and leaves them
/// unparsed. `flags` are of `virConnectGetAllDomainStatsFlags`, `what` of `virDomainStatsTypes`.
pub(super) fn all_domain_stats(
    connect: &Connect,
    what: u32,
    flags: u32,
) -> Result<Vec<DomainStats>, Error> {
    let mut records: *mut sys::virDomainStatsRecordPtr = ptr::null_mut();
    // SAFETY: the connection lives through the call, `records` receives a list that is freed below.
    let count = checked(unsafe {
        sys::virConnectGetAllDomainStats(connect.as_ptr(), what, &raw mut records, flags)
    })?;
    // SAFETY: libvirt filled the list with so many records and nothing else holds it.
    Ok(unsafe { taken(records, count) })
}

/// Facts about these domains of one connection (`virDomainListGetStats`), which the `virt` crate does not bind. `flags`
/// are of `virConnectGetAllDomainStatsFlags`, `what` of `virDomainStatsTypes`.
pub(super) fn domain_list_stats(
    domains: &[&Domain],
    what: u32,
    flags: u32,
) -> Result<Vec<DomainStats>, Error> {
    if domains.is_empty() {
        return Ok(Vec::new());
    }
    // SAFETY: the domains outlive the list of their handles.
    let all = domains.iter().map(|domain| unsafe { domain.as_ptr() });
    let mut handles: Vec<sys::virDomainPtr> = all.chain([ptr::null_mut()]).collect();
    let mut records: *mut sys::virDomainStatsRecordPtr = ptr::null_mut();
    // SAFETY: the domains live through the call, their list ends with null, `records` receives a list that is freed
    // below.
    let count = checked(unsafe {
        sys::virDomainListGetStats(handles.as_mut_ptr(), what, &raw mut records, flags)
    })?;
    // SAFETY: libvirt filled the list with so many records and nothing else holds it.
    Ok(unsafe { taken(records, count) })
}

/// What is in a list of records, which is freed.
///
/// # Safety
/// `records` is a list that libvirt allocated, of `count` records.
unsafe fn taken(records: *mut sys::virDomainStatsRecordPtr, count: c_int) -> Vec<DomainStats> {
    let mut all = Vec::new();
    for index in 0..usize::try_from(count).unwrap_or_default() {
        // SAFETY: the caller promises `count` records; each domain gets a reference of its own before the list goes.
        let stats = unsafe {
            let record = *records.add(index);
            sys::virDomainRef((*record).dom);
            DomainStats {
                domain: Domain::from_ptr((*record).dom),
                values: Values::copied((*record).params, (*record).nparams),
            }
        };
        all.push(stats);
    }
    // SAFETY: the list came from libvirt and nothing borrows from it any more.
    unsafe { sys::virDomainStatsRecordListFree(records) };
    all
}

/// A hypervisor and machine that is asked about, as `virConnectCompareHypervisorCPU` and
/// `virConnectGetDomainCapabilities` take it; what is left out is the host's default.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Emulation {
    /// Path of the emulator.
    pub(super) emulator: Option<String>,
    /// Architecture of the guest.
    pub(super) arch: Option<String>,
    /// Machine type.
    pub(super) machine: Option<String>,
    /// Domain type.
    pub(super) virt_type: Option<String>,
}

/// Whether the host's hypervisor can give a guest this CPU (`virConnectCompareHypervisorCPU`), which the `virt` crate
/// does not bind. A CPU that it cannot give is libvirt's error that names what is missing.
pub(super) fn compare_hypervisor_cpu(
    connect: &Connect,
    of: &Emulation,
    cpu: &str,
) -> Result<sys::virCPUCompareResult, Error> {
    let text = |text: &Option<String>| text.as_deref().map(CString::new).transpose();
    let (emulator, arch) = (text(&of.emulator)?, text(&of.arch)?);
    let (machine, virt_type) = (text(&of.machine)?, text(&of.virt_type)?);
    let cpu = CString::new(cpu)?;
    let raw = |text: &Option<CString>| text.as_ref().map_or(ptr::null(), |text| text.as_ptr());
    // SAFETY: the connection and the texts live through the call; null stands for a default.
    checked(unsafe {
        sys::virConnectCompareHypervisorCPU(
            connect.as_ptr(),
            raw(&emulator),
            raw(&arch),
            raw(&machine),
            raw(&virt_type),
            cpu.as_ptr(),
            sys::VIR_CONNECT_COMPARE_CPU_FAIL_INCOMPATIBLE,
        )
    })
}

/// State and reason of a domain as libvirt's numbers (`virDomainGetState`). The `virt` crate drops its error.
pub(super) fn state(domain: &Domain) -> Result<(u32, u32), Error> {
    let (mut state, mut reason): (c_int, c_int) = (0, 0);
    // SAFETY: the domain lives through the call, both places are ours.
    checked(unsafe {
        sys::virDomainGetState(domain.as_ptr(), &raw mut state, &raw mut reason, 0)
    })?;
    let number = |value: c_int| u32::try_from(value).unwrap_or_default();
    Ok((number(state), number(reason)))
}

/// The job on a domain (`virDomainGetJobStats`). The `virt` crate's binding is undefined behaviour without a job.
/// `flags` are of `virDomainGetJobStatsFlags`.
pub(super) fn job_stats(domain: &Domain, flags: u32) -> Result<Job, Error> {
    let mut kind: c_int = 0;
    let mut params: sys::virTypedParameterPtr = ptr::null_mut();
    let mut count: c_int = 0;
    // SAFETY: the domain lives through the call; libvirt allocates the parameters, which are freed below.
    checked(unsafe {
        sys::virDomainGetJobStats(
            domain.as_ptr(),
            &raw mut kind,
            &raw mut params,
            &raw mut count,
            flags,
        )
    })?;
    // SAFETY: libvirt filled `count` parameters or left the pointer null.
    let values = unsafe { Values::copied(params, count) };
    // SAFETY: the array came from libvirt; null is allowed.
    unsafe { sys::virTypedParamsFree(params, count) };
    let kind = u32::try_from(kind).unwrap_or_default();
    Ok(Job { kind, values })
}

/// Cancels the job on a domain (`virDomainAbortJob`). It returns when the request is taken, not when the job has ended.
pub(super) fn abort_job(domain: &Domain) -> Result<(), Error> {
    // SAFETY: the domain lives through the call.
    checked(unsafe { sys::virDomainAbortJob(domain.as_ptr()) }).map(drop)
}

/// Switches a running migration over to post-copy (`virDomainMigrateStartPostCopy`).
pub(super) fn start_post_copy(domain: &Domain) -> Result<(), Error> {
    // SAFETY: the domain lives through the call.
    checked(unsafe { sys::virDomainMigrateStartPostCopy(domain.as_ptr(), 0) }).map(drop)
}

/// Migrates with this process between the two daemons (`virDomainMigrate3`); returns the domain at the destination.
pub(super) fn migrate(
    domain: &Domain,
    destination: &Connect,
    params: &mut Params,
    flags: u32,
) -> Result<Domain, Error> {
    let (raw, count) = params.as_raw();
    // SAFETY: all handles and the parameters live through the call, which only reads the parameters.
    let moved =
        unsafe { sys::virDomainMigrate3(domain.as_ptr(), destination.as_ptr(), raw, count, flags) };
    if moved.is_null() {
        return Err(Error::last_error());
    }
    // SAFETY: the reference that the call returned is ours.
    Ok(unsafe { Domain::from_ptr(moved) })
}

/// Lets the source's daemon migrate (`virDomainMigrateToURI3`); `flags` hold `VIR_MIGRATE_PEER2PEER`.
pub(super) fn migrate_to_uri(
    domain: &Domain,
    uri: &str,
    params: &mut Params,
    flags: u32,
) -> Result<(), Error> {
    let uri = CString::new(uri)?;
    let (raw, count) = params.as_raw();
    // SAFETY: the domain, the text and the parameters live through the call, which only reads them.
    checked(unsafe {
        sys::virDomainMigrateToURI3(domain.as_ptr(), uri.as_ptr(), raw, count, flags)
    })
    .map(drop)
}

/// Starts to copy a running domain's disk (`virDomainBlockCopy`). `target` is a `<disk>` element.
pub(super) fn block_copy(
    domain: &Domain,
    disk: &str,
    target: &str,
    params: &mut Params,
    flags: u32,
) -> Result<(), Error> {
    let (disk, target) = (CString::new(disk)?, CString::new(target)?);
    let (raw, count) = params.as_raw();
    // SAFETY: the domain, the texts and the parameters live through the call, which only reads them.
    checked(unsafe {
        sys::virDomainBlockCopy(
            domain.as_ptr(),
            disk.as_ptr(),
            target.as_ptr(),
            raw,
            count.cast_signed(),
            flags,
        )
    })
    .map(drop)
}

/// Ends the job on a disk (`virDomainBlockJobAbort`): cancelled, or with `VIR_DOMAIN_BLOCK_JOB_ABORT_PIVOT` switched
/// over to the copy.
pub(super) fn block_job_abort(domain: &Domain, disk: &str, flags: u32) -> Result<(), Error> {
    let disk = CString::new(disk)?;
    // SAFETY: the domain and the text live through the call.
    checked(unsafe { sys::virDomainBlockJobAbort(domain.as_ptr(), disk.as_ptr(), flags) }).map(drop)
}

/// The job on a disk (`virDomainGetBlockJobInfo`), if there is one.
pub(super) fn block_job(domain: &Domain, disk: &str) -> Result<Option<BlockJob>, Error> {
    let disk = CString::new(disk)?;
    let mut info = sys::virDomainBlockJobInfo {
        type_: 0,
        bandwidth: 0,
        cur: 0,
        end: 0,
    };
    // SAFETY: the domain and the text live through the call, `info` is ours.
    let found = checked(unsafe {
        sys::virDomainGetBlockJobInfo(
            domain.as_ptr(),
            disk.as_ptr(),
            &raw mut info,
            sys::VIR_DOMAIN_BLOCK_JOB_INFO_BANDWIDTH_BYTES,
        )
    })?;
    Ok((found > 0).then(|| BlockJob {
        kind: u32::try_from(info.type_).unwrap_or_default(),
        done: info.cur,
        total: info.end,
    }))
}

/// Virtual size and occupied bytes of a disk (`virDomainGetBlockInfo`), by its target or path. The `virt` crate drops
/// the error and returns memory that nobody wrote.
pub(super) fn block_info(domain: &Domain, disk: &str) -> Result<(u64, u64), Error> {
    let disk = CString::new(disk)?;
    let mut info = sys::virDomainBlockInfo {
        capacity: 0,
        allocation: 0,
        physical: 0,
    };
    // SAFETY: the domain and the text live through the call, `info` is ours.
    checked(unsafe {
        sys::virDomainGetBlockInfo(domain.as_ptr(), disk.as_ptr(), &raw mut info, 0)
    })?;
    Ok((info.capacity, info.allocation))
}

/// The name under which a secret is used (`virSecretGetUsageID`), kept in the handle. The `virt` crate frees what
/// belongs to the handle.
pub(super) fn secret_usage(secret: &Secret) -> Option<String> {
    // SAFETY: the secret lives through the call, which returns null or a text of the secret's own.
    let usage = unsafe { sys::virSecretGetUsageID(secret.as_ptr()) };
    if usage.is_null() {
        return None;
    }
    // SAFETY: the text is not null, ends with a null byte and lives as long as the secret.
    let usage = unsafe { CStr::from_ptr(usage) };
    Some(usage.to_string_lossy().into_owned())
}

/// The value of a secret (`virSecretGetValue`). The `virt` crate leaks what libvirt returns.
pub(super) fn secret_value(secret: &Secret) -> Result<Vec<u8>, Error> {
    let mut length: usize = 0;
    // SAFETY: the secret lives through the call, which returns null or an array of that length that is ours.
    let value = unsafe { sys::virSecretGetValue(secret.as_ptr(), &raw mut length, 0) };
    if value.is_null() {
        return Err(Error::last_error());
    }
    // SAFETY: libvirt has allocated as many bytes as it says.
    let copy = unsafe { std::slice::from_raw_parts(value, length) }.to_vec();
    // SAFETY: the array came from libvirt, which allocates with malloc, and nobody else has it.
    unsafe { libc::free(value.cast()) };
    Ok(copy)
}

/// Receives from a stream up to the end of the buffer or the next hole (`virStreamRecvFlags`).
pub(super) fn receive(stream: &Stream, buffer: &mut [u8]) -> Result<Received, Error> {
    // SAFETY: the stream lives through the call, which writes at most the buffer's length into it.
    let received = unsafe {
        sys::virStreamRecvFlags(
            stream.as_ptr(),
            buffer.as_mut_ptr().cast(),
            buffer.len(),
            sys::VIR_STREAM_RECV_STOP_AT_HOLE,
        )
    };
    match received {
        -3 => Ok(Received::Hole),
        0 => Ok(Received::End),
        count => match usize::try_from(count) {
            Ok(count) => Ok(Received::Data(count)),
            // A blocking stream never answers that it would block.
            Err(_) => Err(Error::last_error()),
        },
    }
}

/// The length in bytes of the hole that the stream stands before; passes it (`virStreamRecvHole`).
pub(super) fn receive_hole(stream: &Stream) -> Result<u64, Error> {
    let mut length = 0;
    // SAFETY: the stream lives through the call, `length` is ours.
    checked(unsafe { sys::virStreamRecvHole(stream.as_ptr(), &raw mut length, 0) })?;
    Ok(u64::try_from(length).unwrap_or_default())
}

/// Sends a hole of so many bytes (`virStreamSendHole`).
pub(super) fn send_hole(stream: &Stream, length: u64) -> Result<(), Error> {
    let length = i64::try_from(length).unwrap_or(i64::MAX);
    // SAFETY: the stream lives through the call.
    checked(unsafe { sys::virStreamSendHole(stream.as_ptr(), length, 0) }).map(drop)
}

/// Sends all of the bytes; libvirt may take them in parts.
pub(super) fn send(stream: &Stream, mut data: &[u8]) -> Result<(), Error> {
    while !data.is_empty() {
        let sent = stream.send(data)?;
        match usize::try_from(sent) {
            Ok(count) if count > 0 => data = data.get(count..).unwrap_or_default(),
            _ => return Err(Error::last_error()),
        }
    }
    Ok(())
}

/// Ends a stream from this side and with it the job at the other (`virStreamAbort`); dropping it alone would not.
pub(super) fn abort_stream(stream: Stream) {
    // There is nothing left to do where this fails: the other side is gone then.
    drop(stream.abort());
}

/// The version of the libvirt library of this process as `(major, minor, release)`.
pub(super) fn library_version() -> Option<(u32, u32, u32)> {
    let version: c_uint = Connect::version().ok()?;
    Some((version / 1_000_000, version / 1000 % 1000, version % 1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bulk_facts_of_the_test_driver_name_their_domain() {
        let connect = Connect::open(Some("test:///default")).unwrap();
        let all = all_domain_stats(&connect, sys::VIR_DOMAIN_STATS_STATE, 0).unwrap();
        let first = all.first().unwrap();
        assert_eq!(first.domain.name().unwrap(), "test");
        assert_eq!(
            first.values.number("state.state"),
            Some(u64::from(sys::VIR_DOMAIN_RUNNING))
        );
    }

    #[test]
    fn facts_about_some_domains_name_them() {
        let connect = Connect::open(Some("test:///default")).unwrap();
        let domain = connect.lookup_domain_by_name("test").unwrap();
        let some = domain_list_stats(&[&domain], sys::VIR_DOMAIN_STATS_STATE, 0).unwrap();
        assert_eq!(some.len(), 1);
        assert_eq!(some[0].domain.name().unwrap(), "test");
        assert!(some[0].values.number("state.state").is_some());
        let none = domain_list_stats(&[], sys::VIR_DOMAIN_STATS_STATE, 0).unwrap();
        assert!(none.is_empty());
    }

    #[test]
    fn a_domain_that_is_gone_has_no_state() {
        let connect = Connect::open(Some("test:///default")).unwrap();
        let xml = "<domain type='test'><name>gone</name><memory>1024</memory><os><type>hvm</type></os></domain>";
        let domain = connect.create_domain_xml(xml, 0).unwrap();
        assert_eq!(state(&domain).unwrap().0, sys::VIR_DOMAIN_RUNNING);
        domain.destroy().unwrap();
        assert!(state(&domain).is_err());
    }

    #[test]
    fn a_driver_without_cpu_comparison_says_so() {
        let connect = Connect::open(Some("test:///default")).unwrap();
        let of = Emulation {
            machine: Some("pc".into()),
            ..Emulation::default()
        };
        let refused = compare_hypervisor_cpu(&connect, &of, "<cpu/>")
            .err()
            .unwrap();
        assert_eq!(refused.code().to_raw(), sys::VIR_ERR_NO_SUPPORT);
        let senseless = Emulation {
            machine: Some("p\0c".into()),
            ..Emulation::default()
        };
        assert!(compare_hypervisor_cpu(&connect, &senseless, "<cpu/>").is_err());
    }

    #[test]
    fn a_driver_without_jobs_says_so() {
        let connect = Connect::open(Some("test:///default")).unwrap();
        let domain = connect.lookup_domain_by_name("test").unwrap();
        assert!(job_stats(&domain, 0).is_err());
        assert!(block_job(&domain, "vda").is_err());
        assert!(abort_job(&domain).is_err());
    }
}
