"""Scenes as they are in the field: nodes off their list, bad links, extended and multiply scattering targets."""
