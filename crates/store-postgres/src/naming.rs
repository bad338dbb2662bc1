//! What schemas, databases and roles are called. None of the names needs quoting.

use crate::init::SetupError;
use crate::link::Link;
use ids::{Id as _, TenantId};

/// The most that a database's name may have, so that the names of tenants' roles and databases have room behind it.
const LONGEST_DATABASE: usize = 32;
/// The most that the name of the server's role may have.
const LONGEST_ROLE: usize = 48;

/// The names that follow from the platform's database.
#[derive(Clone, Debug)]
pub(crate) struct Naming {
    /// The platform's database.
    pub(crate) database: String,
    /// The server's role.
    pub(crate) server: String,
}

impl Naming {
    /// The names for the database and role of an address.
    pub(crate) fn of(link: &Link) -> Result<Self, SetupError> {
        let database = name(link.config.get_dbname(), "database", LONGEST_DATABASE)?;
        Ok(Self { database, server: name(link.config.get_user(), "role", LONGEST_ROLE)? })
    }

    /// Who owns all that is made, and cannot log in.
    pub(crate) fn owner(&self) -> String {
        format!("{}_owner", self.database)
    }

    /// A tenant's role, and its database where it has one. Roles are all databases' of a server, so that the
    /// name has both the database and the tenant in it.
    pub(crate) fn role(&self, tenant: TenantId) -> String {
        format!("{}_{}", self.database, Self::schema(tenant))
    }

    /// A tenant's schema.
    pub(crate) fn schema(tenant: TenantId) -> String {
        format!("t_{}", tenant.ulid().to_ascii_lowercase())
    }
}

fn name(name: Option<&str>, what: &'static str, longest: usize) -> Result<String, SetupError> {
    let name = name.ok_or(SetupError::Missing(what))?;
    let plain = name.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_');
    let begins = name.bytes().next().is_some_and(|first| first.is_ascii_lowercase());
    if plain && begins && name.len() <= longest {
        Ok(name.to_owned())
    } else {
        Err(SetupError::Name(name.to_owned(), longest))
    }
}

#[cfg(test)]
mod tests {
    use super::{LONGEST_DATABASE, Naming, name};
    use ids::{Id as _, TenantId};

    #[test]
    fn every_name_fits_and_needs_no_quotes() {
        let naming = Naming { database: "d".repeat(LONGEST_DATABASE), server: "s".into() };
        let tenant = TenantId::from_bytes([0xff; 16]);
        // The server cuts off what is longer than 63.
        assert!(naming.role(tenant).len() <= 63 && naming.owner().len() <= 63);
        assert!(name(Some(&Naming::schema(tenant)), "schema", 63).is_ok());
        for bad in ["", "1a", "_a", "A", "a-b", "a;b", "a\"b", "ä"] {
            assert!(name(Some(bad), "database", 63).is_err(), "{bad}");
        }
        assert!(name(Some(&"d".repeat(LONGEST_DATABASE + 1)), "database", LONGEST_DATABASE).is_err());
    }
}
