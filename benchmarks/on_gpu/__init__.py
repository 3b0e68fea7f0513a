"""The parts of gpu.py: each measures one thing and writes its rows as it goes."""
