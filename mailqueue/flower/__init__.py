"""Flower, set up to show mail: what a batch came to, and neither content nor people."""
