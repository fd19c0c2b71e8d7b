"""Evidence in the samples of the CSI before any fit: independent samples, noise variance, number of echoes."""
