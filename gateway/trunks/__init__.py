"""Trunks: where their targets are and how they fare, our registrations, their capacity."""
