"""Agents: a small loop over a model and the tools it may use."""
