"""Jobs that call MCP tools or agents on time, on events or on demand."""
