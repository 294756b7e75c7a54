//! The explanation of the page for readers.

/// The explanation at the end of the page.
pub(super) fn reading() -> String {
    "<div class=\"prose\">\n\
     <p><strong>The margin.</strong> The logit of a class is the inner product of feature and \
     class weight: ‖w‖ ‖x‖ cos θ. Softmax only requires the logit of the true class to be the \
     largest. During training, <span class=\"word\">L-Softmax</span> replaces cos θ of the true class with a function \
     that decreases faster,</p>\n\
     <p class=\"formula\">ψ(θ) = (−1)<sup>k</sup> cos(mθ) − 2k, \
     \u{a0} θ from kπ/m to (k+1)π/m, \u{a0} k = 0 … m−1</p>\n\
     <p>so that the angle of a sample to its class weight must be m times smaller for the sample to \
     count as correct. With m = 1 this is softmax. A larger m gives tighter classes, but is harder \
     to train.</p>\n\
     <p><strong>Annealing.</strong> With the full margin from the first step, training can stall. \
     The target logit therefore starts as a mixture, (λ cos θ + ψ(θ)) / (1 + λ), and λ decreases. \
     The curve of λ shows the values that were used: at λ = 0 the margin is complete; at λ = 5 and \
     m = 4 it is still weak. Training losses with different m or λ are different functions, so \
     their values cannot be compared.</p>\n\
     <p><strong>Target angle.</strong> The angle between a feature and the weight of its true \
     class, from 0° to 180°. Small target angles mean tight classes. Large angles between class \
     centres mean that the classes are far apart. In two dimensions, ten classes are at most 36° \
     apart.</p>\n\
     <p><strong>2-D features.</strong> Each dot is the feature of one sample, the input of the \
     last layer; each ray is the direction of a class weight. A class is recognised by direction, \
     so a good picture has narrow, separate beams. The distance from the origin is the feature \
     norm.</p>\n\
     <p><strong>Test error.</strong> Always computed from the logits without margin, λ and label: \
     w·x for softmax and L-Softmax, scaled cosines for the losses that normalise. The training \
     logits depend on the true class and would give a wrong error.</p>\n\
     </div>\n"
        .to_owned()
}
