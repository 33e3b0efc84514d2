"""The index in a Milvus server, behind the same protocols."""
