"""Linear maps between coefficients on positions and CSI, with forward, adjoint and energy; never dense."""
