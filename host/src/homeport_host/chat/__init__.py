"""Conversations: sessions, messages and what belongs to them."""
