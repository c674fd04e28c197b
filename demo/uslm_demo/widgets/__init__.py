"""Widgets that Gradio lacks: a player of live sound, tables with buttons, token views."""
