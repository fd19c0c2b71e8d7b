"""Node phases: refinement on a reference channel, and autofocus without one."""
