//! λ of one step.

use super::{Gate, RunningSignal};

/// λ of one step: the same for every batch, or one that waits until the classes are told apart.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StepLambda {
    lambda: f64,
    gate: Option<Gate>,
    running: RunningSignal,
}

/// The number that is shown for λ = ∞, plain softmax.
const MAX_SHOWN: f64 = 1e6;

impl From<f64> for StepLambda {
    fn from(lambda: f64) -> Self {
        Self::new(lambda, None)
    }
}

impl StepLambda {
    pub(super) fn new(lambda: f64, gate: Option<Gate>) -> Self {
        Self {
            lambda,
            gate,
            running: RunningSignal::default(),
        }
    }

    /// The least λ that a batch can have at this step: that of one whose classes are told apart.
    pub fn least(&self) -> f64 {
        self.lambda
    }

    /// The same after batches with this signal, for a gate that has a memory.
    #[must_use]
    pub fn after(self, running: RunningSignal) -> Self {
        Self { running, ..self }
    }

    /// The gate that λ waits behind, if it [looks at the batch](Gate::looks_at_batch).
    pub fn gate_of_batch(&self) -> Option<Gate> {
        self.gate.filter(|gate| gate.looks_at_batch(&self.running))
    }

    /// λ of a batch, given the probability that the plain softmax assigns to each sample's own class.
    ///
    /// # Shapes
    /// - probabilities, labels: `[batch]`
    pub fn of_batch(&self, probabilities: &[f64], labels: &[u32], classes: usize) -> f64 {
        let signal = match self.gate_of_batch() {
            Some(gate) => gate.signal.of_batch(probabilities, labels),
            None => self.running.mean(),
        };
        self.of(signal, classes)
    }

    /// λ of batches with this signal of the gate on average, which counts where the gate looks at the
    /// batch. It is to be shown: of a shut gate it is 1e6.
    pub fn of_steps(&self, signal: f64, classes: usize) -> f64 {
        let looks = self.gate_of_batch().is_some();
        let lambda = self.of(if looks { signal } else { self.running.mean() }, classes);
        if lambda > MAX_SHOWN {
            MAX_SHOWN
        } else {
            lambda
        }
    }

    /// λ for this signal of the [gate](Gate), if there is one.
    ///
    /// While a batch is still guessed at, the quickest way to small target angles is for all
    /// features and all class weights to point the same way, and even a weak margin makes classes
    /// merge; softmax alone keeps them apart. A hard task with a short budget never comes out of
    /// that, and then stays with softmax. No gradient flows through the gate.
    pub fn of(&self, signal: f64, classes: usize) -> f64 {
        let Some(gate) = self.gate else {
            return self.lambda;
        };
        let [guess, certain] = gate.signal.range(classes);
        let above = if classes < 2 {
            1.0
        } else {
            (signal - guess) / (certain - guess)
        };
        let open = ((above - gate.from) / (gate.to - gate.from)).clamp(0.0, 1.0);
        (self.lambda + (1.0 - open)) / open
    }
}
