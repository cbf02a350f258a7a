"""Durable execution: a run survives the death of the process and repeats no effect blindly."""
