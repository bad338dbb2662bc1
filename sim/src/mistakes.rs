//! [`Mistake`]: what can be got wrong on purpose, in what stands around the real parts, to show that it would be found.

use clap::ValueEnum;

/// Something that is done wrong throughout a simulation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Mistake {
    /// The store takes writes under leases that are lost.
    FenceIgnored,
    /// The same, and workers are told that every lease was renewed, lost ones among them.
    LossHidden,
    /// Calls leave without their idempotency keys.
    KeyDropped,
    /// One more of a tenant's runs may be carried out at once than its plan says.
    CeilingOffByOne,
    /// The limiter is told that model calls cost a tenth of what they may.
    ReservedTooLittle,
    /// Runs that nobody carries out are not found.
    NobodyLooks,
    /// Something before the servers keeps answers by path, and not by tenant.
    SharedCache,
}
