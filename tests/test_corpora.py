"""The embedded corpus, the tokeniser and the sentence rule, vocabularies, splits.

The loop versions below are the specification: slow, one character or one word at a time.
"""

import hashlib
import json
import pickle
import re
import shutil
import time
from collections import Counter
from importlib.resources import files
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from lmlib import corpora
from lmlib.corpora import Corpus, Vocabulary, Work, corpus, split_sentences, tokenise

DATA = Path(str(files("lmlib") / "data"))
MANIFEST = json.loads((DATA / "MANIFEST.json").read_text(encoding="utf-8"))
EMBEDDED = [entry for entry in MANIFEST["files"] if entry.get("corpus") == "embedded"]

# Text in which the marks that matter meet each other often, with some of everything else.
PIECES = (
    *("Mr.", "Dr", "No. 7", "No. She", "A.", "I.", "12.", ".", "!", "?", "...", '"', "'", ")"),
    *("“", "”", "’", "-", ",", "_", "7", "10.30", "1,115", " ", " ", " ", "  ", "\n", "\n\n"),
    *("\t", "\x85", "\u2028", "the", "The", "don't", "salt-road", "é", "É", "ß", "İ", "中", "½"),
)
PROSE = st.lists(st.sampled_from(PIECES) | st.text(max_size=5), max_size=40).map("".join)


# ---------------------------------------------------------------------------- tokeniser


def letter(c):
    return c.isalnum() and not c.isdecimal()


def tokenise_by_character(text):
    """A word or a number goes on over one joint, if the joint has its own kind on both sides."""
    tokens, i = [], 0
    while i < len(text):
        kind, joints = None, ""
        if letter(text[i]):
            kind, joints = letter, "'’-"
        elif text[i].isdecimal():
            kind, joints = str.isdecimal, ".,"
        j = i + 1
        while kind and j < len(text):
            if kind(text[j]):
                j += 1
            elif text[j] in joints and j + 1 < len(text) and kind(text[j + 1]):
                j += 2
            else:
                break
        if not text[i].isspace():
            tokens.append(text[i:j])
        i = j
    return tokens


@given(PROSE)
def test_tokeniser_equals_its_loop_specification(text):
    assert tokenise(text, lowercase=False) == tokenise_by_character(text)


def test_tokeniser_equals_its_loop_specification_on_the_corpus():
    text = corpora.load().text
    assert tokenise(text, lowercase=False) == tokenise_by_character(text)


@given(st.text(st.characters(codec="ascii")))
def test_tokeniser_on_ascii_is_the_expression_the_explorer_repeats(text):
    shared = r"[A-Za-z]+(?:['-][A-Za-z]+)*|[0-9]+(?:[.,][0-9]+)*|[^\sA-Za-z0-9]"
    assert tokenise(text, lowercase=False) == re.findall(shared, text)


@given(PROSE)
def test_tokeniser_drops_nothing_but_white_space(text):
    assert "".join(tokenise(text, lowercase=False)) == "".join(text.split())


@given(PROSE)
def test_lower_case_is_taken_before_the_split(text):
    assert tokenise(text) == tokenise(text.lower(), lowercase=False)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("  \n\t ", []),
        ("Don't stop.", ["don't", "stop", "."]),
        ("the salt-road, at 10.30", ["the", "salt-road", ",", "at", "10.30"]),
        ("-salt--road- 'tis o'", ["-", "salt", "-", "-", "road", "-", "'", "tis", "o", "'"]),
        ("6B 1,115,394. 3.", ["6", "b", "1,115,394", ".", "3", "."]),
        ("snake_case…", ["snake", "_", "case", "…"]),
        ("Straße, ÉTÉ, l’été", ["straße", ",", "été", ",", "l’été"]),
        ("<unk> <s>", ["<", "unk", ">", "<", "s", ">"]),
    ],
)
def test_tokeniser_examples(text, expected):
    assert tokenise(text) == expected


# ---------------------------------------------------------------------------- sentences


def split_sentences_by_word(text):
    """Each sentence as its white-space separated words."""
    sentences = []
    for line in text.splitlines():
        words, sentence = line.split(), []
        for i, word in enumerate(words):
            sentence.append(word)
            following = words[i + 1] if i + 1 < len(words) else None
            if following is None or ends_a_sentence(word, following, opens_line=i == 0):
                sentences.append(sentence)
                sentence = []
    return sentences


def ends_a_sentence(word, following, opens_line):
    bare = word.rstrip("\"'”’)]")
    if not bare.endswith((".", "!", "?")):
        return False
    if bare != word and "a" <= following[0] <= "z":  # "Who?" asked
        return False
    if not bare.endswith(".") or bare.endswith(("..", "!.", "?.")):
        return True
    stem = bare[:-1]
    last = re.split(r"\W", stem)[-1]  # of "(Mrs" or S.S
    if last in ("Mr", "Mrs", "Ms", "Dr", "St") or re.fullmatch("[A-HJ-Z]", last):
        return False
    if last == "No" and bare == word and following[0].isdecimal():
        return False
    return not (opens_line and len(stem) <= 2 and stem.isdecimal())


@given(PROSE)
def test_sentences_equal_their_loop_specification(text):
    assert [s.split() for s in split_sentences(text)] == split_sentences_by_word(text)


def test_sentences_equal_their_loop_specification_on_the_corpus():
    text = corpora.load().text
    assert [s.split() for s in split_sentences(text)] == split_sentences_by_word(text)


@given(PROSE)
def test_sentences_lose_nothing_and_none_is_empty(text):
    sentences = split_sentences(text)
    assert "".join("".join(sentences).split()) == "".join(text.split())
    assert all(s and s == s.strip() and len(s.splitlines()) == 1 for s in sentences)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", []),
        ("\n \n", []),
        ("The Salt Road\n\nOne. Two", ["The Salt Road", "One.", "Two"]),
        ("one. two! three? four", ["one.", "two!", "three?", "four"]),
        ("Wait... no?! yes.", ["Wait...", "no?!", "yes."]),
        ("a line\nand another", ["a line", "and another"]),
        ("Mr. and Mrs. Bunce saw Dr. Ames in St. Ives.",) * 2,
        (
            "It was No. 217, it stood. No. It fell.",
            ["It was No. 217, it stood.", "No.", "It fell."],
        ),
        ("You are H. Quill. Jem and I. We.", ["You are H. Quill.", "Jem and I.", "We."]),
        ("I know H... He does. Plan B! Go.", ["I know H...", "He does.", "Plan B!", "Go."]),
        ("12. The Court. At 12. Noon.", ["12. The Court.", "At 12.", "Noon."]),
        ('"Who is first?" asked Miss Marsh. "I."', ['"Who is first?" asked Miss Marsh.', '"I."']),
        ('"Go." She went. (Really?) Yes.', ['"Go."', "She went.", "(Really?)", "Yes."]),
        ("ESt. Go. Room 6B. Go.", ["ESt.", "Go.", "Room 6B.", "Go."]),
        ("At 10.30 he read item.one", ["At 10.30 he read item.one"]),
    ],
)
def test_sentence_examples(text, expected):
    assert split_sentences(text) == ([expected] if isinstance(expected, str) else expected)


@pytest.mark.parametrize(
    "piece", [".", '."', "Mr. ", "a", "a-", "1.", '"', "? ", "?  a", "A.", "’"]
)
def test_a_very_long_line_takes_linear_time(piece):
    text = piece * (400_000 // len(piece)) + "x"
    start = time.perf_counter()
    sentences = split_sentences(text)
    tokens = [token for sentence in sentences for token in tokenise(sentence, lowercase=False)]
    assert "".join(tokens) == "".join(text.split())
    assert time.perf_counter() - start < 5  # a quadratic scan takes minutes


# ---------------------------------------------------------------------------- the corpus


@pytest.mark.parametrize("entry", EMBEDDED, ids=lambda entry: entry["file"])
def test_manifest_describes_the_file(entry):
    content = (DATA / entry["file"]).read_bytes()
    text = content.decode("ascii")
    assert len(content) == entry["bytes"]
    assert len(text.split()) == entry["words"]
    assert text.split("\n")[0] == entry["title"]
    assert entry["licence"] == "CC0-1.0"
    assert "machine-composed for this course" in entry["provenance"]


def test_manifest_lists_every_file_once_with_its_checksum():
    listed = {entry["file"]: entry["sha256"] for entry in MANIFEST["files"]}
    assert len(listed) == len(MANIFEST["files"])
    assert listed == {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in DATA.iterdir()
        if path.name != "MANIFEST.json"
    }
    assert "machine-composed" in MANIFEST["note"]


def test_corpus_is_six_works_in_order():
    loaded = corpora.load()
    assert loaded == corpora.load("embedded")
    assert [work.title for work in loaded] == [entry["title"] for entry in EMBEDDED]
    assert [work.text.encode() for work in loaded] == [
        (DATA / entry["file"]).read_bytes() for entry in EMBEDDED
    ]
    assert len(loaded) == len(loaded.works) == 6
    assert sum(len(work.text.split()) for work in loaded) == 175_566


def test_works_are_addressable():
    loaded = corpora.load()
    for i, work in enumerate(loaded):
        assert loaded[i] is loaded[i - 6] is loaded[np.int64(i)] is work
        assert loaded[work.slug] is loaded[work.title] is work
    assert loaded["the-salt-road"].title == "The Salt Road"
    for key in (6, -7, "The salt road", "", None):
        with pytest.raises(ValueError, match="the-salt-road, letters-from-the-signal-house"):
            loaded[key]


def test_sentences_are_those_of_the_works_in_order():
    loaded = corpora.load()
    for lowercase in (True, False):
        by_work = [s for work in loaded for s in work.sentences(lowercase)]
        assert loaded.sentences(lowercase) == by_work
        assert by_work == [tokenise(s, lowercase) for s in split_sentences(loaded.text)]
    assert by_work[0] == ["The", "Salt", "Road"]  # the title is a sentence


def test_corpus_is_of_the_size_the_course_quotes():
    loaded = corpora.load()
    for lowercase, types in ((True, 8_018), (False, 9_091)):
        sentences = loaded.sentences(lowercase)
        counts = Counter(token for sentence in sentences for token in sentence)
        assert (len(sentences), counts.total(), len(counts)) == (13_650, 207_011, types)


@pytest.mark.parametrize("damage", ["changed", "crlf", "missing"])
def test_damaged_installation_is_noticed(damage, tmp_path, monkeypatch):
    shutil.copytree(DATA, tmp_path / "data")
    file = tmp_path / "data" / "03-the-clockmakers-docket.txt"
    content = file.read_bytes()
    if damage == "changed":
        file.write_bytes(content.replace(b"goose", b"moose", 1))
    elif damage == "crlf":
        file.write_bytes(content.replace(b"\n", b"\r\n"))
    else:
        file.unlink()
    monkeypatch.setattr(corpus, "files", lambda package: tmp_path)
    with pytest.raises(
        ValueError, match=r"03-the-clockmakers-docket.*autocrlf.*install lmlib again"
    ):
        corpora.load()


def test_names_of_corpora():
    assert list(corpora.available()) == ["embedded", "tiny-shakespeare", "names"]
    with pytest.raises(ValueError, match="no corpus 'brown'; there are embedded, tiny-shakespeare"):
        corpora.load("brown")


# ---------------------------------------------------------------------------- vocabulary

WORDS = st.lists(st.text(min_size=1, max_size=3).filter(lambda w: w[0] != "<"), min_size=1)


@given(WORDS, WORDS)
def test_encode_and_decode_are_inverse(training, text):
    vocabulary = Vocabulary.from_tokens(training)
    ids = vocabulary.encode(text)
    assert ids.dtype == np.int64 and ids.shape == (len(text),)
    assert vocabulary.decode(ids) == [w if w in training else "<unk>" for w in text]
    assert vocabulary.decode(vocabulary.encode(training, unknown="raise")) == training
    every = np.arange(len(vocabulary))
    assert (vocabulary.encode(vocabulary.decode(every), unknown="raise") == every).all()


@given(WORDS, st.integers(1, 3), st.none() | st.integers(1, 5))
def test_vocabulary_keeps_the_frequent_words_in_order_of_appearance(tokens, min_count, max_size):
    first = list(dict.fromkeys(tokens))
    ranked = sorted(first, key=lambda word: (-tokens.count(word), first.index(word)))
    kept = [word for word in ranked if tokens.count(word) >= min_count][:max_size]
    if not kept:
        with pytest.raises(ValueError, match="no word occurs min_count"):
            Vocabulary.from_tokens(tokens, min_count, max_size)
        return
    vocabulary = Vocabulary.from_tokens(tokens, min_count, max_size)
    assert vocabulary.words == ("<unk>", "<s>", "</s>", *sorted(kept, key=first.index))
    assert len(vocabulary) == len(kept) + 3
    assert [word in vocabulary for word in first] == [word in kept for word in first]


def test_reserved_ids():
    vocabulary = Vocabulary(["road"])
    assert (vocabulary.unk, vocabulary.bos, vocabulary.eos) == (0, 1, 2)
    assert vocabulary.encode(["<unk>", "<s>", "</s>", "road"], "raise").tolist() == [0, 1, 2, 3]


def test_vocabulary_from_sentences_is_that_of_their_tokens():
    sentences = [["the", "salt", "road"], [], ["the", "boat"]]
    vocabulary = Vocabulary.from_sentences(sentences, max_size=2)
    assert vocabulary.words[3:] == ("the", "salt")
    assert vocabulary == Vocabulary.from_tokens([w for s in sentences for w in s], max_size=2)
    assert vocabulary != Vocabulary.from_sentences(sentences)
    assert pickle.loads(pickle.dumps(vocabulary)) == vocabulary


def test_vocabulary_never_changes():
    vocabulary = Vocabulary(["road"])
    vocabulary.encode(["sea", "sky"])
    assert len(vocabulary) == 4 and "sea" not in vocabulary
    with pytest.raises(AttributeError):
        vocabulary.words = ()
    with pytest.raises(AttributeError):
        vocabulary.note = "no attributes but its own"


def test_unknown_words_are_mapped_or_named():
    vocabulary = Vocabulary.from_tokens(["the", "road"])
    assert vocabulary.encode(["the", "sea", "road"]).tolist() == [3, 0, 4]
    assert vocabulary.encode([], "raise").tolist() == []
    with pytest.raises(ValueError, match=r"3 of 4 tokens are not.*\['sea', 'sky'\].*\"map\""):
        vocabulary.encode(iter(["sea", "the", "sky", "sea"]), unknown="raise")
    with pytest.raises(ValueError, match='must be "map" or "raise", got \'skip\''):
        vocabulary.encode(["the"], unknown="skip")


@pytest.mark.parametrize(
    ("build", "message"),
    [
        (lambda: Vocabulary.from_tokens([]), "no tokens"),
        (lambda: Vocabulary.from_sentences([[], []]), "no tokens"),
        (lambda: Vocabulary.from_tokens("the road"), "got the text 'the road': tokenise"),
        (lambda: Vocabulary.from_sentences(["the road"]), "got the text 'the road': tokenise"),
        (lambda: Vocabulary.from_tokens([["the"]]), "build a vocabulary with from_sentences"),
        (lambda: Vocabulary.from_tokens(["a", "<s>", "a"], 2), r"contains \['<s>'\].*rename"),
        (lambda: Vocabulary.from_tokens(["a", "a", "<unk>"], 1, 1), r"contains \['<unk>'\]"),
        (lambda: Vocabulary.from_tokens(["a", 3]), "must be a str, got 3"),
        (lambda: Vocabulary(["a", "b", "a"]), "got 'a' more than once"),
        (lambda: Vocabulary.from_tokens(["a"], min_count=0), "min_count must be.*got 0"),
        (lambda: Vocabulary.from_tokens(["a"], min_count=1.5), "min_count must be.*got 1.5"),
        (lambda: Vocabulary.from_tokens(["a"], max_size=0), "max_size must be.*got 0"),
        (lambda: Vocabulary.from_tokens(["a", "b", "a"], 3), "most frequent, 'a', occurs 2 times"),
        (lambda: Vocabulary(["a"]).encode("road"), "got the text 'road': tokenise"),
        (lambda: Vocabulary(["a"]).encode([["a"]]), "one sentence at a time"),
        (lambda: Vocabulary(["a"]).decode([0, -1]), r"id -1 is outside 0 \.\.\. 3"),
        (lambda: Vocabulary(["a"]).decode([4]), r"id 4 is outside 0 \.\.\. 3"),
        (lambda: Vocabulary(["a"]).decode([0.0]), "got float64 of shape"),
        (lambda: Vocabulary(["a"]).decode([[1]]), r"of shape \(1, 1\)"),
        (lambda: Vocabulary(["a"]).decode(1), r"of shape \(\)"),
    ],
)
def test_vocabulary_errors(build, message):
    with pytest.raises(ValueError, match=message):
        build()


def test_the_corpus_is_encoded_fast():
    tokens = [token for sentence in corpora.load().sentences() for token in sentence]
    vocabulary = Vocabulary.from_tokens(tokens)
    seconds = []
    for _ in range(3):  # the best of three: other work may share the machine
        start = time.perf_counter()
        ids = vocabulary.encode(tokens)
        seconds.append(time.perf_counter() - start)
    assert len(np.unique(ids)) == len(vocabulary) - 3
    assert min(seconds) < 0.2


# ---------------------------------------------------------------------------- splits

SENTENCES = st.lists(st.lists(st.sampled_from("abc"), min_size=1, max_size=3), max_size=40)
SHARES = st.floats(0, 1, exclude_min=True, exclude_max=True)


def is_subsequence(part, whole):
    """By identity, so that equal sentences are told apart."""
    rest = iter(whole)
    return all(any(sentence is other for other in rest) for sentence in part)


@given(SENTENCES, SHARES, st.integers(0, 5))
def test_splits_partition_the_sentences_in_order(sentences, share, seed):
    size = round(share * len(sentences))
    for split in (
        lambda: corpora.split_by_position(sentences, share),
        lambda: corpora.split_iid(sentences, share, np.random.default_rng(seed)),
    ):
        if not 0 < size < len(sentences):
            with pytest.raises(ValueError, match="both sides need at least one"):
                split()
            continue
        train, held_out = split()
        assert len(held_out) == size
        assert sorted(map(id, train + held_out)) == sorted(map(id, sentences))
        assert is_subsequence(train, sentences) and is_subsequence(held_out, sentences)


def test_split_by_position_holds_out_the_end():
    assert corpora.split_by_position(list("abcdefghij"), 0.3) == (list("abcdefg"), list("hij"))


def test_split_iid_is_fixed_by_its_seed_and_uniform():
    sentences = [[str(i)] for i in range(10)]

    def held_out(seed):
        return corpora.split_iid(sentences, 0.3, rng=np.random.default_rng(seed))[1]

    assert held_out(7) == held_out(7)
    counts = Counter(s[0] for seed in range(2000) for s in held_out(seed))
    # Each sentence is held out with p = 0.3: 600 ± 20.5 times; 4.5 standard deviations are allowed.
    assert all(abs(counts[str(i)] - 600) < 4.5 * np.sqrt(2000 * 0.3 * 0.7) for i in range(10))


def test_split_by_work():
    loaded = corpora.load()
    sentences = [work.sentences() for work in loaded]
    rest = [s for i in (0, 1, 3, 4, 5) for s in sentences[i]]
    for key in (2, "the-clockmakers-docket", "The Clockmaker's Docket", corpora.load()[2]):
        assert corpora.split_by_work(loaded, key) == (rest, sentences[2])
    assert corpora.split_by_work(loaded)[1] == sentences[5]
    train, held_out = corpora.split_by_work(loaded, lowercase=False)
    assert held_out == loaded[5].sentences(lowercase=False)
    assert train[0] == ["The", "Salt", "Road"]


@pytest.mark.parametrize("share", [0, 1, -0.1, 1.5, 10, float("nan")])
def test_a_share_must_lie_between_0_and_1(share):
    with pytest.raises(ValueError, match=f"between 0 and 1, got {share}"):
        corpora.split_by_position([["a"]] * 100, share)
    with pytest.raises(ValueError, match=f"between 0 and 1, got {share}"):
        corpora.split_iid([["a"]] * 100, share, np.random.default_rng(0))


@pytest.mark.parametrize("rng", [None, 0, np.random.RandomState(0)])
def test_split_iid_needs_a_generator(rng):
    with pytest.raises(ValueError, match=r"rng must be a numpy Generator, got .*default_rng"):
        corpora.split_iid([["a"]] * 100, 0.1, rng)


def test_split_errors():
    loaded = corpora.load()
    for given_by_mistake in (loaded, loaded.text, iter([["a"]] * 100)):
        with pytest.raises(ValueError, match="list of sentences, got"):
            corpora.split_by_position(given_by_mistake)
    with pytest.raises(ValueError, match="no work 'nowhere' in 'embedded'"):
        corpora.split_by_work(loaded, "nowhere")
    with pytest.raises(ValueError, match="'Other' is not a work of the corpus 'embedded'"):
        corpora.split_by_work(loaded, Work("other", "Other", "Text."))
    with pytest.raises(ValueError, match="one work only"):
        corpora.split_by_work(Corpus("one", loaded.works[:1]))


# ------------------------------------------------------------------------------- measured tables
def test_every_table_of_measurements_can_be_read_and_names_its_command():
    tables = {path.stem for path in DATA.glob("*.csv")}
    assert tables
    listed = {entry["file"]: entry for entry in MANIFEST["files"]}
    for name in tables:
        columns = corpora.measured(name)
        assert len({len(column) for column in columns.values()}) == 1
        assert any(column.dtype == float for column in columns.values())
        assert "python3 run.py bench" in listed[f"{name}.csv"]["command"]


def test_a_table_gives_numbers_as_numbers_and_words_as_words():
    table = corpora.measured("known_texts")
    row = np.flatnonzero((table["text"] == "Penn Treebank") & (table["n"] == 5))
    assert table["perplexity"][row] == pytest.approx([141.186207])  # as lmplz, to seven digits


def test_an_unknown_table_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match=r"no table 'magic'; there are: .*known_texts"):
        corpora.measured("magic")


MEASURED = {
    "model": np.array(["a", "a", "a", "a", "b", "b"]),
    "seed": np.array([1.0, 0, 1, 0, 0, 0]),
    "distance": np.array([2.0, 2, 1, 1, 1, 2]),
    "accuracy": np.array([0.1, 0.2, 0.3, 0.4, 0.5, np.nan]),
}


def test_runs_picks_a_curve_with_its_seeds():
    x, y = corpora.runs(MEASURED, "accuracy", "distance", model="a")
    assert x.tolist() == [1, 2]
    assert y.tolist() == [[0.4, 0.2], [0.3, 0.1]]
    x, y = corpora.runs(MEASURED, "accuracy", "distance", model="b")
    assert (x.tolist(), y.tolist()) == ([1], [[0.5]])


@pytest.mark.parametrize("where", [{"model": "c"}, {}])
def test_runs_refuses_a_curve_with_gaps_or_doubles(where):
    with pytest.raises(ValueError, match="expected one for each"):
        corpora.runs(MEASURED, "accuracy", "distance", **where)
