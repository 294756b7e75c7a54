//! Detects parts of a data set by folder name, such as `train` and `test`.

use super::tree::Folder;

/// The role of a part.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Role {
    Train,
    Validation,
    Test,
}

const TRAIN: [&str; 4] = ["train", "training", "trn", "trainval"];
const VALIDATION: [&str; 6] = [
    "val",
    "valid",
    "validation",
    "validate",
    "validating",
    "dev",
];
const TEST: [&str; 7] = [
    "test",
    "testing",
    "tst",
    "eval",
    "evaluation",
    "holdout",
    "heldout",
];
/// Generic words next to those.
const FILLERS: [&str; 18] = [
    "set", "sets", "data", "dataset", "image", "images", "img", "imgs", "picture", "pictures",
    "photo", "photos", "pics", "seg", "split", "folder", "part", "all",
];

/// The words of a name in lower case, without numbers: `Train_Set-2017` has `train` and `set`.
fn words(name: &str) -> Vec<String> {
    let lower = name.to_lowercase();
    let words = lower.split(|char: char| !char.is_alphanumeric());
    words
        .map(|word| {
            word.trim_end_matches(|char: char| char.is_ascii_digit())
                .to_owned()
        })
        .filter(|word| !word.is_empty())
        .collect()
}

/// The role of a word, alone or with a generic suffix: `train`, `trainset`.
fn role_of(word: &str) -> Option<Role> {
    let find = |word: &str| {
        let known = [
            (Role::Train, &TRAIN[..]),
            (Role::Validation, &VALIDATION),
            (Role::Test, &TEST),
        ];
        let role = known.into_iter().find(|(_, words)| words.contains(&word));
        role.map(|(role, _)| role)
    };
    let mut fillers = FILLERS.iter();
    find(word).or_else(|| fillers.find_map(|filler| find(word.strip_suffix(filler)?)))
}

/// The role in a name and the remaining words: none for `seg_train`, and `bounding box` for
/// `bounding_box_train`.
fn named(name: &str) -> Option<(Role, String)> {
    let words = words(name);
    let mut roles = words.iter().filter_map(|word| role_of(word));
    let role = match (roles.next()?, roles.next()) {
        (role, None) => role,
        (Role::Train, Some(Role::Validation)) => Role::Train,
        _ => return None,
    };
    let rest = words.iter();
    let rest = rest.filter(|word| role_of(word).is_none() && !FILLERS.contains(&&***word));
    Some((role, rest.cloned().collect::<Vec<_>>().join(" ")))
}

/// Whether a folder's name is generic or only names a part. A single class folder does not get its
/// name from such a folder.
pub(super) fn is_generic(name: &str) -> bool {
    let words = words(name);
    let all = !words.is_empty() && words.iter().all(|word| FILLERS.contains(&&**word));
    named(name).map_or(all, |(_, rest)| rest.is_empty())
}

/// The role of each folder by name: of `train` and the like, and of pairs such as `a_train` and
/// `a_test`.
pub(super) fn roles(folders: &[&Folder]) -> Vec<Option<Role>> {
    let names: Vec<_> = folders.iter().map(|folder| named(&folder.name)).collect();
    let paired = |role: Role, rest: &String| {
        let mut others = names.iter().flatten();
        others.any(|(other, theirs)| *other != role && theirs == rest)
    };
    let role = |name: &Option<(Role, String)>| {
        let (role, rest) = name.as_ref()?;
        (rest.is_empty() || paired(*role, rest)).then_some(*role)
    };
    names.iter().map(role).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn roles_of(names: &[&str]) -> Vec<Option<Role>> {
        let folder = |name: &&str| Folder {
            name: (*name).to_owned(),
            ..Folder::default()
        };
        let folders: Vec<Folder> = names.iter().map(folder).collect();
        roles(&folders.iter().collect::<Vec<_>>())
    }

    #[test]
    fn parts_have_many_names() {
        for (role, names) in [
            (
                Role::Train,
                &[
                    "train",
                    "Train",
                    "TRAINING",
                    "trainset",
                    "train_set",
                    "Training-Set",
                    "training set",
                    "seg_train",
                    "train2017",
                    "training_data",
                    "train_images",
                    "imgs_train",
                    "trainval",
                    "Train_Val",
                    "TrainingSet",
                ][..],
            ),
            (
                Role::Validation,
                &[
                    "val",
                    "valid",
                    "Validation",
                    "dev",
                    "val_set",
                    "validset",
                    "val2017",
                    "seg_val",
                ],
            ),
            (
                Role::Test,
                &[
                    "test",
                    "Testing",
                    "testset",
                    "TestSet",
                    "test-set",
                    "seg_test",
                    "test1",
                    "evaluation",
                ],
            ),
        ] {
            for name in names {
                assert_eq!(roles_of(&[name]), [Some(role)], "{name}");
                assert!(is_generic(name));
            }
        }
        for name in [
            "cat",
            "trainer",
            "tram",
            "latest",
            "contest",
            "bullet_train",
            "test_tube",
            "valley",
            "devil",
            "train_test",
            "evergreen",
            "unlabeled",
            "7",
        ] {
            assert_eq!(roles_of(&[name]), [None], "{name}");
        }
        assert!(
            is_generic("images")
                && is_generic("dataset_2")
                && !is_generic("cat")
                && !is_generic("7")
        );
        assert_eq!(
            roles_of(&["bounding_box_test", "bounding_box_train", "query"]),
            [Some(Role::Test), Some(Role::Train), None]
        );
    }
}
