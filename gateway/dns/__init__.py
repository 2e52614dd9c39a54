"""Looking up where SIP domains are served."""
