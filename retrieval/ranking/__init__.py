"""From two legs' candidates to one ranking: fusion, weights, reranking, collapsing, expansion."""
