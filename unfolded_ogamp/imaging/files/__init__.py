"""The files of imaging: CSI and estimates, and ways in from other formats."""
