"""The rules of a call, pure and total: no I/O, no clock, nothing but the standard library."""
