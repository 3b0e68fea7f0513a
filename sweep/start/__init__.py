"""Starts Ray and its workers in little time."""
