"""Words and sentences: two regular expressions, and the rules they stand for."""

import re

# On ASCII text this is [A-Za-z]+(?:['-][A-Za-z]+)*|[0-9]+(?:[.,][0-9]+)*|[^\sA-Za-z0-9], which the
# book's explorer repeats in JavaScript.  [^\W\d_] is a letter in any script; \S comes last and
# takes, one character at a time, what is neither a letter nor a digit.
_TOKEN = re.compile(r"[^\W\d_]+(?:['\u2019-][^\W\d_]+)*|\d+(?:[.,]\d+)*|\S")

# The possessive ++ and the look-behind for the start of a run keep the scan linear in the line.
_SENTENCE_END = re.compile(
    r"""
    (?<![.!?])                                      # the first mark of a run
    (?! \. (?![.!?])                                # but not one full stop after ...
        (?: (?<=\bMr\.) | (?<=\bMrs\.) | (?<=\bMs\.) | (?<=\bDr\.) | (?<=\bSt\.)
          | (?<=\bNo\.) (?=\s+\d)                   # ... No. 217
          | (?<=\b[A-HJ-Z]\.)                       # ... an initial; I is the pronoun
          | (?<=^\d\.) | (?<=^\d\d\.) ) )           # ... the number of a heading
    [.!?]++
    (?: (?=\s) | ["'\u201d\u2019)\]]++ (?=\s) (?!\s++[a-z]) )  # "Who is first?" asked Miss Marsh.
    """,
    re.VERBOSE,
)


def tokenise(text, lowercase=True):
    """Split a text into words, numbers and single marks.

    A token is, in this order of preference,

    - a word: letters, with single apostrophes or hyphens between letters (don't, salt-road);
    - a number: digits, with single points or commas between digits (10.30, 1,115);
    - any other character that is not white space, alone.

    Nothing is dropped but white space: joined, the tokens of `tokenise(text, lowercase=False)` are
    the text without its spaces.  A letter is a letter of any script (also ½ and Ⅷ, which Unicode
    counts as numerals but not as digits).  Combining accents are marks of their own: bring
    text from elsewhere to NFC form first (`unicodedata.normalize`).

    Parameters
    ----------
    text : str
    lowercase : bool, lower-case the text before it is split; False keeps "The" and "the" apart

    Returns
    -------
    tokens : list of str

    Examples
    --------
    >>> tokenise("Mr. Noakes didn't wait: it was 10.30.")
    ['mr', '.', 'noakes', "didn't", 'wait', ':', 'it', 'was', '10.30', '.']
    """
    return _TOKEN.findall(text.lower() if lowercase else text)


def split_sentences(text):
    """Split a text into sentences, by rule.

    A line is a paragraph, and no sentence crosses it; blank lines only separate.  Titles and
    headings are lines like any other, so each is a sentence.  Within a line a sentence ends at
    `.`, `!` or `?` (or several of them) with the closing quotes and brackets that follow, before
    white space.  It does not end

    - after Mr. Mrs. Ms. Dr. St., after No. before a digit, or after an initial (H. Quill);
    - after a number that opens the line (the headings "12. The Court");
    - after a closing quote or bracket before a lower-case letter a-z ("Who?" asked Miss Marsh.).

    The rules read the case of letters, so lower-case the tokens later, not the text before.  They
    err on a sentence that ends in an initial ("He mended the F. It played.").

    Parameters
    ----------
    text : str

    Returns
    -------
    sentences : list of str, none empty, without white space at their ends

    Examples
    --------
    >>> split_sentences('"Who is first?" asked Dr. Ames. "Mr. H. Quill."')
    ['"Who is first?" asked Dr. Ames.', '"Mr. H. Quill."']
    """
    sentences = []
    for line in text.splitlines():
        line, start = line.strip(), 0
        for end in _SENTENCE_END.finditer(line):
            sentences.append(line[start : end.end()].strip())
            start = end.end()
        if start < len(line):  # a heading, or a paragraph that ends without a mark
            sentences.append(line[start:].strip())
    return sentences
