"""Three ways to hold sentences out, which answer three different questions.

All three return `(train, held_out)`, two lists that share the sentences of the input, each in the
order of the text.
"""

from itertools import compress

import numpy as np

from lmlib.corpora.corpus import Work


def split_by_position(sentences, held_out=0.1):
    """Hold out the end of the text: what does the beginning tell about what comes after?

    Parameters
    ----------
    sentences : list of n sentences
    held_out : float in (0, 1), the share of sentences held out, rounded to whole sentences

    Returns
    -------
    train, held_out : lists of sentences; the second is the last round(held_out · n)

    Raises
    ------
    ValueError : if the share is not between 0 and 1, or leaves one side without a sentence
    """
    size = _held_out_size(sentences, held_out)
    return list(sentences[:-size]), list(sentences[-size:])


def split_iid(sentences, held_out=0.1, rng=None):
    """Hold out sentences drawn at random, without replacement, each as likely as any other.

    Train and held-out text then come from one distribution, as statistics likes to assume:
    neighbours of a held-out sentence, with its names and its topic, stay in the training text.

    Parameters
    ----------
    sentences : list of n sentences
    held_out : float in (0, 1), the share of sentences held out, rounded to whole sentences
    rng : numpy.random.Generator, required; the same seed gives the same split

    Returns
    -------
    train, held_out : lists of sentences; the second has round(held_out · n)

    Raises
    ------
    ValueError : if the share is not between 0 and 1, or leaves one side without a sentence, or
        `rng` is not a Generator

    Examples
    --------
    >>> train, held_out = split_iid(sentences, held_out=0.1, rng=np.random.default_rng(0))
    """
    size = _held_out_size(sentences, held_out)
    if not isinstance(rng, np.random.Generator):
        raise ValueError(f"rng must be a numpy Generator, got {rng!r}: np.random.default_rng(0)")
    chosen = np.zeros(len(sentences), bool)
    chosen[rng.permutation(len(sentences))[:size]] = True
    return list(compress(sentences, ~chosen)), list(compress(sentences, chosen))


def split_by_work(corpus, held_out=-1, lowercase=True):
    """Hold out a whole work: what does one author, subject or register tell about another?

    Parameters
    ----------
    corpus : Corpus of two works or more
    held_out : Work, or its index, slug or title; the last work unless told
    lowercase : bool, as in `tokenise`

    Returns
    -------
    train, held_out : lists of sentences, each a list of tokens

    Raises
    ------
    ValueError : if the corpus has no such work, or no other
    """
    work = held_out if isinstance(held_out, Work) else corpus[held_out]
    if work not in corpus.works:
        raise ValueError(f"{work.title!r} is not a work of the corpus {corpus.name!r}")
    if len(corpus) < 2:
        raise ValueError(
            f"the corpus {corpus.name!r} has one work only: nothing is left to train on"
        )
    train = [s for other in corpus if other != work for s in other.sentences(lowercase)]
    return train, work.sentences(lowercase)


def _held_out_size(sentences, held_out):
    if not isinstance(sentences, (list, tuple)):
        raise ValueError(
            f"sentences must be a list of sentences, got {type(sentences).__name__}: "
            "corpus.sentences() gives one"
        )
    if not 0 < held_out < 1:
        raise ValueError(f"held_out must be a share between 0 and 1, got {held_out!r}")
    size = round(held_out * len(sentences))
    if not 0 < size < len(sentences):
        raise ValueError(
            f"held_out = {held_out} of {len(sentences)} sentences is {size}: "
            "both sides need at least one"
        )
    return size
