"""The lexical leg: BM25 in memory and in files, with one set of statistics, for many languages."""
