use crate::checks::{check_size, checked_labels};
use crate::error::Error;
use crate::margin::check;
use crate::rows::{in_precision, precision};
use burn::module::{Module, Param};
use burn::tensor::{Device, IndexingUpdateOp, Int, Tensor, TensorData};
use lsoftmax_kernels::head::HeadError;
use serde::{Deserialize, Serialize};

/// Configuration of a [`CenterLoss`].
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct CenterLossConfig {
    /// Number of classes.
    pub classes: usize,
    /// Length of a feature vector.
    pub feature_size: usize,
    /// α: the fraction of the way that a centre moves towards its samples in a step, above 0 and at
    /// most 1.
    pub rate: f64,
}

impl CenterLossConfig {
    /// Creates a configuration with the published rate of 0.5.
    pub fn new(classes: usize, feature_size: usize) -> Self {
        Self {
            classes,
            feature_size,
            rate: 0.5,
        }
    }

    /// Creates the loss, with all centres at 0.
    ///
    /// # Errors
    /// A size is zero, or the rate is out of range.
    pub fn init(&self, device: &Device) -> Result<CenterLoss, Error> {
        for (name, size) in [
            ("the class list", self.classes),
            ("the feature", self.feature_size),
        ] {
            if size == 0 {
                return Err(HeadError::Empty(name).into());
            }
        }
        let expected = "above 0 and at most 1";
        check("rate", self.rate, expected, |rate| {
            rate > 0.0 && rate <= 1.0
        })?;
        let centers = Tensor::<2>::zeros([self.classes, self.feature_size], device);
        Ok(CenterLoss {
            centers: Param::from_tensor(centers).no_grad(),
            rate: self.rate,
        })
    }
}

/// Center loss (Wen, Zhang, Li and Qiao 2016): the distance of each feature to the moving centre of
/// its class. It is added to a softmax loss with a small weight (published: 0.003 to 0.01).
///
/// ```text
/// L = mean_i |x_i - c_y|² / 2,      c_j -= α Σ_{y_i = j} (c_j - x_i) / (1 + n_j)
/// ```
///
/// The centres are part of the module's record. They are moved by [`update`](Self::update), not by
/// the optimiser.
#[derive(Module, Debug)]
pub struct CenterLoss {
    /// The centres, `[class, feature]`.
    pub centers: Param<Tensor<2>>,
    #[module(skip)]
    rate: f64,
}

impl CenterLoss {
    /// The mean loss of a batch, `[1]`. It is f32 if the features have half precision.
    ///
    /// # Shapes
    /// - features: `[batch, feature]`
    /// - labels: `[batch]`
    ///
    /// # Errors
    /// The shapes do not match, the batch is empty, or a label is not a class.
    pub fn forward(&self, features: Tensor<2>, labels: Tensor<1, Int>) -> Result<Tensor<1>, Error> {
        let labels = self.checked(&features, labels)?.0;
        let centers = self.constant_centers();
        let precision = precision(features.dtype(), centers.dtype());
        let own = in_precision(centers.select(0, labels), precision);
        let features = in_precision(features, precision);
        let [batch, _] = features.dims();
        Ok((features - own)
            .square()
            .sum()
            .div_scalar(2.0 * batch as f64))
    }

    /// Moves the centres of the classes in a batch towards its features.
    ///
    /// # Errors
    /// The same as for [`forward`](Self::forward).
    pub fn update(mut self, features: Tensor<2>, labels: Tensor<1, Int>) -> Result<Self, Error> {
        let features = features.set_require_grad(false);
        let (labels, classes) = self.checked(&features, labels)?;
        let centers = self.constant_centers();
        let own = centers.clone().select(0, labels.clone());
        let mut counts = vec![0u32; centers.dims()[0]];
        for &class in &classes {
            counts[class as usize] += 1;
        }
        let steps: Vec<f64> = (classes.iter())
            .map(|&class| self.rate / f64::from(1 + counts[class as usize]))
            .collect();
        let steps = TensorData::new(steps, [classes.len(), 1]);
        let precision = precision(features.dtype(), centers.dtype());
        let steps = Tensor::<2>::from_data(steps, (&features.device(), precision.into()));
        let moves = (in_precision(features, precision) - in_precision(own, precision)) * steps;
        let moves = if moves.dtype() == centers.dtype() {
            moves
        } else {
            moves.cast(centers.dtype())
        };
        let centers = centers.select_assign(0, labels, moves, IndexingUpdateOp::Add);
        self.centers = self.centers.map(|_| centers);
        Ok(self)
    }

    /// The centres without gradient. In a module that was loaded or switched to training they are a
    /// tracked leaf, which `detach` would leave tracked.
    fn constant_centers(&self) -> Tensor<2> {
        self.centers.val().set_require_grad(false)
    }

    fn checked(
        &self,
        features: &Tensor<2>,
        labels: Tensor<1, Int>,
    ) -> Result<(Tensor<1, Int>, Vec<u32>), Error> {
        let centers = self.centers.val();
        check_size(features, &centers)?;
        let [batch, _] = features.dims();
        let [classes, _] = centers.dims();
        let [count] = labels.dims();
        if count != batch {
            return Err(Error::BatchSize {
                features: batch,
                labels: count,
            });
        }
        if batch == 0 {
            return Err(HeadError::Empty("the batch").into());
        }
        let on_host = checked_labels(labels.to_data().iter::<i64>(), classes)?;
        Ok((labels, on_host.to_vec()))
    }
}
