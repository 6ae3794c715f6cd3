//! What one copy of the program does.

use std::fmt;
use std::str::FromStr;

/// A part of the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// Takes commands: whatever changes links or keys.
    Command,
    /// Answers questions and follows links.
    Query,
    /// Keeps the read models up to date.
    Projector,
}

impl Role {
    /// Every role.
    pub const ALL: [Role; 3] = [Role::Command, Role::Query, Role::Projector];

    /// The word in the settings.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Role::Command => "command",
            Role::Query => "query",
            Role::Projector => "projector",
        }
    }
}

/// The roles of this copy, one at least.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Roles([bool; 3]);

impl Roles {
    /// All of them: a copy that needs no other.
    pub const ALL: Roles = Roles([true; 3]);

    /// Whether a role is among them.
    #[must_use]
    pub fn has(self, role: Role) -> bool {
        self.0[role as usize]
    }
}

impl FromStr for Roles {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let mut roles = Roles([false; 3]);
        for word in text.split(',').map(str::trim) {
            let role = Role::ALL.into_iter().find(|role| role.name() == word).ok_or(())?;
            roles.0[role as usize] = true;
        }
        Ok(roles)
    }
}

impl fmt::Display for Roles {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let names = Role::ALL.into_iter().filter(|role| self.has(*role)).map(Role::name);
        f.write_str(&names.collect::<Vec<_>>().join(","))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn roles_are_words_in_any_order_and_one_at_least() {
        let some: Roles = "projector, query".parse().unwrap();
        assert!(some.has(Role::Query) && some.has(Role::Projector) && !some.has(Role::Command));
        assert_eq!(some.to_string(), "query,projector");
        assert_eq!("query,command,projector,query".parse(), Ok(Roles::ALL));
        for wrong in ["", "all", "query;command", "query,", "Query"] {
            assert_eq!(wrong.parse::<Roles>(), Err(()), "{wrong:?}");
        }
    }
}
