"""Declaring an exercise: a reference solution, its cases, and the misconceptions it can recognise.

Nothing here runs a learner's code (see `engine`); a declaration only has to be pleasant to write.
"""

import ast
import hashlib
import importlib
import inspect
import re
import textwrap
import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import cached_property

import numpy as np

from lmlib.exercises import messages

CHAPTERS = {  # chapter -> the modules of this package that declare its exercises, in reading order
    "sparsity": ("sparsity", "smoothing", "judging"),
    "scaling_laws": (
        "scaling",
        "scaling_fitting",
        "scaling_frontier",
        "scaling_claims",
        "scaling_budget",
        "scaling_plans",
    ),
    "attention": (
        "attention",
        "attention_masks",
        "attention_layers",
        "attention_order",
        "attention_meaning",
        "attention_cost",
    ),
    "layernorm": (
        "layernorm",
        "layernorm_gradients",
        "layernorm_axes",
        "layernorm_statistics",
        "layernorm_depth",
        "layernorm_evidence",
    ),
}
REGISTRY: dict[str, "Exercise"] = {}

_ID = re.compile(r"[a-z][a-z0-9_]*\.[a-z0-9]+(-[a-z0-9]+)*")


class Case:
    """The arguments of one call, `Case(["a", "b"], n=2)`. Every call gets its own deep copy."""

    def __init__(self, *args, **kwargs):
        self.args = args
        self.kwargs = kwargs

    def __repr__(self):
        parts = [repr(a) for a in self.args] + [f"{k}={v!r}" for k, v in self.kwargs.items()]
        return f"Case({', '.join(parts)})"


@dataclass(eq=False, repr=False)
class Exercise:
    """One declared exercise. Authors make it with the `exercise` decorator.

    Attributes
    ----------
    id : "chapter.some-words", stable, because progress and notebooks refer to it
    solution : the reference solution; without parameters, the exercise asks for a value
    misconceptions : name -> callable with the solution's signature
    explanations : name -> the sentence that a learner who made this mistake reads
    hints : graded, the first says where to look, the last one almost how
    tolerance, absolute : got equals expected if |got - expected| <= max(tolerance |expected|,
        absolute); integers, strings and keys are compared exactly
    seconds : time limit of one check
    view : None, or what is compared instead of the raw result (both results pass through it)
    """

    id: str
    title: str
    solution: Callable
    cases: Sequence[Case | Callable]
    hints: Sequence[str]
    minutes: int
    tolerance: float
    absolute: float
    seconds: float
    draws: int
    view: Callable | None
    remark: str
    misconceptions: dict[str, Callable] = field(default_factory=dict)
    explanations: dict[str, str] = field(default_factory=dict)

    def __repr__(self):
        return f"<Exercise {self.id}: {self.title}>"  # never the solution

    def __call__(self, *args, **kwargs):
        """Call the solution: a recursive one, and misconceptions built on it, need that."""
        return self.solution(*args, **kwargs)

    def misconception(self, name: str, explanation: str):
        """Decorator: a runnable wrong answer and the sentence for a learner who gave it."""
        if name in self.misconceptions:
            raise ValueError(f"{self.id} has two misconceptions named {name!r}; names must differ")

        def add(function):
            self.misconceptions[name] = function
            self.explanations[name] = explanation
            return function

        return add

    @property
    def chapter(self) -> str:
        return self.id.partition(".")[0]

    @property
    def name(self) -> str:
        """What the learner's function or variable is called."""
        return self.solution.__name__

    @property
    def is_value(self) -> bool:
        return not inspect.signature(self.solution).parameters

    @cached_property
    def inputs(self) -> tuple[Case, ...]:
        """All cases: the fixed ones as declared, the random ones drawn from a seed of their own."""
        rng = np.random.default_rng(zlib.crc32(self.id.encode()))
        drawn = []
        for case in self.cases:
            drawn += [case] if isinstance(case, Case) else [case(rng) for _ in range(self.draws)]
        for case in drawn:
            if not isinstance(case, Case):
                raise ValueError(
                    f"{self.id}: a random case must return Case(...), got {type(case).__name__}"
                )
        return tuple(drawn)

    def arguments(self, case: Case) -> dict[str, object]:
        """Parameter name -> value, for one case."""
        return inspect.signature(self.solution).bind(*case.args, **case.kwargs).arguments

    @cached_property
    def source(self) -> str:
        """The reference solution as the book shows it: its source from `def` on."""
        text = textwrap.dedent(inspect.getsource(self.solution))
        definition = ast.parse(text).body[0]  # the decorator above it belongs to the declaration
        return "\n".join(text.splitlines()[definition.lineno - 1 :])

    @cached_property
    def body(self) -> tuple[str, ...]:
        """The solution's lines below its docstring, without spaces: what no message may hold."""
        first = ast.parse(self.source).body[0].body[0]
        lines = self.source.splitlines()[first.end_lineno :]
        return tuple("".join(line.split()) for line in lines)

    @cached_property
    def version(self) -> str:
        """Changes when the solution does, so that progress can say 'changed since'."""
        return hashlib.sha256(self.source.encode()).hexdigest()[:12]

    @cached_property
    def stub(self) -> str:
        """The source of the notebook's `exercise` cell."""
        summary = inspect.getdoc(self.solution).splitlines()[0]
        if self.is_value:
            return f"# {summary}\n{self.name} = ...  # {messages.YOUR_ANSWER}"
        definition = ast.parse(self.source).body[0]
        head = self.source.splitlines()[: definition.body[0].lineno - 1]
        quotes = 'r"""' if "\\" in summary else '"""'
        return "\n".join([*head, f'    {quotes}{summary}"""', f"    ...  # {messages.YOUR_CODE}"])

    def check_call(self) -> str:
        """The source of the notebook's `check` cell."""
        return f'check("{self.id}", {self.name})'

    def details(self) -> str:
        """The Markdown cell that follows the check: graded hints, then the solution."""
        blocks = [
            (messages.HINT_SUMMARY.format(level=level), text.strip())
            for level, text in enumerate(self.hints, start=1)
        ]
        solution = f"```python\n{self.source}\n```"
        blocks.append((messages.SOLUTION_SUMMARY, f"{solution}\n\n{self.remark}".strip()))
        return "\n\n".join(  # the blank lines make Markdown parse what is inside <details>
            f"<details><summary>{summary}</summary>\n\n{body}\n\n</details>"
            for summary, body in blocks
        )


def exercise(
    id: str,
    *,
    title: str,
    hints: Sequence[str],
    cases: Sequence[Case | Callable] = (),
    minutes: int = 5,
    tolerance: float | None = None,
    absolute: float = 1e-12,
    seconds: float = 5.0,
    draws: int = 20,
    view: Callable | None = None,
    remark: str = "",
):
    """Decorator that declares the decorated function as the reference solution of an exercise.

    Parameters
    ----------
    id : "chapter.some-words"
    title : as in the notebook's heading
    hints : two or more, from "where to look" to "the first step"
    cases : each a `Case(...)`, or a function `rng -> Case(...)` that is drawn `draws` times.
        Needed if the solution has parameters; without parameters the exercise asks for a value.
    minutes : an honest guess for the reader
    tolerance : relative; default 1e-6, for values 5e-3 (three significant digits are enough)
    absolute : absolute tolerance, for expected values near zero
    seconds : time limit for one check
    view : what to compare instead of the result itself, `view(result)`; for tasks with several
        right answers ("find a text for which ...")
    remark : Markdown shown below the solution

    Raises
    ------
    ValueError : for an id that is not "chapter.some-words" or is taken, a function without a
        docstring (the stub shows its first line), or missing cases
    """
    if not _ID.fullmatch(id):
        raise ValueError(f'an exercise id looks like "chapter.some-words", got {id!r}')

    def declare(solution):
        if not inspect.getdoc(solution):
            raise ValueError(f"{id}: the solution needs a docstring; the stub shows its first line")
        parameters = inspect.signature(solution).parameters
        if bool(cases) != bool(parameters):
            raise ValueError(
                f"{id}: got {len(cases)} cases for a solution with {len(parameters)} parameters; "
                "a function needs cases, a value has none"
            )
        known = REGISTRY.get(id)
        if known and known.solution.__qualname__ != solution.__qualname__:
            raise ValueError(f"two exercises have the id {id!r}: {known.name}, {solution.__name__}")
        declared = Exercise(
            id=id,
            title=title,
            solution=solution,
            cases=tuple(cases) or (Case(),),
            hints=tuple(hints),
            minutes=minutes,
            tolerance=tolerance if tolerance is not None else 1e-6 if parameters else 5e-3,
            absolute=absolute,
            seconds=seconds,
            draws=draws,
            view=view,
            remark=remark,
        )
        REGISTRY[id] = declared
        return declared

    return declare


def find(id) -> Exercise | None:
    """The exercise with this id; imports its chapter only (another one may need torch)."""
    _load(str(id).partition(".")[0])
    return REGISTRY.get(id) if isinstance(id, str) else None


def catalogue() -> tuple[Exercise, ...]:
    """Every exercise of the course, in the order of the chapters."""
    for chapter in CHAPTERS:
        _load(chapter)
    return tuple(REGISTRY.values())


def _load(chapter):
    for module in CHAPTERS.get(chapter, ()):
        importlib.import_module(f"lmlib.exercises.{module}")
