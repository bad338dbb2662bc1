//! [`Memory`]: what Redis does when its memory is full.

/// What becomes of keys when Redis has no more room.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Memory {
    /// All are kept, and new ones are refused.
    KeepsAll,
    /// Some are dropped, by the policy of this name.
    Drops(String),
}

impl Memory {
    /// What Redis tells of itself (<https://redis.io/docs/latest/commands/info/>).
    pub(crate) fn read(about: &str) -> Option<Self> {
        let told = |name: &str| about.lines().find_map(|line| line.strip_prefix(name)).map(str::trim);
        let (policy, most) = (told("maxmemory_policy:")?, told("maxmemory:")?);
        // Without a bound nothing is ever dropped.
        let keeps = policy == "noeviction" || most == "0";
        Some(if keeps { Self::KeepsAll } else { Self::Drops(policy.to_owned()) })
    }
}

#[cfg(test)]
mod tests {
    use super::Memory;

    #[test]
    fn only_a_bound_with_a_policy_drops_keys() {
        let read = |most: &str, policy: &str| {
            Memory::read(&format!("# Memory\r\nmaxmemory:{most}\r\nmaxmemory_policy:{policy}\r\n"))
        };
        assert_eq!(read("0", "noeviction"), Some(Memory::KeepsAll));
        assert_eq!(read("1000000", "noeviction"), Some(Memory::KeepsAll));
        assert_eq!(read("0", "allkeys-lru"), Some(Memory::KeepsAll));
        assert_eq!(read("1000000", "allkeys-lru"), Some(Memory::Drops("allkeys-lru".to_owned())));
        assert_eq!(Memory::read("# Memory"), None);
    }
}
