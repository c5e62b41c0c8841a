//! tract runs an ONNX network: `tract NETWORK.onnx INPUT.f32 CHANNELS SIDE THREADS`.

#[path = "../../../shared/rounds.rs"]
mod rounds;

use std::collections::HashMap;

use tract_linalg::multithread::{Executor, set_default_executor};
use tract_onnx::prelude::*;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let given = rounds::Given::from_arguments()?;
    set_default_executor(Executor::multithread(given.threads));
    let network = given.network.clone();
    let shape = |count| [count, given.channels, given.side, given.side];
    // A network is made ready for each number of windows.
    let mut ready = HashMap::new();
    given.serve("tract 0.23.9", move |images, count| {
        if !ready.contains_key(&count) {
            let model = tract_onnx::onnx().model_for_path(&network)?;
            let model = model.with_input_fact(0, f32::fact(shape(count)).into())?;
            ready.insert(count, model.into_optimized()?.into_runnable()?);
        }
        let input = Tensor::from_shape(&shape(count), images)?;
        let output = ready[&count].run(tvec!(input.into()))?;
        Ok(output[0].view().as_slice::<f32>()?.to_vec())
    })
}
