"""What Gradio has no component for: a player of live sound, tables with buttons, token views."""
