"""From passages to an answer: whether there is one, in which sentences, and its record."""
