//! The network of an experiment or a model: a row of data, or a program's own module.

use crate::error::RecordError;
use lsoftmax_spec::NetworkSpec;
use lsoftmax_spec::network::check_feature;
use serde::de::Error as _;
use serde::{Deserialize, Deserializer, Serialize};

/// The network of an experiment or a model.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged)]
pub enum NetworkKind {
    /// A row of data, which `lsoftmax-networks` builds.
    Row(NetworkSpec),
    /// A Burn module of a program, which only that program can build.
    Own(OwnNetwork),
}

/// A Burn module that a program trains with `lsoftmax-train`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnNetwork {
    /// The name of the module in tables and errors.
    pub module: String,
    /// Length of the feature.
    pub feature: usize,
    /// What the module is built from, as JSON.
    pub config: String,
}

impl NetworkKind {
    /// The name in tables.
    pub fn name(&self) -> &str {
        match self {
            Self::Row(row) => &row.name,
            Self::Own(own) => &own.module,
        }
    }

    /// Length of the feature.
    pub fn feature(&self) -> usize {
        match self {
            Self::Row(row) => row.feature,
            Self::Own(own) => own.feature,
        }
    }

    /// The row of data.
    ///
    /// # Errors
    /// The network is a program's own module.
    pub fn row(&self) -> Result<&NetworkSpec, RecordError> {
        match self {
            Self::Row(row) => Ok(row),
            Self::Own(own) => Err(RecordError::OwnNetwork(own.module.clone())),
        }
    }
}

impl OwnNetwork {
    /// Checks name and feature.
    ///
    /// # Errors
    /// The name is empty, or the feature is not from 1 to 65536 long.
    pub fn check(&self) -> Result<(), RecordError> {
        if self.module.is_empty() {
            return Err(RecordError::setting(
                "network",
                "a module with a name",
                "\"\"",
            ));
        }
        Ok(check_feature(&self.module, self.feature)?)
    }
}

impl From<NetworkSpec> for NetworkKind {
    fn from(row: NetworkSpec) -> Self {
        Self::Row(row)
    }
}

/// As `untagged` would, but an error is about the fields of the one that was meant.
impl<'de> Deserialize<'de> for NetworkKind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let value = toml::Value::deserialize(deserializer)?;
        let read = if value.get("module").is_some() {
            value.try_into().map(Self::Own)
        } else {
            value.try_into().map(Self::Row)
        };
        read.map_err(|error: toml::de::Error| D::Error::custom(error.message()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_row_and_a_module_are_told_apart() {
        let row = NetworkKind::Row(NetworkSpec::named("compact").unwrap());
        let own = NetworkKind::Own(OwnNetwork {
            module: "small-resnet".into(),
            feature: 64,
            config: "{\"width\":16}".into(),
        });
        for kind in [row, own] {
            let toml = toml::to_string(&kind).unwrap();
            assert_eq!(toml::from_str::<NetworkKind>(&toml).unwrap(), kind);
        }
    }

    #[test]
    fn an_error_names_the_field() {
        let complaint = |text: &str| {
            let error = toml::from_str::<NetworkKind>(text).unwrap_err();
            error.to_string()
        };
        let message = complaint("name = 'a'\nstages = []");
        assert!(message.contains("missing field `feature`"), "{message}");
        let message = complaint("module = 'a'\nfeature = 3\nconfg = ''");
        assert!(message.contains("unknown field `confg`"), "{message}");
    }

    #[test]
    fn only_a_row_can_be_built_from_data() {
        let mut own = OwnNetwork {
            module: "small-resnet".into(),
            feature: 64,
            config: String::new(),
        };
        assert!(own.check().is_ok());
        let message = NetworkKind::Own(own.clone()).row().unwrap_err().to_string();
        assert!(message.contains("\"small-resnet\""), "{message}");
        own.feature = 0;
        let message = own.check().unwrap_err().to_string();
        assert!(message.contains("from 1 to 65536, found 0"), "{message}");
    }
}
