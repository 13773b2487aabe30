//! What leases tell.
//!
//! Owns: that it was so. Never: says when a lease has to be there.

use grotto_format::log::Lease;

use crate::sim::Sim;

/// A lease that lands tells of a version that its reader served.
pub(crate) fn check_lease(sim: &Sim, who: &str, bytes: &[u8]) {
    let lease = match Lease::decode(bytes) {
        Ok(lease) => lease,
        Err(error) => return sim.violation(who, format!("a lease does not decode: {error}")),
    };
    let version = lease.version;
    if !sim.served.lock().contains(&(lease.consumer, version)) {
        let what = format!("its lease tells of version {version}, which it never served");
        sim.violation(who, what);
    }
}
