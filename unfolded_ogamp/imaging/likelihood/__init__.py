"""The joint likelihood of scatterers and node phases: normal equations, joint steps, uncertainty, model selection."""
