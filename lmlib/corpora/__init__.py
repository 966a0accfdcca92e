"""Text for the course: the embedded corpus, downloads, words, sentences, vocabularies and splits.

`load()` gives the embedded corpus, six works of about 175,600 words that come with `lmlib` and need
no network; `load("tiny-shakespeare")` and `load("names")` download a well-known text once and
check it.  `tokenise` and `split_sentences` state the rules that turn text into sentences of words,
`Vocabulary` turns words into integer ids, and three splits hold sentences out: by position, by
work, and i.i.d. by sentence.  The three splits answer different questions, and the sparsity
chapter shows how far apart the answers are.
"""

from lmlib.corpora.corpus import Corpus, Work, available, load
from lmlib.corpora.download import DownloadError, cache_dir, fetch
from lmlib.corpora.measured import measured, runs
from lmlib.corpora.splits import split_by_position, split_by_work, split_iid
from lmlib.corpora.synthetic import (
    ClassSource,
    MarkovSource,
    brackets,
    hidden_classes,
    markov_logits,
)
from lmlib.corpora.text import split_sentences, tokenise
from lmlib.corpora.vocabulary import Vocabulary

__all__ = [
    "ClassSource",
    "Corpus",
    "DownloadError",
    "MarkovSource",
    "Vocabulary",
    "Work",
    "available",
    "brackets",
    "cache_dir",
    "fetch",
    "hidden_classes",
    "load",
    "markov_logits",
    "measured",
    "runs",
    "split_by_position",
    "split_by_work",
    "split_iid",
    "split_sentences",
    "tokenise",
]
