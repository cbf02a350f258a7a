"""The web over MCP: search it, read its pages as Markdown, and never reach into the own network by it."""
