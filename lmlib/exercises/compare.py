"""Where two results differ: the first difference, depth first, within a tolerance.

Rules (what a learner may return where `expected` is ...)
    float        any number within tolerance; nan equals nan, inf equals inf
    int          any number of exactly that value; True is not a number
    list, tuple  either, item by item
    dict         any mapping (Counter, defaultdict), with exactly these keys
    array        a NumPy array of that shape; boolean only where booleans are expected
    tensor       a torch tensor, by the rules for arrays
    set, str     equal
    others       `==`
NumPy scalars and 0-d arrays count as the Python value they hold.
"""

import inspect
import math
import numbers
import sys
from collections.abc import Mapping, Sequence, Set
from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True)
class Difference:
    """One difference. `kind` says which; got and expected are the parts that differ, at `path`."""

    kind: str  # type dtype shape length keys nan infinite value | raised "not raised" changed
    got: object = None
    expected: object = None
    path: tuple = ()  # of ("key", k) and ("index", i)
    count: tuple[int, int] | None = None  # arrays: entries that differ, entries in all


def is_tensor(x) -> bool:
    torch = sys.modules.get("torch")  # nothing can be a tensor before torch is imported
    return torch is not None and isinstance(x, torch.Tensor)


def plain(x):
    """Python's own scalar for NumPy's scalars and 0-d arrays; anything else as it is."""
    if isinstance(x, np.generic) or (isinstance(x, np.ndarray) and x.ndim == 0):
        return x.item()
    return x


def kind_of(x) -> str:
    """The family within which results can be compared; the type's name for all others."""
    x = plain(x)
    if x is None:
        return "none"
    if is_tensor(x):
        return "tensor"
    for kind, types in (
        ("bool", bool),
        ("number", numbers.Number),
        ("string", str),
        ("array", np.ndarray),
        ("mapping", Mapping),
        ("set", Set),
        ("sequence", Sequence),
    ):
        if isinstance(x, types):
            return kind
    if inspect.isgenerator(x) or isinstance(x, (map, filter, zip)):
        return "generator"
    return "function" if callable(x) else type(x).__name__


def first_difference(got, expected, rtol, atol, path=(), opaque=False) -> Difference | None:
    """The first difference between two results, or None if they agree.

    `opaque=True` takes objects without a comparison of their own as equal, such as two copies of
    a random generator.
    """
    got, expected = plain(got), plain(expected)
    kind = kind_of(expected)
    if kind_of(got) != kind:
        return Difference("type", got, expected, path)
    if kind == "number":
        return _numbers(got, expected, rtol, atol, path)
    if kind == "tensor":
        got, expected = _as_array(got), _as_array(expected)
        return _arrays(got, expected, rtol, atol, path)
    if kind == "array":
        return _arrays(got, expected, rtol, atol, path)
    if kind in ("mapping", "set"):
        if _missing(expected, got) or _missing(got, expected):
            return Difference("keys", got, expected, path)
        pairs = ((("key", k), got[k], expected[k]) for k in expected) if kind == "mapping" else ()
    elif kind == "sequence":
        if len(got) != len(expected):
            return Difference("length", got, expected, path)
        pairs = ((("index", i), g, e) for i, (g, e) in enumerate(zip(got, expected, strict=True)))
    else:
        same = (opaque and kind not in ("none", "bool", "string")) or _equal(got, expected)
        return None if same else Difference("value", got, expected, path)
    for step, g, e in pairs:
        if found := first_difference(g, e, rtol, atol, (*path, step), opaque):
            return found
    return None


def key_differences(got, expected) -> tuple[list, list]:
    """(keys or members missing, keys or members too many) of two mappings or two sets."""
    return _missing(expected, got), _missing(got, expected)


def _missing(wanted, there):
    return [k for k in wanted if k not in there]


def _equal(got, expected) -> bool:
    try:
        return bool(got == expected)
    except Exception:  # a learner's class may raise in __eq__, or return an array
        return False


def _numbers(got, expected, rtol, atol, path):
    if got == expected or (got != got and expected != expected):  # nan is not itself
        return None
    kind = "value"
    if got != got:
        kind = "nan"
    elif abs(got) == math.inf and abs(expected) != math.inf:
        kind = "infinite"
    elif not isinstance(expected, numbers.Integral) and abs(expected) != math.inf:
        try:
            gap = abs(complex(got) - complex(expected))  # complex: of any pair of numeric types
        except OverflowError:  # an integer beyond the floats
            gap = math.inf
        if gap <= max(rtol * abs(complex(expected)), atol):
            return None
    return Difference(kind, got, expected, path)


def _as_array(tensor):
    tensor = tensor.detach().cpu()
    if tensor.is_floating_point() and tensor.itemsize < 4:
        tensor = tensor.float()  # NumPy has no bfloat16
    return tensor.numpy()


def _arrays(got, expected, rtol, atol, path):
    if got.shape != expected.shape:
        return Difference("shape", got, expected, path)
    if _dtype_family(got) != _dtype_family(expected):
        return Difference("dtype", got, expected, path)
    if got.dtype == object or expected.dtype == object:
        for index in np.ndindex(expected.shape):
            step = ("index", index if len(index) > 1 else index[0])
            if found := first_difference(got[index], expected[index], rtol, atol, (*path, step)):
                return found
        return None
    close = np.asarray(got == expected)
    if expected.dtype.kind in "fc":
        with np.errstate(all="ignore"):  # inf - inf is nan, which is not close
            near = np.abs(got - expected) <= np.maximum(rtol * np.abs(expected), atol)
            near &= np.isfinite(expected)  # rtol * inf is inf: everything would be near inf
            close |= near | (np.isnan(got) & np.isnan(expected))
    if close.all():
        return None
    index = tuple(int(i) for i in np.argwhere(~close)[0])
    g, e = got[index].item(), expected[index].item()
    found = _numbers(g, e, rtol, atol, ()) if isinstance(g, numbers.Number) else None
    return Difference(
        found.kind if found else "value",
        g,
        e,
        (*path, ("index", index if len(index) > 1 else index[0])),
        (int((~close).sum()), close.size),
    )


def _dtype_family(array):
    kind = array.dtype.kind
    return "numbers" if kind in "iufcO" else {"b": "booleans", "U": "strings"}.get(kind, kind)
