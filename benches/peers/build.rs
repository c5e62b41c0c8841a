//! burn compiles networks into programs: its importer turns the ONNX files of the folder `NETWORKS` into Rust.

fn main() {
    #[cfg(feature = "burn")]
    {
        println!("cargo::rerun-if-env-changed=NETWORKS");
        let folder = std::env::var("NETWORKS")
            .expect("NETWORKS: a folder with nafnet_w32.onnx and monai_unet.onnx");
        let mut networks = burn_onnx::ModelGen::new();
        for name in ["nafnet_w32", "monai_unet"] {
            let path = format!("{folder}/{name}.onnx");
            println!("cargo::rerun-if-changed={path}");
            networks.input(&path);
        }
        networks.out_dir("networks/").run_from_script();
    }
}
