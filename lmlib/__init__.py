"""lmlib: the small, tested library behind the book *Language models from scratch*.

One module per idea: `corpora` (text), `ngram` (counting), `scaling` (laws), `attention`,
`layernorm`, `figures` (drawing), `exercises` (checking answers), `claims` (keeping the prose
honest). Import the module you need:

>>> from lmlib import corpora, ngram
"""

__version__ = "0.1.0"
