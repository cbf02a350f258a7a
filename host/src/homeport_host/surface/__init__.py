"""The host's own things as one MCP server: what a person clicks is a tool here, what a page shows is a resource."""
