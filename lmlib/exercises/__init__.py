"""Exercises that check themselves and recognise mistakes.

For learners
------------
>>> from lmlib.exercises import check, hint, progress
>>> check("sparsity.count-bigrams", count_bigrams)   # doctest: +SKIP
>>> hint("sparsity.count-bigrams", 1)                # doctest: +SKIP
>>> progress()                                       # doctest: +SKIP

How to add an exercise in ten lines
-----------------------------------
In a module of this package that `declare.CHAPTERS` lists under the chapter:

    @exercise(
        "sparsity.count-bigrams", title="Count the pairs", minutes=5,
        cases=[Case(["a", "b", "a"]), Case([]), lambda rng: Case(rng.integers(0, 3, 8).tolist())],
        hints=["At which positions can a pair start?", "Look at `zip(tokens, tokens[1:])`."])
    def count_bigrams(tokens):
        \"\"\"Return a dictionary: pair of neighbouring tokens -> how often it occurs.\"\"\"
        return Counter(zip(tokens, tokens[1:]))

    @count_bigrams.misconception("pairs do not overlap", "A pair starts at *every* token but one.")
    def _(tokens):
        return Counter(zip(tokens[::2], tokens[1::2]))

1. The decorated function is the reference solution; its docstring's first line goes into the stub.
2. Give at least three misconceptions: runnable wrong answers, each with the sentence to read.
3. Mix small fixed cases with random ones (`rng -> Case`); the smallest failing one is shown.
4. For a value to compute by hand, write a function without parameters, and no cases.
5. `audit(e)` lists what is wrong, such as two misconceptions that no case tells apart.
6. Copy `e.stub`, `e.check_call()` and `e.details()` into the notebook: a code cell tagged
   `exercise`, a code cell tagged `check`, a Markdown cell. The tests compare all three.
"""

from lmlib.exercises.auditing import audit
from lmlib.exercises.declare import Case, Exercise, catalogue, exercise
from lmlib.exercises.engine import check, hint
from lmlib.exercises.logbook import progress
from lmlib.exercises.result import Result

__all__ = [
    "Case",
    "Exercise",
    "Result",
    "audit",
    "catalogue",
    "check",
    "exercise",
    "hint",
    "progress",
]
