//! Numbers of the process as a whole. The driver reads them; this crate asks no operating system.

use crate::table::ProcessNumber;

/// What is known of the process. A number that is not known is not shown.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Process {
    version: String,
    numbers: [Option<f64>; ProcessNumber::ALL.len()],
}

impl Process {
    /// A process that runs `version` of the program.
    pub fn new(version: &str) -> Process {
        let mut process = Process { version: version.to_owned(), ..Process::default() };
        process.set(ProcessNumber::BuildInfo, 1.0);
        process
    }

    /// The program's version.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// Sets one number, in the unit of its row.
    pub fn set(&mut self, number: ProcessNumber, value: f64) {
        self.numbers[number as usize] = Some(value);
    }

    /// One number, if it is known.
    pub fn get(&self, number: ProcessNumber) -> Option<f64> {
        self.numbers[number as usize]
    }
}
