//! The updates of parameters and running statistics in a training step.

#[cfg(feature = "_gpu")]
use burn::backend::{Backend, Dispatch, backend_extension, tensor::FloatTensor};
use burn::tensor::Tensor;

/// The parameters of SGD with momentum.
#[derive(Clone, Copy, Debug)]
pub struct Descent {
    /// Learning rate.
    pub rate: f64,
    /// Momentum: the fraction of the last velocity that is kept.
    pub momentum: f64,
    /// Weight decay.
    pub decay: f64,
    /// Whether to use Nesterov momentum, which looks ahead along the velocity.
    pub nesterov: bool,
}

/// Kernels whose outputs are constants under autodiff.
#[cfg(feature = "_gpu")]
#[backend_extension(Autodiff, Cube)]
pub(crate) trait UpdateBackend: Backend {
    /// See [`descend`].
    fn descend(
        parameter: FloatTensor<Self>,
        gradient: FloatTensor<Self>,
        velocity: FloatTensor<Self>,
        descent: Descent,
    ) -> (FloatTensor<Self>, FloatTensor<Self>);

    /// See [`blend`].
    fn blend(old: FloatTensor<Self>, new: FloatTensor<Self>, share: f64) -> FloatTensor<Self>;
}

/// A step of SGD with momentum as in Caffe and PyTorch, for a parameter `p` with gradient `g`:
///
/// ```text
/// v = momentum v + g + decay p,   p = p - rate v
/// p = p - rate (g + decay p + momentum v)          with `nesterov`
/// ```
pub fn descend<const D: usize>(
    parameter: Tensor<D>,
    gradient: Tensor<D>,
    velocity: Option<Tensor<D>>,
    descent: Descent,
) -> (Tensor<D>, Tensor<D>) {
    #[cfg(feature = "_gpu")]
    if crate::device::is_graphics(&parameter.device()) && !descent.nesterov {
        let velocity = velocity.unwrap_or_else(|| parameter.zeros_like());
        let (parameter, velocity) = <Dispatch as UpdateBackend>::descend(
            parameter.into_dispatch(),
            gradient.into_dispatch(),
            velocity.into_dispatch(),
            descent,
        );
        let back = Tensor::from_dispatch;
        return (back(parameter), back(velocity));
    }
    let mut gradient = gradient;
    if descent.decay > 0.0 {
        gradient = parameter.clone().mul_scalar(descent.decay) + gradient;
    }
    let ahead = descent.nesterov.then(|| gradient.clone());
    let velocity = match velocity {
        Some(velocity) => gradient + velocity.mul_scalar(descent.momentum),
        None => gradient,
    };
    let direction = match ahead {
        Some(gradient) => gradient + velocity.clone().mul_scalar(descent.momentum),
        None => velocity.clone(),
    };
    (parameter - direction.mul_scalar(descent.rate), velocity)
}

/// `(1 - share) old + share new`, without gradient.
pub(crate) fn blend(old: Tensor<1>, new: Tensor<1>, share: f64) -> Tensor<1> {
    #[cfg(feature = "_gpu")]
    if crate::device::is_graphics(&old.device()) {
        let (old, new) = (old.into_dispatch(), new.into_dispatch());
        return Tensor::from_dispatch(<Dispatch as UpdateBackend>::blend(old, new, share));
    }
    old.mul_scalar(1.0 - share) + new.mul_scalar(share)
}
