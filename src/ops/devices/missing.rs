//! Why no driver has a GPU that the system's kernel has. Only Linux says so in files.

use std::ffi::OsString;
use std::fs;
use std::io::ErrorKind;
use std::path::Path;

use crate::exec::gpu::{AdapterKind, Facts};

/// What GPUs look like in `/dev`.
const GPUS: [&str; 3] = ["dev/nvidiactl", "dev/dri", "dev/dxg"];

const LOADERS: [&str; 4] = [
    "usr/lib",
    "usr/lib64",
    "usr/lib/x86_64-linux-gnu",
    "usr/lib/aarch64-linux-gnu",
];

const DRIVERS: [&str; 2] = ["usr/share/vulkan/icd.d", "etc/vulkan/icd.d"];

/// The variables that hide drivers from the Vulkan loader, or name the only ones (Khronos' `LoaderInterfaceArchitecture`).
const HIDING: [&str; 4] = [
    "VK_DRIVER_FILES",
    "VK_ICD_FILENAMES",
    "VK_LOADER_DRIVERS_SELECT",
    "VK_LOADER_DRIVERS_DISABLE",
];

/// What seems to be missing on this machine.
pub(super) fn here(found: &[&Facts]) -> Option<String> {
    missing("/".as_ref(), |name| std::env::var_os(name), found)
}

/// What seems to be missing, if there is a GPU, or drivers are hidden, and none was found; `root` is that of the system's
/// files, and `variable` looks one of the environment up.
fn missing(
    root: &Path,
    variable: impl Fn(&str) -> Option<OsString>,
    found: &[&Facts],
) -> Option<String> {
    let is_gpu = |facts: &&Facts| facts.kind != AdapterKind::Software;
    if found.iter().any(is_gpu) {
        return None;
    }
    let set = |name: &&str| variable(name).is_some_and(|value| !value.is_empty());
    if let Some(name) = HIDING.into_iter().find(set) {
        let value = variable(name).unwrap_or_default();
        return Some(format!(
            "{name} is set ({}) and says which Vulkan drivers are looked for: unset it if a GPU is missing",
            value.display()
        ));
    }
    if !cfg!(target_os = "linux") {
        return None;
    }
    let there = GPUS.into_iter().find(|path| root.join(path).exists())?;
    Some(format!(
        "/{there} is there, and no GPU was found: {}",
        cause(root, there)
    ))
}

fn cause(root: &Path, there: &str) -> String {
    let is_there = |folder: &str| root.join(folder).join("libvulkan.so.1").exists();
    if !LOADERS.iter().any(|folder| is_there(folder)) {
        return "the Vulkan loader, libvulkan.so.1, was not found (Debian: libvulkan1)".to_owned();
    }
    let names = || {
        let folders = DRIVERS
            .iter()
            .filter_map(|folder| fs::read_dir(root.join(folder)).ok());
        let files = folders.flatten().flatten();
        files.map(|file| file.file_name().to_string_lossy().into_owned())
    };
    if there == "dev/nvidiactl" && !names().any(|name| name.contains("nvidia")) {
        return "NVIDIA's Vulkan driver is not installed (no nvidia_icd.json in /usr/share/vulkan/icd.d or \
                /etc/vulkan/icd.d); a container gets it if NVIDIA_DRIVER_CAPABILITIES names `graphics`"
            .to_owned();
    }
    if names().next().is_none() {
        return "no Vulkan driver is installed (no file in /usr/share/vulkan/icd.d or /etc/vulkan/icd.d; \
                Debian: mesa-vulkan-drivers)"
            .to_owned();
    }
    if let Some(node) = forbidden(root) {
        return format!("this user may not open {node} (often the group `render` may)");
    }
    "none of the installed Vulkan drivers has taken it".to_owned()
}

/// A GPU's file that this user may not write to.
fn forbidden(root: &Path) -> Option<String> {
    let nodes = fs::read_dir(root.join("dev/dri")).ok()?.flatten();
    let names = nodes.map(|node| node.file_name().to_string_lossy().into_owned());
    let mut renders = names.filter(|name| name.starts_with("renderD"));
    let refused = |name: &String| {
        let opened = fs::File::options()
            .write(true)
            .open(root.join("dev/dri").join(name));
        opened.is_err_and(|error| error.kind() == ErrorKind::PermissionDenied)
    };
    renders.find(refused).map(|name| format!("/dev/dri/{name}"))
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;

    /// A system with these files.
    fn system(files: &[&str]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, "").unwrap();
        }
        root
    }

    fn said(files: &[&str]) -> Option<String> {
        missing(system(files).path(), |_| None, &[])
    }

    #[test]
    fn drivers_that_are_hidden_are_named() {
        let hidden = |name: &str| (name == "VK_ICD_FILENAMES").then(|| "/nowhere.json".into());
        let said = missing(system(&[]).path(), hidden, &[]).unwrap();
        assert!(
            said.starts_with("VK_ICD_FILENAMES is set (/nowhere.json)"),
            "{said}"
        );
        assert_eq!(
            missing(system(&[]).path(), |_| Some(OsString::new()), &[]),
            None
        );
    }

    #[test]
    fn what_is_missing_is_named() {
        let loader = "usr/lib64/libvulkan.so.1";
        let lavapipe = "usr/share/vulkan/icd.d/lvp_icd.x86_64.json";
        assert_eq!(said(&[loader, lavapipe]), None);
        let cases: [(&[&str], &str); 5] = [
            (&["dev/nvidiactl", lavapipe], "the Vulkan loader"),
            (
                &["dev/nvidiactl", loader, lavapipe],
                "NVIDIA_DRIVER_CAPABILITIES",
            ),
            (
                &["dev/dri/renderD128", loader],
                "no Vulkan driver is installed",
            ),
            (
                &["dev/dri/renderD128", loader, lavapipe],
                "none of the installed",
            ),
            (
                &["dev/nvidiactl", loader, "etc/vulkan/icd.d/nvidia_icd.json"],
                "none of the installed",
            ),
        ];
        for (files, text) in cases {
            let said = said(files).unwrap();
            assert!(said.contains(text), "{files:?}: {said}");
            assert!(
                said.starts_with(&format!(
                    "/{} is there",
                    files[0].rsplit_once("/render").map_or(files[0], |x| x.0)
                )),
                "{said}"
            );
        }
    }
}
