"""The dense leg: vectors, in memory and in files, searched exactly or by an index that reaches a stated recall."""
