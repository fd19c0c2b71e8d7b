"""What is wrong with the CSI, as far as it shows before any fit."""
