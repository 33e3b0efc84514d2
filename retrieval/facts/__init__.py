"""What filters and permissions look at, in files: exact at any selectivity."""
