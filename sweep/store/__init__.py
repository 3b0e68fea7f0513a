"""Results in an object store: the local copy of it, uploads, and which driver may write."""
