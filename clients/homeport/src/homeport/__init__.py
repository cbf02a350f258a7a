"""Homeport: your own AI, on your own machine, with your own tools."""
