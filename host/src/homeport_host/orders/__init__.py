"""Work that servers order from the host: a tool call or an agent's task, as durable runs under the host's policy."""
