"""The journal of a sweep: everything that happened, in order, from which it can go on."""
