"""The REST resources, one a file."""
