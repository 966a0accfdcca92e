"""Modified Kneser–Ney of order 5 beside KenLM's lmplz and NLTK, in one run.

    LMPLZ=…/bin/lmplz QUERY=…/bin/query python3 run.py bench ngram

Without KenLM's programs (not named and not on PATH) or without NLTK, their columns are left out.
How to build them: tests/reference/README.md. TOKENS="1e4 1e5" chooses the sizes of the training
text. Linux and macOS only; with all sizes it takes some minutes, 3 GB of memory and 3 GB of disk.

The text is generated: words by Zipf's law, each drawn from what may follow none, one, two or three
words before it, and set phrases of three to seven words. So the number of different n-grams grows
much as in real text; the output says how. (The Brown corpus, 0.84 million tokens: 0.05, 0.41, 0.75,
0.86, 0.86 different n-grams per token.)

Every measurement is a process of its own: its CPU seconds (user + system) and its peak memory are
what the operating system reports of it. Runs that take a second or so are repeated, and the fastest
one counts, of every program alike.
"""

import gc
import json
import math
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from importlib.metadata import PackageNotFoundError, version
from importlib.util import find_spec
from pathlib import Path

# This module imports NumPy only inside the tasks below: a process starts out with its parent's
# peak memory, so the one that starts and measures the others must stay small.

ORDER = 5
SIZES = (10_000, 100_000, 1_000_000, 10_000_000)
TEST = 100_000  # tokens scored, at most; a tenth of the training text where that is less
NLTK_ORDER, NLTK_SIZES, NLTK_SAMPLE = 3, (100_000, 1_000_000), 100
REPEAT_UP_TO = 1_000_000  # tokens


# ------------------------------------------------------------- tasks, each in a process of its own
def generate(path, tokens, seed):
    """Write about `tokens` words to a text file, one sentence a line."""
    import numpy as np

    rng = np.random.default_rng(int(seed))
    octaves = 16  # the words are w1 … w65535
    spelling = np.array([f"w{i}" for i in range(2**octaves)], object)
    lines_at_once, longest, left = 10_000, 40, int(tokens)

    def zipf(octaves, random):
        """1 … 2**octaves - 1 from 64 random bits: every octave is as likely, so P(r) ∝ 1/r."""
        width = np.uint64(1) << random % np.uint64(octaves)
        return width + (random >> np.uint64(20)) % width

    with open(path, "w", encoding="utf-8", newline="\n") as file:
        while left > 0:
            lengths = np.minimum(rng.geometric(1 / 20, lines_at_once), longest)
            lengths = lengths[: np.searchsorted(np.cumsum(lengths), left) + 1]
            left -= int(lengths.sum())
            shape = (longest, lengths.size)
            random = rng.integers(0, 2**64, shape, np.uint64)
            depends_on = rng.choice(4, shape, p=[0.05, 0.5, 0.3, 0.15])
            follower = zipf(7, rng.integers(0, 2**64, shape, np.uint64))
            begins = rng.random(shape) < 0.06
            words = np.zeros((longest + 3, lengths.size), np.uint64)  # three zeros, then the line
            phrase = remaining = np.zeros(lengths.size, np.uint64)
            for i in range(longest):  # all lines grow at once
                key = follower[i]
                for back in (1, 2, 3):
                    deeper = _mixed(key ^ words[i + 3 - back])
                    key = np.where(depends_on[i] >= back, deeper, key)
                key = np.where(depends_on[i] == 0, random[i], _mixed(key))
                phrase = np.where(begins[i], zipf(14, random[i]) << np.uint64(8), phrase)
                remaining = np.where(begins[i], 3 + random[i] % np.uint64(5), remaining)
                key = np.where(remaining > 0, _mixed(phrase + remaining), key)
                remaining = np.maximum(remaining, 1) - np.uint64(1)
                words[i + 3] = zipf(octaves, key)
            for line, length in zip(spelling[words[3:].T.astype(int)], lengths, strict=True):
                file.write(" ".join(line[:length].tolist()) + "\n")


def _mixed(key):
    """A hash of 64-bit integers (the finaliser of SplitMix64)."""
    import numpy as np

    key = (key ^ (key >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    key = (key ^ (key >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return key ^ (key >> np.uint64(31))


def lines_of(path):
    """The sentences of a text file, one at a time."""
    with open(path, encoding="utf-8", newline="\n") as file:
        for line in file:
            yield line.split()


def lmlib_fit(train, test):
    """Train and score in memory."""
    started = time.process_time()
    from lmlib import ngram

    imported = time.process_time()
    model = ngram.fit(lines_of(train), ORDER, method="modified_kneser_ney")
    trained = time.process_time()
    result = model.perplexity(lines_of(test))
    scored = time.process_time()
    return {
        "import": imported - started,
        "train": trained - imported,
        "score": scored - trained,
        "perplexity": result.value,
        "types": [keys.size for keys in model.index.keys],
    }


def lmlib_parts(train, test, arpa):
    """Scoring, writing ARPA, and the suffix array, each alone."""
    import numpy as np

    from lmlib import ngram

    model = ngram.fit(lines_of(train), ORDER, method="modified_kneser_ney")
    sentences = list(lines_of(test))
    scoring, p = fastest(3, model.token_probabilities, sentences)
    writing, _ = fastest(1, model.to_arpa, arpa)
    words = [word for line in lines_of(train) for word in line]
    ids = np.asarray(model.vocabulary.encode(words))
    del model, words
    suffixes, _ = fastest(3, ngram.suffix_array, ids)
    return {
        "score": scoring,
        "scored": p.size,
        "arpa": writing,
        "bytes": os.path.getsize(arpa),
        "suffix_array": suffixes,
        "suffixes": ids.size,
    }


def lmlib_small(train, test):
    """What NLTK is compared with: fit, then score the whole test text."""
    from lmlib import ngram

    sentences, unseen = list(lines_of(train)), list(lines_of(test))
    fitting, model = fastest(3, ngram.fit, sentences, NLTK_ORDER, "kneser_ney")
    scoring, p = fastest(3, model.token_probabilities, unseen)
    return {"fit": fitting, "score": scoring, "tokens": p.size}


def nltk_small(train, test):
    """NLTK's fit, and its score of a sample of test tokens, evenly spaced."""
    from nltk.lm import KneserNeyInterpolated
    from nltk.lm.preprocessing import padded_everygram_pipeline

    def fit(sentences):
        model = KneserNeyInterpolated(NLTK_ORDER, discount=0.75)
        model.fit(*padded_everygram_pipeline(NLTK_ORDER, sentences))
        return model

    fitting, model = fastest(1, fit, list(lines_of(train)))
    pad = ["<s>"] * (NLTK_ORDER - 1)
    unseen = [[*pad, *line, "</s>"] for line in lines_of(test)]
    places = [(line, i) for line in unseen for i in range(len(pad), len(line))]
    sample = places[:: max(1, len(places) // NLTK_SAMPLE)]

    def score():
        return [model.score(line[i], line[i - len(pad) : i]) for line, i in sample]

    scoring, _ = fastest(1, score)
    return {"fit": fitting, "score": scoring / len(sample) * len(places), "sample": len(sample)}


def fastest(times, function, *arguments):
    """CPU seconds of the fastest of some calls, and what the last one returned."""
    least = math.inf
    for _ in range(times):
        gc.collect()
        start = time.process_time()
        result = function(*arguments)
        least = min(least, time.process_time() - start)
    return least, result


TASKS = (generate, lmlib_fit, lmlib_parts, lmlib_small, nltk_small)


# --------------------------------------------------------------------- running and measuring them
def measure(command, stdin=None):
    """Run a command: {"cpu": seconds, "mb": peak memory in MB, "out": what it printed}."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(list(map(str, command)), stdin=stdin, stdout=out, stderr=err)
        _, status, usage = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
        out.seek(0)
        err.seek(0)
        if process.returncode:
            raise SystemExit(f"{command} failed:\n{err.read().decode('utf-8', 'replace')}")
        peak = usage.ru_maxrss * (1 if sys.platform == "darwin" else 1024)  # macOS counts bytes
        cpu = usage.ru_utime + usage.ru_stime
        return {"cpu": cpu, "mb": peak / 1e6, "out": out.read().decode("utf-8")}


def task(function, *arguments):
    """Measure one of our own tasks; its result is merged in."""
    found = measure([sys.executable, __file__, function.__name__, *arguments])
    return found | json.loads(found["out"])


def best(times, run):
    """The run with the least CPU time."""
    return min((run() for _ in range(times)), key=lambda found: found["cpu"])


def program(name):
    """Path of a KenLM program: named by the environment, or on PATH, or None."""
    return os.environ.get(name.upper()) or shutil.which(name)


def table(head, rows):
    print("| " + " | ".join(head) + " |")
    print("|" + "---:|" * len(head))
    for row in rows:
        print("| " + " | ".join(row) + " |")
    print(flush=True)


def growth(rows, key):
    """Exponents b of cost ∝ tokens^b between neighbouring sizes."""
    pairs = zip(rows, rows[1:], strict=False)
    slopes = [math.log(b[key] / a[key]) / math.log(b["size"] / a["size"]) for a, b in pairs]
    return ", ".join(f"{slope:.2f}" for slope in slopes)


# --------------------------------------------------------------------------------- the comparisons
def beside_lmplz(sizes, folder, lmplz, query):
    """Training and scoring, time and memory, at growing sizes."""
    rows = []
    for size in sizes:
        train, test = folder / f"train-{size}", folder / f"test-{size}"
        task(generate, train, size, 1)
        task(generate, test, min(size // 10, TEST), 2)
        times = 3 if size <= REPEAT_UP_TO else 1
        row = {"size": size} | best(times, lambda a=train, b=test: task(lmlib_fit, a, b))
        row["work"] = row["train"] + row["score"]
        if lmplz and query:
            row |= kenlm(lmplz, query, train, test, folder, times)
        rows.append(row)
    print_text(rows)
    print_time(rows, compared=bool(lmplz and query))
    print_memory_and_growth(rows, compared=bool(lmplz and query))


def print_text(rows):
    print(f"The text: different n-grams per token, n = 1 … {ORDER}.\n")
    shares = [[f"{types / row['size']:.3f}" for types in row["types"]] for row in rows]
    head = ["tokens", *map(str, range(1, ORDER + 1))]
    table(head, [[f"{row['size']:,}", *share] for row, share in zip(rows, shares, strict=True)])


def print_time(rows, compared):
    print(f"Train (order {ORDER}) and score {TEST:,} tokens (a tenth, if that is less), CPU s.")
    print("The whole process includes the start of Python and the imports.")
    head = ["tokens", "lmlib train", "score", "whole process"]
    if compared:
        print("lmplz: training, --intermediate (no ARPA text), the faster of -S 300M and -S 1G.")
        print("lmplz + query: by way of an ARPA file. Ratios below 1: lmlib needs less.")
        head += ["lmplz", "lmplz + query", "train / lmplz", "train + score / lmplz + query"]
        head += ["whole process / lmplz", "perplexities differ by"]
    print()
    table(head, [_time_cells(row, compared) for row in rows])


def print_memory_and_growth(rows, compared):
    print("Peak memory of the whole process, MB.\n")
    head = ["tokens", "lmlib"]
    if compared:
        head += ["lmplz -S 300M", "lmplz -S 1G", "ratio, 300M", "ratio, 1G"]
    table(head, [_memory_cells(row, compared) for row in rows])

    print("Growth: b in cost ∝ tokens^b, from each size to the next.\n")
    columns = [("lmlib train + score", "work"), ("lmlib memory", "mb")]
    if compared:
        columns += [("lmplz", "kenlm_train"), ("lmplz memory, -S 1G", "mb_1G")]
    table(["what", "b"], [[name, growth(rows, key)] for name, key in columns])


def kenlm(lmplz, query, train, test, folder, times):
    """lmplz without its ARPA text; lmplz with it, then query; both memory settings."""
    arpa, found = folder / "kenlm.arpa", {}
    common = [lmplz, "-o", ORDER, "-T", f"{folder}/", "--text", train]
    for memory in ("300M", "1G"):
        command = [*common, "-S", memory, "--intermediate", folder / "intermediate"]
        run = best(times, lambda c=command: measure(c))
        found[f"cpu_{memory}"], found[f"mb_{memory}"] = run["cpu"], run["mb"]
    found["kenlm_train"] = min(found["cpu_300M"], found["cpu_1G"])

    def both():
        trained = measure([*common, "-S", "1G", "--arpa", arpa])
        with open(test, "rb") as text:
            scored = measure([query, "-v", "summary", arpa], stdin=text)
        return {"cpu": trained["cpu"] + scored["cpu"], "said": scored["out"]}

    run = best(times, both)
    found["kenlm_both"] = run["cpu"]
    found["kenlm_perplexity"] = float(re.search(r"including OOVs:\s+(\S+)", run["said"])[1])
    arpa.unlink()
    for file in folder.glob("intermediate*"):
        file.unlink()
    return found


def _time_cells(row, compared):
    cells = [f"{row['size']:,}", f"{row['train']:.3f}", f"{row['score']:.3f}", f"{row['cpu']:.2f}"]
    if compared:
        differs = abs(row["perplexity"] / row["kenlm_perplexity"] - 1)
        assert differs < 1e-4, "the two must be the same model"
        cells += [f"{row['kenlm_train']:.2f}", f"{row['kenlm_both']:.2f}"]
        cells += [f"{row['train'] / row['kenlm_train']:.2f}"]
        cells += [f"{row['work'] / row['kenlm_both']:.2f}"]
        cells += [f"{row['cpu'] / row['kenlm_train']:.2f}", f"{differs:.0e}"]
    return cells


def _memory_cells(row, compared):
    cells = [f"{row['size']:,}", f"{row['mb']:.0f}"]
    if compared:
        cells += [f"{row['mb_300M']:.0f}", f"{row['mb_1G']:.0f}"]
        cells += [f"{row['mb'] / row['mb_300M']:.2f}", f"{row['mb'] / row['mb_1G']:.2f}"]
    return cells


def beside_nltk(sizes, folder):
    """NLTK's KneserNeyInterpolated, its scoring extrapolated from a sample."""
    rows = []
    for size in sizes:
        train, test = folder / f"train-{size}", folder / f"test-{size}"
        ours, theirs = task(lmlib_small, train, test), task(nltk_small, train, test)
        total = (theirs["fit"] + theirs["score"]) / (ours["fit"] + ours["score"])
        rows.append(
            [
                f"{size:,}",
                f"{ours['fit']:.3f}",
                f"{1e6 * ours['score'] / ours['tokens']:.2f}",
                f"{theirs['fit']:.1f}",
                f"{1e6 * theirs['score'] / ours['tokens']:,.0f}",
                f"{theirs['score'] / ours['score']:,.0f}",
                f"{total:,.0f}",
            ]
        )
    print(f"Kneser–Ney of order {NLTK_ORDER}, beside NLTK's. Fit in CPU s, score in µs a token.")
    print(f"NLTK scores {NLTK_SAMPLE} tokens spread over the test text. Ratios are NLTK / lmlib:")
    print("above 1, lmlib is faster. The last: fit, and score the whole test text.\n")
    head = ["tokens", "lmlib fit", "score", "NLTK fit", "score", "score, ratio", "all, ratio"]
    table(head, rows)


def alone(size, folder):
    """Parts without a counterpart."""
    found = task(lmlib_parts, folder / f"train-{size}", folder / f"test-{size}", folder / "arpa")
    print(f"lmlib alone, trained on {size:,} tokens.\n")
    rows = [
        ["scoring, tokens/s", f"{found['scored'] / found['score']:,.0f}"],
        [f"suffix array of {found['suffixes']:,} tokens, s", f"{found['suffix_array']:.2f}"],
        [f"ARPA text of {found['bytes'] / 1e6:.0f} MB, s", f"{found['arpa']:.2f}"],
    ]
    table(["what", "value"], rows)


def machine(lmplz):
    """What the numbers depend on."""
    cpu = platform.processor() or platform.machine()
    if os.path.exists("/proc/cpuinfo"):
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text("utf-8"))
        cpu = found[1] if found else cpu
    versions = [f"Python {platform.python_version()}", f"numpy {version('numpy')}"]
    try:
        versions.append(f"nltk {version('nltk')}")
    except PackageNotFoundError:
        versions.append("no nltk (pip install nltk)")
    versions.append("lmplz found" if lmplz else "no lmplz and query (LMPLZ=…, QUERY=…)")
    load = " ".join(f"{value:.2f}" for value in os.getloadavg())
    print(f"{cpu}, {os.cpu_count()} cores, load average {load} at the start")
    print(", ".join(versions) + "\n", flush=True)


def main():
    if len(sys.argv) > 1:
        function = next(function for function in TASKS if function.__name__ == sys.argv[1])
        print(json.dumps(function(*sys.argv[2:]) or {}))
        return
    sizes = [int(float(size)) for size in os.environ.get("TOKENS", "").split()] or SIZES
    lmplz, query = program("lmplz"), program("query")
    machine(lmplz and query)
    with tempfile.TemporaryDirectory() as folder:
        beside_lmplz(sizes, Path(folder), lmplz, query)
        if find_spec("nltk") and (small := [size for size in sizes if size in NLTK_SIZES]):
            beside_nltk(small, Path(folder))
        alone(max([size for size in sizes if size <= REPEAT_UP_TO] or sizes[:1]), Path(folder))


if __name__ == "__main__":
    main()
