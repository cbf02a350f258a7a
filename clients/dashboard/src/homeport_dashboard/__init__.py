"""The dashboard: an MCP client that renders pages from resources, and nothing else."""
