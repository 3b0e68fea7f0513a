"""All trials of one sweep under Ray Tune: what proposes, decides, records and writes rows."""
