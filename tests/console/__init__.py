"""The operator's console: doors, board, traces, downloads."""
