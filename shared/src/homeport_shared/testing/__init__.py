"""What tests of Homeport servers and agents use; users get it as `homeport.testing`."""
