"""LayerNorm in NumPy beside torch's on the CPU: time, and accuracy far from zero.

    python3 run.py bench layernorm

Both run on one thread, in float32, with random gain and bias. Times are CPU milliseconds, the
smallest of many calls; the contenders take turns, so a busy moment hits all of them. A ratio is
lmlib / torch: below 4 is the aim of the fast path. torch's forward keeps what backward needs, as
ours does; its backward is timed without the forward.
"""

import os

THREADS = "1"
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), THREADS))

import time  # noqa: E402  (the thread count is read when NumPy and torch are imported)

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

from lmlib import layernorm  # noqa: E402

torch.set_num_threads(int(THREADS))

SHAPES = ((32, 128, 64), (32, 128, 256), (16, 256, 768), (4, 512, 2048))
ROUNDS = 40
OFFSETS = (0.0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6)
VECTORS, WIDTH = 256, 768


def milliseconds(contenders):
    """{name: smallest CPU time of one call}, the contenders taking turns."""
    best = dict.fromkeys(contenders, np.inf)
    for _ in range(ROUNDS):
        for name, (prepare, run) in contenders.items():
            ready = prepare()
            start = time.process_time_ns()
            run(ready)
            best[name] = min(best[name], (time.process_time_ns() - start) / 1e6)
    return best


def speed(shape, rng):
    """Times of forward and backward: plain, in place, torch."""
    width = shape[-1]
    x, d_y = rng.normal(size=(2, *shape)).astype(np.float32)
    gain, bias = rng.normal(size=(2, width)).astype(np.float32)
    _, cache = layernorm.layer_norm(x, gain, bias)
    tensors = [torch.tensor(a, requires_grad=True) for a in (x, gain, bias)]
    d_tensor = torch.tensor(d_y)

    def torch_forward(tensors):
        return F.layer_norm(tensors[0], (width,), *tensors[1:])

    forward = milliseconds(
        {
            "plain": (lambda: x, lambda x: layernorm.layer_norm(x, gain, bias)),
            "fast": (x.copy, lambda x: layernorm.layer_norm(x, gain, bias, in_place=True)),
            "torch": (lambda: tensors, torch_forward),
        }
    )
    backward = milliseconds(
        {
            "plain": (lambda: d_y, lambda d: layernorm.layer_norm_backward(d, cache)),
            "fast": (d_y.copy, lambda d: layernorm.layer_norm_backward(d, cache, in_place=True)),
            "torch": (
                lambda: torch_forward(tensors),
                lambda y: torch.autograd.grad(y, tensors, d_tensor),
            ),
        }
    )
    return forward, backward


def accuracy(offset, rng):
    """Median relative error of each variance, share of naive ones below 0, largest errors of y."""
    x = (rng.normal(size=(VECTORS, WIDTH)) + offset).astype(np.float32)
    exact = x.astype(np.float64)
    variance = exact.var(-1)
    y = (exact - exact.mean(-1, keepdims=True)) / np.sqrt(variance + 1e-5)[:, None]
    errors = [
        np.median(np.abs(algorithm(x) - variance) / variance)
        for algorithm in layernorm.VARIANCES.values()
    ]
    negative = (layernorm.naive_variance(x) < 0).mean()
    ones, zeros = np.ones(WIDTH, np.float32), np.zeros(WIDTH, np.float32)
    outputs = (
        F.layer_norm(torch.tensor(x), (WIDTH,)).numpy(),
        layernorm.layer_norm(x, ones, zeros)[0],
        layernorm.layer_norm(x.copy(), ones, zeros, in_place=True)[0],
    )
    return errors, negative, [np.abs(output - y).max() for output in outputs]


def main():
    np.ones(2**25 - 2**16, np.uint8)  # once freed, glibc keeps as much for the next arrays: then
    # no contender is timed while the system hands it fresh pages
    rng = np.random.default_rng(0)
    load = os.getloadavg()[0] if hasattr(os, "getloadavg") else float("nan")
    print(
        f"NumPy {np.__version__}, torch {torch.__version__}, one thread each; "
        f"load when started {load:.1f} on {os.cpu_count()} cores\n"
    )
    print("| shape | pass | plain, ms | fast, ms | torch, ms | plain ratio | fast ratio |")
    print("|---|---|---:|---:|---:|---:|---:|")
    for shape in SHAPES:
        for name, best in zip(("forward", "backward"), speed(shape, rng), strict=True):
            times = [best[contender] for contender in ("plain", "fast", "torch")]
            cells = [f"{t:.2f}" for t in times] + [f"{t / times[-1]:.1f}" for t in times[:2]]
            print(f"| {shape} | {name} | {' | '.join(cells)} |")

    algorithms = tuple(layernorm.VARIANCES)
    print(f"\nRelative error of the variance, float32, {WIDTH} values N(offset, 1); error of y\n")
    print(f"| offset | {' | '.join(algorithms)} | naive below 0 | y torch | y lmlib | y fast |")
    print("|---:|" + "---:|" * (len(algorithms) + 4))
    for offset in OFFSETS:
        errors, negative, outputs = accuracy(offset, rng)
        cells = [f"{error:.1e}" for error in errors]
        cells += [f"{negative:.0%}", *(f"{error:.1e}" for error in outputs)]
        print(f"| {offset:,.0f} | {' | '.join(cells)} |")


if __name__ == "__main__":
    main()
