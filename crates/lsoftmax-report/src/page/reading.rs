//! How the page is to be read.

/// The explanation at the end of the page.
pub(super) fn reading() -> String {
    "<div class=\"prose\">\n\
     <p><strong>The margin.</strong> The logit of a class is the inner product of feature and \
     class weight: ‖w‖ ‖x‖ cos θ. Softmax asks only that the logit of the true class is the \
     largest. <span class=\"word\">L-Softmax</span> replaces cos θ of the true class, during training alone, by a function \
     that falls faster,</p>\n\
     <p class=\"formula\">ψ(θ) = (−1)<sup>k</sup> cos(mθ) − 2k, \
     \u{a0} θ from kπ/m to (k+1)π/m, \u{a0} k = 0 … m−1</p>\n\
     <p>so that a sample must come m times nearer to its class weight to count as well placed. \
     With m = 1 this is softmax. A larger m asks for tighter classes, and is harder to train.</p>\n\
     <p><strong>Annealing.</strong> The full margin from the first step can bring training to a \
     standstill. So the target logit starts as a mixture, (λ cos θ + ψ(θ)) / (1 + λ), and λ goes \
     down. The picture of λ shows what was used: at λ = 0 the margin is fully there; at λ = 5 and \
     m = 4 it is still a weak one. Training losses with different m or λ are different functions \
     and cannot be compared by value.</p>\n\
     <p><strong>Target angle.</strong> The angle between a feature and the weight of its own \
     class, 0° to 180°. Small target angles mean tight classes. Large angles between class \
     centres mean classes that are far apart. In two dimensions ten classes are 36° apart at \
     best.</p>\n\
     <p><strong>2-D features.</strong> Each dot is one sample as the network sees it before the \
     last layer; each ray is the direction of a class weight. A class is recognised by direction, \
     so a good picture has narrow, separate beams. The distance from the origin is the feature \
     norm.</p>\n\
     <p><strong>Test error.</strong> Always from the logits without margin, without λ, and without \
     the label: w·x for softmax and L-Softmax, scaled cosines for the losses that normalise. The \
     logits of training know the true class and would give a wrong number.</p>\n\
     </div>\n"
        .to_owned()
}
