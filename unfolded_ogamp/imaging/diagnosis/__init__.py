"""What the CSI says before any fit: its noise, the number of echoes in it, and what is wrong with it."""
