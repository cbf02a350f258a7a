"""The host's own tools and resources, one module per noun."""
