"""A collection's index files: built beside the live ones, promoted, rolled back, merged."""
