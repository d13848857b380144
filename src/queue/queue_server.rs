//! What the server of a queue says of itself, as far as it decides whether it can keep a queue.

/// The server of a queue.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct QueueServer {
    /// It is part of a cluster, which keeps keys on several servers.
    pub is_cluster: bool,
    /// What it does with keys when its memory is full.
    pub eviction: Eviction,
    /// It writes nothing to a disk, so a restart loses the queue. `false` if it does not say.
    pub keeps_nothing: bool,
}

/// What a server does with keys when its memory is full. It holds the policy's name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Eviction {
    /// It refuses writes instead, or its memory has no limit.
    Never,
    /// It deletes keys that expire. The workers' quota is one.
    OfExpiring(String),
    /// It deletes any key, the queue's stream included.
    OfAny(String),
}

impl QueueServer {
    /// Reads the answers to `INFO`, and to `CONFIG GET save` if there is one.
    pub(super) fn read(info: &str, save: Option<&str>) -> Self {
        let field = |name: &str| {
            info.lines()
                .filter_map(|line| line.split_once(':'))
                .find(|(key, _)| *key == name)
                .map(|(_, value)| value.trim())
        };
        let has_limit = field("maxmemory").is_some_and(|bytes| bytes != "0");
        let eviction = match field("maxmemory_policy") {
            Some("noeviction") | None => Eviction::Never,
            Some(_) if !has_limit => Eviction::Never,
            Some(policy) if policy.starts_with("volatile-") => Eviction::OfExpiring(policy.to_owned()),
            Some(policy) => Eviction::OfAny(policy.to_owned()),
        };
        Self {
            is_cluster: field("cluster_enabled") == Some("1"),
            eviction,
            keeps_nothing: field("aof_enabled") == Some("0") && save.is_some_and(str::is_empty),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn eviction(maxmemory: u64, policy: &str) -> Eviction {
        let info = format!(
            "# Memory\r\nmaxmemory:{maxmemory}\r\nmaxmemory_human:0B\r\nmaxmemory_policy:{policy}\r\n"
        );
        QueueServer::read(&info, None).eviction
    }

    #[test]
    fn a_policy_counts_if_memory_has_a_limit() {
        assert_eq!(eviction(0, "allkeys-lru"), Eviction::Never);
        assert_eq!(eviction(1, "noeviction"), Eviction::Never);
        assert_eq!(eviction(1, "allkeys-lru"), Eviction::OfAny("allkeys-lru".into()));
        assert_eq!(eviction(1, "new-policy"), Eviction::OfAny("new-policy".into()));
        assert_eq!(eviction(1, "volatile-ttl"), Eviction::OfExpiring("volatile-ttl".into()));
        assert_eq!(QueueServer::read("", None).eviction, Eviction::Never);
    }

    #[test]
    fn a_cluster_and_a_server_without_a_disk_are_recognised() {
        assert!(QueueServer::read("cluster_enabled:1\r\n", None).is_cluster);
        assert!(!QueueServer::read("cluster_enabled:0\r\n", None).is_cluster);
        let keeps_nothing =
            |aof, save| QueueServer::read(&format!("aof_enabled:{aof}\r\n"), save).keeps_nothing;
        assert!(keeps_nothing(0, Some("")));
        assert!(!keeps_nothing(0, Some("3600 1")) && !keeps_nothing(0, None) && !keeps_nothing(1, Some("")));
    }
}
