"""Runs an ONNX file on images, for `lsoftmax export`.

    python onnx_runtime.py              prints the version of ONNX Runtime; status 3 if there is none
    python onnx_runtime.py MODEL DIR    reads DIR/images.npy and writes DIR/NAME.npy for each output: the
                                        rows of all images in one batch, then that of the first alone
"""

import sys

try:
    import numpy
    import onnxruntime
except ImportError as error:
    print(error, file=sys.stderr)
    sys.exit(3)

if len(sys.argv) == 1:
    print(onnxruntime.__version__)
    sys.exit()

model, folder = sys.argv[1:]
options = onnxruntime.SessionOptions()
options.log_severity_level = 3  # errors
session = onnxruntime.InferenceSession(model, options, providers=["CPUExecutionProvider"])
image = session.get_inputs()[0]
images = numpy.load(folder + "/images.npy")
images = images.astype("uint8" if image.type == "tensor(uint8)" else "float32")
together = session.run(None, {image.name: images})
alone = session.run(None, {image.name: images[:1]})
for output, many, one in zip(session.get_outputs(), together, alone):
    numpy.save(f"{folder}/{output.name}.npy", numpy.concatenate([many, one]))
