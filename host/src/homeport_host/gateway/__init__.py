"""One MCP endpoint over many MCP servers."""
