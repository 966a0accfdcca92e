r"""The n-gram explorer: type a context, see what follows it at every n.

`ngram_explorer` returns what a notebook displays. In the book, ``static/explorer.js`` turns it
into something to touch; everywhere else (JupyterLab, GitHub, no scripts, print) it is two tables.
The page and this module count the same way, and a test holds them to it:

* the works of the corpus, in order, are one stream of lower-cased tokens w_1 … w_T. No sentence
  marks are added and windows run across sentence ends (unlike `lmlib.ngram`, which stops there);
* training text is the first N tokens. At order n the context c is the last n - 1 words typed, and

      count(c) = #{i : w_i … w_{i+n-2} = c and i+n-1 <= N},   P(w | c) = count(c w) / count(c)

  so an occurrence counts when a next token exists, and the probabilities sum to one;
* new text is the last tenth of the stream. An n-gram in it is unseen when no equal n-gram ends
  within the first min(N, 0.9 T) tokens.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from html import escape

import numpy as np

from lmlib import corpora
from lmlib.explorable import static_table

ORDERS = 5  # n = 1 … 5
SHOWN = 4  # continuations per order
LINES = 3  # concordance lines
REACH = 60  # characters shown on either side of a match
CONTINUATIONS = "Most frequent next words: count (probability)"
EXAMPLES = (
    "the",
    "of the",
    "the end of the",
    "once upon a time",
    "the river was low",  # ordinary English, and never seen beyond n = 3
)


class TokenStream:
    """The text of some works as one sequence of tokens, with what the explorer asks of it.

    Parameters
    ----------
    works : sequence of (title, text)

    Attributes
    ----------
    words : the distinct tokens, in order of first appearance
    ids : (T,) int64, the place of every token in `words`
    held_out : int, how many tokens at the end are new text (a tenth, rounded down)
    """

    def __init__(self, works: Sequence[tuple[str, str]]):
        self.text = "\n".join(text for _, text in works)
        tokens = corpora.tokenise(self.text, lowercase=True)
        if len(tokens) < 1000:
            raise ValueError(
                f"the works hold {len(tokens)} tokens; the explorer's slider starts at 1000. "
                "Pass a longer text."
            )
        number: dict[str, int] = {}
        self.ids = np.array([number.setdefault(t, len(number)) for t in tokens])
        self.words = list(number)
        self.held_out = len(tokens) // 10
        self._number = number
        self._titles = [title for title, _ in works]
        self._begins = np.cumsum([0] + [len(text) + 1 for _, text in works[:-1]])
        self._starts = self._places(tokens)
        self._first = self._first_places()

    def view(self, context: Sequence[str], size: int) -> dict:
        """Everything the explorer shows for one context and one training size.

        Parameters
        ----------
        context : at most four tokens, lower case
        size : int, how many tokens are training text (N)

        Returns
        -------
        dict, ready for JSON:
            tokens : T, of the whole stream;  size : N;  context : the words
            missing : the words of the context that never occur in the training text
            rows : for n = 1 … len(context) + 1: [count(c), different next words,
                [[next word, count], …]], most frequent first, earliest first among equals
            unseen : for n = 1 … 5: [unseen n-grams in the new text, all n-grams in it]
            lines : occurrences of the longest context that occurs, as
                [text before, context, next word, text after, title of the work]
        """
        context = list(context)
        ids = np.array([self._number.get(w, -1) for w in context], np.int64)
        rows, hits, length = [], np.array([], np.int64), 0
        for k in range(len(context) + 1):
            places = self._occurrences(ids[len(ids) - k :], size)
            rows.append(self._row(places + k))
            if k and places.size:
                hits, length = places, k
        return {
            "tokens": self.ids.size,
            "size": size,
            "context": context,
            # places in `words` count up as words appear: the first rows[0][1] have appeared
            "missing": [w for w in context if self._number.get(w, size) >= rows[0][1]],
            "rows": rows,
            "unseen": self._unseen(size),
            "lines": self._lines(hits, length),
        }

    def _places(self, tokens: list[str]) -> list[int]:
        """Character offset of every token in the text (only white space lies between them)."""
        lower, at, starts = self.text.lower(), 0, []
        for token in tokens:
            at = lower.index(token, at)
            starts.append(at)
            at += len(token)
        return starts

    def _first_places(self) -> list[np.ndarray]:
        """For each n, (T - n + 1,) int64: where the n-gram that starts at i first starts.

        That first place also serves as the n-gram's name when n grows by one word.
        """
        name, places = np.zeros(self.ids.size, np.int64), []
        for n in range(1, ORDERS + 1):
            keys = name[: self.ids.size - n + 1] * len(self.words) + self.ids[n - 1 :]
            _, first, inverse = np.unique(keys, return_index=True, return_inverse=True)
            name = first[inverse]
            places.append(name)
        return places

    def _occurrences(self, context: np.ndarray, size: int) -> np.ndarray:
        """Where the context starts, so that a next token still lies in the training text."""
        match = np.ones(max(size - len(context), 0), bool)
        for j, word in enumerate(context):
            match &= self.ids[j : j + match.size] == word
        return np.flatnonzero(match)

    def _row(self, next_places: np.ndarray) -> list:
        words, counts = np.unique(self.ids[next_places], return_counts=True)
        top = np.lexsort((words, -counts))[:SHOWN]
        shown = [[self.words[words[i]], int(counts[i])] for i in top]
        return [next_places.size, words.size, shown]

    def _unseen(self, size: int) -> list[list[int]]:
        begin = self.ids.size - self.held_out
        new = [first[begin:] for first in self._first]
        return [
            [int(np.sum(first + n > min(size, begin))), first.size]
            for n, first in enumerate(new, start=1)
        ]

    def _lines(self, hits: np.ndarray, length: int) -> list[list[str]]:
        """Up to three occurrences, spread over the text, with their surroundings."""
        if not hits.size:
            return []
        shown = min(LINES, hits.size)
        return [self._line(int(hits[k * hits.size // shown]), length) for k in range(shown)]

    def _line(self, i: int, length: int) -> list[str]:
        text, begin, following = self.text, self._starts[i], self._starts[i + length]
        end = following + len(self.words[self.ids[i + length]])
        low = text.rfind("\n", 0, begin) + 1
        cut_low = begin - low > REACH
        if cut_low:
            low = text.find(" ", begin - REACH, begin) + 1 or begin
        high = (text + "\n").index("\n", end)
        cut_high = high - end > REACH
        if cut_high:
            high = max(text.rfind(" ", end, end + REACH + 1), end)
        work = int(np.searchsorted(self._begins, begin, side="right")) - 1
        return [
            "… " * cut_low + text[low:begin],
            re.sub(r"\s+", " ", text[begin:following]),
            text[following:end],
            text[end:high] + " …" * cut_high,
            self._titles[work],
        ]


class NgramExplorer:
    """What `ngram_explorer` returns: `view` holds the numbers, the rest is display."""

    def __init__(self, view: dict, examples: Sequence[str]):
        self.view = view
        self.examples = list(examples)

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/html": self._repr_html_(), "text/plain": repr(self)}

    def _repr_html_(self) -> str:
        data = json.dumps(self.view | {"examples": self.examples}, ensure_ascii=False)
        counts = static_table(
            escape(self._title()),
            ["n", "Context", "Times seen", "Different next words", CONTINUATIONS],
            [
                (
                    str(n),
                    [escape(context) or "(none)", f"{row[0]:,}", f"{row[1]:,}", escape(_top(row))],
                )
                for n, context, row in self._rows()
            ],
        )
        shares = static_table(
            escape(self._new_text()),
            ["n", "Unseen n-grams"],
            [
                (str(n), [f"{100 * k / of:.1f} %"])
                for n, (k, of) in enumerate(self.view["unseen"], start=1)
            ],
        )
        return (
            f'<lm-ngram-explorer data-view="{escape(data)}"><div class="lm-x-static">'
            f"{counts}{shares}</div></lm-ngram-explorer>"
        )

    def __repr__(self) -> str:
        rows = [("n", "context", "seen", "different", "most frequent next words")]
        rows += [
            (str(n), context or "(none)", f"{row[0]:,}", f"{row[1]:,}", _top(row))
            for n, context, row in self._rows()
        ]
        wide = [max(len(row[j]) for row in rows) for j in range(4)]
        table = [
            f"{n}  {context:<{wide[1]}}  {seen:>{wide[2]}}  {kinds:>{wide[3]}}  {top}"
            for n, context, seen, kinds, top in rows
        ]
        shares = "  ".join(
            f"n={n} {100 * k / of:.1f} %" for n, (k, of) in enumerate(self.view["unseen"], 1)
        )
        return "\n".join([self._title(), *table, self._new_text(), shares])

    def _title(self) -> str:
        context, size = " ".join(self.view["context"]), self.view["size"]
        return f"What follows “{context}” in a text of {size:,} tokens (words and punctuation)"

    def _new_text(self) -> str:
        new = self.view["unseen"][0][1]
        return (
            f"Share of the n-grams in the last {new:,} tokens that never occur "
            f"in the {self.view['tokens'] - new:,} tokens before them"
        )

    def _rows(self):
        context = self.view["context"]
        for k, row in enumerate(self.view["rows"]):
            yield k + 1, " ".join(context[len(context) - k :]), row


def _top(row: list) -> str:
    top = ", ".join(f"“{word}” {count:,} ({count / row[0]:.3f})" for word, count in row[2])
    return top or "never seen: no estimate"


def ngram_explorer(
    context: str = "the end of the",
    corpus: corpora.Corpus | None = None,
    examples: Sequence[str] = EXAMPLES,
) -> NgramExplorer:
    """The continuations of a context at n = 1 … 5, and how much of new text is unseen.

    Parameters
    ----------
    context : one to four words (tokens), shown first; the reader changes it in the book
    corpus : the embedded corpus when None. The book's page serves that one: another corpus
        shows its own numbers only until the reader touches the explorer.
    examples : contexts offered as buttons

    Raises
    ------
    ValueError : a context of no words or of more than four; a corpus under 1000 tokens
    """
    words = corpora.tokenise(context, lowercase=True)
    if not 1 <= len(words) < ORDERS:
        raise ValueError(
            f"context {context!r} has {len(words)} tokens; expected 1 to {ORDERS - 1} "
            "(every punctuation mark is a token of its own)."
        )
    corpus = corpora.load() if corpus is None else corpus
    stream = TokenStream([(work.title, work.text) for work in corpus.works])
    return NgramExplorer(stream.view(words, stream.ids.size), examples)
