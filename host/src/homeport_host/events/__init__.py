"""What happened, persisted and delivered."""
