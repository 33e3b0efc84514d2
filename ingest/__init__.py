"""Documents in: a source, bytes, elements, chunks, vectors, one transaction."""
