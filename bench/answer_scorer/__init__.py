"""How the answer scorer in ``retrieval/weights`` was made: its data, its training, its measure."""
