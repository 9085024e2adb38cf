//! The commit that is checked out, read from `.git` without starting `git`: a run must not cost a process more for it.

use std::fs;
use std::path::{Path, PathBuf};

/// The commit of the repository that a folder is in, if it is in one.
#[must_use]
pub fn commit(folder: &Path) -> Option<String> {
    let dot_git = folder
        .ancestors()
        .map(|above| above.join(".git"))
        .find(|path| path.exists())?;
    let git = if dot_git.is_dir() {
        dot_git
    } else {
        // A work tree beside the repository, gitrepository-layout(5): `gitdir: PATH`.
        let text = fs::read_to_string(&dot_git).ok()?;
        dot_git
            .parent()?
            .join(text.trim().strip_prefix("gitdir: ")?)
    };
    let head = fs::read_to_string(git.join("HEAD")).ok()?;
    let Some(name) = head.trim().strip_prefix("ref: ") else {
        return object(&head);
    };
    let common = fs::read_to_string(git.join("commondir"))
        .map_or_else(|_| git.clone(), |text| git.join(text.trim()));
    let loose = |folder: &PathBuf| fs::read_to_string(folder.join(name)).ok();
    if let Some(text) = loose(&git).or_else(|| loose(&common)) {
        return object(&text);
    }
    let packed = fs::read_to_string(common.join("packed-refs")).ok()?;
    packed.lines().find_map(|line| {
        let (hash, of) = line.split_once(' ')?;
        (of == name).then(|| object(hash)).flatten()
    })
}

/// The name of an object, if this is one.
fn object(text: &str) -> Option<String> {
    let text = text.trim();
    (text.len() >= 40 && text.bytes().all(|byte| byte.is_ascii_hexdigit())).then(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_commit_is_found_wherever_git_keeps_it() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        assert_eq!(commit(root), None);
        let hash = "0123456789abcdef0123456789abcdef01234567";
        let git = root.join(".git");
        fs::create_dir_all(git.join("refs/heads")).unwrap();
        fs::write(git.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        assert_eq!(commit(root), None, "nothing is committed yet");
        fs::write(
            git.join("packed-refs"),
            format!("# pack-refs\n{hash} refs/heads/main\n"),
        )
        .unwrap();
        assert_eq!(commit(&root.join("below")).as_deref(), Some(hash));
        let newer = hash.replace('0', "f");
        fs::write(git.join("refs/heads/main"), format!("{newer}\n")).unwrap();
        assert_eq!(commit(root).as_deref(), Some(newer.as_str()));
        fs::write(git.join("HEAD"), format!("{hash}\n")).unwrap();
        assert_eq!(commit(root).as_deref(), Some(hash));
        // A work tree of it.
        let tree = git.join("worktrees/tree");
        fs::create_dir_all(&tree).unwrap();
        fs::write(tree.join("HEAD"), "ref: refs/heads/main\n").unwrap();
        fs::write(tree.join("commondir"), "../..\n").unwrap();
        let beside = tempfile::tempdir().unwrap();
        fs::write(
            beside.path().join(".git"),
            format!("gitdir: {}\n", tree.display()),
        )
        .unwrap();
        assert_eq!(commit(beside.path()).as_deref(), Some(newer.as_str()));
    }
}
