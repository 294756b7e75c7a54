//! The declaration of settings: one macro makes the fields, the flags, the keys and the reference.

use crate::error::RecordError;
use lsoftmax_spec::{Gate, MarginStage};
use std::fmt::Write as _;
use std::path::{Path, PathBuf};

/// A setting: a key of experiment files, and a flag unless it is for files only.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Declaration {
    /// The key in files. The flag has two dashes in front.
    pub key: &'static str,
    /// The group that help texts and the reference show it in.
    pub group: &'static str,
    /// The type of its TOML value, in words.
    pub kind: &'static str,
    /// The name of the flag's value in help texts; `None` for a key of files only.
    pub value_name: Option<&'static str>,
    /// The meaning, with `backticks` around names and values.
    pub help: &'static str,
    /// The values that it can have, if these are names.
    pub choices: Option<String>,
    /// The value that it has when left out.
    pub default: Option<String>,
}

impl Declaration {
    /// The help of the flag: the meaning, the possible values and the default, without backticks.
    pub fn flag_help(&self) -> String {
        let mut text = self.help.to_owned();
        if let Some(choices) = &self.choices {
            _ = write!(text, " [possible values: {choices}]");
        }
        if let Some(default) = &self.default {
            _ = write!(text, " [default: {default}]");
        }
        text.replace('`', "")
    }
}

/// The help of the flag of this key.
#[cfg(feature = "clap")]
pub(super) fn flag_help(declarations: &[Declaration], key: &str) -> String {
    let declared = declarations.iter().find(|declared| declared.key == key);
    declared.map_or_else(String::new, Declaration::flag_help)
}

/// `some_key` as `some-key`.
pub(super) const fn kebab<const N: usize>(snake: &str) -> [u8; N] {
    let mut bytes = [0; N];
    let mut index = 0;
    while index < N {
        bytes[index] = match snake.as_bytes()[index] {
            b'_' => b'-',
            byte => byte,
        };
        index += 1;
    }
    bytes
}

/// The value of a setting.
pub(super) trait Value {
    /// The type in TOML, in words.
    const KIND: &'static str;

    /// The first number that is not finite. A number inside a table comes with its own name.
    fn not_finite(&self) -> Option<(Option<&'static str>, f64)> {
        None
    }

    /// The path, if it is one.
    fn path(&self) -> Option<&Path> {
        None
    }
}

impl Value for String {
    const KIND: &'static str = "string";
}

impl Value for PathBuf {
    const KIND: &'static str = "path";

    fn path(&self) -> Option<&Path> {
        Some(self)
    }
}

impl Value for u32 {
    const KIND: &'static str = "integer";
}

impl Value for u64 {
    const KIND: &'static str = "integer";
}

impl Value for usize {
    const KIND: &'static str = "integer";
}

impl Value for bool {
    const KIND: &'static str = "boolean";
}

impl Value for f64 {
    const KIND: &'static str = "number";

    fn not_finite(&self) -> Option<(Option<&'static str>, f64)> {
        (!self.is_finite()).then_some((None, *self))
    }
}

impl Value for Vec<f64> {
    const KIND: &'static str = "array of numbers";

    fn not_finite(&self) -> Option<(Option<&'static str>, f64)> {
        self.iter().find_map(Value::not_finite)
    }
}

impl Value for Vec<String> {
    const KIND: &'static str = "array of strings";
}

impl Value for Vec<u64> {
    const KIND: &'static str = "array of integers";
}

impl Value for Vec<MarginStage> {
    const KIND: &'static str = "array of tables";
}

impl Value for Gate {
    const KIND: &'static str = "table";
}

/// Checks that the numbers of a setting are finite.
pub(super) fn check_finite<T: Value>(
    key: &'static str,
    value: Option<&T>,
) -> Result<(), RecordError> {
    match value.and_then(Value::not_finite) {
        None => Ok(()),
        Some((inner, found)) => Err(RecordError::setting(
            inner.unwrap_or(key),
            "a finite number",
            found,
        )),
    }
}

/// Checks that a path can be written to a file.
pub(super) fn check_utf8<T: Value>(
    key: &'static str,
    value: Option<&T>,
) -> Result<(), RecordError> {
    match value.and_then(Value::path) {
        Some(path) if path.to_str().is_none() => Err(RecordError::setting(
            key,
            "a path in UTF-8, since the experiment's file is",
            path.display(),
        )),
        _ => Ok(()),
    }
}

/// Declares [`Settings`](crate::Settings). Each setting stands in a group as
///
/// ```text
/// /// Meaning.
/// name: Type = "VALUE" [attributes of clap] { choices: names, default: text };
/// ```
///
/// with `skip` in place of `"VALUE"` for a key of files that is not a flag.
macro_rules! settings {
    (
        $(#[$attribute:meta])*
        $(
            $group:literal {
                $(
                    $(#[doc = $help:literal])+
                    $field:ident : $type:ty = $($value:literal)? $($skip:ident)?
                        $([$($clap:tt)*])?
                        { $(choices: $choices:expr,)? $(default: $default:expr,)? }
                )+
            }
        )+
    ) => {
        $(#[$attribute])*
        pub struct Settings {
            $($(
                $(#[doc = $help])+
                $(#[cfg_attr(feature = "clap", arg(
                    long,
                    value_name = $value,
                    help_heading = $group,
                    help = declaration::flag_help(Settings::declarations(), settings!(@key $field)),
                ))])?
                $(#[cfg_attr(feature = "clap", arg($skip))])?
                $(#[cfg_attr(feature = "clap", arg($($clap)*))])?
                #[serde(skip_serializing_if = "Option::is_none")]
                pub $field: Option<$type>,
            )+)+
        }

        impl Settings {
            /// The keys that a file may have.
            pub const KEYS: &[&str] = &[$($(settings!(@key $field)),+),+];

            /// Every setting, group by group.
            pub fn declarations() -> &'static [Declaration] {
                static ALL: LazyLock<Vec<Declaration>> = LazyLock::new(|| vec![$($(
                    Declaration {
                        key: settings!(@key $field),
                        group: $group,
                        kind: <$type as declaration::Value>::KIND,
                        value_name: settings!(@option $($value)?),
                        help: concat!($($help),+).trim_start(),
                        choices: settings!(@text $($choices)?),
                        default: settings!(@text $($default)?),
                    }
                ),+),+]);
                &ALL
            }

            /// Checks that every number is finite: TOML and the command line accept `nan` and `inf`.
            ///
            /// # Errors
            /// The first setting that is not.
            pub fn check_numbers(&self) -> Result<(), RecordError> {
                $($(declaration::check_finite(settings!(@key $field), self.$field.as_ref())?;)+)+
                Ok(())
            }

            /// Checks that every path is UTF-8, as TOML is.
            pub(crate) fn check_paths(&self) -> Result<(), RecordError> {
                $($(declaration::check_utf8(settings!(@key $field), self.$field.as_ref())?;)+)+
                Ok(())
            }

            /// These settings, with those of `other` for the ones left out.
            #[must_use]
            pub fn or(self, other: Self) -> Self {
                Self { $($($field: self.$field.or(other.$field)),+),+ }
            }

            /// These settings without those of a group.
            fn without_group(mut self, group: &str) -> Self {
                $(if group == $group {
                    $(self.$field = None;)+
                })+
                self
            }
        }
    };
    (@text) => { None };
    (@text $text:expr) => { Some(String::from($text)) };
    (@option) => { None };
    (@option $value:expr) => { Some($value) };
    (@key $field:ident) => {{
        const BYTES: [u8; stringify!($field).len()] = declaration::kebab(stringify!($field));
        match std::str::from_utf8(&BYTES) {
            Ok(key) => key,
            Err(_) => "",
        }
    }};
}

pub(super) use settings;
