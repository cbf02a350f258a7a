"""Workflows: graphs of steps, checked, versioned, and interpreted inside one durable run each."""
