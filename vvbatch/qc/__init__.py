"""Checks of a take that need no model. Planning reads texts with some of these modules and must not load numpy."""
