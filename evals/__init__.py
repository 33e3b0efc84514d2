"""Is it true? Gold sets, metrics, runs, comparisons, gates, reports."""
