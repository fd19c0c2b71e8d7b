"""The unfolded network: layers that call the steps of the classic algorithms."""
