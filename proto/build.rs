//! Makes Rust of the `.proto` files; needs `protoc` (Debian: protobuf-compiler).

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = std::env::var("OUT_DIR")?;
    let names = ["common", "query", "coordinator", "jobs", "store"];
    let files = names.map(|name| format!("shardex/v1/{name}.proto"));
    tonic_prost_build::configure()
        .bytes(".")
        .file_descriptor_set_path(std::path::Path::new(&folder).join("shardex.bin"))
        .compile_protos(&files, &[".".to_owned()])?;
    Ok(())
}
