"""The Homeport host: composes MCP servers, runs agents durably and governs every call."""
