r"""A small language around one sentence: 虽然下雨了，但是他坚持去跑步。

Some Chinese conjunctions come in pairs: 虽然 … 但是 (although … yet), 因为 … 所以 (because … so).
A sentence here is

    [clause ，]*  FIRST clause ，  [clause ，]*  SECOND clause 。

The first conjunction alone decides the second, and any number of clauses may stand between them.
At every comma the second half begins with the same chance, `END`; so the true probability of its
first character, right after the comma, is END at any distance, and a model can be held to it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from lmlib.attention.core import check_count
from lmlib.attention.tasks import NOTHING

PAIRS = (
    ("虽然", "但是"),  # although … yet
    ("因为", "所以"),  # because … so
    ("如果", "那么"),  # if … then
    ("不但", "而且"),  # not only … but also
    ("与其", "不如"),  # rather than … better
    ("只有", "才能"),  # only if … can
)
SUBJECTS = ("他", "她", "我", "小明", "妈妈", "老师", "我们", "朋友")
PREDICATES = (
    *("下雨了", "很累", "生病了", "没有钱", "去跑步", "坚持去跑步", "写作业", "看电影"),
    *("起得很早", "喜欢唱歌", "在家休息", "学习中文", "不想出门", "准备考试", "等公交车"),
    *("吃了早饭", "走路上班", "带了雨伞", "听了音乐", "回到学校"),
)
SENTENCE = "虽然下雨了，但是他坚持去跑步。"
PINYIN = (
    *("suī", "rán", "xià", "yǔ", "le", ","),
    *("dàn", "shì", "tā", "jiān", "chí", "qù", "pǎo", "bù", "."),
)
CHARACTERS = "".join(sorted({*"".join((*SUBJECTS, *PREDICATES, *map("".join, PAIRS))), *"，。"}))
SECONDS = np.array([CHARACTERS.index(second[0]) for _, second in PAIRS])
END = 0.3  # the chance, at each comma, that the second half of the sentence follows
WITH_SUBJECT = 0.7  # the share of clauses that name a subject


class Sentence(NamedTuple):
    """A sentence of the language.

    text : str
    pair : int, which of `PAIRS`
    first, second : int, where the two conjunctions begin; the model is asked at second − 1
    """

    text: str
    pair: int
    first: int
    second: int


def sentences(
    rng: np.random.Generator,
    count: int,
    longest: int = 6,
    fillers: int | None = None,
    before: int = 0,
    never: str | None = None,
) -> list[Sentence]:
    """Draw sentences.

    Parameters
    ----------
    rng : numpy.random.Generator
    count : int >= 1
    longest : int >= 0, most clauses between the two halves; the chance of k is END (1 − END)^k,
        and what is left falls to `longest`
    fillers : exactly so many clauses between the halves, in place of a random number
    before : int >= 0, most clauses before the first conjunction, each number equally likely
    never : a text that no sentence may contain; such a sentence is drawn again

    Returns
    -------
    list of `Sentence`

    Raises
    ------
    ValueError : for a negative number, or a `never` that every sentence contains

    Examples
    --------
    >>> sentences(np.random.default_rng(1), 1, fillers=1)[0]
    Sentence(text='如果在家休息，我们听了音乐，那么我们起得很早。', pair=2, first=0, second=14)
    """
    check_count("count", count, 1)
    for name, value in (("longest", longest), ("fillers", fillers or 0), ("before", before)):
        check_count(name, value, 0)
    if never is not None and never in "，。":
        raise ValueError(f"every sentence contains {never!r}: nothing would be left.")
    found = []
    while len(found) < count:
        between = min(rng.geometric(END) - 1, longest) if fillers is None else fillers
        pair = int(rng.integers(len(PAIRS)))
        opening = "".join(_clause(rng) + "，" for _ in range(rng.integers(before + 1)))
        half = opening + PAIRS[pair][0]
        half += "".join(_clause(rng) + "，" for _ in range(1 + between))
        text = half + PAIRS[pair][1] + _clause(rng) + "。"
        if never is None or never not in text:
            found.append(Sentence(text, pair, len(opening), len(half)))
    return found


def _clause(rng: np.random.Generator) -> str:
    subject = SUBJECTS[rng.integers(len(SUBJECTS))] if rng.random() < WITH_SUBJECT else ""
    return subject + PREDICATES[rng.integers(len(PREDICATES))]


def batch(rng: np.random.Generator, count: int, **kwargs) -> tuple[np.ndarray, np.ndarray]:
    """`sentences` of those arguments, encoded: tokens and targets (B, T) for `training.train`."""
    return encode([sentence.text for sentence in sentences(rng, count, **kwargs)])


def right_pairs(logits: np.ndarray, drawn: Sequence[Sentence]) -> np.ndarray:
    """Whether the right second conjunction is the likeliest of the six, at the comma before it.

    A model may expect another clause there instead, and be right to; so only the six compete.

    Parameters
    ----------
    logits : (B, T, len(CHARACTERS)), a model's for the encoded texts of `drawn`
    drawn : B sentences

    Returns
    -------
    right : (B,) bool; guessing gives 1/6

    Raises
    ------
    ValueError : if the logits are not of these sentences' shape
    """
    longest = max(len(sentence.text) for sentence in drawn)
    wanted = (len(drawn), longest - 1, len(CHARACTERS))
    if logits.shape != wanted:
        raise ValueError(
            f"logits are {logits.shape}; expected {wanted}, those of these sentences, encoded."
        )
    asked = logits[np.arange(len(drawn)), [sentence.second - 1 for sentence in drawn]]  # (B, V)
    return asked[:, SECONDS].argmax(1) == [sentence.pair for sentence in drawn]


def encode(texts: Sequence[str]) -> tuple[np.ndarray, np.ndarray]:
    """Texts as ids, one a row, filled up at the end.

    Returns
    -------
    tokens : (B, T) int64 in 0 … len(CHARACTERS) − 1, T = longest text − 1
    targets : (B, T) int64, the next character, `NOTHING` beyond the text. The filling is 。, which
        no target asks about and, under a causal mask, nothing before it sees.

    Raises
    ------
    ValueError : for a text of fewer than two characters, or with one the language does not have

    Examples
    --------
    >>> tokens, targets = encode(["很累，", "下雨了，"])
    >>> targets >= 0
    array([[ True,  True, False],
           [ True,  True,  True]])
    """
    if not texts or min(map(len, texts)) < 2:
        raise ValueError("every text needs a character to read and one to predict, at least.")
    if strange := sorted({*"".join(texts)} - {*CHARACTERS}):
        raise ValueError(f"the language has no {' '.join(strange)}; its characters: {CHARACTERS}")
    ids = {character: k for k, character in enumerate(CHARACTERS)}
    longest = max(map(len, texts))
    whole = np.full((len(texts), longest), ids["。"])
    targets = np.full((len(texts), longest - 1), NOTHING)
    for row, text in enumerate(texts):
        whole[row, : len(text)] = [ids[character] for character in text]
        targets[row, : len(text) - 1] = whole[row, 1 : len(text)]
    return whole[:, :-1], targets
