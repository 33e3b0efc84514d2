"""Answers out: a question, its passages, an answer, its proof."""
