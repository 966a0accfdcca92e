"""Attention in NumPy, in blocks, beside torch's fused kernel and beside the plain T × T matrix.

    python3 run.py bench attention

One head of width 64, float32, one thread for all. Times are CPU milliseconds, the smallest of
several calls; torch and blocks take turns, so that a busy moment hits both. A ratio is time over
the time of torch's `scaled_dot_product_attention`: the aim is at most 2 full and 2.3 causal for
the forward pass in blocks. Memory is the peak that NumPy allocates during the call, inputs not
counted, outputs counted. An exponent is the slope of log y against log T over the longer half;
memory in blocks stays below 1 while the block itself, the same for every T, is the larger part.
"""

import os

THREADS = "1"
os.environ.update(dict.fromkeys(("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS"), THREADS))

import time  # noqa: E402  (the thread count is read when NumPy and torch are imported)
import tracemalloc  # noqa: E402

import numpy as np  # noqa: E402
import torch  # noqa: E402
import torch.nn.functional as F  # noqa: E402

from lmlib import attention  # noqa: E402
from lmlib.ngram import power_law_slope  # noqa: E402

torch.set_num_threads(int(THREADS))

LENGTHS = (512, 1024, 2048, 4096, 8192, 16384)
WIDTH = 64
PLAIN_UP_TO = 8192  # beyond, the matrix and its copies take several GiB
BUDGET = 1.0  # CPU seconds for each row and contender, but at least ROUNDS calls
ROUNDS = 3
CACHE_LENGTHS = (64, 128, 256, 512, 1024, 2048)
CACHE_WIDTH, CACHE_HEADS = 128, 4


def milliseconds(contenders):
    """{name: smallest CPU time of one call}, the contenders taking turns."""
    best = dict.fromkeys(contenders, np.inf)
    spent, rounds = 0.0, 0
    while rounds < ROUNDS or (spent < BUDGET * len(contenders) and rounds < 50):
        for name, call in contenders.items():
            start = time.process_time_ns()
            call()
            taken = (time.process_time_ns() - start) / 1e6
            best[name] = min(best[name], taken)
            spent += taken / 1e3
        rounds += 1
    return best


def mebibytes(call):
    """Peak memory that one call allocates."""
    tracemalloc.start()
    call()
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return peak / 2**20


def load(when):
    """How many processes wanted a core in the last minute; Windows does not say."""
    known = f"{os.getloadavg()[0]:.1f}" if hasattr(os, "getloadavg") else "unknown"
    return f"Load of the machine at the {when}: {known} on {os.cpu_count()} cores."


def contenders(T, causal, backward):
    """The same task three ways, checked to give the same output."""
    x = np.random.default_rng(0).normal(size=(3, T, WIDTH)).astype(np.float32)
    d_output = np.random.default_rng(1).normal(size=(T, WIDTH)).astype(np.float32)
    tensors = [torch.tensor(a)[None, None].requires_grad_(backward) for a in x]
    d_tensor = torch.tensor(d_output)[None, None]

    def with_torch():
        output = F.scaled_dot_product_attention(*tensors, is_causal=causal)
        if backward:
            torch.autograd.grad(output, tensors, d_tensor)
        return output.detach().numpy()

    def in_blocks():
        output, cache = attention.blocked_attention_forward(*x, causal)
        if backward:
            attention.blocked_attention_backward(d_output, cache)
        return output

    def plain():
        mask = attention.causal_mask(T) if causal else None
        output, cache = attention.attention_forward(*x, mask)
        if backward:
            attention.attention_backward(d_output, cache)
        return output

    assert np.abs(in_blocks() - with_torch()).max() < 1e-5, "the two must compute the same"
    found = {"torch": with_torch, "blocks": in_blocks}
    return found | ({"plain": plain} if T <= PLAIN_UP_TO else {})


def exponent(lengths, values):
    half = (len(lengths) + 1) // 2
    return power_law_slope(lengths[-half:], values[-half:])


def compare(causal, backward):
    """One table over all lengths; returns the ratios blocks / torch."""
    print(
        f"\n### {'Causal' if causal else 'Full'}, forward{' and backward' if backward else ''}\n\n"
        "| T | torch, ms | blocks, ms | plain, ms | blocks / torch | plain / torch "
        "| blocks, MiB | plain, MiB |\n" + "|---:" * 8 + "|"
    )
    times, memory = {}, {}
    for T in LENGTHS:
        calls = contenders(T, causal, backward)
        # the plain way last and alone: its large arrays would empty the caches of the other two
        alone = {"plain": calls.pop("plain")} if "plain" in calls else {}
        best = milliseconds(calls) | milliseconds(alone)
        calls |= alone
        peak = {name: mebibytes(call) for name, call in calls.items() if name != "torch"}
        for name, value in best.items():
            times.setdefault(name, []).append(value)
        for name, value in peak.items():
            memory.setdefault(name, []).append(value)
        plain = ("–", "–", "–")
        if "plain" in best:
            ratio = best["plain"] / best["torch"]
            plain = (f"{best['plain']:.1f}", f"{ratio:.2f}", f"{peak['plain']:.1f}")
        print(
            f"| {T:,} | {best['torch']:.1f} | {best['blocks']:.1f} | {plain[0]} "
            f"| {best['blocks'] / best['torch']:.2f} | {plain[1]} "
            f"| {peak['blocks']:.1f} | {plain[2]} |",
            flush=True,
        )
    slopes = [exponent(LENGTHS[: len(v)], v) for v in (*times.values(), *memory.values())]
    names = [f"time of {n}" for n in times] + [f"memory of {n}" for n in memory]
    print(
        "\nExponents in T: " + ", ".join(f"{n} {s:.2f}" for n, s in zip(names, slopes, strict=True))
    )
    return np.array(times["blocks"]) / np.array(times["torch"])


def decoding():
    """The cost of the next token of one layer, with and without the KV cache."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(max(CACHE_LENGTHS), CACHE_WIDTH)).astype(np.float32)
    layer = attention.Projections(
        *rng.normal(0, CACHE_WIDTH**-0.5, (4, CACHE_WIDTH, CACHE_WIDTH)).astype(np.float32)
    )
    cache = attention.KeyValueCache(len(x), CACHE_WIDTH, CACHE_HEADS, dtype=np.float32)
    attention.decode_step(x, layer, CACHE_HEADS, cache)
    print(
        f"\n### KV cache: one layer, width {CACHE_WIDTH}, {CACHE_HEADS} heads, the next token\n\n"
        "| T | again from the start, ms | with the cache, ms | speed-up | cache, KiB |\n"
        + "|---:" * 5
        + "|"
    )
    rows = []
    for T in CACHE_LENGTHS:

        def again(T=T):
            mask = attention.causal_mask(T)
            return attention.multi_head_attention(x[:T], layer, CACHE_HEADS, mask)[0][-1]

        def cached(T=T):
            cache.length = T - 1  # forget what came after
            return attention.decode_step(x[T - 1 : T], layer, CACHE_HEADS, cache)[0]

        assert np.abs(again() - cached()).max() < 1e-5, "the two must compute the same"
        best = milliseconds({"again": again, "cached": cached})
        rows.append(best["again"] / best["cached"])
        kib = (cache.key.nbytes + cache.value.nbytes) / 2**10
        print(
            f"| {T:,} | {best['again']:.2f} | {best['cached']:.3f} | {rows[-1]:.0f} | {kib:.0f} |",
            flush=True,
        )
    print(f"\nExponent of the speed-up in T: {exponent(CACHE_LENGTHS, rows):.2f}")


def main():
    print(f"NumPy {np.__version__}, torch {torch.__version__}, {THREADS} thread.", load("start"))
    worst = {}
    for backward in (False, True):
        for causal in (False, True):
            worst[causal, backward] = compare(causal, backward).max()
    decoding()
    print(
        f"\nLargest ratio blocks / torch, forward: full {worst[False, False]:.2f} (aim: 2), "
        f"causal {worst[True, False]:.2f} (aim: 2.3); "
        f"forward and backward: full {worst[False, True]:.2f}, causal {worst[True, True]:.2f}."
    )
    print(load("end"))


if __name__ == "__main__":
    main()
