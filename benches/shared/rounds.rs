//! The program's side of timed rounds, which networks.py asks for: `PROGRAM NETWORK INPUT.f32 CHANNELS SIDE THREADS`.
//!
//! The file holds the windows that go in, float32, `[count, channels, side, side]`. The program says in a line what it
//! is. Then each line on its input is a question and each line on its output the answer, until the input ends:
//! `time COUNT` runs the network on the first COUNT windows and answers with the seconds that took; `write COUNT PATH`
//! writes the result too, float32. What cannot be done is answered with `error: WHY`.

use std::error::Error;
use std::io::{BufRead, Write};
use std::path::PathBuf;
use std::time::Instant;

/// What the program was started with.
pub struct Given {
    pub network: PathBuf,
    pub channels: usize,
    pub side: usize,
    pub threads: usize,
    input: Vec<f32>,
}

impl Given {
    /// # Errors
    /// Fails if there are not five arguments, or the file cannot be read.
    pub fn from_arguments() -> Result<Self, Box<dyn Error>> {
        // `cargo bench` adds an argument of its own.
        let arguments = std::env::args()
            .skip(1)
            .filter(|argument| argument != "--bench");
        let arguments: Vec<String> = arguments.collect();
        let [network, input, channels, side, threads] = arguments.as_slice() else {
            return Err("expected NETWORK INPUT.f32 CHANNELS SIDE THREADS".into());
        };
        let input = std::fs::read(input)?;
        let (numbers, _) = input.as_chunks();
        Ok(Self {
            network: network.into(),
            channels: channels.parse()?,
            side: side.parse()?,
            threads: threads.parse()?,
            input: numbers
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect(),
        })
    }

    /// Answers questions with what `run` makes of windows and their count.
    ///
    /// # Errors
    /// Fails if nobody reads the answers.
    pub fn serve(
        &self,
        name: &str,
        mut run: impl FnMut(&[f32], usize) -> Result<Vec<f32>, Box<dyn Error>>,
    ) -> Result<(), Box<dyn Error>> {
        let mut answers = std::io::stdout().lock();
        writeln!(answers, "{name}")?;
        for question in std::io::stdin().lock().lines() {
            let answer = self.answer(&question?, &mut run);
            let answer = answer.unwrap_or_else(|error| {
                let text = error.to_string();
                format!("error: {}", text.replace('\n', " "))
            });
            writeln!(answers, "{answer}")?;
        }
        Ok(())
    }

    fn answer(
        &self,
        question: &str,
        run: &mut impl FnMut(&[f32], usize) -> Result<Vec<f32>, Box<dyn Error>>,
    ) -> Result<String, Box<dyn Error>> {
        let mut words = question.splitn(3, ' ');
        let mut next = || words.next().ok_or("a question has two or three words");
        let (what, count) = (next()?, next()?.parse()?);
        let numbers = count * self.channels * self.side * self.side;
        let images = self
            .input
            .get(..numbers)
            .ok_or("there are not so many windows")?;
        let begun = Instant::now();
        let result = run(images, count)?;
        let seconds = begun.elapsed().as_secs_f64();
        if what == "write" {
            let bytes: Vec<u8> = result.iter().flat_map(|v| v.to_le_bytes()).collect();
            std::fs::write(next()?, bytes)?;
        }
        Ok(seconds.to_string())
    }
}
