"""A knowledge base over MCP: ingest documents, search them by words and by meaning, cite the place."""
