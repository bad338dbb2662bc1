//! The attack suite: tries to get one tenant's data, effects or traces with another's credentials.
