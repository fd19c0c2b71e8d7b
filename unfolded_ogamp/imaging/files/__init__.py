"""The files of imaging: CSI and estimates, and converters from other formats."""
