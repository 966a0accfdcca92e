r"""The attention explorer: where four heads look, and what the model says next.

`attention_explorer` returns what a notebook displays. In the book, ``static/attention-explorer.js``
turns it into something to touch, with the same trained model running in the page; everywhere else
(JupyterLab, GitHub, no scripts, print) it is two tables.

The model has learned the paired conjunctions of `lmlib.attention.conjunctions`: two layers of two
heads, no positions, 40,046 parameters (``benchmarks/attention_model.py``). For characters
w_1 … w_t it computes, here in NumPy, in the page in JavaScript,

    x = embedding(w)
    x ← x + attention(norm(x));   x ← x + feed_forward(norm(x))        twice
    P(next | w_1 … w_t) = softmax(head(norm(x_t)))

Knocking out a head replaces what it adds to x by zero, at every position. Its weights are still
shown: it looks, and nobody hears. Tests hold NumPy, JavaScript and torch to the same numbers.
"""

from __future__ import annotations

import base64
import functools
import json
from collections.abc import Sequence
from html import escape
from importlib import resources

import numpy as np
from scipy.special import erf

from lmlib.attention import Projections, causal_mask, masked_softmax, multi_head_attention
from lmlib.attention.conjunctions import PAIRS, SENTENCE, sentences
from lmlib.explorable import static_table
from lmlib.layernorm import layer_norm

SHOWN = 6  # next characters
LONGEST = 60  # characters in the field, before fillers
FILLERS = 40  # filler clauses, at most
NEXT_TITLE = "What it expects next: probability, with all heads and with one knocked out"

# Every word of the language: pinyin, each syllable with the tone of its character, and meaning.
WORDS = {
    **{"虽然": ("suī rán", "although"), "但是": ("dàn shì", "yet")},
    **{"因为": ("yīn wèi", "because"), "所以": ("suǒ yǐ", "so")},
    **{"如果": ("rú guǒ", "if"), "那么": ("nà me", "then")},
    **{"不但": ("bù dàn", "not only"), "而且": ("ér qiě", "but also")},
    **{"与其": ("yǔ qí", "rather than"), "不如": ("bù rú", "better")},
    **{"只有": ("zhǐ yǒu", "only if"), "才能": ("cái néng", "can")},
    "他": ("tā", "he"),
    "她": ("tā", "she"),
    "我": ("wǒ", "I"),
    "小明": ("xiǎo míng", "Xiaoming"),
    "妈妈": ("mā mā", "mum"),
    "老师": ("lǎo shī", "the teacher"),
    "我们": ("wǒ men", "we"),
    "朋友": ("péng yǒu", "a friend"),
    "下雨了": ("xià yǔ le", "rain fell"),
    "很累": ("hěn lèi", "very tired"),
    "生病了": ("shēng bìng le", "fell ill"),
    "没有钱": ("méi yǒu qián", "have no money"),
    "去跑步": ("qù pǎo bù", "go running"),
    "坚持去跑步": ("jiān chí qù pǎo bù", "still go running"),
    "写作业": ("xiě zuò yè", "do homework"),
    "看电影": ("kàn diàn yǐng", "see a film"),
    "起得很早": ("qǐ de hěn zǎo", "get up early"),
    "喜欢唱歌": ("xǐ huān chàng gē", "like singing"),
    "在家休息": ("zài jiā xiū xī", "rest at home"),
    "学习中文": ("xué xí zhōng wén", "study Chinese"),
    "不想出门": ("bù xiǎng chū mén", "not want to go out"),
    "准备考试": ("zhǔn bèi kǎo shì", "prepare for a test"),
    "等公交车": ("děng gōng jiāo chē", "wait for the bus"),
    "吃了早饭": ("chī le zǎo fàn", "had breakfast"),
    "走路上班": ("zǒu lù shàng bān", "walk to work"),
    "带了雨伞": ("dài le yǔ sǎn", "took an umbrella"),
    "听了音乐": ("tīng le yīn yuè", "heard music"),
    "回到学校": ("huí dào xué xiào", "return to school"),
}
EXAMPLES = (
    *(f"{first}下雨了，{second}他坚持去跑步。" for first, second in PAIRS),
    "下雨了，他坚持去跑步。",  # no conjunction: such a sentence was never in the training data
)


class AttentionModel:
    """The trained model, in NumPy.

    Parameters
    ----------
    content : dict, as lmlib/data/attention_model.json holds it: `characters`; `heads`, how many
        each attention layer has; `shapes` of all parameters, by name; `weights`, their numbers in
        that order, little-endian float16 in base64

    Attributes
    ----------
    parameters : dict of float64 arrays, named as in `lmlib.attention.training.SequenceModel`
    labels : list of str, the name of every head
    """

    def __init__(self, content: dict):
        self.characters, self.heads = content["characters"], content["heads"]
        numbers = np.frombuffer(base64.b64decode(content["weights"]), "<f2").astype(float)
        self.parameters, at = {}, 0
        for name, shape in content["shapes"].items():
            size = int(np.prod(shape))
            self.parameters[name] = numbers[at : at + size].reshape(shape)
            at += size
        self.depth = sum(name.endswith("query.weight") for name in self.parameters)
        self.labels = [
            f"Layer {layer + 1}, head {head + 1}"
            for layer in range(self.depth)
            for head in range(self.heads)
        ]

    def forward(self, text: str, removed: Sequence[int] = ()) -> tuple[np.ndarray, np.ndarray]:
        """Read a text.

        Parameters
        ----------
        text : str, T characters of the language
        removed : places in `labels` of the heads to knock out

        Returns
        -------
        chances : (T, V) float64, chances[t] = P(next | text[: t + 1])
        weights : (heads of all layers, T, T) float64, weights[h, t] of the query at t

        Raises
        ------
        ValueError : for an empty text, a character that the language does not have, or a head
            that the model does not have
        """
        tokens = self.encode(text)
        if wrong := sorted({*removed} - {*range(len(self.labels))}):
            raise ValueError(f"there is no head {wrong[0]}: they are 0 … {len(self.labels) - 1}.")
        x, weights = self.parameters["embedding"][tokens], []  # (T, C)
        for layer in range(self.depth):
            attention, feed_forward = 2 * layer, 2 * layer + 1  # how the parameters count them
            update, seen = multi_head_attention(
                self._norm(f"norms.{attention}", x),
                self._projections(layer, removed),
                self.heads,
                causal_mask(len(tokens)),
            )
            x = x + update
            weights.append(seen)  # (H, T, T)
            y = self._norm(f"norms.{feed_forward}", x)
            hidden = self._linear(f"layers.{feed_forward}.input", y)
            gelu = hidden * (1 + erf(hidden / np.sqrt(2))) / 2
            x = x + self._linear(f"layers.{feed_forward}.output", gelu)
        logits = self._linear("head", self._norm("norm", x))  # (T, V)
        return masked_softmax(logits), np.concatenate(weights)

    def encode(self, text: str) -> np.ndarray:
        """The places of the characters in `characters`, (T,) int64, or a ValueError."""
        if strange := sorted({*text} - {*self.characters}):
            raise ValueError(
                f"the model never met {' '.join(strange)}; its {len(self.characters)} characters "
                f"are {self.characters}"
            )
        if not text:
            raise ValueError("the text is empty; expected at least one character to read.")
        return np.array([self.characters.index(character) for character in text])

    def view(self, text: str, position: int, removed: Sequence[int] = ()) -> dict:
        """What the explorer shows of one text, read up to and including text[position].

        Returns
        -------
        dict, ready for JSON:
            text, position, removed : as given
            weights : for every head, the weights of text[0] … text[position]
            next : the likeliest next characters, as [character, its probability, and its
                probability with every head in place]
            first : the same of the character that is likeliest with every head in place
        """
        if position not in range(len(text)):
            raise ValueError(f"position {position} is not in a text of {len(text)} characters.")
        chances, weights = self.forward(text[: position + 1], removed)
        whole = self.forward(text[: position + 1])[0][-1] if removed else chances[-1]
        rows = [
            [self.characters[k], float(chances[-1][k]), float(whole[k])]
            for k in (*np.argsort(-chances[-1])[:SHOWN], np.argmax(whole))
        ]
        return {
            "text": text,
            "position": position,
            "removed": list(removed),
            "weights": weights[:, -1].tolist(),
            "next": rows[:-1],
            "first": rows[-1],
        }

    def _norm(self, name: str, x: np.ndarray) -> np.ndarray:
        gain, bias = (self.parameters[f"{name}.{part}"] for part in ("weight", "bias"))
        return layer_norm(x, gain, bias)[0]

    def _linear(self, name: str, x: np.ndarray) -> np.ndarray:
        return x @ self.parameters[f"{name}.weight"].T + self.parameters[f"{name}.bias"]

    def _projections(self, layer: int, removed: Sequence[int]) -> Projections:
        """torch keeps the transpose of what is applied as ``x @ matrix``."""
        names = (f"layers.{2 * layer}.{part}.weight" for part in Projections._fields)
        projections = Projections(*(self.parameters[name].T.copy() for name in names))
        width = len(projections.output) // self.heads  # D
        for head in range(self.heads):
            if layer * self.heads + head in removed:
                projections.output[head * width : (head + 1) * width] = 0  # rows: its part of x
        return projections


@functools.cache
def attention_model() -> AttentionModel:
    """The trained model that comes with the library, the one that runs in the book's page.

    Examples
    --------
    >>> view = attention_model().view("虽然下雨了，", 5)
    >>> view["next"][0][0], round(view["weights"][2][0], 2)  # layer 2, head 1, on 虽
    ('但', 0.95)
    """
    file = resources.files("lmlib") / "data" / "attention_model.json"
    return AttentionModel(json.loads(file.read_text("utf-8")))


def fillers() -> list[str]:
    """Clauses of the language to put between the halves, each with its comma."""
    drawn = sentences(np.random.default_rng(0), 1, fillers=FILLERS)[0].text
    return [clause + "，" for clause in drawn.split("，")[1:-1]]


class AttentionExplorer:
    """What `attention_explorer` returns: `view` holds the numbers, the rest is display."""

    def __init__(self, model: AttentionModel, view: dict):
        self.model, self.view = model, view
        read = view["text"][: view["position"] + 1]
        chances = [model.forward(read, removed)[0][-1] for removed in ((), *self._each_head())]
        self._chances = [
            (character, [column[model.characters.index(character)] for column in chances])
            for character, _, _ in view["next"]
        ]

    def _repr_mimebundle_(self, include=None, exclude=None) -> dict[str, str]:
        return {"text/html": self._repr_html_(), "text/plain": repr(self)}

    def _repr_html_(self) -> str:
        view, labels = self.view, self.model.labels
        data = {
            **_rounded(view),
            "labels": labels,
            "characters": self.model.characters,
            "fillers": fillers(),
            "words": WORDS,
            "examples": EXAMPLES,
        }
        seen = static_table(
            self._title(_chinese),
            ["Character", *labels],
            [
                (_with_pinyin(character), [f"{weight:.3f}" for weight in weights])
                for character, weights in zip(
                    view["text"], zip(*view["weights"], strict=True), strict=False
                )
            ],
        )
        chances = static_table(
            NEXT_TITLE,
            ["Next character", "All heads", *(f"Without {label.lower()}" for label in labels)],
            [(_with_pinyin(c), [f"{chance:.3f}" for chance in row]) for c, row in self._chances],
        )
        return (
            f'<lm-attention-explorer data-view="{escape(json.dumps(data, ensure_ascii=False))}">'
            f'<div class="lm-a-static">{seen}{chances}</div></lm-attention-explorer>'
        )

    def __repr__(self) -> str:
        # a Chinese character is as wide as two letters, and every row has exactly one
        names = [label.replace("Layer ", "").replace(", head ", ".") for label in self.model.labels]
        lines = [self._title(), "layer.head  " + "  ".join(f"{name:>5}" for name in names)]
        read = self.view["text"][: self.view["position"] + 1]
        for character, weights in zip(read, zip(*self.view["weights"], strict=True), strict=True):
            lines.append(f"{character}          " + "  ".join(f"{w:.3f}" for w in weights))
        lines += [NEXT_TITLE, "without      none  " + "  ".join(f"{n:>5}" for n in names)]
        for character, row in self._chances:
            lines.append(f"{character}          " + "  ".join(f"{chance:.3f}" for chance in row))
        return "\n".join(lines)

    def _each_head(self):
        return ((head,) for head in range(len(self.model.labels)))

    def _title(self, mark=str) -> str:
        read = self.view["text"][: self.view["position"] + 1]
        return (
            f"Where each head looks once the model has read {mark(read)} (weights; they sum to 1)"
        )


def _rounded(data):
    """JSON with its floats to six digits: those after them depend on the machine."""
    if isinstance(data, dict):
        return {key: _rounded(value) for key, value in data.items()}
    if isinstance(data, list):
        return [_rounded(value) for value in data]
    return round(data, 6) if isinstance(data, float) else data


def _chinese(text: str) -> str:
    return f'<span lang="zh">{text}</span>'


def _with_pinyin(character: str) -> str:
    return f"{_chinese(character)} {_pinyin().get(character, '')}".strip()


@functools.cache
def _pinyin() -> dict[str, str]:
    """The syllable of every character; in this language each has one reading only."""
    return {
        character: syllable
        for word, (pinyin, _) in WORDS.items()
        for character, syllable in zip(word, pinyin.split(), strict=True)
    }


def attention_explorer(text: str = SENTENCE, position: int | None = None) -> AttentionExplorer:
    """Four heads reading a sentence of paired conjunctions, and the next character they make.

    Parameters
    ----------
    text : at most 60 characters of the language, shown first; the reader changes it in the book
    position : the last character that the model has read; the first comma when None, or the last
        character of a text without comma

    Raises
    ------
    ValueError : for an empty or longer text, a character that the language does not have, or a
        position outside the text
    """
    if len(text) > LONGEST:
        raise ValueError(f"the text has {len(text)} characters; expected at most {LONGEST}.")
    if position is None:
        position = text.find("，") if "，" in text else len(text) - 1
    model = attention_model()
    model.encode(text)
    return AttentionExplorer(model, model.view(text, position))
