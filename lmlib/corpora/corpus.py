"""What a corpus is, and where each comes from."""

import hashlib
import json
from dataclasses import dataclass, field
from importlib.resources import files
from numbers import Integral

from lmlib.corpora.download import DOWNLOADS, fetch
from lmlib.corpora.text import split_sentences, tokenise


@dataclass(frozen=True)
class Work:
    """One text, as it lies in its file: the first line of an embedded work is its title."""

    slug: str
    title: str
    text: str = field(repr=False)

    def sentences(self, lowercase=True):
        """The sentences of the text, each a list of tokens, title and headings among them."""
        return [tokenise(sentence, lowercase) for sentence in split_sentences(self.text)]


@dataclass(frozen=True)
class Corpus:
    """Works in a fixed order: `corpus[0]`, `corpus["the-salt-road"]`, `corpus["The Salt Road"]`."""

    name: str
    works: tuple[Work, ...]

    @property
    def text(self):
        """The works one after the other, a blank line between them."""
        return "\n".join(work.text for work in self.works)

    def sentences(self, lowercase=True):
        """The sentences of all works in order, each a list of tokens.

        Parameters
        ----------
        lowercase : bool, as in `tokenise`

        Returns
        -------
        sentences : list of list of str; none is empty, and none crosses a paragraph
        """
        return [sentence for work in self.works for sentence in work.sentences(lowercase)]

    def __len__(self):
        return len(self.works)

    def __iter__(self):
        return iter(self.works)

    def __getitem__(self, key):
        """The work with this index (from the end if negative), slug or title.

        Raises
        ------
        ValueError : if there is none
        """
        if isinstance(key, Integral) and -len(self) <= key < len(self):
            return self.works[key]
        for work in self.works:
            if key in (work.slug, work.title):
                return work
        slugs = ", ".join(work.slug for work in self.works)
        raise ValueError(f"no work {key!r} in {self.name!r}, which has {len(self)}: {slugs}")


def available():
    """dict of str: the names that `load` knows, each with one line on what it is."""
    embedded = {"embedded": "six works of English prose, about 175,600 words, part of lmlib"}
    return embedded | {
        name: f"{item.about}, {item.size:,} bytes, downloaded once"
        for name, item in DOWNLOADS.items()
    }


def load(name="embedded"):
    """Load a corpus by its name.

    Parameters
    ----------
    name : "embedded" (default, no network needed), or a download: "tiny-shakespeare", "names"

    Returns
    -------
    corpus : Corpus; a download has one work

    Raises
    ------
    ValueError : for another name, or if the embedded texts are not what was released
    DownloadError : if a download is not in the cache and cannot be had; says what to do
    """
    if name == "embedded":
        return Corpus(name, tuple(_embedded_works()))
    if name in DOWNLOADS:
        text = fetch(name).read_bytes().decode("utf-8")
        return Corpus(name, (Work(name, DOWNLOADS[name].title, text),))
    raise ValueError(f"no corpus {name!r}; there are {', '.join(available())}")


def _embedded_works():
    folder = files("lmlib") / "data"
    manifest = json.loads((folder / "MANIFEST.json").read_text(encoding="utf-8"))
    for entry in manifest["files"]:
        if entry.get("corpus") != "embedded":
            continue
        try:
            content = (folder / entry["file"]).read_bytes()
        except FileNotFoundError:
            content = b""
        if (found := hashlib.sha256(content).hexdigest()) != entry["sha256"]:
            raise ValueError(
                f"lmlib/data/{entry['file']} is missing or changed: {len(content):,} bytes with "
                f"sha256 {found[:16]}, expected {entry['bytes']:,} with {entry['sha256'][:16]}. An "
                "editor, git's autocrlf or a broken installation may have done it: install lmlib "
                f"again, or in a clone run: git checkout -- lmlib/data"
            )
        slug = entry["file"].removesuffix(".txt").lstrip("0123456789-")
        yield Work(slug, entry["title"], content.decode("utf-8"))
