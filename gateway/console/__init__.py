"""The operator's console: who is let in, what they see, what they do."""
