"""The pages that the dashboard renders itself, one module each."""
