//! The demonstration: two tenants, one template, real runs, all of it shown live.
