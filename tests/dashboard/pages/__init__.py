"""Pages asked in the process of the tests, over a real host."""
