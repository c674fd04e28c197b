"""Stages and validation of units that a judge shapes."""
