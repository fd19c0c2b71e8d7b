"""The joint likelihood of scatterers and node phases: normal equations, steps, uncertainty, model selection."""
