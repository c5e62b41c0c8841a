//! burn runs the networks that it was compiled with: `burn NETWORK INPUT.f32 CHANNELS SIDE THREADS`.

#[path = "../../../shared/rounds.rs"]
mod rounds;

use burn::tensor::{Device, Tensor, TensorData};

macro_rules! networks {
    ($($name:ident),*) => {
        $(mod $name {
            include!(concat!(env!("OUT_DIR"), "/networks/", stringify!($name), ".rs"));
        })*

        /// The network of that name.
        fn network(name: &str) -> Option<Box<dyn Fn(Tensor<4>) -> Tensor<4>>> {
            match name {
                $(stringify!($name) => {
                    let model = $name::Model::default();
                    Some(Box::new(move |input| model.forward(input)))
                })*
                _ => None,
            }
        }
    };
}

networks!(nafnet_w32, monai_unet);

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given = rounds::Given::from_arguments()?;
    if std::env::var("RAYON_NUM_THREADS") != Ok(given.threads.to_string()) {
        return Err(
            "burn takes as many threads as RAYON_NUM_THREADS says: expected the same number".into(),
        );
    }
    let name = given
        .network
        .file_stem()
        .unwrap_or_default()
        .to_string_lossy();
    let network = network(&name).ok_or("a network that this was not compiled with")?;
    let device = Device::default();
    let (channels, side) = (given.channels, given.side);
    given.serve("burn 0.22.1, flex", move |images, count| {
        let data = TensorData::new(images.to_vec(), [count, channels, side, side]);
        let output = network(Tensor::from_data(data, &device));
        Ok(output
            .into_data()
            .into_vec::<f32>()
            .map_err(|error| format!("{error:?}"))?)
    })
}
