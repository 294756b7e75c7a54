"""One side of one case, as a process that works whenever it reads a line.

    side.py KIND SIDE JSON

The first line of its output says that it is ready; every line that it reads is answered with seconds, CPU
seconds of all threads, the peak of memory above what it held before it worked, and numbers that must agree with those of other sides.
"""

import ctypes
import gc
import json
import sys
import time

import numpy as np


def status(key: str) -> int:
    """Bytes of memory: VmRSS now or VmHWM at most."""
    with open("/proc/self/status") as file:
        line = next(line for line in file if line.startswith(key + ":"))
    return int(line.split()[1]) * 1024


def settle() -> None:
    """Gives freed memory back to the system and sets the peak back to what is held now."""
    gc.collect()
    ctypes.CDLL(None).malloc_trim(0)
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")


def random_rows(rows: int, columns: int, seed: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((rows, columns), np.float32)


class Head:
    """Steps of training: the loss, its gradients, and a step of SGD on the class weights."""

    SCALE, MARGIN = 64.0, 0.5

    def __init__(self, side: str, case: dict) -> None:
        import torch

        self.torch, self.side, self.loss_name = torch, side, case["loss"]
        torch.set_num_threads(case["threads"])
        self.seconds = case["seconds"]
        # The first steps of a process load libraries, which are not the price of the head.
        self.make(8, 4, 16)
        self.train()
        self.make(case["batch"], case["classes"], case["columns"])

    def make(self, batch: int, classes: int, columns: int) -> None:
        torch = self.torch
        self.features = torch.from_numpy(random_rows(batch, columns, 1)).requires_grad_()
        weight = torch.from_numpy(0.05 * random_rows(classes, columns, 2))
        self.labels = torch.from_numpy(np.random.default_rng(3).integers(classes, size=batch))
        self.parameter, self.loss = getattr(self, "make_" + self.side)(weight)
        # So small that all steps are alike: weights that run away would make some of them slow.
        self.optimiser = torch.optim.SGD([self.parameter], lr=1e-8)

    def make_lsoftmax(self, weight):
        from lsoftmax.torch import MarginHead

        classes, columns = weight.shape
        settings = {
            "softmax": {},
            "arc-face": {"scale": self.SCALE, "margin": self.MARGIN},
            "l-softmax": {"margin": 4, "annealing": "none"},
        }
        head = MarginHead(columns, classes, loss=self.loss_name, **settings[self.loss_name])
        head.weight = self.torch.nn.Parameter(weight)
        return head.weight, lambda x, y: head(x, y, 0)

    def make_pml(self, weight):
        from pytorch_metric_learning import losses

        classes, columns = weight.shape
        if self.loss_name == "arc-face":
            margin = float(np.degrees(self.MARGIN))
            loss = losses.ArcFaceLoss(classes, columns, margin=margin, scale=self.SCALE)
        else:
            loss = losses.LargeMarginSoftmaxLoss(classes, columns, margin=4, scale=1)
        loss.W = self.torch.nn.Parameter(weight.T.contiguous())
        return loss.W, loss

    def make_torch(self, weight):
        torch = self.torch
        functional = torch.nn.functional
        weight = torch.nn.Parameter(weight)

        def softmax(x, y):
            return functional.cross_entropy(functional.linear(x, weight), y)

        def arc_face(x, y):
            cosines = functional.linear(functional.normalize(x), functional.normalize(weight))
            own = cosines.gather(1, y[:, None]).clamp(-1 + 1e-7, 1 - 1e-7)
            own = torch.cos(torch.acos(own) + self.MARGIN)
            return functional.cross_entropy(self.SCALE * cosines.scatter(1, y[:, None], own), y)

        return weight, {"softmax": softmax, "arc-face": arc_face}[self.loss_name]

    def train(self) -> float:
        self.features.grad = None
        self.optimiser.zero_grad()
        loss = self.loss(self.features, self.labels)
        loss.backward()
        self.optimiser.step()
        return float(loss.detach())

    def operands(self) -> int:
        """The bytes of the gradients, which every side needs."""
        return self.features.nbytes + self.parameter.nbytes

    def work(self) -> dict:
        first = self.train()
        gradient = float(self.features.grad.norm())
        begun, processor, steps = time.perf_counter(), time.process_time(), 0
        while steps < 1 or time.perf_counter() - begun < self.seconds:
            self.train()
            steps += 1
        seconds = (time.perf_counter() - begun) / steps
        processor = (time.process_time() - processor) / steps
        agree = {"loss": first, "gradient": gradient}
        return {"seconds": seconds, "processor": processor, "agree": agree}


class Metric:
    """One metric of embeddings, computed once each time."""

    def __init__(self, side: str, case: dict) -> None:
        self.side, self.case = side, case
        if side in ("pml", "pml-faiss"):
            import torch

            torch.set_num_threads(case["threads"])
        if side in ("faiss", "pml-faiss"):
            import faiss

            faiss.omp_set_num_threads(case["threads"])
        self.make(500)
        self.work()
        self.make(case["rows"])

    def make(self, rows: int) -> None:
        columns, of_class = self.case["columns"], 20
        self.labels = np.arange(rows) % max(1, rows // of_class)
        centres = random_rows(self.labels.max() + 1, columns, 1)
        x = centres[self.labels] + 1.5 * random_rows(rows, columns, 2)
        self.x = x / np.linalg.norm(x, axis=1, keepdims=True)
        if self.case["metric"] != "verification":
            return
        rng = np.random.default_rng(3)
        pairs = 100 * rows
        self.same = rng.random(pairs) < 0.1
        self.scores = rng.standard_normal(pairs, np.float32) + 2 * self.same.astype(np.float32)

    def operands(self) -> int:
        return 0

    def work(self) -> dict:
        name = f"{self.case['metric']}_{self.side}".replace("-", "_")
        begun, processor = time.perf_counter(), time.process_time()
        found = getattr(self, name)()
        seconds, processor = time.perf_counter() - begun, time.process_time() - processor
        return {"seconds": seconds, "processor": processor, "agree": found}

    def retrieval_lsoftmax(self) -> dict:
        from lsoftmax import metrics

        found = metrics.retrieval(self.x, self.labels, recall_at=[1])
        return {"P@1": found.precision_at_1, "R": found.r_precision, "MAP@R": found.map_at_r}

    def calculator(self, knn) -> dict:
        import torch
        from pytorch_metric_learning.utils.accuracy_calculator import AccuracyCalculator

        names = ("precision_at_1", "r_precision", "mean_average_precision_at_r")
        calculator = AccuracyCalculator(
            include=names, k="max_bin_count", device=torch.device("cpu"), knn_func=knn
        )
        found = calculator.get_accuracy(torch.from_numpy(self.x), torch.from_numpy(self.labels))
        return dict(zip(("P@1", "R", "MAP@R"), (found[name] for name in names), strict=True))

    def retrieval_pml(self) -> dict:
        from pytorch_metric_learning.distances import CosineSimilarity
        from pytorch_metric_learning.utils.inference import CustomKNN

        return self.calculator(CustomKNN(CosineSimilarity(), batch_size=1024))

    def retrieval_pml_faiss(self) -> dict:
        from pytorch_metric_learning.utils.inference import FaissKNN

        return self.calculator(FaissKNN())

    def nearest_lsoftmax(self) -> dict:
        from lsoftmax import metrics

        return {"sum": float(metrics.nearest(self.x, self.x, 10)[1].sum(dtype=np.float64))}

    def nearest_sklearn(self) -> dict:
        from sklearn.neighbors import NearestNeighbors

        index = NearestNeighbors(n_neighbors=10, algorithm="brute", n_jobs=self.case["threads"])
        distances, _ = index.fit(self.x).kneighbors(self.x)
        return {"sum": float((1 - distances.astype(np.float64) ** 2 / 2).sum())}

    def nearest_faiss(self) -> dict:
        import faiss

        index = faiss.IndexFlatIP(self.x.shape[1])
        index.add(self.x)
        return {"sum": float(index.search(self.x, 10)[0].sum(dtype=np.float64))}

    def verification_lsoftmax(self) -> dict:
        from lsoftmax import metrics

        found = metrics.verification(self.scores, self.same, fars=[0.01])
        return {"AUC": found.auc, "TAR": found.tar_at_far[0].measured.tar}

    def verification_sklearn(self) -> dict:
        from sklearn.metrics import auc, roc_curve

        far, tar, _ = roc_curve(self.same, self.scores)
        return {"AUC": auc(far, tar), "TAR": float(tar[np.searchsorted(far, 0.01, "right") - 1])}


def main() -> None:
    kind, name, case = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
    side = {"head": Head, "metric": Metric}[kind](name, case)
    settle()
    before = status("VmRSS") + side.operands()
    print("ready", flush=True)
    for _ in sys.stdin:
        found = side.work()
        found["memory"] = max(0, status("VmHWM") - before)
        print(json.dumps(found), flush=True)


if __name__ == "__main__":
    main()
