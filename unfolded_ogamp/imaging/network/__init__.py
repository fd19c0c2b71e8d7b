"""The unfolded network: its layers call the steps of the classic algorithms."""
