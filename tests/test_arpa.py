"""ARPA files: what is written is read again, by us and by KenLM, and damage is named."""

import math
import os

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lmlib import corpora, ngram
from lmlib.corpora import Vocabulary

try:
    import kenlm
except ImportError:
    if os.environ.get("CI"):
        raise  # there it must be compared
    kenlm = None
needs_kenlm = pytest.mark.skipif(kenlm is None, reason="KenLM is not installed")

TEXT = [["the", "sea", "is", "salt"], ["the", "été", "虽然"], ["salt", "the", "sea", "the", "sea"]]
STORED = {method: {"discount_fallback": True} for method in ngram.METHODS}
STORED |= {"witten_bell": {}, "stupid_backoff": {}}
STORED["jelinek_mercer"] = {"held_out": [["the", "sea", "the"], ["été", "new", "is"]]}
del STORED["mle"], STORED["add_k"]  # they do not back off, so they have no such form


def contexts(sentences, longest):
    lines = [["<s>", *sentence, "</s>"] for sentence in sentences]
    met = {
        tuple(line[i : i + n])
        for line in lines
        for n in range(longest + 1)
        for i in range(len(line) - n + 1)
    }
    return [*met, ("new",), ("the", "new"), ("new", "the"), ("</s>", "the")]


# ------------------------------------------------------------------------------- there and back
@pytest.mark.parametrize("order", [1, 2, 3, 4])
@pytest.mark.parametrize("method", STORED)
def test_a_file_holds_the_model(method, order, tmp_path):
    model = ngram.fit(TEXT, order, method, **STORED[method])
    model.to_arpa(tmp_path / "model.arpa")
    again = ngram.read_arpa(tmp_path / "model.arpa")
    assert (again.order, again.vocabulary) == (order, model.vocabulary)
    for context in contexts(TEXT, order - 1):
        p, q = model.probabilities(context), again.probabilities(context)
        assert q == pytest.approx(p, rel=1e-7, abs=0), context
    text = [*TEXT, ["new", "sea"], []]
    p, q = model.token_probabilities(text), again.token_probabilities(text)
    assert q == pytest.approx(p, rel=1e-7, abs=0)
    again.to_arpa(str(tmp_path / "again.arpa"))
    first, second = (
        sorted((tmp_path / name).read_bytes().split(b"\n")) for name in ("model.arpa", "again.arpa")
    )
    assert first == second


WORDS = st.text(
    st.characters(exclude_categories=["Cs"], exclude_characters=" \t\r\n\0"), min_size=1
)


@given(st.lists(st.lists(WORDS, min_size=1, max_size=5), min_size=1, max_size=5), st.integers(1, 3))
@settings(max_examples=40, deadline=None)
def test_any_word_without_a_separator_survives(tmp_path_factory, sentences, order):
    path = tmp_path_factory.mktemp("arpa") / "model.arpa"
    sentences = [[w for w in s if w not in ("<s>", "</s>", "<unk>")] or ["a"] for s in sentences]
    model = ngram.fit(sentences, order, "witten_bell")
    model.to_arpa(path)
    again = ngram.read_arpa(path)
    assert again.vocabulary == model.vocabulary
    p, q = model.token_probabilities(sentences), again.token_probabilities(sentences)
    assert q == pytest.approx(p, rel=1e-7, abs=0)


def test_a_trained_unk_keeps_its_rows(tmp_path):
    model = ngram.fit(TEXT, 3, "witten_bell", vocabulary=Vocabulary(["the", "sea"]))
    model.to_arpa(tmp_path / "model.arpa")
    again = ngram.read_arpa(tmp_path / "model.arpa")
    for context in [["<unk>"], ["the", "<unk>"], ["new", "salt"], ["<s>"]]:
        assert again.probabilities(context) == pytest.approx(model.probabilities(context), rel=1e-7)


def test_the_text_of_a_small_file(tmp_path):
    ngram.fit([["a"], ["a"]], 2, "stupid_backoff").to_arpa(tmp_path / "model.arpa")
    # Witten-Bell's unigrams: (C + 2/3) / (4 + 2), and 1/9 for <unk>. a follows <s>, always:
    # Z(<s>) = 1 + 0.4 (1 - 4/9) = 11/9. An end mark has nothing behind it: Z = 0.4, S / Z = P.
    assert (tmp_path / "model.arpa").read_text("utf-8") == (
        "\\data\\\nngram 1=4\nngram 2=2\n\n\\1-grams:\n"
        f"{math.log10(1 / 9):.8f}\t<unk>\t0.0\n"
        f"0.0\t<s>\t{math.log10(0.4 * 9 / 11):.8f}\n"
        f"{math.log10(4 / 9):.8f}\t</s>\t0.0\n"
        f"{math.log10(4 / 9):.8f}\ta\t{math.log10(0.4 * 9 / 11):.8f}\n"
        "\n\\2-grams:\n"
        f"{math.log10(9 / 11):.8f}\t<s> a\n"
        f"{math.log10(9 / 11):.8f}\ta </s>\n"
        "\n\\end\\\n"
    )


def test_zero_is_written_as_minus_99_and_read_as_zero(tmp_path):
    index = ngram.Counts([["a", "b"]], 2).index
    probability = [np.array([0, 0, 0.5, 0.5, 0.0]), np.array([1.0, 1.0, 1.0])]
    model = ngram.BackoffModel(index, probability, [np.array([1.0, 0.0, 1.0, 0.0, 0.5])])
    model.to_arpa(tmp_path / "model.arpa")
    text = (tmp_path / "model.arpa").read_text("utf-8")
    assert "-99.0\t<unk>\t0.0\n0.0\t<s>\t-99.0\n" in text
    again = ngram.read_arpa(tmp_path / "model.arpa")
    assert again.probability[0] == pytest.approx(probability[0], rel=1e-7, abs=0)
    assert again.backoff[0][[0, 1, 2, 3]].tolist() == [1, 0, 1, 0]
    assert again.token_probabilities([["b"]]).tolist() == [0, 1]


# ------------------------------------------------------------------------------ KenLM reads it
def kenlm_probabilities(path, sentences):
    reader = kenlm.Model(str(path))
    scores = [list(reader.full_scores(" ".join(sentence))) for sentence in sentences]
    log10, _, oov = zip(*(token for sentence in scores for token in sentence), strict=True)
    return 10 ** np.array(log10), np.array(oov)


@needs_kenlm
@pytest.mark.parametrize(
    ("method", "order"),
    [("modified_kneser_ney", 5), ("katz", 3), ("stupid_backoff", 3), ("backoff_kneser_ney", 3)],
)
def test_kenlm_agrees_on_every_held_out_token(method, order, tmp_path, capfd):
    sentences = corpora.load().sentences()
    train, held_out = corpora.split_iid(sentences, 0.1, np.random.default_rng(0))
    model = ngram.fit(train, order, method)
    model.to_arpa(tmp_path / "model.arpa")
    kenlm_p, oov = kenlm_probabilities(tmp_path / "model.arpa", held_out)
    capfd.readouterr()  # KenLM prints its progress
    score = model.perplexity(held_out)
    assert score.tokens == kenlm_p.size == sum(map(len, held_out)) + len(held_out)
    assert score.oov == oov.sum() > 100
    # KenLM adds log10 in float32, in which a number between 4 and 8 is rounded by up to 2.4e-7
    p = model.token_probabilities(held_out)
    assert np.abs(np.log10(p / kenlm_p)).max() < 1e-6
    assert score.value == pytest.approx(np.exp(-np.log(kenlm_p).mean()), rel=1e-7)
    known = np.exp(-np.log(kenlm_p[~oov]).mean())
    assert score.excluding_oov == pytest.approx(known, rel=1e-7)


@needs_kenlm
def test_kenlm_reads_words_with_a_no_break_space(tmp_path, capfd):
    sentences = [["n\u00ba\u00a05", "a"], ["a", "n\u00ba\u00a05", "\u3000"]]
    model = ngram.fit(sentences, 2, "witten_bell")
    model.to_arpa(tmp_path / "model.arpa")
    p, oov = kenlm_probabilities(tmp_path / "model.arpa", sentences)
    capfd.readouterr()
    assert not oov.any()
    assert p == pytest.approx(model.token_probabilities(sentences), rel=3e-6)


# -------------------------------------------------------------------------- files by other tools
FILE = r"""\data\
ngram 1=5
ngram 2=3

\1-grams:
-1.0	<unk>
0	<s>	-0.5
-0.4	</s>
-0.6	a	-0.25
-0.9	b	0

\2-grams:
-0.3	<s> a
-0.2	a b
-0.1	a </s>

\end\
"""


def read(tmp_path, text):
    path = tmp_path / "file.arpa"
    path.write_bytes(text.encode("utf-8"))
    return ngram.read_arpa(path)


def logs(model, *sentences):
    return np.log10(model.token_probabilities(sentences)).round(9).tolist()


def test_a_file_by_hand(tmp_path):
    model = read(tmp_path, FILE)
    assert model.vocabulary.words == ("<unk>", "<s>", "</s>", "a", "b")
    assert logs(model, ["a", "b"], ["b", "a", "c"]) == [-0.3, -0.2, -0.4, -1.4, -0.6, -1.25, -0.4]
    assert model.probabilities([])[ngram.BOS] == 0


@pytest.mark.parametrize(
    "change",
    [
        lambda text: text.replace("\t", " "),  # spaces between everything
        lambda text: text.replace("\t", "  ").replace("a b", "a  b"),
        lambda text: text.replace("\n", "\r\n"),
        lambda text: "a comment\n\n" + text,
        lambda text: text.replace("ngram 1=5", "ngram 1 = 5").replace("ngram 2=3", "ngram  2= 3"),
        lambda text: text.replace("-0.9\tb\t0\n", "-0.9\tb\n"),
        lambda text: text.replace("\\2-grams:", "\n\n\\2-grams:  "),
        lambda text: text[:-1],
        lambda text: text.replace("0\t<s>", "-99\t<s>"),
    ],
)
def test_spelling_that_does_not_matter(change, tmp_path):
    changed = change(FILE)
    assert changed != FILE
    model, same = read(tmp_path, FILE), read(tmp_path, changed)
    assert same.vocabulary == model.vocabulary
    for context in [[], ["<s>"], ["a"], ["b"], ["c"]]:
        assert np.array_equal(model.probabilities(context), same.probabilities(context))


def test_spaces_between_everything_leave_a_no_break_space_alone(tmp_path):
    text = FILE.replace("\t", " ").replace(" b", " b\u00a0b")
    assert read(tmp_path, text).vocabulary.words[-1] == "b\u00a0b"


@given(st.randoms(use_true_random=False))
@settings(max_examples=20, deadline=None)
def test_the_order_of_the_lines_does_not_matter(tmp_path_factory, random):
    path = tmp_path_factory.mktemp("arpa") / "model.arpa"
    model = ngram.fit(TEXT, 3, "katz", discount_fallback=True)
    model.to_arpa(path)
    head, *sections, end = path.read_text("utf-8").split("\n\n")
    for i, (title, *lines) in enumerate(section.split("\n") for section in sections):
        random.shuffle(lines)
        sections[i] = "\n".join([title, *lines])
    path.write_text("\n\n".join([head, *sections, end]), "utf-8")
    again = ngram.read_arpa(path)
    assert set(again.vocabulary.words) == set(model.vocabulary.words)
    places = model.vocabulary.encode(again.vocabulary.words)
    for context in contexts(TEXT, 2):
        p, q = model.probabilities(context), again.probabilities(context)
        assert q == pytest.approx(p[places], rel=1e-7, abs=0), context


def test_without_unk_an_unknown_word_has_probability_zero(tmp_path):
    model = read(tmp_path, FILE.replace("1=5", "1=4").replace("-1.0\t<unk>\n", ""))
    assert model.vocabulary.words == ("<unk>", "<s>", "</s>", "a", "b")
    assert model.token_probabilities([["new"]])[0] == 0
    assert np.array_equal(model.probabilities(["new"]), model.probabilities([]))
    assert logs(model, ["a", "b"]) == [-0.3, -0.2, -0.4]
    assert model.perplexity([["new", "a"]]).value == math.inf


@pytest.mark.parametrize("zero", ["-99", "-99.0", "-100", "-inf"])
def test_zeros_of_other_tools(zero, tmp_path):
    model = read(tmp_path, FILE.replace("-0.9\tb\t0\n", f"{zero}\tb\t{zero}\n"))
    assert model.probabilities([])[4] == 0
    assert model.probabilities(["b"]).tolist() == [0] * 5


# ------------------------------------------------------------------------------------- damage
@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("\\data\\", "data", r"not an ARPA file: it has no line \\data\\"),
        (FILE, "", "not an ARPA file"),
        (FILE, "{}", "not an ARPA file"),
        ("ngram 1=5\nngram 2=3\n", "", r"no 'ngram 1=…' follows"),
        ("ngram 1=5\n", "", "'ngram 2=3' does not fit.* 1 first"),
        ("ngram 2=3", "ngram 3=3", "'ngram 3=3' does not fit"),
        ("ngram 2=3", "ngram 2=0", "'ngram 2=0' does not fit"),
        ("\\2-grams:", "", r"expected the line \\2-grams:, found '-0.3\\t<s> a'"),
        ("\\1-grams:\n", "", r"expected the line \\1-grams:, found '-1.0"),
        (FILE[FILE.index("\\2-grams") :], "", r"the line \\2-grams: is missing. Is the file cut"),
        (FILE[FILE.index("\n\\1-grams") :], "", r"the line \\1-grams: is missing"),
        ("\n\\end\\\n", "", r"the line \\end\\ is missing. Is the file cut short"),
        ("-0.1\ta </s>\n\n\\end\\\n", "", "expected 3 2-grams, found 2"),
        ("-0.1\ta </s>\n\n\\end\\\n", "-0.1\ta", "expected 3 2-grams, found 2 and then '-0.1.ta'"),
        ("-0.1\ta </s>\n\n\\end\\\n", "-0.1\ta a", r"\\end\\ is missing"),
        ("-0.1\ta </s>\n\n\\end\\\n", "-0.", "expected 3 2-grams, found 2 and then '-0.'"),
        ("-0.1\ta </s>\n", "", "expected 3 2-grams, found 2 and then ''"),
        ("-0.1\ta </s>\n", "-0.1\ta </s>\n-0.7\tb b\n", "header announces"),
        ("-0.9\tb\t0\n", "-0.9\tb\t0\n-0.9\tc\n", "found '-0.9.tc'.*more n-grams than the header"),
        ("-0.1\ta </s>", "-0.1\ta b", "an n-gram of order 2 is listed twice"),
        ("-0.6\ta\t-0.25", "-0.6\tb\t-0.25", "an n-gram of order 1 is listed twice"),
        ("-1.0\t<unk>", "-1.0\t</s>", "an n-gram of order 1 is listed twice"),
        ("-0.2\ta b", "-0.2\tc b", "'c b' is listed, but its context is not"),
        ("-0.2\ta b", "-0.2\ta c", r"a word that is no unigram.*\['c'\]"),
        ("-0.2\ta b", "-0.2\ta b a", "expected 3 2-grams, found 1 and then '-0.2.ta b a'"),
        ("-0.2\ta b", "-0.2\ta b\t0\t0", "found 1 and then"),
        ("-0.6\ta\t-0.25", "x\ta\t-0.25", "the 1-grams need a number.*'x'"),
        ("-0.6\ta\t-0.25", "nan\ta\t-0.25", "the 1-grams need a number.*found nan"),
        ("-0.6\ta\t-0.25", "0.6\ta\t-0.25", "at most 0.*found 0.6"),
        ("-0.6\ta\t-0.25", "-0.6\ta\t", "the 1-grams need a number"),
        ("-0.6\ta\t-0.25", "-0.6\ta\tnan", "the 1-grams need a number.*found nan"),
        ("-0.6\ta\t-0.25", "-0.6\ta\tinf", "the 1-grams need a number.*found inf"),
        ("-0.2\ta b", "-0,2\ta b", "the 2-grams need a number.*'-0,2'"),
    ],
)
def test_damage_is_named(old, new, message, tmp_path):
    assert FILE.count(old) == 1
    with pytest.raises(ValueError, match=r"(?s)file\.arpa.*" + message):
        read(tmp_path, FILE.replace(old, new))


def test_a_file_cut_anywhere_is_refused(tmp_path):
    whole = FILE.rstrip()
    for length in range(len(whole)):
        with pytest.raises(ValueError, match=r"file\.arpa"):
            read(tmp_path, whole[:length])


@pytest.mark.parametrize("word", ["a b", "a\tb", "a\nb", "a\rb", "a\0b", "", " "])
def test_a_word_that_would_not_stay_one_is_refused(word, tmp_path):
    model = ngram.fit([["a", word]], 1, "witten_bell")
    with pytest.raises(ValueError, match="separates words by spaces"):
        model.to_arpa(tmp_path / "model.arpa")
    assert not (tmp_path / "model.arpa").exists()
