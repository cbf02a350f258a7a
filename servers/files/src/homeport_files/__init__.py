"""Workspace files over MCP: browse, read any document, search, write, edit, versions and undo."""
