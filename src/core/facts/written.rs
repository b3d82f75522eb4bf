//! How values of the facts are written in a report, and read back.

use std::borrow::Cow;

use serde::de::Error;
use serde::{Deserialize, Deserializer, Serializer};

/// A duration in whole milliseconds, or null.
pub mod millis {
    use std::time::Duration;

    use super::*;

    pub fn serialize<S: Serializer>(age: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match age {
            Some(age) => serializer.serialize_some(&u64::try_from(age.as_millis()).unwrap_or(u64::MAX)),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(<Option<u64>>::deserialize(deserializer)?.map(Duration::from_millis))
    }
}

/// A duration in whole seconds, or null.
pub mod seconds {
    use std::time::Duration;

    use super::*;

    pub fn serialize<S: Serializer>(age: &Option<Duration>, serializer: S) -> Result<S::Ok, S::Error> {
        match age {
            Some(age) => serializer.serialize_some(&age.as_secs()),
            None => serializer.serialize_none(),
        }
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Duration>, D::Error> {
        Ok(<Option<u64>>::deserialize(deserializer)?.map(Duration::from_secs))
    }
}

/// An address in memory: `0x401136`.
pub mod hex {
    use super::*;

    pub fn serialize<S: Serializer>(address: &u64, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&format_args!("{address:#x}"))
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        u64::from_str_radix(text.trim_start_matches("0x"), 16).map_err(D::Error::custom)
    }
}

/// Where a port listens: `tcp://0.0.0.0:8080`.
pub mod listen_text {
    use super::*;
    use crate::core::settings::Listen;

    pub fn serialize<S: Serializer>(listen: &Listen, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(listen)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Listen, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        let address = |address: &str| address.parse().map_err(D::Error::custom);
        // Only what `Display` writes: people's forms are the configuration's affair.
        match (text.strip_prefix("tcp://"), text.strip_prefix("udp://"), text.strip_prefix("unix:")) {
            (Some(rest), ..) => address(rest).map(Listen::Tcp),
            (_, Some(rest), _) => address(rest).map(Listen::Udp),
            (.., Some(path)) => Ok(Listen::Unix(path.into())),
            _ => Err(D::Error::custom(format_args!("no address: {text:?}"))),
        }
    }
}

/// What the launcher does with a port: `reserve`.
pub mod mode_text {
    use super::*;
    use crate::core::settings::PortMode;

    pub fn serialize<S: Serializer>(mode: &PortMode, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(mode.name())
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(deserializer: D) -> Result<PortMode, D::Error> {
        let text = <Cow<'de, str>>::deserialize(deserializer)?;
        let named = PortMode::NAMES.iter().find(|(name, _)| *name == text);
        named.map(|(_, mode)| *mode).ok_or_else(|| D::Error::custom(format_args!("no mode of a port: {text:?}")))
    }
}
